"""The range reader, against a model file and against an origin that misbehaves."""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cutaway_server.fetch import dial, download
from cutaway_server.fetch.answers import ContentRange
from cutaway_server.fetch.blocks import Block, Blocks, merged
from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.ranges import FetchFailed, RangeReader, RemoteFile, SourceChanged, resolve
from servers import OpenDoor, Origin, Resource

KIB, MIB = 1024, 1024 * 1024
BODY = random.Random(1).randbytes(10 * MIB + 123)


@pytest.fixture(scope="module")
def _servers() -> Iterator[tuple[Origin, OpenDoor]]:
    with Origin() as origin, OpenDoor(origin.policy) as door:
        yield origin, door


@pytest.fixture
def origin(_servers: tuple[Origin, OpenDoor]) -> Origin:
    _servers[0].requests.clear()
    return _servers[0]


@pytest.fixture
def pass_(_servers: tuple[Origin, OpenDoor]) -> Iterator[Pass]:
    with _servers[1].admit() as admitted:
        yield admitted
        _servers[1].wait_idle(admitted)
    _servers[0].wait_for(lambda: _servers[0].open_connections == 0)


Recipe = Callable[..., RemoteFile]


@pytest.fixture
def recipe(origin: Origin, pass_: Pass) -> Recipe:
    """Serves a resource and gives its recipe, without any request."""

    def make(resource: Resource | bytes = BODY, *, size: int = len(BODY), validator: str = "") -> RemoteFile:
        return RemoteFile(origin.serve("film", resource), pass_, size, validator)

    return make


class Spans:
    """What hypothesis does with a reader and a model of it."""

    position = st.integers(0, len(BODY) + 100)
    span = st.tuples(position, st.integers(0, 300 * KIB)).map(lambda pair: (pair[0], pair[0] + pair[1]))
    step = st.one_of(
        st.tuples(st.just("seek"), position),
        st.tuples(st.just("back"), st.integers(0, 200 * KIB)),
        st.tuples(st.just("end"), st.integers(0, 200 * KIB)),
        st.tuples(st.just("read"), st.integers(0, 200 * KIB)),
        st.tuples(st.just("into"), st.integers(0, 70 * KIB)),
        st.tuples(st.just("wait"), st.lists(span, max_size=4)),
        st.tuples(st.just("start"), st.lists(span, max_size=4)),
        st.tuples(st.just("release"), st.none()),
        st.tuples(st.just("hand on"), st.integers(0, MIB)),
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=st.lists(Spans.step, max_size=12), cap=st.sampled_from([None, 50_000]))
def test_any_use_gives_the_bytes_of_the_file(recipe: Recipe, steps: list[tuple[str, object]], cap: int | None) -> None:
    model = io.BytesIO(BODY)
    reader = RangeReader(recipe(Resource(BODY, cap=cap)), cached_bytes=256 * KIB)
    try:
        for action, value in steps:
            if action == "wait" or action == "start":
                reader.prefetch(value, wait=action == "wait")  # type: ignore[arg-type]
            elif action == "release":
                reader.release()
            elif action == "hand on":
                assert isinstance(value, int)
                following = RangeReader(reader.snapshot(value))
                following.seek(reader.tell())
                reader.close()
                reader = following
            else:
                assert isinstance(value, int)
                if action == "seek":
                    assert reader.seek(value) == model.seek(value)
                elif action == "back":
                    value = min(value, model.tell())
                    assert reader.seek(-value, os.SEEK_CUR) == model.seek(-value, os.SEEK_CUR)
                elif action == "end":
                    assert reader.seek(-value, os.SEEK_END) == model.seek(-value, os.SEEK_END)
                elif action == "read":
                    assert reader.read(value) == model.read(value)
                else:
                    mine, theirs = bytearray(value), bytearray(value)
                    assert reader.readinto(mine) == model.readinto(theirs)
                    assert mine == theirs
            assert reader.tell() == model.tell()
        assert reader.failure is None
    finally:
        reader.close()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 100)), max_size=12), st.integers(0, 400))
