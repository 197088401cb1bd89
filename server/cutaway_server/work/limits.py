"""What a worker, and a child of a worker, may use. Comes in: a :class:`Limits`; goes out: nothing, the
calling process is confined from then on. Memory, file size and core dumps are limited once for the life of a
process, processor time for each job. A confined process also dies with its parent and is the first that a
kernel short of memory kills.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_OOM_SCORE = "500"
"""Between nothing (0) and always first (1000): the server, which has 0, survives its workers."""

ENGINE_BYTES = 1 << 30
"""What a JavaScript engine may write to; deno runs nothing in half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits that hold for the whole life of a worker.

    ``memory_bytes`` is address space (RLIMIT_AS), not resident memory: it is the only one of the two that
    Linux enforces. 2 GiB were enough for 4K video with two threads; numpy, PyAV and the interpreter map 0.4
    GiB of them. ``file_bytes`` bounds each file that is written, the anonymous ones that carry results
    included.
    """

    memory_bytes: int = 2 << 30
    file_bytes: int = 1 << 30


def _load_prctl() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return None
    return prctl


# Loaded at import: between fork and exec (see child_setup) nothing may be imported or looked up.
_prctl = _load_prctl()
_cpu_seconds: int | None = None
_confined_pid = 0


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process (SIGKILL) when the thread that forked it ends.

    Parameters
    ----------
    parent_pid
        The parent as it was before the fork. A parent that died before the request was made would never be
        noticed; in that case this process ends at once.
    """
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose own parent died, instead of process 1, which may not reap
    them.
    """
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def confine(limits: Limits, parent_pid: int) -> None:
    """Apply `limits` to this process for good. Called once, first thing in a worker."""
    global _confined_pid
    die_with_parent(parent_pid)
    # Not the hard limit: a JavaScript engine, which reserves far more than it uses, has to lift it (engine_setup).
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    memory = limits.memory_bytes if soft == resource.RLIM_INFINITY else min(limits.memory_bytes, soft)
    resource.setrlimit(resource.RLIMIT_AS, (memory, hard))
    _set(resource.RLIMIT_FSIZE, limits.file_bytes)
    _set(resource.RLIMIT_CORE, 0)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    _confined_pid = os.getpid()


def begin_job(cpu_seconds: float | None) -> None:
    """Give the job that starts now `cpu_seconds` of processor time; the kernel ends the process (SIGXCPU)
    after that.

    Only the soft limit moves: a lowered hard limit could not be raised again for the next job. The kernel
    counts whole seconds, so a budget is rounded up.
    """
    global _cpu_seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if cpu_seconds is None:
        _cpu_seconds = None
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
        return
    _cpu_seconds = max(1, math.ceil(cpu_seconds))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(usage.ru_utime + usage.ru_stime + cpu_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def child_setup() -> None:
    """Confine a child of a worker; for ``subprocess.Popen(..., preexec_fn=child_setup)``.

    The child dies with the worker (more exactly: with the thread that started it, so start it from the job's
    own thread) and gets the job's whole processor budget. Memory, file size and core limits are inherited.
    """
    die_with_parent(_confined_pid or os.getppid())
    if _cpu_seconds is not None:
        # A fresh process has used nothing yet; the inherited limit still has the worker's past in it.
        _set(resource.RLIMIT_CPU, _cpu_seconds)


def engine_setup() -> None:
    """:func:`child_setup` for a JavaScript engine: it gets ``ENGINE_BYTES`` of data instead of address space.

    V8 (deno 2.9) reserves about 40 GiB of address space before it runs a line, and ends at once without.
    """
    child_setup()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    _set(resource.RLIMIT_DATA, ENGINE_BYTES)


def address_space() -> int:
    """The bytes of address space that this process uses now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _set(kind: int, value: int) -> None:
    """Lower both limits to `value`; one that is lower already stays."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
