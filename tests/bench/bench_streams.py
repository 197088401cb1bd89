"""How soon the first snippet of a long stream is there, and what eight of them cost in bytes: HLS and DASH.

Run it: ``python tests/bench/bench_streams.py [--quick] [--material DIR]``. The streams have two sizes of picture, 720
and 240 lines, in segments of four seconds: HLS in MPEG-TS with the sound inside, DASH in fragmented MP4 with the sound
apart. Runs on an hour and on ten minutes take turns. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import material
from bench_first_snippet import LATENCY_SECONDS, measure, spread
from origin import Origin
from report import Options, Row, main
from running import Cutaway, stream

from cutaway_server.snippets.streams import dash, hls
from cutaway_server.snippets.streams.segments import Track, choose

MOST_SECONDS, MOST_SECONDS_FAR, MOST_RATIO = 2.0, 4.0, 1.2
MOST_OTHER_SHARE = 8.0
SNIPPETS = 8


def covering(track: Track, folder: Path, spans: list[tuple[float, float]]) -> tuple[int, int]:
    """The bytes of the segments that snippets are in, and those of all segments."""
    sizes = [(folder / s.part.url.rpartition("/")[2]).stat().st_size for s in track.segments]
    own = [any(s.start < end and s.end > start for start, end in spans) for s in track.segments]
    return sum(size for size, is_own in zip(sizes, own, strict=True) if is_own), sum(sizes)


def tracks(playlist: Path) -> list[Track]:
    """What of a stream is cut from."""
    if playlist.suffix == ".mpd":
        choice = choose(dash.read(playlist.read_bytes(), "http://origin/")[0])
        return [t for t in (choice.cut, choice.sound) if t is not None]
    cut = choose(hls.read(playlist.read_text(), "http://origin/")).cut
    assert cut.index is not None
    listed = playlist.with_name(cut.index.url.rpartition("/")[2])
    return [Track(hls.read_segments(listed.read_text(), "http://origin/"))]


def streams(options: Options) -> Iterator[Row]:
    """Time the first snippet near and far, and count the bytes of a whole request."""
    times = options.count(5)
    for kind in "hls", "dash":
        long, short = (material.stream(options.material, kind, minutes) for minutes in (60, 10))
        with Cutaway() as server, Origin(long.parent) as origin:
            near, near_short = measure(server, origin, [long.name, short.name], times)
            far = measure(server, origin, [long.name], times, LATENCY_SECONDS)[0]
            yield Row(
                f"first snippet, 60 min 720p, {kind}",
                statistics.median(near),
                "s",
                statistics.median(near_short),
                "(10 min)",
                most=MOST_SECONDS,
                most_ratio=MOST_RATIO,
                note=spread(near),
            )
            yield Row(
                f"the same, {LATENCY_SECONDS * 1000:.0f} ms on every request",
                statistics.median(far),
                "s",
                most=MOST_SECONDS_FAR,
                note=spread(far),
            )
            origin.reset()
            answer = asyncio.run(stream(server, origin.url(long.name), max_snippets=SNIPPETS))
            counts = origin.counts()
        spans = [(a.start, a.end) for a in answer.arrivals]
        sizes = [covering(track, long.parent, spans) for track in tracks(long)]
        own, whole = (sum(column) for column in zip(*sizes, strict=True))
        yield Row(
            f"bytes besides the snippets' segments, {kind}",
            100 * (counts.bytes - own) / whole,
            "% of stream",
            most=MOST_OTHER_SHARE,
            note=f"{len(spans)} snippets, {counts.bytes / 1e6:.0f} MB in all, {counts.requests} requests, "
            f"{answer.seconds:.1f} s",
        )


if __name__ == "__main__":
    sys.exit(main(__doc__, streams))
