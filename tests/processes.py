"""Looking at processes from outside: who is whose child, who is alive, and a server that runs in one of its own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


def children_of(parent: int) -> set[int]:
    """The living children of a process; zombies count."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (name, which may hold anything) state ppid ...
            if int(entry.read_text().rpartition(")")[2].split()[1]) == parent:
                found.add(int(entry.parent.name))
    return found


def descendants_of(parent: int) -> set[int]:
    """All living processes below one."""
    found: set[int] = set()
    level = children_of(parent)
    while level:
        found |= level
        level = {child for each in level for child in children_of(each)} - found
    return found


def command(pid: int) -> str:
    """The command line of a process, for messages."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:80]
    return "?"


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Poll what has no event: the state of other processes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


@dataclass
class ServerProcess:
    """A server in a child process."""

    process: subprocess.Popen[str]
    port: int
    errors: Path
    descendants: set[int] = field(default_factory=set)

    def url(self, path: str, scheme: str = "http") -> str:
        """A URL of this server."""
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def stop(self, number: int = signal.SIGTERM, seconds: float = 15.0) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)
