"""Faults beside the file's own: no disk, no memory, no time, processes that die, sources that change, many at once."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tornado.websocket import websocket_connect

from cutaway.protocol import VIDEO_PATH, Progress, Snippet, SnippetComplete, VideoError, VideoMessage, decode_video
from processes import ServerProcess, alive, children_of, descendants_of, wait_until
from servers import Origin, Resource
from snippets.films import Films
from snippets.test_sources import check_clips
from snippets.watch import Answer, Watched, running

SMALL_DISK = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A server whose disk has room for one MiB."""
    folder = tmp_path_factory.mktemp("full")
    launcher = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK)
    (folder / "try").mkdir()
    trial = [*launcher, folder / "try", "true"]
    if not shutil.which("unshare") or subprocess.run(trial, capture_output=True).returncode:
        pytest.skip("needs the unshare command, and user namespaces")
    with running(folder, launcher=(*launcher, str(folder / "work"))) as watched:
        yield watched


@pytest.mark.parametrize(
    ("name", "ranges", "more"),
    [
        ("wide.mp4", False, {}),
        ("heavy.mp4", True, {"min_seconds": 4}),
        ("heavy.mp4", True, {"min_seconds": 4, "max_height": 90}),
    ],
    ids=["downloaded", "copied", "encoded"],
)
def test_a_full_disk_is_told(full: Watched, films: Films, name: str, ranges: bool, more: dict[str, int]) -> None:
    answer = full.ask(Resource(films[name], ranges=ranges), **more)
    assert "no room left" in answer.error
    assert not answer.snippets
    check_clips(full.ask(films["silent.mp4"], min_seconds=2, max_seconds=6), films["silent.mp4"])


def test_too_little_memory_is_told(films: Films, tmp_path: Path) -> None:
    with running(tmp_path / "server", "--worker-memory", "512MiB") as watched:
        answer = watched.ask(films["large.mp4"], max_height=720)
        assert "more memory than is allowed" in answer.error
        check_clips(watched.ask(films["silent.mp4"], min_seconds=2, max_seconds=6), films["silent.mp4"])


def test_too_little_time_is_told(films: Films, tmp_path: Path) -> None:
    with running(tmp_path / "server", "--request-seconds", "1") as watched:
        answer = watched.ask(Resource(films["film.mp4"], latency=30))
        assert "longer than 1 seconds" in answer.error
        assert answer.seconds < 2


def test_an_encoder_that_is_killed(watched: Watched, films: Films) -> None:
    """One clip after the other cannot be made: in the end that is the answer."""
    url = watched.origin.serve("killed-encoder", Resource(films["vp9_large.webm"]))

    async def ask() -> Answer:
        asked = asyncio.create_task(watched.read_all(url, {"min_seconds": 8}))
        while not asked.done():
            for encoder in watched.encoders():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(encoder, signal.SIGKILL)
            await asyncio.sleep(0.01)
        return asked.result()

    answer = asyncio.run(ask())
    watched.settle()
    assert "could not be encoded" in answer.error


def test_all_workers_die_at_once(watched: Watched, films: Films) -> None:
    url = watched.origin.serve("no-nursery", Resource(films["film.mp4"], latency=0.3))

    async def ask() -> Answer:
        asked = asyncio.create_task(watched.read_all(url, {}))
        await asyncio.to_thread(watched.origin.wait_for, lambda: bool(watched.origin.asked("no-nursery")))
        (nursery,) = children_of(watched.server.process.pid)
        os.kill(nursery, signal.SIGKILL)
        return await asked

    assert "crashed" in asyncio.run(ask()).error
    watched.settle()
    check_clips(watched.ask(Resource(films["silent.mp4"]), min_seconds=2, max_seconds=6), films["silent.mp4"])


@pytest.mark.parametrize("later", [2, 4])
def test_a_file_that_changes_while_it_is_read(watched: Watched, films: Films, later: int) -> None:
    changing = Resource(films["wide.mp4"], etag=lambda number: f'"{number > later}"')
    answer = watched.ask(changing, min_seconds=2, max_seconds=6)
    assert "changed on the server" in answer.error


