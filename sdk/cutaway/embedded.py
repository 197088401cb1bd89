"""A server of one's own: a child process on this machine that lives for a ``with`` block or for the session.

What comes in are settings of the server; what goes out is the URL of one that listens. The server is a child
process because its work is heavy and its libraries are an extra. It stops when its stdin closes, so it is
gone with its parent however that ends, kill -9 included.
"""

from __future__ import annotations

import atexit
import collections
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import IO

from .errors import InvalidRequest, ServerNotInstalled, ServerStartError
from .localfile import file_server

__all__ = ["EmbeddedServer", "embedded"]

_LISTENING = re.compile(r"Listening on (http://\S+)")
_MISSING = re.compile(r"No module named '?([\w.]+)")
_STOP_SECONDS = 5.0
_LOG_LINES = 200


class EmbeddedServer:
    """A server that runs as a child of this process; made by :func:`embedded`.

    Attributes
    ----------
    url : str
        Where it listens, ``http://127.0.0.1:port``.
    """

    def __init__(self, arguments: Iterable[str], *, start_timeout: float = 30.0) -> None:
        self._log: collections.deque[str] = collections.deque(maxlen=_LOG_LINES)
        self._listening = threading.Event()
        self._lock = threading.Lock()
        self.url = ""
        self._process = subprocess.Popen(  # noqa: S603 (our own module, no shell)
            [sys.executable, "-m", "cutaway_server", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            # Ctrl-C in a terminal and Jupyter's interrupt go to the whole process group: they are for the
            # caller.
            start_new_session=True,
        )
        atexit.register(self.close)
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), name="cutaway-server-output", daemon=True)
            for stream in (self._process.stdout, self._process.stderr)
        ]
        for reader in self._readers:
            reader.start()
        try:
            self._wait_until_listening(start_timeout)
        except BaseException:
            self.close()
            raise

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            if not self.url and stream is self._process.stdout and (found := _LISTENING.search(line)):
                self.url = found[1]
                self._listening.set()
            self._log.append(line.rstrip())
        self._listening.set()  # it has ended; the waiting thread looks at the url

    def _wait_until_listening(self, timeout: float) -> None:
        started = time.monotonic()
        self._listening.wait(timeout)
        if self.url:
            return
        waited = time.monotonic() - started
        status = self._exit_status()
        for reader in self._readers if status is not None else ():
            reader.join(1)
        if missing := _MISSING.search(self.log):
            raise ServerNotInstalled(
                f"the embedded server needs the Python module {missing[1]!r}: pip install 'cutaway[server]'"
            )
        how = f"took more than {waited:.0f} s to start" if status is None else f"ended with status {status}"
        raise ServerStartError(f"the embedded server {how}; its last words:\n{self.log[-2000:] or '(none)'}")

    def _exit_status(self) -> int | None:
        """The status with which it ended. Its streams close a moment earlier."""
        try:
            return self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            return None

    @property
    def log(self) -> str:
        """The last lines that the server wrote."""
        return "\n".join(self._log)

    def close(self) -> None:
        """Stop the server and wait until it is gone. Harmless when it is."""
        with self._lock:
            atexit.unregister(self.close)
            process = self._process
            if process.stdin is not None:
                process.stdin.close()
            for insist in (process.terminate, process.kill):
                try:
                    process.wait(_STOP_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    insist()
            process.wait()
            for reader in self._readers:
                reader.join()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = self.url if self._process.poll() is None else "closed"
        return f"<EmbeddedServer {state}>"


def embedded(*, start_timeout: float = 30.0, **settings: object) -> EmbeddedServer:
    """Start a server on this machine, for a ``with`` block or until the session ends.

    It listens on a free port of 127.0.0.1, may read the local files that are given to ``client.snippets``,
    and stops with :meth:`~EmbeddedServer.close`, at the end of the block, or with this process, whichever
    comes first. Starting takes about a second and blocks; in a coroutine write ``await
    asyncio.to_thread(cutaway.embedded)``.

    Parameters
    ----------
    start_timeout : float
        Seconds that it may take until it listens.
    **settings
        Settings of the server, named as its flags with underscores (see ``cutaway serve --help``), such as
        ``workers=2``, ``log_level="debug"`` or ``allow_network=["10.0.0.0/8"]``. True and False are flags
        without a value, a list is a flag for each entry, None is left out.

    Returns
    -------
    EmbeddedServer
        To be given to :class:`~cutaway.Client` or :class:`~cutaway.AsyncClient`.

    Raises
    ------
    ServerNotInstalled
        The extra is missing: ``pip install 'cutaway[server]'``.
    ServerStartError
        It did not start; the message has its last words.

    Examples
    --------
    >>> with cutaway.embedded() as server, cutaway.Client(server) as client:  # doctest: +SKIP
    ...     snippets = client.snippets("holiday.mp4").result()
    """
    own = {"host", "exit_with_parent"} & settings.keys()
    if own:
        raise InvalidRequest(f"{own.pop()} cannot be set: an embedded server is for this process alone")
    arguments = ["--host=127.0.0.1", f"--port={settings.pop('port', 0)}", "--exit-with-parent"]
    arguments.append(f"--allow-address={file_server().address}")
    settings.setdefault("grace_seconds", 0)  # nobody is left to read what it would finish
    for name, value in settings.items():
        arguments += _flags(f"--{name.replace('_', '-')}", value)
    return EmbeddedServer(arguments, start_timeout=start_timeout)


def _flags(flag: str, value: object) -> list[str]:
    match value:
        case None:
            return []
        case True:
            return [flag]
        case False:
            return [flag.replace("--", "--no-", 1)]
        case list() | tuple() | set() | frozenset():
            return [f"{flag}={entry}" for entry in value]
        case _:
            return [f"{flag}={value}"]
