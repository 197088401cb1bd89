"""What snippet streams and search streams share: one task that reads a socket, and a handle on the work behind it.

What comes in are messages, from a generator that owns the connection; a pump moves them into a queue, from which
the stream takes them. :class:`AsyncStream` has the life of it (start, end, leaving early), :class:`Stream` is its
blocking twin on the background loop. Of a stream that keeps what has come, each who looks has a :class:`Cursor`. What
is made of the messages is in :mod:`cutaway.snippets` and :mod:`cutaway.search`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from .errors import Timeout
from .loop import background

T = TypeVar("T")
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last entry of a queue."""

    error: Exception | None = None


@dataclass
class Cursor(Generic[T]):
    """A place in what has come, and what is wanted there: of `entries`, what `pick` does not make None."""

    entries: list[Any]
    pick: Callable[[Any], T | None]
    refuses: bool = True
    """Whether the server's refusal is raised at the end."""
    place: int = 0
    told: bool = False
    """Whether the error was raised; it is raised once for each cursor."""


def everything(entry: Any) -> Any:
    """What a cursor picks that wants all."""
    return entry


_pumps: set[asyncio.Task[None]] = set()
"""Strong references: a loop has only weak ones, and a pump outlives its stream while it hangs up."""


async def _pump(
    messages: Callable[[], AsyncGenerator[M, None]], queue: asyncio.Queue[M | _Ended], total_timeout: float | None
) -> None:
    """Move messages to the queue until they end. It must not know the stream, whose end is its own."""
    error: Exception | None = None
    try:
        async with asyncio.timeout(total_timeout) as clock, aclosing(messages()) as source:
            async for message in source:
                await queue.put(message)
    except TimeoutError as raised:
        error = raised
        if clock.expired():
            error = Timeout(f"the stream was not done within total_timeout={total_timeout:g} s")
    except Exception as raised:  # handed to whoever iterates
        error = raised
    await queue.put(_Ended(error))


class AsyncStream(Generic[M]):
    """The messages of one request, and the work behind them.

    Parameters
    ----------
    messages : callable
        Makes the generator that connects, asks and reads; called with the first step.
    queued : int
        How many messages are taken in before the consumer wants them; 0 for all.
    total_timeout : float or None
        Seconds from the first step to the end.
    """

    def __init__(
        self, messages: Callable[[], AsyncGenerator[M, None]], *, queued: int, total_timeout: float | None
    ) -> None:
        self._source = messages
        self._total_timeout = total_timeout
        self._queue: asyncio.Queue[M | _Ended] = asyncio.Queue(queued)
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        # Of a stream that keeps what has come:
        self._turn = asyncio.Lock()
        self._taken = 0
        self._ended = False
        self._failure: Exception | None = None

    def _start(self) -> None:
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(_pump(self._source, self._queue, self._total_timeout))
            _pumps.add(self._task)
            self._task.add_done_callback(_pumps.discard)

    async def _next_message(self) -> M | None:
        """The next message, None at the end; a cancelled call loses none."""
        self._start()
        if self._task is None:
            return None
        entry = await self._queue.get()
        if not isinstance(entry, _Ended):
            return entry
        self._queue.put_nowait(_Ended())  # for later steps and other tasks; the error is raised once
        if entry.error is not None:
            raise entry.error
        return None

    def _keep(self, message: M) -> None:
        """Add a message to the entries of cursors."""
        raise NotImplementedError

    @property
    def _refusal(self) -> Exception | None:
        """What a cursor that `refuses` raises at the end of what came without a failure."""
        return None

    async def _next(self, cursor: Cursor[T]) -> T | None:
        """What the cursor wants next; None at the end."""
        while await self._reaches(cursor):
            entry = cursor.entries[cursor.place]
            cursor.place += 1
            if (value := cursor.pick(entry)) is not None:
                return value
        error = self._failure or (self._refusal if cursor.refuses else None)
        if error is not None and not cursor.told:
            cursor.told = True
            raise error
        return None

    async def _reaches(self, cursor: Cursor[Any]) -> bool:
        """Whether there is an entry at the cursor, now or when more has come."""
        while len(cursor.entries) <= cursor.place and not self._ended:
            seen = self._taken
            async with self._turn:  # one takes a message in, for all who wait
                if self._taken == seen and not self._ended:
                    await self._take()
        return len(cursor.entries) > cursor.place

    async def _take(self) -> None:
        try:
            message = await self._next_message()
        except Exception as error:  # kept for all cursors
            self._failure, message = error, None
        if message is None:
            self._ended = True
        else:
            self._taken += 1
            self._keep(message)

    async def aclose(self) -> None:
        """Stop the work on the server, close the connection, end the iteration. Harmless when done."""
        self._closed = True
        if self._task is None:
            return
        if self._task.get_loop() is not asyncio.get_running_loop():
            self._cancel()  # of a loop that has ended, or was left behind in a fork: nothing there can be awaited
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                self._queue.get_nowait()
        self._queue.put_nowait(_Ended())

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._cancel()

    def _cancel(self) -> None:
        """Stop the task, from wherever."""
        task = getattr(self, "_task", None)
        if task is not None and not task.done() and not task.get_loop().is_closed():
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile, and the task with it
                task.get_loop().call_soon_threadsafe(task.cancel)


class Stream:
    """The blocking face of an :class:`AsyncStream`, which lives on the background loop."""

    _stream: AsyncStream[Any]

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            return background().run(coroutine)
        except (KeyboardInterrupt, SystemExit):
            self.close()
            raise

    def close(self) -> None:
        """Stop the work on the server, close the connection, end the iteration. Harmless when done."""
        background().run(self._stream.aclose())

    def __enter__(self) -> Self:
        self._wait(self._stream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
