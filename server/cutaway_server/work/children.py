"""The server's side of the nursery: start it, fork workers from it, kill them, learn how they ended.

What goes out are :class:`Child` objects: a socket for :mod:`cutaway_server.work.messages`, a process id, and
a future that holds the exit code once the process is gone. A nursery that dies takes its workers along; the
next fork starts another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cutaway_server.work import messages, nursery
from cutaway_server.work.limits import Limits

_KEPT_VARIABLES = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
)
_KEPT_PREFIXES = ("PYTHON", "IMAGEIO_", "COVERAGE_")


class NurseryFailed(Exception):
    """Workers cannot be started; the text says why, for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Child:
    """A worker process that said hello."""

    end: socket.socket
    pid: int
    exited: asyncio.Future[int]
    """The exit code, negative for a signal, when the process is gone. Never cancelled, never an exception."""


class Children:
    """Forks and kills workers. Everything here runs on one event loop."""

    def __init__(self, preload: Sequence[str], bounds: Limits, log_level: str) -> None:
        self._configuration = nursery.Configuration(preload=tuple(preload), bounds=bounds, log_level=log_level)
        self._starting = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._exits: dict[int, asyncio.Future[int]] = {}

    async def start(self) -> None:
        """Start the nursery and wait until its imports are done.

        Raises
        ------
        NurseryFailed
            A module could not be imported, or the process died.
        """
        async with self._starting:
            if self._control is not None:
                return
            await self._reap()
            ours, theirs = messages.pair()
            ours.setblocking(False)
            with theirs:
                self._process = _launch(theirs.fileno())
            try:
                messages.send(ours, messages.JOB, self._configuration)
                kind, file = await messages.receive_soon(ours)
                failure = messages.load(file)
                if kind == nursery.FAILED:
                    raise NurseryFailed(f"A module that workers need cannot be imported:\n{failure}")
            except (messages.Closed, OSError) as error:
                raise NurseryFailed("The process that workers are forked from died at its start") from error
            except BaseException:
                ours.close()
                raise
            self._control = ours
            asyncio.get_running_loop().add_reader(ours, self._hear)

    async def fork(self) -> Child:
        """Fork a worker and wait for its hello.

        Raises
        ------
        NurseryFailed
            The nursery cannot be started, or the worker died before its hello.
        """
        await self.start()
        ours, theirs = messages.pair()
        ours.setblocking(False)
        try:
            with theirs:
                if self._control is None:
                    raise NurseryFailed("The process that workers are forked from died")
                record = nursery.RECORD.pack(nursery.FORK, 0, 0)
                socket.send_fds(self._control, [record], [theirs.fileno()])
            _, file = await messages.receive_soon(ours)
            pid: int = messages.load(file)
        except (messages.Closed, OSError) as error:
            ours.close()
            raise NurseryFailed("A worker died at its start") from error
        except BaseException:
            ours.close()
            raise
        return Child(end=ours, pid=pid, exited=self._exit_of(pid))

    def kill(self, child: Child) -> None:
        """Kill a worker and all that it started; returns at once, ``child.exited`` tells when it is gone."""
        if self._control is not None and not child.exited.done():
            with contextlib.suppress(ConnectionError):
                self._control.send(nursery.RECORD.pack(nursery.KILL, child.pid, 0))

    async def close(self) -> None:
        """Kill all workers and end the nursery; returns when it is gone."""
        self._lost()
        await self._reap()

    def _exit_of(self, pid: int) -> asyncio.Future[int]:
        """The future of an exit code; the report of a death may come before the hello is read."""
        if pid not in self._exits:
            self._exits[pid] = asyncio.get_running_loop().create_future()
        future = self._exits[pid]
        if future.done():
            del self._exits[pid]
        return future

    def _hear(self) -> None:
        if self._control is None:
            return
        try:
            record = self._control.recv(nursery.RECORD.size)
        except BlockingIOError:
            return
        except ConnectionError:
            record = b""
        if not record:
            self._lost()
            return
        _, pid, status = nursery.RECORD.unpack(record)
        known = pid in self._exits
        future = self._exit_of(pid)
        if not future.done():
            future.set_result(status)
        if known:
            self._exits.pop(pid, None)

    def _lost(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        exits, self._exits = self._exits, {}
        for future in exits.values():
            if not future.done():
                future.set_result(-signal.SIGKILL)

    async def _reap(self) -> None:
        """Wait for a nursery whose control socket is closed: it ends by itself at once, unless it still
        imports.
        """
        process, self._process = self._process, None
        if process is None:
            return
        try:
            await asyncio.to_thread(process.wait, 0.5)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


def _launch(descriptor: int) -> subprocess.Popen[bytes]:
    """Start the nursery's process; a few milliseconds, once."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", _bootstrap(descriptor)],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        # Standard output belongs to the server: it is read by programs.
        stdout=sys.__stderr__.fileno() if sys.__stderr__ else subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
    )


def _bootstrap(descriptor: int) -> str:
    # The server's module path, so that jobs are found where the server finds them; "" means its working
    # directory.
    path = [entry or os.getcwd() for entry in sys.path]  # noqa: PTH109 - a string is needed
    return f"import sys; sys.path[:] = {path!r}; from {nursery.__name__} import main; main({descriptor})"


def _environment() -> dict[str, str]:
    """The variables of workers: no keys and tokens, no proxies, which could lead around the guard."""
    kept = {
        name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    # Numerical libraries start a thread per core when they are imported: forking a process with threads is
    # unsafe, and each one takes address space from the limit.
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
