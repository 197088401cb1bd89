"""The process that workers are forked from. It imports the heavy modules once, so that a worker is ready
milliseconds after it is asked for, and it is the parent that watches them: it kills, reaps and reports.

What comes in over its control socket are records ``F`` (fork a worker that talks over the socket sent along)
and ``K`` (kill the worker of that process id); what goes out are ``X`` (a worker ended, with its exit code).
Each worker leads a process group, and the group is killed with it or after it, so nothing that a job started
outlives it. When the control socket closes, which the kernel also does for a server that was killed,
everything here is killed and the nursery ends.

``multiprocessing``'s fork server does half of this. Not used because it ignores a failed import, imports the
server's main module again in each worker, outlives a killed server as long as one worker is busy, and is one
per process.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import struct
import sys
import traceback
from dataclasses import dataclass
from typing import NoReturn

from cutaway_server import logs
from cutaway_server.work import limits, messages, worker

RECORD = struct.Struct("<cqq")
FORK, KILL, EXITED = b"F", b"K", b"X"
READY, FAILED = b"R", b"E"
"""Messages (not records) that answer the configuration: ready, or the text of a failed import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The first message: which modules to import, the limits of every worker, and what it logs to stderr."""

    preload: tuple[str, ...]
    bounds: limits.Limits
    log_level: str


def main(control_descriptor: int) -> None:
    """Run the nursery; the entry point of its process."""
    # Ctrl-C is for the server alone. Workers and their children inherit this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=control_descriptor) as control:
        try:
            _, file = messages.receive(control)
        except messages.Closed:
            return
        configuration: Configuration = messages.load(file)
        logs.set_up(configuration.log_level)
        try:
            for name in configuration.preload:
                importlib.import_module(name)
        except BaseException:
            messages.send(control, FAILED, traceback.format_exc())
            return
        limits.adopt_orphans()
        # Objects of the imports are moved out of the collector's sight: a collection in a worker would
        # otherwise write to, and so copy, every page that it shares with this process.
        gc.collect()
        gc.freeze()
        try:
            messages.send(control, READY)
        except ConnectionError:
            return  # the server was stopped in the meantime
        _Nursery(control, configuration.bounds).run()


class _Nursery:
    def __init__(self, control: socket.socket, bounds: limits.Limits) -> None:
        self._control = control
        self._bounds = bounds
        self._workers: set[int] = set()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        # SIG_DFL would not wake the poll below, SIG_IGN would throw the exit codes away.
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        try:
            while True:
                ready = {descriptor for descriptor, _ in poll.poll()}
                if self._wake_reader in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_reader, 4096)
                    self._reap()
                if self._control.fileno() in ready and not self._obey():
                    return
        except ConnectionError:
            return
        finally:
            for pid in self._workers:
                _kill_group(pid)

    def _obey(self) -> bool:
        """Read and carry out one record; False when the server is gone."""
        record, descriptors, _, _ = socket.recv_fds(self._control, RECORD.size, 1, socket.MSG_CMSG_CLOEXEC)
        if not record:
            return False
        kind, pid, _ = RECORD.unpack(record)
        if kind == FORK:
            self._fork(descriptors[0])
        elif kind == KILL and pid in self._workers:
            # Only a process that is not reaped yet: its number cannot belong to another one.
            _kill_group(pid)
        return True

    def _fork(self, descriptor: int) -> None:
        parent_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_worker(descriptor, parent_pid)
        os.close(descriptor)
        # Both sides do this: whoever comes first, the group exists before anything can be killed in it.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._workers.add(pid)

    def _become_worker(self, descriptor: int, parent_pid: int) -> NoReturn:
        status = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            os.close(self._wake_reader)
            os.close(self._wake_writer)
            with socket.socket(fileno=descriptor) as end:
                worker.serve_jobs(end, self._bounds, parent_pid)
            status = 0
        except (ConnectionError, SystemExit):
            pass  # the server left in mid-job; or a job wanted out: it is told as a death
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            ours = pid in self._workers
            if ours:
                # What the worker left behind goes too. Still a zombie: its number, and so its group's, is not
                # reused.
                _kill_group(pid)
                self._workers.discard(pid)
            _, status = os.waitpid(pid, 0)
            if ours:
                self._control.send(RECORD.pack(EXITED, pid, os.waitstatus_to_exitcode(status)))


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
