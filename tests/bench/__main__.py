"""All benchmarks and one table: ``python -m tests.bench [--quick] [--material DIR]``; 1 when a goal is missed.

Wants a machine with nothing else to do; the videos, made at the first run, take a few minutes and 9 GB.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the benchmarks also run as scripts, and import each other as such

import bench_protocol
from bench_cut import cutting
from bench_first_snippet import first_snippet
from bench_highlights import highlights
from bench_leave import leaving
from bench_whole_job import whole_job
from report import Options, Row, main


def protocol(options: Options) -> Iterator[Row]:
    """The rows of ``bench_protocol``: 10 MB snippets against json and base64."""
    video = bytes(range(256)) * 39063
    message, frame = bench_protocol.snippet(video), bench_protocol.baseline_encode(video)
    ways = {
        "encode": (lambda _: bench_protocol.protocol.encode_video(message), bench_protocol.baseline_encode, video),
        "decode": (bench_protocol.our_decode, bench_protocol.baseline_decode, frame),
    }
    for name, (ours, theirs, argument) in ways.items():
        times = bench_protocol.pairs(ours, theirs, argument, options.count(25))
        own, other = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
        goal = 1 / bench_protocol.GOALS[name]
        yield Row(f"{name} a 10 MB snippet", own, "ms", other, "(json)", most_ratio=goal)


if __name__ == "__main__":
    sys.exit(main(__doc__, first_snippet, whole_job, highlights, cutting, leaving, protocol))
