"""The server's life: wire the rooms together, listen, say where, and stop in good order. What comes in are
settings and signals, what goes out is one line on stdout (``Listening on http://127.0.0.1:8000``) and an exit
code.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import shutil
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NoReturn, TypeAlias

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from cutaway_server import logs
from cutaway_server.app import Services, make_app, make_http_server
from cutaway_server.settings import Settings
from cutaway_server.sockets.base import Socket
from cutaway_server.work.children import NurseryFailed

_log = logging.getLogger(__name__)

ServiceMaker: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[Services]]
"""Starts what serves the requests; leaving the context ends it. ``settings.work_dir`` is set and exists."""

_FAREWELL_SECONDS = 3.0
"""For the last message to clients whose request was cut short."""
_OWN_FOLDER = ".cutaway-work-"
"""Prefix of each server's own folder in the work folder: a name that nobody gives to data of theirs, because it
is swept.
"""
_LOCK = "lock"
"""File in a server's own folder, locked as long as that server lives; the kernel unlocks it, however it ends."""


class CannotStart(Exception):
    """The server cannot run; the text is one line for the operator."""


@asynccontextmanager
async def local_service(settings: Settings) -> AsyncIterator[Services]:
    """The services of the product: workers on this machine behind the guarded door."""
    from cutaway_server.fetch.door import Door
    from cutaway_server.fetch.guard import Policy
    from cutaway_server.gemini.client import open_gemini
    from cutaway_server.search.local import local_search
    from cutaway_server.snippets.clips import Clips
    from cutaway_server.snippets.pipeline import PRELOAD, SnippetService
    from cutaway_server.work.limits import Limits
    from cutaway_server.work.pool import Workers

    policy = Policy(allow_networks=settings.allow_network, allow_addresses=settings.allow_address)
    door = Door(policy)
    bounds = Limits(
        memory_bytes=settings.worker_memory,
        # A download is written by a worker, and goes to the end of what is allowed before it is refused.
        file_bytes=max(1 << 30, settings.max_download + (1 << 20)),
    )
    workers = Workers(settings.workers, preload=PRELOAD, bounds=bounds, log_level=settings.log_level)
    assert settings.work_dir is not None, "serve() has made one"
    clips = Clips(settings.work_dir / "clips", seconds=60 * settings.clip_minutes, space_bytes=settings.clip_space)
    await door.start()
    try:
        await workers.start()
        async with open_gemini(settings) as gemini, local_search(settings, door, gemini) as found:
            search, images = found or (None, None)
            video = SnippetService(workers, door, settings, clips, gemini)
            yield Services(video=video, clips=clips, search=search, images=images)
    finally:
        await workers.close()
        clips.close()
        await door.stop()


