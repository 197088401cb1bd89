"""The one background thread of a process: an asyncio loop on which the blocking API and the file server live.

It starts when it is first needed and ends with the process. Because it is not the caller's loop, blocking
calls work in scripts, in any thread and inside a running Jupyter kernel, and streams make progress while a
cell or a script does something else. The model is dask.distributed's LoopRunner.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_STOP_SECONDS = 2.0
"""How long the end of the process may wait for connections to be closed."""


class LoopThread:
    """An asyncio loop that runs in a daemon thread of its own."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        # A daemon: Python joins other threads before it runs atexit functions, so one would never be told to
        # stop.
        self._thread = threading.Thread(target=self._run, name="cutaway-loop", daemon=True)
        self._thread.start()
        self._started.wait()

    def _run(self) -> None:
        asyncio.run(self._main())  # cancels and awaits whatever is left when main returns

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        await self._stop.wait()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result.

        Ctrl-C while waiting cancels the coroutine.

        Raises
        ------
        RuntimeError
            Called on the loop itself, which would wait for itself forever; or the process is ending.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("a blocking call cannot be made on cutaway's own loop: use cutaway.AsyncClient there")
        future = self.start(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine on the loop, from any thread; cancelling the future cancels it.

        Raises
        ------
        RuntimeError
            The process is ending.
        """
        if self._loop is None or not self._thread.is_alive():
            coroutine.close()
            raise RuntimeError("cutaway's background thread has ended: the process is shutting down")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the loop and wait for its result, as :meth:`run` does."""

        async def called() -> T:
            return function()

        return self.run(called())

    def stop(self) -> None:
        """Cancel what runs, close the loop, join the thread."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_STOP_SECONDS)


_lock = threading.Lock()
_background: LoopThread | None = None


def background() -> LoopThread:
    """The loop thread of this process, started if it is not running yet."""
    global _background
    with _lock:
        if _background is None:
            _background = LoopThread()
            atexit.register(_background.stop)
        return _background


def _forget() -> None:
    """After a fork the child has a copy of the loop but not its thread."""
    global _background, _lock
    _background, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
