"""Documents that are asked for again and again, against an origin that misbehaves."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tornado.ioloop import IOLoop

from cutaway_server.errors import Fault
from cutaway_server.fetch.answers import FetchFailed
from cutaway_server.fetch.document import Document, ask
from cutaway_server.fetch.door import Door
from cutaway_server.fetch.guard import AddressRefused
from processes import wait_until
from servers import Canary, Origin, Resource

BODY = b"<rss>" + b"news " * 5_000


@pytest.fixture
def door(io_loop: IOLoop, origin: Origin) -> Iterator[Door]:
    door = Door(origin.policy, connect_seconds=1)
    io_loop.run_sync(door.start)
    yield door
    io_loop.run_sync(door.stop)


async def get(door: Door, url: str, *, max_bytes: int = 1 << 20, seconds: float = 5.0, **fields: str) -> Document:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return await ask(door, url, max_bytes=max_bytes, seconds=seconds, fields=named)


@pytest.mark.gen_test
async def test_what_a_server_says_is_kept(origin: Origin, door: Door) -> None:
    fields = {"Last-Modified": "Mon, 02 Mar 2026 10:00:00 GMT"}
    url = origin.serve("feed", Resource(BODY, content_type="application/rss+xml; charset=utf-8", headers=fields))
    found = await get(door, url, Accept="application/rss+xml")
    assert found == Document(
        status=200,
        url=url,
        data=BODY,
        content_type="application/rss+xml; charset=utf-8",
        etag='"v1"',
        last_modified="Mon, 02 Mar 2026 10:00:00 GMT",
    )
    assert origin.requests[0].headers["accept"] == "application/rss+xml"
    assert origin.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.gen_test
async def test_nothing_new(origin: Origin, door: Door) -> None:
    url = origin.serve("feed", Resource(BODY, conditional=True))
    first = await get(door, url)
    second = await get(door, url, If_None_Match=first.etag)
    assert (second.status, second.data) == (304, b"")


@pytest.mark.gen_test
async def test_only_moves_for_good_are_remembered(origin: Origin, door: Door) -> None:
    end = origin.serve("end", Resource(BODY))
    later = origin.serve("later", Resource(redirect=end))
    for_good = origin.serve("moved", Resource(redirect="/end", status=301))
    twice = origin.serve("twice", Resource(redirect=for_good, status=308))
    mixed = origin.serve("mixed", Resource(redirect=later, status=301))
    assert [(await get(door, url)).moved for url in (later, for_good, twice, mixed)] == ["", end, end, later]
    assert (await get(door, mixed)).url == end


@pytest.mark.gen_test
async def test_statuses_are_no_failures_and_rest_is_understood(origin: Origin, door: Door) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    week = 7 * 86_400
    told = ((429, "120", 120, 120), (503, soon, 500, 600), (503, "x", 0, 0), (410, "9" * 11, week, week))
    for status, after, least, most in told:
        url = origin.serve("busy", Resource(b"later", status=status, headers={"Retry-After": after}))
        found = await get(door, url)
        assert (found.status, found.data) == (status, b"")
        assert least <= found.rest_seconds <= most
        assert str(status) in found.fault().message


@pytest.mark.gen_test
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate"])
async def test_compressed_bodies_are_decoded(origin: Origin, door: Door, coding: str) -> None:
    url = origin.serve("feed", Resource(gzip.compress(BODY), headers={"Content-Encoding": coding}))
    assert (await get(door, url)).data == BODY


BOMB = gzip.compress(bytes(200 << 20), 9)


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("resource", "said"),
    [
        (Resource(BOMB, headers={"Content-Encoding": "gzip"}), "more than the 1 MiB"),
        (Resource(BODY, endless=True, content_length=False), "more than the 1 MiB"),
        (Resource(bytes(3 << 20)), "more than the 1 MiB"),
        (Resource(b"\x1f\x8bnonsense", headers={"Content-Encoding": "gzip"}), "cannot be decoded"),
        (Resource(gzip.compress(BODY)[:50], headers={"Content-Encoding": "gzip"}), "not complete"),
        (Resource(BODY, headers={"Content-Encoding": "br"}), "not asked for"),
        (Resource(BODY, reset_after=100), "closed the connection|broke off"),
        (Resource(BODY, stall_after=100), "too long"),
        (Resource(BODY, drip=(1, 0.01)), "too long|too slowly"),
        (Resource(BODY, head_drip=0.1), "too long"),
        (Resource(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), "not proper HTTP"),
        (Resource(redirect=""), "without saying where"),
        (Resource(redirect="/feed"), "redirects more than"),
        (Resource(redirect="file:///etc/passwd"), "redirects to something else"),
    ],
)
async def test_every_failure_is_told(origin: Origin, door: Door, resource: Resource, said: str) -> None:
    url = origin.serve("feed", resource)
    began = time.monotonic()
    with pytest.raises(FetchFailed if "something else" not in said else Fault, match=said):
        await get(door, url, seconds=0.7)
    assert time.monotonic() - began < 3


@pytest.mark.gen_test
async def test_private_addresses_are_refused_behind_redirects_too(origin: Origin, door: Door) -> None:
    with Canary() as canary:
        private = f"http://127.0.0.1:{canary.port}/"
        for url in (private, origin.serve("feed", Resource(redirect=private))):
            with pytest.raises(AddressRefused):
                await get(door, url)
        assert not canary.contacts


@pytest.mark.gen_test
async def test_cancelling_ends_it_within_100_ms(origin: Origin, door: Door) -> None:
    for resource in (Resource(BODY, latency=30), Resource(BODY, stall_after=10), Resource(BODY, head_drip=1)):
        url = origin.serve("feed", resource)
        asked = len(origin.requests)
        task = asyncio.create_task(get(door, url, seconds=30))
        await asyncio.to_thread(origin.wait_for, lambda asked=asked: len(origin.requests) > asked)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 0.1
        await asyncio.to_thread(wait_until, lambda: not any(each.name == "ask" for each in threading.enumerate()))
        await asyncio.to_thread(origin.wait_for, lambda: not origin.open_connections)