async def serve(settings: Settings, make_service: ServiceMaker = local_service) -> None:
    """Serve until a signal (or the end of standard input) says stop.

    Raises
    ------
    CannotStart
        The port is taken, the work folder cannot be used, or the workers do not start.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    with _work_dir(settings.work_dir) as work_dir, _signals(loop, stop):
        settings = settings.model_copy(update={"work_dir": work_dir})
        if settings.exit_with_parent:
            _watch_stdin(loop, stop)
        try:
            sockets = bind_sockets(settings.port, settings.host)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise CannotStart(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None
        try:
            async with make_service(settings) as services:
                # Out of the collector's sight: looking through all that is imported stops the loop for 30 ms.
                gc.collect()
                gc.freeze()
                # Looking through what is alive later takes 10 ms under load, and finds nothing that the looks through
                # what is young have not found before: it is done a hundred times more seldom.
                gc.set_threshold(*gc.get_threshold()[:2], 1000)
                app = make_app(settings, services)
                server = make_http_server(app)
                server.add_sockets(sockets)
                try:
                    if not stop.is_set():
                        _announce(settings.host, sockets[0].getsockname()[1])
                    await stop.wait()
                finally:
                    await _shut_down(server, app, settings.grace_seconds)
        except NurseryFailed as error:
            raise CannotStart(str(error)) from error
        finally:
            for each in sockets:
                each.close()


def main(
    arguments: Sequence[str] | None = None,
    *,
    prog: str = "cutaway serve",
    make_service: ServiceMaker = local_service,
) -> NoReturn:
    """Run the server as a program.

    Raises
    ------
    SystemExit
        Always: 0 after an orderly stop, 1 when the server cannot start, 2 for wrong arguments.
    """
    settings = Settings.from_arguments(sys.argv[1:] if arguments is None else arguments, prog=prog)
    logs.set_up(settings.log_level)
    try:
        asyncio.run(serve(settings, make_service))
    except CannotStart as error:
        sys.stderr.write(f"{prog}: error: {error}\n")
        raise SystemExit(1) from None
    raise SystemExit(0)


def _announce(host: str, port: int) -> None:
    name = f"[{host}]" if ":" in host else host
    # Read by programs that start this one.
    sys.stdout.write(f"Listening on http://{name}:{port}\n")
    sys.stdout.flush()


async def _shut_down(server: HTTPServer, app: Application, grace_seconds: float) -> None:
    """Stop accepting, let running requests finish, tell the others, close everything."""
    server.stop()
    app.settings["stopping"].set()
    live: dict[Socket, asyncio.Task[None]] = app.settings["live_sockets"]
    for each in list(live):
        each.drain()
    if live:
        _log.info("stopping: %d requests have %g s to finish", len(live), grace_seconds)
        await asyncio.wait(list(live.values()), timeout=grace_seconds)
    for each in list(live):
        each.stop()
    if live:
        await asyncio.wait(list(live.values()), timeout=_FAREWELL_SECONDS)
    left = list(live.values())
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await server.close_all_connections()


@contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT stop in good order, a second one at once."""

    def on_signal() -> None:
        if stop.is_set():
            # Nothing is lost: the nursery sees its socket close and kills all workers.
            os._exit(1)
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Stop when standard input ends: the program that started this one is gone, however it went."""

    def read() -> None:
        # os.read, not sys.stdin: a daemon thread inside a buffered reader aborts the interpreter's end.
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=read, name="cutaway-stdin", daemon=True).start()


@contextmanager
def _work_dir(configured: Path | None) -> Iterator[Path]:
    """A fresh folder of this server alone, removed at the end; what killed servers left beside it goes at once."""
    base = configured or Path(tempfile.gettempdir(), f"cutaway-{os.getuid()}")
    try:
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        if configured is None:
            _check_private(base)
        for left in base.glob(f"{_OWN_FOLDER}*"):
            _sweep(left)
        own, lock = _make_own(base)
    except OSError as error:
        raise CannotStart(f"cannot use the work folder {base}: {error.strerror or error}") from None
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        os.close(lock)


def _check_private(folder: Path) -> None:
    """In a folder that all may write to, another user could have made ours first, to read what we put there."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise CannotStart(f"cannot use the work folder {folder}: it is not a private folder of this user; remove it")


def _make_own(base: Path) -> tuple[Path, int]:
    while True:
        own = Path(tempfile.mkdtemp(prefix=_OWN_FOLDER, dir=base))
        lock = _take_lock(own)
        # None: another server that starts at this moment was here between the two lines, and sweeps it.
        if lock is not None:
            return own, lock


def _sweep(left: Path) -> None:
    """Remove `left` unless its server lives. What belongs to another user stays."""
    with contextlib.suppress(OSError):
        lock = None if left.is_symlink() else _take_lock(left)
        if lock is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)


def _take_lock(folder: Path) -> int | None:
    """An open descriptor that holds the folder's lock; None when another process has it or removed the folder."""
    lock = None
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), os.stat(folder / _LOCK)):  # noqa: PTH116 - beside fstat
            return lock
    except (FileNotFoundError, BlockingIOError):
        pass
    except BaseException:
        if lock is not None:
            os.close(lock)
        raise
    if lock is not None:
        os.close(lock)
    return None