def test_blocks_and_gaps_partition_the_spans(spans: list[tuple[int, int]], limit: int) -> None:
    blocks = Blocks(limit)
    covered: set[int] = set()
    for start, length in spans:
        for piece in blocks.missing(start, start + length):
            assert not covered & set(range(*piece))
            covered |= set(range(*piece))
            blocks.add(Block(piece[0], bytearray(piece[1] - piece[0]), filled=piece[1] - piece[0]))
        assert not blocks.missing(start, start + length)
    for position in range(700):
        block = blocks.at(position)
        assert (block is not None) == (position in covered)
        if block is None:
            start, stop = blocks.gap_around(position, 1000)
            assert start <= position < stop and not covered & set(range(start, stop))
    blocks.evict()
    assert sum(len(block.data) for block in blocks) <= limit


def test_spans_are_clamped_and_merged() -> None:
    assert merged(
        [(50_000, 60_000), (-5, 10), (10 + 16 * KIB, 40_000), (99_990, 200_000), (7, 7), (9, 3)], 100_000
    ) == [
        (0, 10),
        (10 + 16 * KIB, 60_000),
        (99_990, 100_000),
    ]


def test_content_range() -> None:
    assert ContentRange.parse("bytes 0-9/100") == ContentRange(0, 10, 100)
    assert ContentRange.parse("Bytes 5-5/*") == ContentRange(5, 6, None)
    for text in ("", "bytes */5", "bytes 9-5/100", "bytes 0-100/100", "bytes 0-9", "bytes ٣-9/10", "items 0-1/2"):
        assert ContentRange.parse(text) is None


def test_reading_on_fetches_ever_more(origin: Origin, recipe: Recipe) -> None:
    with recipe().open() as reader:
        while reader.read(32 * KIB):
            pass
        assert reader.bytes_fetched == len(BODY)
        assert reader.requests == len(origin.requests) < 20
    sizes = [stop - start for start, stop in (span for span in origin.asked("film") if span)]
    assert sizes[:6] == [64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, MIB, MIB]


def test_jumping_about_fetches_little(origin: Origin, recipe: Recipe) -> None:
    with recipe().open() as reader:
        for position in (5 * MIB, 1 * MIB, 9 * MIB, 3 * MIB):
            reader.seek(position + 10)
            assert reader.read(100) == BODY[position + 10 : position + 110]
        assert reader.bytes_fetched <= 4 * 68 * KIB
        reader.seek(MIB)
        assert reader.read(1000) == BODY[MIB : MIB + 1000]
        assert reader.requests == 4


def test_prefetched_spans_need_no_network(origin: Origin, recipe: Recipe) -> None:
    spans = [(number * 300_000, number * 300_000 + 60_000) for number in range(30)]
    with recipe().open() as reader:
        reader.prefetch(spans)
        assert reader.requests == 30 and reader.bytes_fetched == 30 * 60_000
        reader.prefetch(spans)
        for start, stop in reversed(spans):
            reader.seek(start)
            assert reader.read(stop - start) == BODY[start:stop]
        assert reader.requests == 30
        reader.prefetch([(30_000, 130_000)])  # only what is missing
        assert origin.asked("film")[-1] == (60_000, 130_000)
    assert sorted(span for span in origin.asked("film")[:30] if span) == spans
    assert origin.connections >= 2


def test_long_spans_are_split_and_use_several_connections(origin: Origin, recipe: Recipe) -> None:
    before = origin.connections
    with recipe(Resource(BODY, latency=0.2)).open() as reader:
        began = time.monotonic()
        reader.prefetch([(0, len(BODY))])
        assert time.monotonic() - began < 0.55  # three requests of 200 ms, side by side
        assert reader.read() == BODY
    assert sorted(span for span in origin.asked("film") if span) == [
        (0, 4 * MIB),
        (4 * MIB, 8 * MIB),
        (8 * MIB, len(BODY)),
    ]
    assert origin.connections - before == 3


def test_connections_are_kept_alive_and_bounded(origin: Origin, recipe: Recipe) -> None:
    before = origin.connections
    with recipe(Resource(BODY, latency=0.01)).open() as reader:
        reader.prefetch([(number * 100_000, number * 100_000 + 10) for number in range(40)])
        reader.seek(9 * MIB)
        reader.read(10)
    assert origin.connections - before <= 7


