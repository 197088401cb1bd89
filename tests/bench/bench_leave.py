"""How soon everything is gone that worked for a client that leaves.

Run it: ``python tests/bench/bench_leave.py [--quick] [--material DIR]``. A client leaves, with a close frame and
without one in turn, while its video is opened, while it is looked at and cut, and while a part of it is encoded. What
must disappear: the worker processes that were at it and their children, the files, the connections to the origin, and
the task, which shows by its turn passing to a client that waits. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import material
from origin import Origin
from report import Options, Row, main
from running import Cutaway, alive, descriptors

MOST_MILLISECONDS = 100
_PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.001
_REFUSED_URL = "http://someone:secret@127.0.0.1/"
"""What a waiting client asks for: the answer, a refusal, comes when its turn does."""


class Scene:
    """One client that leaves, and all that is seen of its work from outside."""

    def __init__(self, server: Cutaway, origin: Origin, files: Path) -> None:
        self.server = server
        self.origin = origin
        self.files = files
        self.idle = {pid: descriptors(pid) for pid, role in server.tree().items() if role == "worker"}

    def busy(self) -> set[int]:
        """Workers that have more open than an idle one, and all of their children."""
        most_idle = max(self.idle.values())
        tree = self.server.tree()
        children = {pid for pid, role in tree.items() if role == "child"}
        return children | {pid for pid, role in tree.items() if role == "worker" and descriptors(pid) > most_idle}

    async def leave(
        self, url: str, ready: Callable[[Scene], bool], *, politely: bool, **query: object
    ) -> dict[str, float]:
        """Leave as soon as ``ready``; milliseconds until each kind of thing was gone."""
        connection = await self.server.connect(url, **query)
        waiting = await self.server.connect(_REFUSED_URL)
        answer = asyncio.ensure_future(waiting.read_message())
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not ready(self):
            assert time.monotonic() < deadline, "the work never came so far"
            await asyncio.sleep(_POLL_SECONDS)
        busy = self.busy()
        assert busy, "nobody works for the client"
        assert not answer.done(), "there is one turn, and it was taken"
        left = {
            "processes": lambda: any(alive(pid) for pid in busy),
            # The lock says that the folder belongs to a living server.
            "files": lambda: any(path.name != "lock" for path in self.files.glob("*/*")),
            "connections": lambda: self.origin.counts().open > 0,
            "task": lambda: not answer.done(),
        }
        assert left["files"]()
        took: dict[str, float] = {}
        start = time.perf_counter()
        if politely:
            connection.close()
        else:
            connection.protocol.stream.close()  # type: ignore[union-attr]
        while left:
            assert time.perf_counter() < start + _PATIENCE_SECONDS, f"never gone: {', '.join(left)}"
            for name in [name for name, there in left.items() if not there()]:
                took[name] = (time.perf_counter() - start) * 1e3
                del left[name]
            await asyncio.sleep(_POLL_SECONDS)
        waiting.close()
        return took


def leaving(options: Options) -> Iterator[Row]:
    """Leave at three points of a request."""
    path = material.long(options.material, "gop2", 10)
    points: dict[str, tuple[float, Callable[[Scene], bool], dict[str, object]]] = {
        "while it is opened": (0.3, lambda scene: scene.origin.counts().requests >= 2, {}),
        "while it is looked at and cut": (0.05, lambda scene: scene.origin.counts().requests >= 24, {}),
        "while it is encoded": (0.0, lambda scene: "child" in scene.server.tree().values(), {"max_height": 360}),
    }
    with tempfile.TemporaryDirectory() as name, Origin(options.material) as origin:
        files = Path(name)
        with Cutaway("--max-streams", "1", "--work-dir", name) as server:
            for point, (latency, ready, query) in points.items():
                times = []
                for turn in range(options.count(6)):
                    time.sleep(0.2)  # new workers are there
                    origin.reset(latency_seconds=latency)
                    scene = Scene(server, origin, files)
                    url = origin.url(path.name)
                    times.append(asyncio.run(scene.leave(url, ready, politely=turn % 2 == 0, **query)))
                worst = [max(each.values()) for each in times]
                slowest = max(times, key=lambda each: max(each.values()))
                yield Row(
                    f"a client leaves {point}, worst of {len(times)}",
                    max(worst),
                    "ms",
                    most=MOST_MILLISECONDS,
                    note=f"median {statistics.median(worst):.0f}; "
                    + ", ".join(f"{kind} {taken:.0f}" for kind, taken in slowest.items()),
                )


if __name__ == "__main__":
    sys.exit(main(__doc__, leaving))
