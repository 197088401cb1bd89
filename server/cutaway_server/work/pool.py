"""The workers: submit a job, await it, cancel it for real. What comes in are picklable top-level functions
and their arguments, what goes out is their result; a job runs in a process of its own, under limits, and may
be killed at any moment without harm to any other. Nothing is polled: the event loop hears results and deaths
from sockets.

Why not ``pebble.ProcessPool``, which has the same interface (5.2.3, tried): all its workers share two pipes
and two locks, so one that is killed while it sends a large result leaves the lock taken and half a message in
the pipe, and all others hang; a worker that dies idle breaks the pool for good; a queued job that was
cancelled still starts; it polls 100 times a second to react in 10 ms.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, TypeVar, TypeVarTuple, cast

from cutaway_server.errors import Fault
from cutaway_server.work import messages
from cutaway_server.work.children import Child, Children, NurseryFailed
from cutaway_server.work.limits import Limits

_log = logging.getLogger(__name__)

Args = TypeVarTuple("Args")
Result = TypeVar("Result")

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk is full, the user's share of it is, or the file would be larger than a worker's files may be."""
_ATTEMPTS = 3
_LARGE_BYTES = 1 << 20
"""A result above this is read in a thread: 1 MiB takes the event loop about 0.3 ms."""
_GONE_SECONDS = 1.0
_RETRY_SECONDS = (0.05, 5.0)


class JobFailed(Fault):
    """A job broke a limit, or its process. The messages speak of videos; another kind of work has words of its own."""


class WorkerDied(JobFailed):
    """The process that ran the job ended: a crash, a signal, the kernel out of memory."""

    def __init__(
        self,
        message: str = "Processing this video crashed the process that worked on it. "
        "The file may be damaged; try another copy or format of it.",
    ) -> None:
        super().__init__(message)


class OutOfTime(JobFailed):
    """The job took longer, or used more processor time, than it was given."""

    def __init__(self, message: str = "The video needed more processing time than is allowed.") -> None:
        super().__init__(message)


class OutOfMemory(JobFailed):
    """The job needed more memory than a worker may have."""

    def __init__(self, message: str = "The video needed more memory than is allowed.") -> None:
        super().__init__(message)


class OutOfSpace(JobFailed):
    """There is no room for the job's temporary files."""

    def __init__(
        self,
        message: str = "The server has no room left for its temporary files: try again later, or a smaller video.",
    ) -> None:
        super().__init__(message)


class WorkersClosed(RuntimeError):
    """A job was submitted to, or was waiting for, workers that are closed."""


class _NeverStarted(Exception):
    """The worker was dead before it saw the job."""