def test_a_lazy_prefetch_waits_for_just_the_bytes_needed(origin: Origin, recipe: Recipe) -> None:
    with recipe(Resource(BODY, stall_after=100_000)).open() as reader:
        reader.prefetch([(0, MIB)], wait=False)
        assert reader.read(100_000) == BODY[:100_000]
        began = time.monotonic()
    assert time.monotonic() - began < 1  # closing does not wait for the rest


def test_closing_wakes_a_read_in_another_thread(origin: Origin, recipe: Recipe) -> None:
    errors: list[Exception] = []
    reader = recipe(Resource(BODY, stall_after=10)).open()

    def read() -> None:
        try:
            reader.read(100)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    origin.wait_for(lambda: bool(origin.requests))
    reader.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(errors[0], ValueError)
    reader.close()
    for use in (lambda: reader.read(1), lambda: reader.seek(0), lambda: reader.prefetch([(0, 1)])):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_pinned_memory_is_bounded(recipe: Recipe) -> None:
    with RangeReader(recipe(), pinned_bytes=MIB) as reader:
        reader.prefetch([(0, MIB // 2)])
        with pytest.raises(FetchFailed, match="More than 1 MiB"):
            reader.prefetch([(MIB, 2 * MIB)])
        assert reader.failure is None
        reader.release()
        reader.prefetch([(MIB, 2 * MIB)])
        reader.seek(MIB)
        assert reader.read(MIB) == BODY[MIB : 2 * MIB]


def test_released_spans_make_room(recipe: Recipe) -> None:
    with RangeReader(recipe(), cached_bytes=64 * KIB) as reader:
        for start in range(0, 8 * MIB, MIB):
            reader.prefetch([(start, start + MIB)])
            reader.release()
        assert sum(len(block) for _, block in reader.snapshot(1 << 40).blocks) <= 64 * KIB


def test_what_is_released_before_it_was_begun_is_not_fetched(origin: Origin, recipe: Recipe) -> None:
    spans = [(number * 100_000, number * 100_000 + 50_000) for number in range(40)]
    with recipe(Resource(BODY, latency=0.05)).open() as reader:
        reader.prefetch(spans, wait=False)
        assert reader.read(50_000) == BODY[:50_000]
        reader.release()
        reader.prefetch([(9 * MIB, 9 * MIB + 10)])
        assert reader.requests < 20


def test_a_snapshot_saves_the_next_worker_the_requests(origin: Origin, recipe: Recipe) -> None:
    with recipe().open() as reader:
        reader.read(1000)
        reader.prefetch([(MIB, MIB + 50_000)])
        snapshot = pickle.loads(pickle.dumps(reader.snapshot(200_000)))
        small = reader.snapshot(60_000)
    assert [(start, len(data)) for start, data in snapshot.blocks] == [(0, 64 * KIB), (MIB, 50_000)]
    assert [start for start, _ in small.blocks] == [MIB]
    with snapshot.open() as reader:
        assert reader.read(64 * KIB) == BODY[: 64 * KIB]
        reader.prefetch([(MIB, MIB + 50_000)])
        reader.seek(MIB)
        assert reader.read(50_000) == BODY[MIB : MIB + 50_000]
        assert reader.requests == 0


def test_overlapping_blocks_of_a_recipe(recipe: Recipe) -> None:
    blocks = ((0, BODY[:100]), (50, BODY[50:200]), (len(BODY) - 5, BODY[-5:] + b"more"))
    with recipe().with_blocks(blocks).open() as reader:
        assert reader.read(200) == BODY[:200]
        reader.seek(-5, os.SEEK_END)
        assert reader.read() == BODY[-5:]
        assert reader.requests == 0


@pytest.mark.parametrize("prefetch", [True, False])
def test_resets_are_taken_up_from_the_byte_reached(origin: Origin, recipe: Recipe, prefetch: bool) -> None:
    origin._reset.clear()
    with recipe(Resource(BODY, reset_after=300_000, resets=3)).open() as reader:
        if prefetch:
            reader.prefetch([(0, 2 * MIB)])
        assert reader.read(2 * MIB) == BODY[: 2 * MIB]
        assert reader.failure is None
    if prefetch:
        spans = [span for span in origin.asked("film") if span]
        assert len(spans) == 4 and spans[0] == (0, 2 * MIB)
        assert all(stop == 2 * MIB for _, stop in spans)


def test_the_fourth_reset_is_the_last(origin: Origin, recipe: Recipe) -> None:
    origin._reset.clear()
    with recipe(Resource(BODY, reset_after=10)).open() as reader:
        with pytest.raises(FetchFailed, match=r"closed the connection|broke off") as caught:
            reader.read(100)
        assert reader.failure is caught.value
        assert len(origin.requests) == 4
        with pytest.raises(FetchFailed):  # and it stays so, without asking again
            reader.read(100)
        with pytest.raises(FetchFailed):
            reader.prefetch([(0, 10)])
        assert len(origin.requests) == 4


@pytest.mark.parametrize(
    ("resource", "kind", "words"),
    [
        (Resource(BODY + b"x"), SourceChanged, "changed"),
        (Resource(BODY, etag='"v2"'), SourceChanged, "changed"),
        (Resource(BODY, etag=lambda number: f'"{number}"'), SourceChanged, "changed"),
        (Resource(BODY[:-5], ranges=False), SourceChanged, "changed"),
        (
            Resource(BODY, content_type="multipart/byteranges; boundary=x", status=206),
            FetchFailed,
            "which",
        ),
        (Resource(BODY, redirect="http://127.0.0.1:1/"), FetchFailed, "redirects"),
        (Resource(BODY, status=404), FetchFailed, "404"),
        (Resource(BODY, status=206), FetchFailed, "without saying which"),
        (Resource(BODY, content_range=f"bytes 1-70000/{len(BODY)}"), FetchFailed, "another part"),
        (Resource(BODY, content_range=f"bytes 0-{len(BODY) - 1}/{len(BODY)}"), FetchFailed, "another part"),
        (Resource(BODY, content_range=f"bytes 0-99/{len(BODY)}"), FetchFailed, "more bytes"),
        (Resource(BODY, headers={"Content-Encoding": "gzip"}), FetchFailed, "compressed"),
        (Resource(BODY, cap=10), FetchFailed, "small pieces"),
    ],
)
def test_wrong_answers(recipe: Recipe, resource: Resource, kind: type[FetchFailed], words: str) -> None:
    with recipe(resource, validator='etag "v1"').open() as reader:
        with pytest.raises(kind, match=words):
            reader.read(100_000)
        assert isinstance(reader.failure, kind)
    with recipe(resource, validator='etag "v1"').open() as reader, pytest.raises(kind, match=words):
        reader.prefetch([(0, 100_000)])


def test_a_failure_of_a_lazy_prefetch_is_raised_by_the_read(recipe: Recipe) -> None:
    with recipe(Resource(BODY, status=503)).open() as reader:
        reader.prefetch([(0, MIB)], wait=False)
        with pytest.raises(FetchFailed, match="503"):
            reader.read(10)


def test_a_server_that_caps_ranges(origin: Origin, recipe: Recipe) -> None:
    with recipe(Resource(BODY, cap=MIB), validator='etag "v1"').open() as reader:
        reader.prefetch([(0, len(BODY))])
        assert reader.read() == BODY
    assert len(origin.requests) == 11


def test_a_server_that_forgets_about_ranges_now_and_then(origin: Origin, recipe: Recipe) -> None:
    """One of several machines behind a name answers 200: what it sends too much of is left out, or another is asked."""
    whole = Resource(BODY, ranges=False, then=Resource(BODY))
    with recipe(whole).open() as reader:
        assert reader.read(1000) == BODY[:1000]
    for position in (3 * MIB, 6 * MIB):
        with recipe(whole, validator='etag "v1"').open() as reader:
            reader.seek(position)
            assert reader.read(100_000) == BODY[position : position + 100_000]
            assert reader.failure is None
    with recipe(Resource(BODY, ranges=False)).open() as reader:
        reader.seek(6 * MIB)
        with pytest.raises(FetchFailed, match="whole file"):
            reader.read(10)


def test_a_transfer_that_stalls_is_taken_up_elsewhere(
    origin: Origin, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "_READ_SECONDS", 0.3)
    with recipe(Resource(BODY, stall_after=300_000, then=Resource(BODY))).open() as reader:
        reader.prefetch([(0, MIB)])
        assert reader.read(MIB) == BODY[:MIB]
    assert origin.asked("film") == [(0, MIB), (300_000, MIB)]


def test_a_size_that_was_a_lie(recipe: Recipe) -> None:
    with recipe(Resource(BODY), size=2 * len(BODY)).open() as reader, pytest.raises(SourceChanged):
        reader.read(10)
    with recipe(Resource(BODY, content_range=f"bytes 0-9/{2 * len(BODY)}"), size=2 * len(BODY)).open() as reader:
        reader.seek(len(BODY) + MIB)
        with pytest.raises(FetchFailed, match="416"):
            reader.read(10)


def test_a_body_that_is_shorter_than_it_says(recipe: Recipe) -> None:
    resource = Resource(BODY, cap=100, content_range=f"bytes 0-9999/{len(BODY)}")
    with recipe(resource).open() as reader, pytest.raises(FetchFailed):
        reader.prefetch([(0, 10_000)])


@pytest.mark.parametrize("resource", [Resource(BODY, drip=(10, 0.01)), Resource(BODY, latency=60)])
def test_a_server_that_is_too_slow(recipe: Recipe, resource: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_GRACE_SECONDS", 0.2)
    with recipe(resource).open() as reader:
        began = time.monotonic()
        with pytest.raises(FetchFailed, match="too long"):
            reader.prefetch([(0, 10_000)])
        assert time.monotonic() - began < 1


def test_a_pass_that_is_revoked_in_mid_transfer(_servers: tuple[Origin, OpenDoor]) -> None:
    origin, door = _servers
    origin.requests.clear()
    url = origin.serve("film", Resource(BODY, stall_after=1000))
    with door.admit() as pass_:
        reader = RemoteFile(url, pass_, len(BODY)).open()
        reader.prefetch([(0, MIB), (2 * MIB, 3 * MIB)], wait=False)
        assert reader.read(1000) == BODY[:1000]
        origin.wait_for(lambda: len(origin.requests) == 2)
    origin.wait_for(lambda: origin.open_connections == 0)
    with reader, pytest.raises(FetchFailed, match="ended while"):
        reader.read(1)


def test_over_the_budget(_servers: tuple[Origin, OpenDoor]) -> None:
    origin, door = _servers
    url = origin.serve("film", BODY)
    with (
        door.admit(max_bytes=MIB) as pass_,
        RemoteFile(url, pass_, len(BODY)).open() as reader,
        pytest.raises(FetchFailed, match="More data was needed"),
    ):
        reader.prefetch([(0, 4 * MIB)])


def test_positions(recipe: Recipe) -> None:
    with recipe(b"film", size=4).open() as reader:
        assert reader.readable() and reader.seekable() and not reader.writable()
        assert reader.seek(0, os.SEEK_END) == reader.size == 4
        assert reader.read(1) == b"" and reader.seek(100) == 100 and reader.read() == b"" and reader.read(0) == b""
        assert reader.requests == 0
        for bad in ((-1, os.SEEK_SET), (-5, os.SEEK_END), (0, 77)):
            with pytest.raises(ValueError, match="no such position"):
                reader.seek(*bad)
        reader.seek(1)
        assert reader.readall() == b"ilm"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short film with its index at the end."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(100):
            frame = av.VideoFrame(320, 240, "yuv420p")
            for plane in frame.planes:
                plane.update(random.Random(number).randbytes(plane.buffer_size))
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("ranges", [True, False])
def test_pyav_reads_through_it(origin: Origin, pass_: Pass, film: Path, tmp_path: Path, ranges: bool) -> None:
    url = origin.serve("film.mp4", Resource(film, ranges=ranges))
    found = resolve(url, pass_, scratch=tmp_path, max_download=100 * MIB)
    with found.open() as reader, av.open(reader, "r") as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 100
        assert reader.failure is None


def test_the_failure_is_kept_when_pyav_raises_its_own(origin: Origin, recipe: Recipe, film: Path) -> None:
    found = dataclasses.replace(recipe(Resource(film, status=503)), size=film.stat().st_size)
    with found.open() as reader:
        with pytest.raises(Exception):  # noqa: B017  # whatever PyAV makes of it
            av.open(reader)
        assert isinstance(reader.failure, FetchFailed)
