"""What ``client.snippets(...)`` returns: an iterator over snippets that is also a handle on the work behind it.

What comes in are the messages of a stream, what goes out are snippets, in the order in which they are ready.
:class:`AsyncSnippetStream` has the logic, :class:`SnippetStream` is its blocking twin; :func:`read_message` is the
pure step from a message to a value, for both.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, TypeAlias

from . import protocol
from .cell import current_cell, described, shows_widgets
from .download import SERVER_PATH, http_url
from .errors import CutawayError, ServerError
from .streams import AsyncStream, Cursor, Stream, everything
from .values import Progress, Snippet

__all__ = ["AsyncSnippetStream", "SnippetStream"]

OnProgress: TypeAlias = Callable[[Progress], object]

_QUEUE_MESSAGES = 8
"""A default request fits: a consumer that pauses (a notebook) does not keep pings from being answered."""


def read_message(message: protocol.VideoMessage, address: str = "") -> Snippet | Progress | None:
    """The value that a message of the server at an address stands for; None for the end.

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
                url=_url(address, about.video_path),
            )
        case protocol.Progress(stage=stage, fraction=fraction):
            return Progress(stage, fraction)
        case protocol.VideoError(message=text, metadata=metadata):
            raise ServerError(text, metadata.src_video_url)
        case protocol.SnippetComplete():
            return None


def _url(address: str, path: str | None) -> str | None:
    """Where a clip is, if it is on the server and its address is no secret, which would be shown and saved."""
    known = address and path and SERVER_PATH.fullmatch(path) and "@" not in address
    return http_url(address, path) if known and path else None


class AsyncSnippetStream(AsyncStream[protocol.VideoMessage]):
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
        self,
        messages: Callable[[], AsyncGenerator[protocol.VideoMessage, None]],
        *,
        source: str = "",
        address: str = "",
        on_progress: OnProgress | None = None,
        total_timeout: float | None = None,
    ) -> None:
        super().__init__(messages, queued=_QUEUE_MESSAGES, total_timeout=total_timeout)
        self._source_url = source
        self._address = address
        self._on_progress = on_progress
        self._stepped = False
        """Somebody has taken something that nobody else will get."""
        self._kept: list[protocol.VideoMessage] = []
        self._own: Cursor[protocol.VideoMessage] | None = None

    def _share(self) -> Cursor[protocol.VideoMessage]:
        """From now on keep what comes, so that a gallery and a loop both see all of it; the place of another one."""
        if self._own is None:
            self._own = Cursor(self._kept, everything)
        return Cursor(self._kept, everything)

    def _keep(self, message: protocol.VideoMessage) -> None:
        self._kept.append(message)

    async def _step(self) -> protocol.VideoMessage | None:
        if self._own is not None:
            return await self._next(self._own)
        self._stepped = True
        return await self._next_message()

    async def _next_value(self) -> Snippet | Progress | None:
        message = await self._step()
        return None if message is None else read_message(message, self._address)

    def __aiter__(self) -> AsyncSnippetStream:
        return self

    async def __anext__(self) -> Snippet:
        while (value := await self._next_value()) is not None:
            if isinstance(value, Snippet):
                return value
            if self._on_progress is not None:
                self._on_progress(value)
        raise StopAsyncIteration

    def __repr__(self) -> str:
        url = self._source_url
        return f"<{type(self).__name__} {url if len(url) <= 60 else f'{url[:59]}…'!r}>"

    async def messages(self) -> AsyncIterator[protocol.VideoMessage]:
        """Iterate over the messages on the wire instead: snippets, progress, and the terminal one.

        The server's ``error`` message is yielded here, not raised.
        """
        while (message := await self._step()) is not None:
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


class SnippetStream(Stream):
    """The snippets of one video, as they are ready.

    Iterate over it, or let :meth:`result` collect everything. The work starts with the first step and is
    shared by all who iterate: each snippet is delivered once. It ends normally when the server is done and
    raises otherwise; what was received before stays valid.

    Leaving early stops the work on the server, at once: at the end of a ``with`` block, with :meth:`close`
    (also from another thread), or when the stream is no longer referenced, as after ``break`` in ``for
    snippet in client.snippets(url)``.

    Ctrl-C while waiting closes the stream. ``on_progress`` is called in the thread that iterates.

    As the last value of a notebook's cell a stream of which nothing was taken yet shows itself as a
    :class:`~cutaway.widgets.SnippetGallery`, which starts it. That takes nothing away: the stream then keeps what
    comes, and whoever iterates over it later still gets everything.
    """

    def __init__(self, stream: AsyncSnippetStream) -> None:
        self._stream: AsyncSnippetStream = stream
        self._cell = current_cell()
        self._view: Any = None

    def _show(self) -> Any:
        """What its gallery shows itself by; None without one."""
        if self._view is None and not self._stream._stepped and shows_widgets():
            from .widgets import SnippetGallery

            self._view = SnippetGallery(self)
        return None if self._view is None else self._view._repr_mimebundle_()

    def __repr__(self) -> str:
        return repr(self._stream).replace("AsyncSnippetStream", "SnippetStream", 1)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        return self._show() or described(self, "iterate over it, or collect it with .result()")

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
        while (message := self._wait(self._stream._step())) is not None:
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
