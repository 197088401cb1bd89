"""What ``client.search(...)`` returns: three kinds of results that arrive side by side, each to be had by itself.

What comes in are the messages of a stream, what goes out are events. The answer to a search is small, so it is kept
as a whole, and whoever looks at it (the iteration itself, each lens) has a place of its own in it: nobody takes
anything away from anybody. :class:`AsyncSearchStream` has the logic, :class:`SearchStream` is its blocking twin.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, Generic, TypeVar

from . import protocol
from .answer import Answer, SearchEvent, SearchResult, SummaryChunk
from .articles import Article
from .cell import current_cell, described, shows_widgets
from .errors import CutawayError
from .images import AsyncGeneratedImage, GeneratedImage
from .streams import AsyncStream, Cursor, Stream, everything

__all__ = ["AsyncSearchStream", "SearchStream"]

T = TypeVar("T")


class AsyncSearchStream(AsyncStream[protocol.SearchMessage]):
    """The answer to one search: articles, a summary and images, side by side as they are ready.

    Iterate over it for all events in order (:class:`Article`, :class:`SummaryChunk`, :class:`SummaryDone`,
    :class:`AsyncGeneratedImage`, :class:`ImageCaption`, :class:`AgentFailed`); over :attr:`articles`, :attr:`text`
    or :attr:`images` for one kind; or let :meth:`result` collect everything. The work starts with the first step.

    The lenses share the answer, which is kept as a whole (up to 16 MiB) and taken in even while nobody iterates.
    Each lens starts at its beginning, so one after the other sees everything, and so do several side by side.

    A part that fails is an event, and the others go on. A request that the server refuses, and a connection that is
    lost, raise an error at the end of each iteration; what was received before stays valid.

    Leaving early stops the work on the server, at once: at the end of an ``async with`` block, with :meth:`aclose`,
    or when the stream and its lenses are no longer referenced, as after ``break`` in ``async for article in
    client.search(text).articles``. Lenses then end with what was received.

    Cancellation is safe: a cancelled step loses nothing, the next step delivers it.
    """

    def __init__(
        self,
        messages: Callable[[], AsyncGenerator[protocol.SearchMessage, None]],
        answer: Answer,
        *,
        total_timeout: float | None = None,
    ) -> None:
        super().__init__(messages, queued=0, total_timeout=total_timeout)
        self._answer = answer
        self._events: Cursor[SearchEvent[AsyncGeneratedImage]] = self._cursor(everything)

    def _cursor(self, pick: Callable[[Any], T | None]) -> Cursor[T]:
        return Cursor(self._answer.events, pick)

    def _message_cursor(self) -> Cursor[protocol.SearchMessage]:
        return Cursor(self._answer.messages, everything, refuses=False)

    def _keep(self, message: protocol.SearchMessage) -> None:
        self._answer.take(message)

    @property
    def _refusal(self) -> Exception | None:
        return self._answer.refusal

    def __repr__(self) -> str:
        query = self._answer.query
        return f"<{type(self).__name__} {query if len(query) <= 60 else f'{query[:59]}…'!r}>"

    def __aiter__(self) -> AsyncSearchStream:
        return self

    async def __anext__(self) -> SearchEvent[AsyncGeneratedImage]:
        if (event := await self._next(self._events)) is None:
            raise StopAsyncIteration
        return event

    @property
    def articles(self) -> AsyncIterator[Article]:
        """The articles, best first, across batches."""
        return _AsyncLens(self, self._cursor(_article))

    @property
    def text(self) -> AsyncIterator[str]:
        """The summary, piece by piece; join the pieces without anything between them."""
        return _AsyncLens(self, self._cursor(_text))

    @property
    def images(self) -> AsyncIterator[AsyncGeneratedImage]:
        """The generated images; their bytes are fetched when they are asked for."""
        return _AsyncLens(self, self._cursor(_image))

    def messages(self) -> AsyncIterator[protocol.SearchMessage]:
        """Iterate over the messages on the wire instead, from the first to the terminal one.

        The server's ``error`` messages are yielded here, not raised.
        """
        return _AsyncLens(self, self._message_cursor())

    async def result(self) -> SearchResult[AsyncGeneratedImage]:
        """The whole answer, what was iterated over included; then close.

        Raises
        ------
        CutawayError
            The search failed; the error's ``result`` is what was received before.
        """
        cursor = self._cursor(everything)
        try:
            async with self:
                while await self._next(cursor) is not None:
                    pass
        except CutawayError as error:
            error.result = self._answer.result()
            raise
        return self._answer.result()


class _AsyncLens(Generic[T]):
    """Not a generator: the stream must be let go when this is, not when the loop closes its generators."""

    def __init__(self, stream: AsyncSearchStream, cursor: Cursor[T]) -> None:
        self._stream = stream
        self._cursor = cursor

    def __aiter__(self) -> _AsyncLens[T]:
        return self

    async def __anext__(self) -> T:
        if (value := await self._stream._next(self._cursor)) is None:
            raise StopAsyncIteration
        return value


class SearchStream(Stream):
    """The answer to one search: articles, a summary and images, side by side as they are ready.

    Iterate over it for all events in order (:class:`Article`, :class:`SummaryChunk`, :class:`SummaryDone`,
    :class:`GeneratedImage`, :class:`ImageCaption`, :class:`AgentFailed`); over :attr:`articles`, :attr:`text`
    or :attr:`images` for one kind; or let :meth:`result` collect everything. The work starts with the first step.

    The lenses share the answer, which is kept as a whole (up to 16 MiB) and taken in even while nobody iterates.
    Each lens starts at its beginning, so one after the other sees everything, and so do several side by side.

    A part that fails is an event, and the others go on. A request that the server refuses, and a connection that is
    lost, raise an error at the end of each iteration; what was received before stays valid.

    Leaving early stops the work on the server, at once: at the end of a ``with`` block, with :meth:`close` (also
    from another thread), or when the stream and its lenses are no longer referenced, as after ``break`` in ``for
    article in client.search(text).articles``. Lenses then end with what was received.

    Ctrl-C while waiting closes the stream.

    As the last value of a notebook's cell it shows itself as a :class:`~cutaway.widgets.SearchView`, which starts it
    and fills while the answer comes.
    """

    def __init__(self, stream: AsyncSearchStream) -> None:
        self._stream: AsyncSearchStream = stream
        self._cell = current_cell()
        self._view: Any = None

    def _so_far(self) -> SearchResult[GeneratedImage]:
        """All that has come."""
        return _blocking(self._stream._answer.result())

    def __repr__(self) -> str:
        return repr(self._stream).replace("AsyncSearchStream", "SearchStream", 1)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        if self._view is None and shows_widgets():
            from .widgets import SearchView

            self._view = SearchView(self)
        if self._view is not None:
            return self._view._repr_mimebundle_()
        return described(self, "iterate over it, or collect it with .result()")

    def __iter__(self) -> SearchStream:
        return self

    def __next__(self) -> SearchEvent[GeneratedImage]:
        step = self._stream._next(self._stream._events)
        if (event := self._wait(step)) is None:
            raise StopIteration
        return GeneratedImage(event) if isinstance(event, AsyncGeneratedImage) else event

    @property
    def articles(self) -> Iterator[Article]:
        """The articles, best first, across batches."""
        return _Lens(self, self._stream._cursor(_article))

    @property
    def text(self) -> Iterator[str]:
        """The summary, piece by piece; join the pieces without anything between them."""
        return _Lens(self, self._stream._cursor(_text))

    @property
    def images(self) -> Iterator[GeneratedImage]:
        """The generated images; their bytes are fetched when they are asked for."""
        return map(GeneratedImage, _Lens(self, self._stream._cursor(_image)))

    def messages(self) -> Iterator[protocol.SearchMessage]:
        """Iterate over the messages on the wire instead, from the first to the terminal one.

        The server's ``error`` messages are yielded here, not raised.
        """
        return _Lens(self, self._stream._message_cursor())

    def result(self) -> SearchResult[GeneratedImage]:
        """The whole answer, what was iterated over included; then close.

        Raises
        ------
        CutawayError
            The search failed; the error's ``result`` is what was received before.
        """
        try:
            return _blocking(self._wait(self._stream.result()))
        except CutawayError as error:
            error.result = self._so_far()
            raise


class _Lens(Generic[T]):
    def __init__(self, stream: SearchStream, cursor: Cursor[T]) -> None:
        self._stream = stream
        self._cursor = cursor

    def __iter__(self) -> _Lens[T]:
        return self

    def __next__(self) -> T:
        step = self._stream._stream._next(self._cursor)
        if (value := self._stream._wait(step)) is None:
            raise StopIteration
        return value


def _blocking(result: SearchResult[AsyncGeneratedImage]) -> SearchResult[GeneratedImage]:
    values: dict[str, Any] = {each.name: getattr(result, each.name) for each in dataclasses.fields(result)}
    return SearchResult(**{**values, "images": tuple(map(GeneratedImage, result.images))})


def _article(event: object) -> Article | None:
    return event if isinstance(event, Article) else None


def _text(event: object) -> str | None:
    return event.text if isinstance(event, SummaryChunk) else None


def _image(event: object) -> AsyncGeneratedImage | None:
    return event if isinstance(event, AsyncGeneratedImage) else None
