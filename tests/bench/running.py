"""The system under test from outside: the real server as a child process, its process tree, and a bare client."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from tornado.websocket import WebSocketClientConnection, websocket_connect

from cutaway import protocol

MAX_MESSAGE_BYTES = 128 << 20
_SAMPLE_SECONDS = 0.1


class Cutaway:
    """A server in a child process, which may fetch from loopback addresses.

    Parameters
    ----------
    flags
        Further ones.
    """

    def __init__(self, *flags: str) -> None:
        self._flags = flags

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "cutaway_server", "--port", "0", "--allow-network", "127.0.0.0/8"]
        command += ["--log-level", "error", "--exit-with-parent", *self._flags]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended with code {self.process.wait()}")
        self.port = int(line.rpartition(":")[2])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)

    async def connect(self, video_url: str, **query: object) -> WebSocketClientConnection:
        """Open a socket for one request."""
        asked = urlencode({"video_url": video_url, **query})
        url = f"ws://127.0.0.1:{self.port}{protocol.VIDEO_PATH}?{asked}"
        return await websocket_connect(url, max_message_size=MAX_MESSAGE_BYTES)

    def tree(self) -> dict[int, str]:
        """Every process of the server now, by its role."""
        return tree(self.process.pid)


@dataclass(frozen=True)
class Arrival:
    """A snippet as the client got it: seconds after the socket opened, its place in the source, its MP4's size."""

    seconds: float
    start: float
    end: float
    size_bytes: int


@dataclass
class Answer:
    """What came for one request."""

    arrivals: list[Arrival] = field(default_factory=list)
    seconds: float = 0.0
    """From the open socket to the last message."""


class Failed(Exception):
    """The server answered with an error, or not at all."""


async def stream(server: Cutaway, video_url: str, *, only_first: bool = False, **query: object) -> Answer:
    """Make one request and take what comes; with ``only_first`` leave after the first snippet."""
    connection = await server.connect(video_url, **query)
    opened = time.perf_counter()
    answer = Answer()
    try:
        while (frame := await connection.read_message()) is not None:
            seconds = time.perf_counter() - opened
            message = protocol.decode_video(frame)
            if isinstance(message, protocol.VideoError):
                raise Failed(message.message)
            if isinstance(message, protocol.SnippetComplete):
                answer.seconds = seconds
                return answer
            if isinstance(message, protocol.Snippet):
                data = message.data
                start, end = float(data.metadata.start or 0), float(data.metadata.end or 0)
                answer.arrivals.append(Arrival(seconds, start, end, len(data.video_data)))
                if only_first:
                    return answer
        raise Failed("the connection was lost")
    finally:
        connection.close()


# --- processes -------------------------------------------------------------------------------------------------------


def parents() -> dict[int, int]:
    """The parent of every living process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # pid (name, which may hold anything) state ppid ...
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    found[int(entry.name)] = int(parent)
    return found


def tree(root: int) -> dict[int, str]:
    """All processes from one on down, by role: server, nursery, worker, child (of a worker)."""
    roles = ("server", "nursery", "worker", "child")
    parent = parents()
    found = {root: roles[0]} if root in parent else {}
    level, depth = {root}, 0
    while level:
        level = {pid for pid, above in parent.items() if above in level}
        depth = min(depth + 1, len(roles) - 1)
        found |= dict.fromkeys(level, roles[depth])
    return found


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def descriptors(pid: int) -> int:
    """How many files and sockets a process has open."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


class Memory:
    """The peak resident memory of every process of a server, by role, while the block runs.

    The kernel keeps each process's peak (``VmHWM``); it is read often, because a process takes its own with it.
    """

    def __init__(self, server: Cutaway) -> None:
        self._server = server
        self.peak_mb: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            for pid, role in self._server.tree().items():
                with contextlib.suppress(OSError, StopIteration):
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    line = next(line for line in lines if line.startswith("VmHWM:"))
                    peak = int(line.split()[1]) / 1000 * 1.024
                    self.peak_mb[role] = max(self.peak_mb.get(role, 0.0), peak)
            if self._stop.wait(_SAMPLE_SECONDS):
                return
