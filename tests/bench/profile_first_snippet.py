"""Where the time of the first snippet goes: every stage of its two jobs, called in this process.

Run it: ``python tests/bench/profile_first_snippet.py [--quick] [--material DIR]``. For each stage it prints wall and
processor time (of all threads of this process), the bytes and requests that the origin saw, and how often it ran. The
server's own share (socket, workers, pickling, sending) is what the same request over a socket takes beyond the sum.
"""

from __future__ import annotations

import asyncio
import functools
import pickle
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import material
from bench_cut import door
from origin import Counts, Origin
from report import options as read_options
from running import Cutaway, stream

from cutaway import protocol
from cutaway_server.snippets import clip, container, cut, jobs, looks, moments, refine, source
from cutaway_server.snippets.moments import Limits

STAGES: list[tuple[Any, str, str]] = [
    (source, "resolve", "resolve the URL"),
    (container.ContainerMedia, "_open", "open the container"),
    (container.ContainerMedia, "_read_index", "read the index"),
    (container, "build_index", "build the index"),
    (source.RemoteFile, "open", "make a reader"),
    (moments, "candidates", "candidates"),
    (jobs, "look_at", "look at keyframes, listen, captions"),
    (looks, "look_at", "  describe a picture"),
    (moments, "choose", "choose"),
    (container, "read_window", "read the window"),
    (cut, "look_through", "look through the window"),
    (refine, "look_at", "  describe a picture (refine)"),
    (refine.Shots, "add", "  sign a frame"),
    (refine, "listen", "  listen"),
    (cut, "_choose", "choose the bounds"),
    (clip, "encode_head", "encode a head"),
    (clip, "copy_packets", "copy the packets"),
    (clip, "encode", "encode"),
    (clip, "check", "check the clip"),
    (looks, "poster", "poster"),
    (protocol, "encode_video", "encode the message"),
]


class Clock:
    """Adds up what calls cost, by name."""

    def __init__(self, counts: Callable[[], Counts]) -> None:
        self._counts = counts
        self.spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0, 0.0])

    @contextmanager
    def stage(self, name: str, *, network: bool = True) -> Iterator[None]:
        before = self._counts() if network else None
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            spent = self.spent[name]
            spent[0] += wall
            spent[1] += cpu
            spent[4] += 1
            if before is not None:
                after = self._counts()
                spent[2] += after.bytes - before.bytes
                spent[3] += after.requests - before.requests

    def wrap(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        network = not name.startswith("  ")

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name, network=network):
                return function(*args, **kwargs)

        return timed

    def table(self) -> str:
        lines = [f"{'stage':42} {'wall ms':>8} {'cpu ms':>8} {'kB':>8} {'requests':>8} {'calls':>6}"]
        for name, (wall, cpu, size, requests, calls) in self.spent.items():
            lines.append(f"{name:42} {wall * 1e3:8.1f} {cpu * 1e3:8.1f} {size / 1e3:8.0f} {requests:8.0f} {calls:6.0f}")
        return "\n".join(lines)


def profile(path: Path, origin: Origin, latency: float) -> str:
    """Run the two jobs of a first snippet, and the plan beside it, with clocks on their stages."""
    origin.reset(latency_seconds=latency)
    clock = Clock(origin.counts)
    limits = Limits(8, 5.0, 30.0)
    request = protocol.SnippetRequest(video_url=origin.url(path.name))
    with ExitStack() as stack:
        pass_ = stack.enter_context(door())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # The order of the table is that of the stages, not of their ends.
        for owner, name, label in STAGES:
            clock.spent[label]
            if hasattr(owner, name):  # names inside the server may change
                stack.enter_context(mock.patch.object(owner, name, clock.wrap(getattr(owner, name), label)))
        with clock.stage("= survey (first job)"):
            known = jobs.survey(request.video_url, pass_, limits, scratch, 1 << 30)
        with clock.stage("pickle and unpickle the survey", network=False):
            parcel = pickle.dumps(known)
            known = pickle.loads(parcel)
        order = jobs.SnippetOrder(moment=known.first, request=request, max_bytes=32 << 20, quick=True)
        with clock.stage("= make_snippet (second job)"):
            done = jobs.make_snippet(known.source, known.index, order, scratch)
        with clock.stage("pickle and unpickle the snippet", network=False):
            pickle.loads(pickle.dumps(done))
        text = clock.table() + f"\nsurvey {len(parcel) / 1e6:.1f} MB, snippet {len(done.frame or b'') / 1e6:.1f} MB"
        clock.spent.clear()
        for _, _, label in STAGES:
            clock.spent[label]
        with clock.stage("= plan (beside it)"):
            plan = jobs.plan(known, limits)
        for moment in plan[:1]:
            order = jobs.SnippetOrder(moment=moment, request=request, max_bytes=32 << 20)
            with clock.stage("= make_snippet (a later one)"):
                jobs.make_snippet(known.source, known.index, order, scratch)
        return text + "\n\nafter it\n" + clock.table()


def main() -> int:
    """Profile near and far, short and long GOPs."""
    given = read_options(__doc__)
    minutes = 10 if given.quick else 60
    with Origin(given.material) as origin:
        for kind in ("gop2", "gop10"):
            path = material.long(given.material, kind, minutes)
            for latency in (0.0, 0.08):
                text = profile(path, origin, latency)
                with Cutaway() as server:
                    takes = [asyncio.run(stream(server, origin.url(path.name), only_first=True)) for _ in (1, 2)]
                seconds = min(take.arrivals[0].seconds for take in takes)
                print(f"\n{minutes} min, {kind}, {latency * 1e3:.0f} ms latency; over a socket {seconds:.2f} s\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
