"""A part of a job in a process of its own: what a library does to itself there, or hostile input to the library, ends
with that process.

Comes in: a function, its arguments and limits. Goes out: what it returns or raises. The process is forked from the
worker, so all that is imported is there at once; it belongs to the worker's process group, has less memory and time
than the worker, and is gone when the call returns; what it started under :mod:`cutaway_server.work.limits` is killed
with it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn, TypeVar, TypeVarTuple, cast

from cutaway_server.work import limits
from cutaway_server.work.pool import OutOfMemory, OutOfTime, WorkerDied
from cutaway_server.work.worker import portable

Args = TypeVarTuple("Args")
Result = TypeVar("Result")

_READ_BYTES = 1 << 16


def run_apart(
    function: Callable[[*Args], Result], *args: *Args, seconds: float, more_bytes: int, result_bytes: int
) -> Result:
    """Run ``function(*args)`` in a fork of this process and return what it returns.

    To be called while this process has no other threads but those of codecs at rest.

    Parameters
    ----------
    seconds
        Wall clock and, rounded up, processor time.
    more_bytes
        Address space beyond what this process uses now.
    result_bytes
        The most that the pickled result may have.

    Raises
    ------
    OutOfTime, OutOfMemory, WorkerDied
        It broke a limit, or its process.
    Exception
        What `function` raised.
    """
    parent = os.getpid()
    memory = limits.address_space() + more_bytes
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _live(writer, parent, memory, seconds, lambda: function(*args))
    os.close(writer)
    try:
        data = _read(reader, time.monotonic() + seconds, result_bytes)
    finally:
        os.close(reader)
        # Not reaped yet, so the number is still its own.
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if not data:
        raise OutOfTime if os.waitstatus_to_exitcode(status) == -signal.SIGXCPU else WorkerDied
    value, raised = pickle.loads(data)  # noqa: S301 - both ends are this program
    if isinstance(value, MemoryError):
        raise OutOfMemory
    if raised:
        raise value
    return cast(Result, value)


def _live(writer: int, parent: int, memory: int, seconds: float, call: Callable[[], object]) -> NoReturn:
    status = 1
    # Garbage of the worker is not collected here: a decoder in it would wait for its threads, which are not forked.
    gc.freeze()
    try:
        limits.confine(limits.Limits(memory_bytes=memory), parent)
        limits.begin_job(seconds)
        try:
            data = pickle.dumps((call(), False))
        except Exception as error:
            data = pickle.dumps((portable(error), True))
        # What is no longer read (the result is too large) is nobody's loss.
        with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb") as pipe:
            pipe.write(data)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(status)


def _read(reader: int, deadline: float, most: int) -> bytes:
    """Everything until the other end is closed, by whoever still has it."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    data = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise OutOfTime
        part = os.read(reader, _READ_BYTES)
        if not part:
            return bytes(data)
        data += part
        if len(data) > most:
            raise OutOfMemory