class Workers:
    """A fixed number of worker processes, each running one job at a time.

    Parameters
    ----------
    count
        How many jobs run at once. More wait, first come first served.
    preload
        Modules imported once, before any worker is forked: those of the jobs and all that is heavy.
    bounds
        Limits of each worker.
    log_level
        Least severe log messages of workers that go to stderr.

    Notes ----- Measured on two busy cores: 0.12 ms a job; 40 to 100 ms for a result of 14 MB, during which
    the event loop is late by 4 ms at most; 3 to 6 ms from a cancellation to the end of the process and its
    children, 5 to 9 ms to a new worker.
    """

    def __init__(
        self, count: int, *, preload: Sequence[str], bounds: Limits | None = None, log_level: str = "warning"
    ) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1 (got {count})")
        self.count = count
        self._children = Children(preload, bounds or Limits(), log_level)
        self._alive: set[Child] = set()
        self._busy: set[Child] = set()
        # Dead workers stay in it until someone takes them; None wakes those who wait when the pool closes.
        self._idle: asyncio.Queue[Child | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._picklers = ThreadPoolExecutor(2, thread_name_prefix="cutaway-pickles")
        self._closed = False

    async def start(self) -> None:
        """Start all workers; returns when each is ready.

        Raises
        ------
        NurseryFailed
            They cannot be started; the text says why.
        """
        try:
            await self._children.start()
            async with asyncio.TaskGroup() as group:
                for _ in range(self.count):
                    group.create_task(self._add())
        except ExceptionGroup as failures:
            await self.close()
            raise failures.exceptions[0] from None
        except BaseException:
            await self.close()
            raise

    async def run(
        self,
        job: Callable[[*Args], Result],
        *args: *Args,
        seconds: float,
        cpu_seconds: float | None = None,
        light: bool = False,
    ) -> Result:
        """Run ``job(*args)`` in a worker and return what it returns.

        Cancelling kills the worker's process group; the cancellation is passed on when the process is gone, a
        few milliseconds later. A job that still waits for a worker never runs.

        Parameters
        ----------
        job
            A top-level function; it, its arguments and its result are pickled.
        seconds
            Wall clock, from the start of the job; the wait for a worker does not count.
        cpu_seconds
            Processor time, in whole seconds, of the job, and again of each child that it starts.
        light
            The arguments are a few kilobytes: they are pickled at once, which saves the way to a thread, 0.2 ms.

        Raises
        ------
        OutOfTime, OutOfMemory, OutOfSpace, WorkerDied
            The job broke a limit or its process.
        WorkersClosed
            :meth:`close` was called.
        Exception
            Whatever `job` raised, with the worker's traceback as a note.
        """
        for _ in range(_ATTEMPTS):
            child = await self._take()
            try:
                kind, file = await self._work(child, (job, args, cpu_seconds), seconds, light)
            except _NeverStarted:
                continue
            value = await self._load(file)
            if kind == messages.RESULT:
                return cast(Result, value)
            if isinstance(value, MemoryError):
                raise OutOfMemory from value
            if isinstance(value, OSError) and value.errno in _NO_SPACE:
                _log.error("no room for temporary files: %s", errno.errorcode[value.errno])
                raise OutOfSpace from value
            raise cast(Exception, value)
        raise WorkerDied

    async def close(self) -> None:
        """Kill all workers, running jobs included; returns when all are gone. May be called twice."""
        self._closed = True
        self._idle.put_nowait(None)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._children.close()
        await asyncio.gather(*(child.exited for child in self._alive))
        # What still waits for a thread runs: its job shall hear of the closing, not of a cancellation.
        self._picklers.shutdown(wait=False)

    async def _take(self) -> Child:
        while not self._closed:
            child = await self._idle.get()
            if child is None:
                self._idle.put_nowait(None)
            elif not child.exited.done():
                return child
        raise WorkersClosed("The workers are closed")

    async def _work(self, child: Child, request: object, seconds: float, light: bool) -> tuple[bytes, BinaryIO]:
        """Have `child` do one request. It is idle again, or gone, when this ends, however it ends."""
        free = True  # as long as the request cannot be pickled
        started = False
        self._busy.add(child)
        try:
            async with asyncio.timeout(seconds) as deadline:
                with messages.sheet() as sheet:
                    if light:
                        messages.write(sheet, request)
                    else:
                        # In a thread, whatever the size, which is only known afterwards: 24 MB take over 5 ms.
                        loop = asyncio.get_running_loop()
                        await loop.run_in_executor(self._picklers, messages.write, sheet, request)
                    messages.post(child.end, messages.JOB, sheet)
                free = False
                _, file = await messages.receive_soon(child.end)
                file.close()
                started = True
                kind, file = await messages.receive_soon(child.end)
                free = True
                return kind, file
        except TimeoutError:
            if deadline.expired():
                raise OutOfTime from None
            raise
        except (messages.Closed, ConnectionError):
            free = False
            if not started:
                raise _NeverStarted from None
            status = await asyncio.shield(child.exited)
            if self._closed:
                raise WorkersClosed("The workers were closed") from None
            _log.warning("worker %d ended in a job, exit code %d", child.pid, status)
            if status == -signal.SIGXCPU:
                raise OutOfTime from None
            raise WorkerDied from None
        finally:
            if free:
                self._idle.put_nowait(child)
            else:
                self._children.kill(child)
            try:
                if not free:
                    # Bounded: a process in an uninterruptible system call is not gone before that returns.
                    await asyncio.wait([child.exited], timeout=_GONE_SECONDS)
            finally:
                # Also when this wait is cancelled; a child that is not gone yet is left to _bury.
                self._busy.discard(child)
                if child.exited.done():
                    child.end.close()

    async def _load(self, file: BinaryIO) -> object:
        if messages.size_bytes(file) <= _LARGE_BYTES:
            return cast(object, messages.load(file))
        return await asyncio.get_running_loop().run_in_executor(self._picklers, messages.load, file)

    async def _add(self) -> None:
        child = await self._children.fork()
        self._alive.add(child)
        child.exited.add_done_callback(lambda _: self._bury(child))
        self._idle.put_nowait(child)

    def _bury(self, child: Child) -> None:
        self._alive.discard(child)
        if child in self._busy:
            # A job still listens; a closed descriptor would never wake it. What was sent before stays readable.
            child.end.shutdown(socket.SHUT_RDWR)
        else:
            child.end.close()
        if not self._closed:
            task = asyncio.get_running_loop().create_task(self._replace(), name="replace a worker")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _replace(self) -> None:
        delay, longest = _RETRY_SECONDS
        while True:
            try:
                await self._add()
            except NurseryFailed as error:
                _log.error("no new worker, next attempt in %.2g s: %s", delay, error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, longest)
            else:
                return