@pytest.mark.parametrize(
    "odd",
    [
        {"ranges": False, "content_length": False},
        {"ranges": False, "chunked": True},
        {"chunked": True},
        {"cap": 1 << 17},
        {"etag": None},
        {"etag": 'W/"1"'},
        {"reset_after": 90_000, "resets": 2},
        {"content_range": "bytes 0-65535/*", "then": "whole"},
    ],
    ids=lambda odd: ", ".join(odd),
)
def test_odd_servers_do(watched: Watched, films: Films, odd: dict[str, object]) -> None:
    film = films["film.mp4"]
    if odd.get("then"):
        odd = {**odd, "then": Resource(film, ranges=False)}
    check_clips(watched.ask(Resource(film, **odd), min_seconds=2, max_seconds=6), film)  # type: ignore[arg-type]


def test_a_server_that_zips_everything(watched: Watched, films: Films) -> None:
    film = films["film.mp4"]
    zipped = Resource(gzip.compress(film.read_bytes(), 1), ranges=False, headers={"Content-Encoding": "gzip"})
    check_clips(watched.ask(zipped, min_seconds=2, max_seconds=6), film)


def test_machines_behind_one_name_of_which_some_know_no_ranges(watched: Watched, films: Films) -> None:
    film = films["film.mp4"]
    machines = Resource(film, then=Resource(film, ranges=False, then=Resource(film)))
    check_clips(watched.ask(machines, min_seconds=2, max_seconds=6), film)


def test_fifty_at_once(watched: Watched, films: Films) -> None:
    """Some are worked on, some wait, the others are told; none is forgotten."""
    url = watched.origin.serve("fifty", Resource(films["silent.mp4"]))

    async def ask() -> list[Answer]:
        return await asyncio.gather(*(watched.read_all(url, {"max_snippets": 1}) for _ in range(50)))

    answers = asyncio.run(ask())
    watched.settle()
    done = sum(answer.complete for answer in answers)
    assert done >= 20
    assert all("busy" in answer.error for answer in answers if not answer.complete)


def test_garbage_and_clients_that_go_at_once(watched: Watched, films: Films) -> None:
    url = watched.origin.serve("gone", Resource(films["silent.mp4"]))
    path = f"{VIDEO_PATH}?{urlencode({'video_url': url})}"
    upgrade = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    garbage = [b"", b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", upgrade[:40], upgrade]
    garbage += [upgrade + b"\xff" * 100, upgrade + b"\x81\xff" + b"\xff" * 8, upgrade.replace(b"GET", b"POST")]
    for data in garbage * 4:
        with socket.create_connection(("127.0.0.1", watched.server.port), 5) as sock:
            sock.sendall(data)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with urllib.request.urlopen(watched.server.url("/health"), timeout=1) as answer:
        assert answer.status == 200
    watched.settle()
    check_clips(watched.ask(films["silent.mp4"], min_seconds=2, max_seconds=6), films["silent.mp4"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_is_stopped_while_a_child_encodes(
    start_server: Callable[..., ServerProcess], films: Films, tmp_path: Path, number: int
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with Origin() as origin:
        url = origin.serve("film", films["vp9_large.webm"])
        arguments = ("--allow-network", "127.0.0.0/8", "--work-dir", str(work), "--grace-seconds", "0.2")
        server = start_server(*arguments)

        async def ask() -> tuple[list[VideoMessage], float]:
            query = urlencode({"video_url": url, "min_seconds": 8})
            client = await websocket_connect(server.url(f"{VIDEO_PATH}?{query}", "ws"))
            before = len(server.descendants)
            await asyncio.to_thread(wait_until, lambda: len(descendants_of(server.process.pid)) > before, 20.0)
            family = descendants_of(server.process.pid)
            server.process.send_signal(number)
            began = time.monotonic()
            messages = []
            while (frame := await client.read_message()) is not None:
                messages.append(decode_video(frame))
            client.close()
            await asyncio.to_thread(wait_until, lambda: not any(map(alive, family)), 5.0)
            return messages, time.monotonic() - began

        messages, seconds = asyncio.run(ask())
        assert seconds < 3
        if number == signal.SIGTERM:
            assert "stopping" in messages[-1].message  # type: ignore[union-attr]
            assert server.process.wait(5) == 0
            assert not list(work.iterdir())
        else:
            assert not any(isinstance(m, SnippetComplete | VideoError) for m in messages)
            assert all(isinstance(m, Progress | Snippet) for m in messages)
            assert start_server(*arguments).stop() == 0
            assert not list(work.iterdir())
        origin.wait_for(lambda: origin.open_connections == 0)
