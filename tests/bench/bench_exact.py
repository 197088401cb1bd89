"""Frame-exact cuts: 20 seconds of an hour of 1080p that begin between two keyframes.

Only the head, up to the next keyframe, is encoded. Beside it the ``smartcut`` package, if there is such a command (it
pins an older PyAV, so it wants an environment of its own; put its ``bin`` on the PATH). Both are child processes, both
read a local file. The check of the clip is left out of the time, and made here: which frames it shows, whether the
copied packets are the source's own, and how well the head matches.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import material
import numpy as np
from report import Options, Row, main

from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.remote import RemoteFile
from cutaway_server.snippets.container import ContainerMedia
from cutaway_server.snippets.head import encode_head, with_head
from cutaway_server.snippets.remux import clean_ends, copy_packets

SECONDS = 20.0
INTO_GOP = 0.4
"""How far into a GOP the cut begins, as a share of it."""
MOST_SECONDS = 1.0
FASTER, SMALLER = 5.0, 3.0


@dataclass(frozen=True)
class Exact:
    """What a cut took: seconds, of which the head's encoding, the encoded frames, and megabytes at the peak."""

    seconds: float
    head_seconds: float
    head_frames: int
    start: float
    end: float
    peak_mb: float


def cut_one(source: Path, target: Path) -> Exact:
    """Cut from the middle, beginning between two keyframes."""
    begun = time.perf_counter()
    file = RemoteFile("", Pass("127.0.0.1", 9, ""), source.stat().st_size, local=source)
    with ContainerMedia(file.open()) as media:
        times = media.index.keyframe_times
        key = len(times) // 2
        wanted = float(times[key] + INTO_GOP * (times[key + 1] - times[key]))
        window = media.window(key, wanted + SECONDS + 0.5)
        start = min((s.pts for s in window.video), key=lambda t: abs(window.seconds(t) - wanted))
        before = time.perf_counter()
        head = encode_head(window, start)
        head_seconds = time.perf_counter() - before
        window = with_head(window, head)
        ends = clean_ends(window.video, at_end=window.at_end)
        kept, end = min(ends, key=lambda e: abs(window.seconds(e[1]) - wanted - SECONDS))
        copy_packets(window, start, kept, end, target, sound=None, extradata=head.extradata)
        # Not getrusage's: that begins with the peak of the process which started this one.
        status = Path("/proc/self/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) / 1000
        seconds = time.perf_counter() - begun
        return Exact(seconds, head_seconds, len(head.samples), window.seconds(start), window.seconds(end), peak)


def in_a_child(source: Path, target: Path) -> Exact:
    """The same in a process of its own, from which the peak of memory is."""
    command = [sys.executable, __file__, "--one", str(source), str(target)]
    return Exact(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def smartcut(source: Path, target: Path, start: float, end: float) -> tuple[float, float] | None:
    """Seconds and peak megabytes of the other tool for the same cut; None if it is not there."""
    program = shutil.which("smartcut")
    if program is None:
        return None
    # time's own child, so that its peak is not that of an earlier one.
    script = (
        "import json, resource, subprocess, sys, time\n"
        "t = time.perf_counter(); subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(json.dumps([time.perf_counter() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000]))"
    )
    command = [sys.executable, "-c", script, program, str(source), str(target), "--keep", f"{start},{end}"]
    seconds, peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return seconds, peak


def frames(path: Path, start: float, end: float, **options: str) -> list[av.VideoFrame]:
    """The frames shown from ``start`` until ``end`` seconds."""
    found = []
    with av.open(str(path), options=options) as opened:
        video = opened.streams.video[0]
        video.thread_type = "AUTO"
        opened.seek(int(start * av.time_base), backward=True)
        for frame in opened.decode(video):
            if frame.time is not None and frame.time >= end - 1e-4:
                break
            if frame.time is not None and frame.time >= start - 1e-4:
                found.append(frame)
    return found


def psnr(one: av.VideoFrame, other: av.VideoFrame) -> float:
    """Of the luma, in dB; 100 when they are the same."""
    a, b = (f.to_ndarray()[: f.height].astype(np.float32) for f in (one, other))
    error = float(((a - b) ** 2).mean())
    return 100.0 if error < 1e-6 else 10 * float(np.log10(255**2 / error))


def packets(path: Path, start: float, end: float) -> set[bytes]:
    """The video packets of a stretch."""
    found = set()
    with av.open(str(path)) as opened:
        opened.seek(int(start * av.time_base), backward=True)
        for packet in opened.demux(video=0):
            if packet.pts is not None and float(packet.pts * packet.time_base) > end + 1:
                break
            found.add(bytes(packet))
    return found


def exact(options: Options) -> Iterator[Row]:
    """Time and judge frame-exact cuts."""
    minutes = 10 if options.quick else 60
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "clip.mp4"
        for kind in ("gop2", "gop10"):
            source = material.long(options.material, kind, minutes)
            cuts = [in_a_child(source, clip) for _ in range(options.count(5) + 1)][1:]
            one = cuts[-1]
            yield Row(
                f"frame-exact cut of 20 s of 1080p, {kind}, less its head",
                statistics.median(c.seconds - c.head_seconds for c in cuts),
                "s",
                most=MOST_SECONDS,
                note=f"{minutes} min opened; {one.head_frames} frames of head in "
                f"{statistics.median(c.head_seconds for c in cuts):.2f} s",
            )
            shown, own = frames(clip, 0, SECONDS * 2, ignore_editlist="1"), frames(source, one.start, one.end)
            pairs = list(zip(shown, own, strict=False))
            matches = [psnr(a, b) for a, b in pairs]
            off = sum(m < 35 for m in matches) + abs(len(shown) - len(own))
            yield Row(f"frames that are not the announced ones, {kind}", off, "", most=0, note=f"of {len(own)}")
            yield Row(
                f"worst frame of the head, {kind}", min(matches[: one.head_frames]), "dB", least=40, note="luma PSNR"
            )
            copied = _in_order(clip)[one.head_frames :]
            originals = packets(source, one.start, one.end)
            foreign = sum(p not in originals for p in copied)
            yield Row(f"copied packets that are not the source's, {kind}", foreign, "", most=0)
            other = smartcut(source, Path(name) / "other.mp4", one.start, one.end)
            if other is None:
                print("no smartcut on the PATH: its rows are left out", file=sys.stderr)
                continue
            yield Row(
                f"smartcut on the same, {kind}",
                other[0],
                "s",
                statistics.median(c.seconds for c in cuts),
                "(cutaway)",
                least_ratio=FASTER,
            )
            yield Row(
                f"smartcut's memory, {kind}",
                other[1],
                "MB",
                max(c.peak_mb for c in cuts),
                "(cutaway)",
                least_ratio=SMALLER,
            )


def _in_order(path: Path) -> list[bytes]:
    with av.open(str(path)) as opened:
        return [bytes(p) for p in opened.demux(video=0) if p.size]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        parser = argparse.ArgumentParser()
        parser.add_argument("--one", nargs=2, type=Path)
        print(json.dumps(vars(cut_one(*parser.parse_args().one))))
        sys.exit()
    sys.exit(main(__doc__, exact))
