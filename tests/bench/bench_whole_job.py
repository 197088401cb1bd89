"""What the eight snippets of a long video cost: time, bytes and memory, beside what others would take.

Run it: ``python tests/bench/bench_whole_job.py [--quick] [--material DIR]``. The baseline decodes just the keyframes of
the same file (``ffmpeg -skip_frame nokey``), which is the least that finding moments by looking at pictures takes.
PySceneDetect runs beside it when it is there (``pip install scenedetect opencv-python-headless``), on the two minutes
that the file repeats, times the number of repetitions. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import material
from gops import covering_bytes
from origin import Origin
from report import Options, Row, main
from running import Answer, Cutaway, Memory, stream

MOST_RATIO = 1.5
MOST_OTHER_SHARE = 6.0
WORKER_MB, SERVER_MB = 400, 200
SNIPPETS = 8
LONGEST_HOURS = 6


def nokey_seconds(path: Path) -> float:
    """How long ffmpeg takes to decode the keyframes of a file, on all cores."""
    start = time.perf_counter()
    command = [material.FFMPEG, "-nostdin", "-v", "error", "-skip_frame", "nokey", "-i", str(path), "-f", "null", "-"]
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def scenedetect_seconds(path: Path) -> tuple[float, float] | None:
    """How long PySceneDetect takes to detect the scenes of a file, and to split off eight; None if it is not here.

    Its usual settings: pictures scaled down automatically, scenes copied, not encoded.
    """
    try:
        import scenedetect
    except ImportError:
        return None
    start = time.perf_counter()
    scenes = scenedetect.detect(str(path), scenedetect.ContentDetector())
    detected = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        scenedetect.split_video_ffmpeg(
            str(path), scenes[:SNIPPETS], output_dir=folder, arg_override="-map 0:v:0 -map 0:a? -c copy"
        )
        return detected, time.perf_counter() - start


def whole_job(options: Options) -> Iterator[Row]:
    """Time whole requests, count their bytes, watch their memory."""
    minutes = 60  # a tenth of it would cost nearly as much: it is the snippets that do
    times = options.count(3)
    peaks: dict[str, float] = {}
    with Cutaway() as server, Origin(options.material) as origin:
        for kind in ("gop2",) if options.quick else ("gop2", "gop10"):
            path = material.long(options.material, kind, minutes)
            answers: list[Answer] = []
            shares = []
            keyed = [nokey_seconds(path)]
            for _ in range(times):
                origin.reset()
                with Memory(server) as memory:
                    answer = asyncio.run(stream(server, origin.url(path.name), max_snippets=SNIPPETS))
                answers.append(answer)
                others = origin.counts().bytes - covering_bytes(path, [(a.start, a.end) for a in answer.arrivals])
                shares.append(100 * others / path.stat().st_size)
                for role, peak in memory.peak_mb.items():
                    peaks[role] = max(peaks.get(role, 0), peak)
            if not options.quick:
                keyed.append(nokey_seconds(path))
            requests = origin.counts().requests
            seconds = [answer.seconds for answer in answers]
            yield Row(
                f"whole job, {minutes} min 1080p, {kind}",
                statistics.median(seconds),
                "s",
                min(keyed),
                "(keyframes only)",
                most_ratio=MOST_RATIO,
                note=f"{len(answers[-1].arrivals)} snippets, {requests} requests; "
                + " ".join(f"{value:.1f}" for value in seconds),
            )
            if (scenes := scenedetect_seconds(material.clip(options.material, kind))) is None:
                print("PySceneDetect is not here: pip install scenedetect opencv-python-headless", file=sys.stderr)
            else:
                scaled = scenes[0] * minutes * 60 / material.CLIP_SECONDS + scenes[1]
                yield Row(
                    "PySceneDetect on the same",
                    scaled,
                    "s",
                    statistics.median(seconds),
                    "(cutaway)",
                    note=f"scenes of 2 min: {scenes[0]:.1f} s, times {minutes // 2}; splitting: {scenes[1]:.1f} s",
                )
            yield Row(
                f"bytes besides the snippets' GOPs, {kind}",
                statistics.median(shares),
                "% of file",
                most=MOST_OTHER_SHARE,
                note=f"{origin.counts().bytes / 1e6:.0f} MB in all",
            )
    yield from memory_rows(peaks, f"{minutes} min 1080p")
    if not options.quick:
        path = material.hours(options.material, LONGEST_HOURS)
        with Cutaway() as server, Origin(options.material) as origin, Memory(server) as memory:
            answer = asyncio.run(stream(server, origin.url(path.name), max_snippets=SNIPPETS))
        yield Row(
            f"whole job, {LONGEST_HOURS} h, 180p", answer.seconds, "s", note=f"first {answer.arrivals[0].seconds:.1f} s"
        )
        yield from memory_rows(memory.peak_mb, f"{LONGEST_HOURS} h 180p")


def memory_rows(peaks: dict[str, float], what: str) -> Iterator[Row]:
    """Peak resident memory of the largest process of each kind."""
    bounds = {"worker": WORKER_MB, "server": SERVER_MB}
    for role in ("server", "worker", "child", "nursery"):
        if role in peaks:
            yield Row(f"peak memory, {role}, {what}", peaks[role], "MB", most=bounds.get(role))


if __name__ == "__main__":
    sys.exit(main(__doc__, whole_job))
