"""How soon the first snippet of a long video is there, counted from the open socket.

Run it: ``python tests/bench/bench_first_snippet.py [--quick] [--material DIR]``. The real server and an origin with
byte ranges run as child processes; the client leaves after the first snippet. Runs on the long video and the short
one, with which it is compared, take turns, so that a busy machine hurts both. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Iterator

import material
from origin import Origin
from report import Options, Row, main
from running import Cutaway, stream

MOST_SECONDS, MOST_RATIO, MOST_SECONDS_FAR = 1.5, 1.2, 3.0
LATENCY_SECONDS = 0.08


def measure(server: Cutaway, origin: Origin, names: list[str], times: int, latency: float = 0.0) -> list[list[float]]:
    """Seconds to the first snippet of each video, ``times`` times in turn after one that does not count."""
    origin.reset(latency_seconds=latency)
    seconds: list[list[float]] = [[] for _ in names]
    for turn in range(times + 1):
        for column, name in zip(seconds, names, strict=True):
            answer = asyncio.run(stream(server, origin.url(name), only_first=True))
            if turn:
                column.append(answer.arrivals[0].seconds)
    return seconds


def spread(seconds: list[float]) -> str:
    """All that was measured."""
    return " ".join(f"{value:.2f}" for value in sorted(seconds))


def first_snippet(options: Options) -> Iterator[Row]:
    """Time the first snippet with short and long GOPs, near and far."""
    times = options.count(5)
    kinds = ["gop2", "gop10"] if options.quick else list(material.GOPS)
    with Cutaway() as server, Origin(options.material) as origin:
        for kind in kinds:
            names = [material.long(options.material, kind, minutes).name for minutes in (60, 10)]
            near, short = measure(server, origin, names, times)
            far = measure(server, origin, names[:1], times, LATENCY_SECONDS)[0]
            yield Row(
                f"first snippet, 60 min 1080p, {kind}",
                statistics.median(near),
                "s",
                statistics.median(short),
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


if __name__ == "__main__":
    sys.exit(main(__doc__, first_snippet))
