"""What ``client.snippets(...)`` returns: an iterator that is also a handle on the work behind it.

What comes in are messages, from a task that reads the socket into a bounded queue; what goes out are
snippets, in the order in which they are ready. :class:`AsyncSnippetStream` has the logic,
:class:`SnippetStream` is its blocking twin on the background loop; :func:`read_message` is the pure step from
a message to a value, for both.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

from . import protocol
from .errors import CutawayError, ServerError, Timeout
from .loop import background
from .values import Progress, Snippet

__all__ = ["AsyncSnippetStream", "SnippetStream"]

T = TypeVar("T")

OnProgress: TypeAlias = Callable[[Progress], object]
Messages: TypeAlias = Callable[[], AsyncGenerator[protocol.VideoMessage, None]]

_QUEUE_MESSAGES = 8
"""A default request fits: a consumer that pauses (a notebook) does not keep pings from being answered."""


def read_message(message: protocol.VideoMessage) -> Snippet | Progress | None:
    """The value that a message stands for; None for the end.

    Raises
    ------
    ServerError
        The message is the server's error.
    """
    match message:
        case protocol.Snippet(data=data):
            about = data.metadata
            return Snippet(
                title=about.title,
                description=about.description,
                src_video_url=about.src_video_url,
                video=data.video_data,
                start=about.start,
                end=about.end,
                poster=about.poster,
                by=about.by,
            )
        case protocol.Progress(stage=stage, fraction=fraction):
            return Progress(stage, fraction)
        case protocol.VideoError(message=text, metadata=metadata):
            raise ServerError(text, metadata.src_video_url)
        case protocol.SnippetComplete():
            return None


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last entry of a queue."""

    error: Exception | None = None


_Queue: TypeAlias = "asyncio.Queue[protocol.VideoMessage | _Ended]"

_pumps: set[asyncio.Task[None]] = set()
"""Strong references: a loop has only weak ones, and a pump outlives its stream while it hangs up."""


async def _pump(messages: Messages, queue: _Queue, total_timeout: float | None) -> None:
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


class AsyncSnippetStream:
    """The snippets of one video, as they are ready.

    Iterate over it, or let :meth:`result` collect everything. The work starts with the first step and is
    shared by all who iterate: each snippet is delivered once. It ends normally when the server is done and
    raises otherwise; what was received before stays valid.

    Leaving early stops the work on the server, at once: at the end of an ``async with`` block, with
    :meth:`aclose`, or when the stream is no longer referenced, as after ``break`` in ``async for snippet in
    client.snippets(url)``.

    Cancellation is safe: a cancelled step loses no snippet, the next step delivers it.
    """

    def __init__(
        self, messages: Messages, *, on_progress: OnProgress | None = None, total_timeout: float | None = None
    ) -> None:
        self._messages = messages
        self._on_progress = on_progress
        self._total_timeout = total_timeout
        self._queue: _Queue = asyncio.Queue(_QUEUE_MESSAGES)
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def _start(self) -> None:
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(_pump(self._messages, self._queue, self._total_timeout))
            _pumps.add(self._task)
            self._task.add_done_callback(_pumps.discard)

    async def _next_message(self) -> protocol.VideoMessage | None:
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

    async def _next_value(self) -> Snippet | Progress | None:
        message = await self._next_message()
        return None if message is None else read_message(message)

    def __aiter__(self) -> AsyncSnippetStream:
        return self

    async def __anext__(self) -> Snippet:
        while (value := await self._next_value()) is not None:
            if isinstance(value, Snippet):
                return value
            if self._on_progress is not None:
                self._on_progress(value)
        raise StopAsyncIteration

    async def messages(self) -> AsyncIterator[protocol.VideoMessage]:
        """Iterate over the messages on the wire instead: snippets, progress, and the terminal one.

        The server's ``error`` message is yielded here, not raised.
        """
        while (message := await self._next_message()) is not None:
            yield message

    async def result(self) -> list[Snippet]:
        """Everything that was not iterated over yet, as a list; then close.

        Raises
        ------
        CutawayError
            The stream failed; the error's ``snippets`` are those received before.
        """
        received: list[Snippet] = []
        try:
            async with self:
                async for snippet in self:
                    received.append(snippet)  # noqa: PERF401 (a comprehension would lose them when it fails)
        except CutawayError as error:
            error.snippets = tuple(received)
            raise
        return received

    async def aclose(self) -> None:
        """Stop the work on the server, close the connection, end the iteration. Harmless when done."""
        self._closed = True
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                self._queue.get_nowait()
        self._queue.put_nowait(_Ended())

    async def __aenter__(self) -> AsyncSnippetStream:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        task = getattr(self, "_task", None)
        if task is not None and not task.done() and not task.get_loop().is_closed():
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile, and the task with it
                task.get_loop().call_soon_threadsafe(task.cancel)


class SnippetStream:
    """The snippets of one video, as they are ready.

    Iterate over it, or let :meth:`result` collect everything. The work starts with the first step and is
    shared by all who iterate: each snippet is delivered once. It ends normally when the server is done and
    raises otherwise; what was received before stays valid.

    Leaving early stops the work on the server, at once: at the end of a ``with`` block, with :meth:`close`
    (also from another thread), or when the stream is no longer referenced, as after ``break`` in ``for
    snippet in client.snippets(url)``.

    Ctrl-C while waiting closes the stream. ``on_progress`` is called in the thread that iterates.
    """

    def __init__(self, stream: AsyncSnippetStream) -> None:
        self._stream = stream

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            return background().run(coroutine)
        except (KeyboardInterrupt, SystemExit):
            self.close()
            raise

    def __iter__(self) -> SnippetStream:
        return self

    def __next__(self) -> Snippet:
        while (value := self._wait(self._stream._next_value())) is not None:
            if isinstance(value, Snippet):
                return value
            if self._stream._on_progress is not None:
                self._stream._on_progress(value)
        raise StopIteration

    def messages(self) -> Iterator[protocol.VideoMessage]:
        """Iterate over the messages on the wire instead: snippets, progress, and the terminal one.

        The server's ``error`` message is yielded here, not raised.
        """
        while (message := self._wait(self._stream._next_message())) is not None:
            yield message

    def result(self) -> list[Snippet]:
        """Everything that was not iterated over yet, as a list; then close.

        Raises
        ------
        CutawayError
            The stream failed; the error's ``snippets`` are those received before.
        """
        received: list[Snippet] = []
        try:
            with self:
                for snippet in self:
                    received.append(snippet)  # noqa: PERF402 (list(self) would lose them when it fails)
        except CutawayError as error:
            error.snippets = tuple(received)
            raise
        return received

    def close(self) -> None:
        """Stop the work on the server, close the connection, end the iteration. Harmless when done."""
        background().run(self._stream.aclose())

    def __enter__(self) -> SnippetStream:
        self._wait(self._stream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
