"""``/clips/...`` and the room behind it: headers, ranges, how long clips stay, and how much room they take."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.ioloop import IOLoop

from cutaway_server.snippets.clips import Clips

MP4 = bytes(range(256)) * 3
NUMBERS = st.integers(0, len(MP4) + 100)


@pytest.fixture
def make(io_loop: IOLoop, work_dir: Path) -> Iterator[Callable[..., Clips]]:
    made: list[Clips] = []

    def start(**options: Any) -> Clips:
        made.append(Clips(work_dir / "clips", **{"seconds": 60, "space_bytes": 1 << 20, **options}))
        return made[-1]

    yield start

    async def close() -> None:
        for each in made:
            each.close()

    io_loop.run_sync(close)
    folder = work_dir / "clips"
    if folder.exists():
        folder.rmdir()  # there is nothing in it


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "clips").glob("*"))


def cut(folder: Path, data: bytes = MP4) -> Path:
    """A file as a worker makes it."""
    path = folder / "scratch.mp4"
    path.write_bytes(data)
    return path


def keep(clips: Clips, folder: Path, data: bytes = MP4) -> str:
    """The path of a clip that was delivered."""
    with clips.outgoing() as outgoing:
        place = outgoing.place()
        assert place is not None
        assert place.take(cut(folder, data))
        outgoing.ready(place, len(data))
        outgoing.delivered(place)
    return place.path


def token(path: str) -> str:
    return path.removeprefix("/clips/").removesuffix(".mp4")


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_a_clip_and_its_headers(make, serve, work_dir: Path) -> None:
    get = serve(clips=(clips := make(seconds=100)))
    path = keep(clips, work_dir)
    assert re.fullmatch(r"/clips/[A-Za-z0-9_-]{22}\.mp4", path)
    answer = await get(path)
    assert (answer.code, answer.body) == (200, MP4)
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "Access-Control-Allow-Origin" not in answer.headers
    kept = re.fullmatch(r"private, max-age=(\d+), immutable", answer.headers["Cache-Control"])
    assert kept
    assert 90 <= int(kept[1]) <= 100
    head = await get(path, method="HEAD", headers={"Range": "bytes=0-1"})
    assert (head.code, head.body, head.headers["Content-Length"]) == (200, b"", str(len(MP4)))
    other = await get(keep(clips, work_dir))
    assert other.headers["Etag"] != answer.headers["Etag"]


@pytest.mark.gen_test
async def test_who_has_it_already_is_told_so(make, serve, work_dir: Path) -> None:
    get = serve(clips=(clips := make()))
    path = keep(clips, work_dir)
    etag = (await get(path)).headers["Etag"]
    assert re.fullmatch(r'"[!-~]+"', etag), "a strong one"
    for match in (etag, f'"other", {etag}', "*"):
        again = await get(path, headers={"If-None-Match": match, "Range": "bytes=0-9"})
        assert (again.code, again.body) == (304, b"")
        assert again.headers["Etag"] == etag
        assert "Content-Range" not in again.headers
    assert (await get(path, headers={"If-None-Match": '"other"'})).body == MP4
    assert (await get(path, headers={"If-Modified-Since": "Sun, 01 Jan 2040 00:00:00 GMT"})).body == MP4


@pytest.mark.gen_test
async def test_a_part_on_condition(make, serve, work_dir: Path) -> None:
    get = serve(clips=(clips := make()))
    path = keep(clips, work_dir)
    etag = (await get(path)).headers["Etag"]
    for condition, code, body in (
        (etag, 206, MP4[:10]),
        ('"other"', 200, MP4),
        (f"W/{etag}", 200, MP4),
        ("Sun, 01 Jan 2040 00:00:00 GMT", 200, MP4),
    ):
        answer = await get(path, headers={"If-Range": condition, "Range": "bytes=0-9"})
        assert (answer.code, answer.body) == (code, body)


def whole(first: int | None, last: int | None) -> str:
    return f"bytes={'' if first is None else first}-{'' if last is None else last}"


RANGES = (
    st.builds(whole, NUMBERS, NUMBERS)
    | st.builds(whole, NUMBERS, st.none())
    | st.builds(whole, st.none(), NUMBERS)
    | st.sampled_from(
        ["bytes=0-0,5-9", "bytes=-", "bytes=--5", "bytes=+1-5", "bytes=1_0-", "bytes=a-b", "items=0-5", ""]
    )
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map("bytes={}".format)
)


def expected(header: str) -> tuple[int, bytes]:
    """By slicing."""
    match re.findall(r"^bytes=([0-9]*)-([0-9]*)\s*$", header):
        case [("", "")] | []:
            return 200, MP4
        case [("", last)]:
            part = MP4[-int(last) :] if int(last) else b""
        case [(first, "")]:
            part = MP4[int(first) :]
        case [(first, last)]:
            part = MP4[int(first) : int(last) + 1]
    return (206, part) if part else (416, b"")


def test_any_range_is_what_slicing_gives(io_loop: IOLoop, make, serve, work_dir: Path) -> None:
    async def start() -> tuple[Callable[..., Any], str]:
        return serve(clips=(clips := make())), keep(clips, work_dir)

    get, path = io_loop.run_sync(start)

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(RANGES)
    def check(header: str) -> None:
        answer = io_loop.run_sync(lambda: get(path, headers={"Range": header}))
        code, part = expected(header)
        assert answer.code == code
        if code == 416:
            assert answer.headers["Content-Range"] == f"bytes */{len(MP4)}"
            assert "error" in json.loads(answer.body)
            assert "Cache-Control" not in answer.headers
            return
        assert answer.body == part
        assert answer.headers["Content-Length"] == str(len(part))
        if code == 206:
            first = int(answer.headers["Content-Range"].removeprefix("bytes ").partition("-")[0])
            assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(part) - 1}/{len(MP4)}"
            assert MP4[first : first + len(part)] == part
        else:
            assert "Content-Range" not in answer.headers

    check()


@pytest.mark.gen_test
async def test_pages_that_may_connect_may_also_read(make, serve, work_dir: Path) -> None:
    get = serve(clips=(clips := make()), allow_origin=["https://app.example"])
    path = keep(clips, work_dir)
    answer = await get(path, headers={"Origin": "https://app.example", "Range": "bytes=0-1"})
    assert (answer.code, answer.headers["Access-Control-Allow-Origin"]) == (206, "https://app.example")
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Origin" not in (await get(path, headers={"Origin": "https://b.example"})).headers
    assert (await get(path, headers={"Host": "evil.example"})).code == 403


@pytest.mark.gen_test
async def test_what_is_not_there(make, serve, work_dir: Path) -> None:
    get = serve(clips=(clips := make()))
    path = keep(clips, work_dir)
    name = f"{token(path)}.mp4"
    (work_dir / "clips" / "x").write_bytes(b"not ours")
    (work_dir / "clips" / f"{'y' * 22}.mp4").write_bytes(b"not announced")
    for wrong in (
        "/clips/",
        "/clips/x",
        f"/clips/{'y' * 22}.mp4",
        f"/clips/{name}/",
        f"/clips/{name[:-4]}",
        f"/clips/../clips/{name}",
        f"/clips/%2e%2e%2fclips%2f{name}",
        f"/clips/{name[:-5]}%00.mp4",
        "/clips/../../../etc/passwd",
    ):
        answer = await get(wrong)
        assert (answer.code, json.loads(answer.body)) == (404, {"error": "Not Found"})
    assert (await get(path, method="POST", body="")).code == 405
    assert (await serve()(path)).code == 404
    for left in ("x", f"{'y' * 22}.mp4"):
        (work_dir / "clips" / left).unlink()


@pytest.mark.gen_test
async def test_a_clip_that_is_forgotten_while_somebody_reads_is_read_to_its_end(make, serve, work_dir: Path) -> None:
    """It is larger than what is buffered between the two."""
    data = os.urandom(1 << 20) * 24
    get = serve(clips=(clips := make(space_bytes=30 << 20)))
    path = keep(clips, work_dir, data)
    url = urlsplit(get.keywords["address"])
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    start = await reader.readexactly(100_000)
    keep(clips, work_dir, data)
    assert clips.get(token(path)) is None
    assert len(files(work_dir)) == 1
    assert (await get(path)).code == 404
    assert start + await reader.read() == data
    writer.close()


# --- how long, how much ----------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_clips_end_by_age_also_when_nobody_asks(make, serve, work_dir: Path) -> None:
    get = serve(clips=(clips := make(seconds=0.3)))
    path = keep(clips, work_dir)
    assert (await get(path)).code == 200
    async with asyncio.timeout(10):
        while files(work_dir):  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0.01)
    answer = await get(path)
    assert (answer.code, json.loads(answer.body)) == (404, {"error": "Not Found"})
    assert "Cache-Control" not in answer.headers


@pytest.mark.gen_test
async def test_the_oldest_make_room(make, work_dir: Path) -> None:
    clips = make(space_bytes=1000)
    paths = [keep(clips, work_dir, b"x" * 400) for _ in range(3)]
    assert [clips.get(token(path)) is not None for path in paths] == [False, True, True]
    assert files(work_dir) == sorted(f"{token(path)}.mp4" for path in paths[1:])
    keep(clips, work_dir, b"x" * 1000)
    assert len(files(work_dir)) == 1


@pytest.mark.gen_test
async def test_what_is_not_delivered_is_removed(make, work_dir: Path) -> None:
    clips = make()
    with clips.outgoing() as outgoing:
        made, counted, told, never = (outgoing.place() for _ in range(4))
        assert made and counted and told and never
        for place in (made, counted, told):
            assert place.take(cut(work_dir))
        for place in (counted, told):
            outgoing.ready(place, len(MP4))
            assert clips.get(place.token) is not None
        outgoing.delivered(told)
        assert len(files(work_dir)) == 3
    assert files(work_dir) == [told.file.name]
    assert clips.get(counted.token) is None
    assert clips.get(told.token) is not None


@pytest.mark.gen_test
async def test_without_space_nothing_is_kept(make) -> None:
    with make(space_bytes=0).outgoing() as outgoing:
        assert outgoing.place() is None


@pytest.mark.gen_test
async def test_where_there_is_no_room(
    make, work_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with make(space_bytes=len(MP4)).outgoing() as outgoing:
        place = outgoing.place()
        assert place is not None
        assert not place.take(cut(work_dir, MP4 + b"x")), "larger than all the space"
        usage = shutil.disk_usage(work_dir)
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
            assert not place.take(cut(work_dir)), "a full disk"
        (work_dir / "clips").rmdir()
        (work_dir / "clips").write_bytes(b"")  # no folder can be made there
        assert not place.take(cut(work_dir)), "no folder"
        assert [each.levelname for each in caplog.records] == ["WARNING", "WARNING"]
        assert str(work_dir) not in caplog.text
        (work_dir / "clips").unlink()
        assert place.take(cut(work_dir))
    assert not files(work_dir)
    (work_dir / "scratch.mp4").unlink(missing_ok=True)
