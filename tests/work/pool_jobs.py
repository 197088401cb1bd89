"""Jobs for the pool's tests: top-level functions that return, fail, crash, hang and take what they should not."""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from cutaway_server.errors import Fault
from cutaway_server.work import limits


class Refused(Fault):
    """A fault of a job."""


class Awkward(Exception):
    """Pickles, but cannot be built again from its pickle."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Witness:
    """Knows which thread pickled it."""

    thread: threading.Thread | None = None

    def __reduce__(self) -> tuple[type[int], tuple[()]]:
        self.thread = threading.current_thread()
        return int, ()


def log(message: str) -> None:
    logging.getLogger("cutaway_server.job").warning(message)


def echo(value: object) -> object:
    return value


def pid() -> int:
    return os.getpid()


def loaded(name: str) -> bool:
    return name in sys.modules


def environment() -> dict[str, str]:
    return dict(os.environ)


def interrupt_handler() -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def zeros(count: int) -> bytes:
    return bytes(count)


def refuse(message: str) -> NoReturn:
    raise Refused(message)


def fail_awkwardly() -> NoReturn:
    raise Awkward("a", "b")


def die(number: int) -> NoReturn:
    os.kill(os.getpid(), number)
    raise AssertionError("still alive")


def leave() -> NoReturn:
    sys.exit(3)


def allocate(count: int) -> int:
    return len(bytearray(count))


def write_at(path: str, position: int) -> None:
    with Path(path).open("wb", buffering=0) as file:
        file.seek(position)
        file.write(b"x")


def spin() -> NoReturn:
    while True:
        pass


def append(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("x")


def hang(report: str, confined: bool = True) -> NoReturn:
    """Start a child, write both process ids to the file `report` (whole, by renaming), wait for ever."""
    child = subprocess.Popen(["sleep", "1000"], preexec_fn=limits.child_setup if confined else None)
    part = Path(f"{report}.part")
    part.write_text(f"{os.getpid()} {child.pid}")
    part.rename(report)
    time.sleep(1000)
    raise AssertionError("awake")


def child_limits() -> tuple[int, ...]:
    """Core, processor and memory limits as a child started through ``child_setup`` sees them."""
    code = "import resource as r; print(*(r.getrlimit(k)[0] for k in (r.RLIMIT_CORE, r.RLIMIT_CPU, r.RLIMIT_AS)))"
    text = subprocess.check_output([sys.executable, "-c", code], preexec_fn=limits.child_setup, text=True)
    return tuple(int(word) for word in text.split())


def cpu_limit() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_CPU)
