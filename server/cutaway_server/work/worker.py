"""The life of a worker: receive a job, run it, send what came of it, until the server closes the socket or
the kernel ends the process. What comes in are pickled top-level functions with their arguments; what goes out
is their result or the exception they raised, unchanged but for a note with the worker's traceback.
"""

from __future__ import annotations

import os
import pickle
import socket
import traceback

from cutaway_server.work import limits, messages


def serve_jobs(end: socket.socket, bounds: limits.Limits, parent_pid: int) -> None:
    """Run jobs until the other side of `end` is closed."""
    limits.confine(bounds, parent_pid)
    messages.send(end, messages.HELLO, os.getpid())
    while True:
        try:
            _, file = messages.receive(end)
        except messages.Closed:
            return
        messages.send(end, messages.STARTED)
        try:
            job, args, cpu_seconds = messages.load(file)
            limits.begin_job(cpu_seconds)
            result = job(*args)
            limits.begin_job(None)  # sending a result is not the job's fault
            messages.send(end, messages.RESULT, result)
        except Exception as error:
            messages.send(end, messages.RAISED, portable(error))
        # Not kept while the next job is waited for: a result may be 40 MB of bytes.
        job = args = result = None


def portable(error: Exception) -> Exception:
    """`error` as it can cross to the server, with the traceback of this side as a note.

    An exception that cannot be pickled, or not be built again from its pickle, becomes a ``RuntimeError``.
    """
    if isinstance(error, MemoryError):
        # No traceback: there may be no memory to format one, and its frames would keep what the job held.
        return MemoryError()
    note = "".join(traceback.format_exception(error))
    # Tracebacks and causes do not survive pickling; what the frames hold need not survive either.
    error = error.with_traceback(None)
    error.add_note(f"In a worker:\n{note}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:
        substitute = RuntimeError(f"a job raised {type(error).__qualname__}, which cannot be pickled")
        substitute.add_note(f"In a worker:\n{note}")
        return substitute
    return error
