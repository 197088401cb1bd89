"""What cutting 20 seconds by copying packets costs: time against encoding them, bytes against the least possible.

Run it: ``python tests/bench/bench_cut.py [--quick] [--material DIR]``. The cut stage is called directly, in this
process: open the video, read the window, write the packets; a guarded door runs in a thread, the origin in a process of
its own. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import material
import numpy as np
from gops import covering_bytes, index_bytes
from origin import Origin
from report import Options, Row, main

from cutaway_server.fetch.door import Door, Pass
from cutaway_server.fetch.guard import Policy
from cutaway_server.fetch.ranges import RemoteFile, resolve
from cutaway_server.snippets.bounds import Wish
from cutaway_server.snippets.clip import Order
from cutaway_server.snippets.container import ContainerMedia
from cutaway_server.snippets.cut import cut
from cutaway_server.snippets.encode import encode
from cutaway_server.snippets.remux import clean_ends, copy_packets
from cutaway_server.snippets.window import Window

SECONDS = 20.0
MOST_SECONDS, MOST_RATIO, MOST_BYTES_RATIO = 0.5, 1 / 20, 1.15


@contextmanager
def door() -> Iterator[Pass]:
    """A pass through a door that runs in a thread and lets loopback addresses through."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    guard = Door(Policy(allow_networks=(ip_network("127.0.0.0/8"),)))

    async def enter():
        await guard.start()
        manager = guard.admit(max_bytes=1 << 40)
        return manager, manager.__enter__()

    manager, pass_ = asyncio.run_coroutine_threadsafe(enter(), loop).result()
    try:
        yield pass_
    finally:

        async def leave() -> None:
            manager.__exit__(None, None, None)
            await guard.stop()

        asyncio.run_coroutine_threadsafe(leave(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@dataclass
class Cutting:
    """One video, and a keyframe in its middle."""

    file: RemoteFile
    scratch: Path

    def open(self) -> tuple[ContainerMedia, int]:
        """Open the video; the number of the keyframe to begin at."""
        media = ContainerMedia(self.file.open())
        middle = media.index.duration / 2
        return media, int(np.searchsorted(media.index.keyframe_times, middle))

    def copy(self, media: ContainerMedia, key: int) -> tuple[Window, int, int]:
        """Read the window and copy it: the window, its first tick and that after its last."""
        end = float(media.index.keyframe_times[key]) + SECONDS
        window = media.window(key, end)
        start = window.video[0].pts
        kept, stop = min(clean_ends(window.video, at_end=window.at_end), key=lambda e: abs(window.seconds(e[1]) - end))
        path = self.scratch / "copy.mp4"
        copy_packets(window, start, kept, stop, path, sound=None)
        assert path.stat().st_size
        return window, start, stop

    def seconds(self) -> tuple[float, float]:
        """How long copying takes in an open video, and how long opening it did."""
        start = time.perf_counter()
        media, key = self.open()
        opened = time.perf_counter()
        with media:
            self.copy(media, key)
        return time.perf_counter() - opened, opened - start

    def encode_seconds(self) -> float:
        """How long the same takes by encoding."""
        media, key = self.open()
        with media:
            start = time.perf_counter()
            window = media.window(key, float(media.index.keyframe_times[key]) + SECONDS)
            first = window.video[0].pts
            last = first + round(SECONDS / window.video_base)
            encode(window, first, last, self.scratch / "encoded.mp4", track=media.index.video)
            return time.perf_counter() - start

    def whole_seconds(self) -> float:
        """How long the whole stage takes: the same with looking at every frame and checking the clip."""
        media, key = self.open()
        with media:
            start = float(media.index.keyframe_times[key])
            begun = time.perf_counter()
            wish = Wish(start + SECONDS / 2, SECONDS, SECONDS - 2, SECONDS + 2)
            cut(
                media,
                Order(wish, start - 4, start + SECONDS + 4),
                max_height=None,
                max_bytes=32 << 20,
                scratch=self.scratch,
            )
            return time.perf_counter() - begun

    def least_bytes(self, path: Path) -> int:
        """The index, and the GOPs that the 20 seconds touch."""
        media, key = self.open()
        with media:
            start = float(media.index.keyframe_times[key])
        return index_bytes(path) + covering_bytes(path, [(start, start + SECONDS)])


def cutting(options: Options) -> Iterator[Row]:
    """Time and count the cut stage."""
    minutes = 10 if options.quick else 60
    with Origin(options.material) as origin, door() as pass_, tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for kind in ("gop2", "gop10"):
            path = material.long(options.material, kind, minutes)
            file = resolve(origin.url(path.name), pass_, scratch=scratch, max_download=1 << 30)
            stage = Cutting(file, scratch)
            times = [stage.seconds() for _ in range(options.count(7) + 1)][1:]
            encoded = [stage.encode_seconds() for _ in range(options.count(2))]
            yield Row(
                f"cutting 20 s of 1080p by copy, {kind}",
                statistics.median(copied for copied, _ in times),
                "s",
                statistics.median(encoded),
                "(encoding it)",
                most=MOST_SECONDS,
                most_ratio=MOST_RATIO,
                note=f"and {statistics.median(opened for _, opened in times):.2f} s to open {minutes} min",
            )
            yield Row(f"the same with looking and checking, {kind}", stage.whole_seconds(), "s")
            origin.reset()
            media, key = Cutting(file.with_blocks(()), scratch).open()
            with media:
                stage.copy(media, key)
            yield Row(
                f"bytes for one 20 s snippet, {kind}",
                origin.counts().bytes / 1e6,
                "MB",
                stage.least_bytes(path) / 1e6,
                "(index + GOPs)",
                most_ratio=MOST_BYTES_RATIO,
                note=f"{origin.counts().requests} requests",
            )


if __name__ == "__main__":
    sys.exit(main(__doc__, cutting))
