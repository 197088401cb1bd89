"""The asyncio client: from a video to a stream of snippets, from a question to a stream of answers.

What comes in are a server's address and, per stream, what is wanted; what goes out is an
:class:`~cutaway.AsyncSnippetStream` or an :class:`~cutaway.AsyncSearchStream`.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec

from . import protocol
from .answer import Answer
from .connection import Limits, server_address, video_messages
from .download import download, http_url
from .embedded import EmbeddedServer
from .errors import InvalidRequest
from .idle import IdleSockets, search_messages
from .imageinput import ImageInput
from .images import AsyncGeneratedImage
from .localfile import shared
from .request import check_request, check_search
from .search import AsyncSearchStream
from .snippets import AsyncSnippetStream, OnProgress

__all__ = ["AsyncClient"]


class AsyncClient:
    """A client of one Cutaway server, for asyncio programs.

    Making one is free and needs no running loop: every stream has its own connection. Those of searches are used
    again, and a few of them stay open for a minute. As an ``async with`` block, it closes at the end the streams
    that are still open, and these.

    Parameters
    ----------
    server : str or EmbeddedServer
        Address of the server: ``ws://``, ``wss://``, ``http://`` or ``https://``, with a path prefix if there
        is one; or what :func:`cutaway.embedded` returned.
    connect_timeout : float or None
        Seconds for one attempt to connect.
    gap_timeout : float or None
        Seconds without any message, progress included, after which a stream fails; time that the consumer
        takes does not count. A busy server may be silent for minutes, but by default ends a request after 600 s.
        A connection whose other end is gone usually fails much earlier, with :class:`~cutaway.ConnectionLost`.
    total_timeout : float or None
        Seconds for a whole stream, from its first step.
    connect_retries : int
        How many times connecting is tried again, with growing pauses, when the server is not there or
        overloaded (refused or reset connections, HTTP 429, 502, 503, 504). Never after the first message.

    Raises
    ------
    InvalidRequest
        ``server`` is not an address.

    Examples
    --------
    >>> async with cutaway.AsyncClient("ws://localhost:8000") as client:  # doctest: +SKIP
    ...     async for snippet in client.snippets("https://example.com/talk.mp4"):
    ...         print(snippet.title, snippet.save("highlights/"))
    """

    def __init__(
        self,
        server: str | EmbeddedServer = "ws://localhost:8000",
        *,
        connect_timeout: float | None = 10,
        gap_timeout: float | None = 630,
        total_timeout: float | None = None,
        connect_retries: int = 4,
    ) -> None:
        self._server = server_address(server.url if isinstance(server, EmbeddedServer) else server)
        self._reads_local_files = isinstance(server, EmbeddedServer)
        self._limits = Limits(connect_timeout, gap_timeout, connect_retries)
        self._total_timeout = total_timeout
        self._streams: weakref.WeakSet[AsyncSnippetStream | AsyncSearchStream] = weakref.WeakSet()
        self._idle = IdleSockets()
        self._closed = False

    def snippets(
        self,
        url: str | os.PathLike[str],
        *,
        max_snippets: int = 8,
        min_seconds: float = 5.0,
        max_seconds: float = 30.0,
        max_height: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> AsyncSnippetStream:
        """The interesting moments of a video, as they are ready. Nothing is sent before the first step.

        Parameters
        ----------
        url : str or path-like
            The video: an ``http(s)`` URL of a video file; or, for an :class:`~cutaway.EmbeddedServer` and no
            other, the path of a file on this machine.
        max_snippets : int
            At most this many, 1 to 50.
        min_seconds, max_seconds : float
            How long a snippet may be, 1 to 300.
        max_height : int or None
            Scale down what is higher, in pixels; None leaves the source as it is.
        on_progress : callable or None
            Called with a :class:`~cutaway.Progress` now and then, while the stream is iterated over.

        Returns
        -------
        AsyncSnippetStream
            To be iterated over, or collected with ``await stream.result()``.

        Raises
        ------
        InvalidRequest
            A value is out of range, the file is not there, or the server is not an embedded one. Everything
            else is raised by the stream.
        """
        self._check_open()
        request, file = check_request(
            url,
            max_snippets=max_snippets,
            min_seconds=min_seconds,
            max_seconds=max_seconds,
            max_height=max_height,
        )
        if file is not None and not self._reads_local_files:
            raise InvalidRequest(
                f"{os.fspath(url)!r} is a file of this machine, which the server at {self._server} cannot "
                "read: start one here with cutaway.embedded(), or give it a URL"
            )
        stream = AsyncSnippetStream(
            lambda: _messages(self._server, request, self._limits, os.fspath(url), file),
            source=os.fspath(url),
            address=self._server,
            on_progress=on_progress,
            total_timeout=self._total_timeout,
        )
        self._streams.add(stream)
        return stream

    def search(
        self,
        text: str | None = None,
        image: ImageInput | None = None,
        source: Literal["home", "stumber"] = "home",
    ) -> AsyncSearchStream:
        """Articles, a summary and images for a question, as they are ready. Nothing is sent before the first step.

        Parameters
        ----------
        text : str or None
            What to look for. Without it and an image: the front page, or a lucky dip.
        image : path, bytes, file, PIL image or None
            A PNG, JPEG, GIF or WebP of at most 10 MiB to look for: the path of a file, its bytes, a file that is
            open for reading bytes, a PIL image, or text with a ``data:`` URL or base64.
        source : str
            ``"home"`` ranks by relevance; ``"stumber"`` surprises, differently every time.

        Returns
        -------
        AsyncSearchStream
            To be iterated over, as a whole or by its lenses, or collected with ``await stream.result()``.

        Raises
        ------
        InvalidRequest
            A value is none of these, the image cannot be read or sent. Everything else is raised by the stream.

        Examples
        --------
        >>> stream = client.search("solar sails")  # doctest: +SKIP
        >>> async for article in stream.articles:  # doctest: +SKIP
        ...     print(article.number, article.title, article.url)
        >>> result = await stream.result()  # doctest: +SKIP
        """
        self._check_open()
        request = check_search(text, image, source)
        server, limits, idle = self._server, self._limits, self._idle

        def make_image(message: protocol.Image) -> AsyncGeneratedImage:
            return AsyncGeneratedImage(
                http_url(server, message.path),
                message.mime_type,
                message.by,
                text or "",
                partial(download, server, message.path, message.mime_type, limits),  # unlike a lambda, it pickles
            )

        stream = AsyncSearchStream(
            lambda: search_messages(server, request, limits, idle),
            Answer(text or "", make_image),
            total_timeout=self._total_timeout,
        )
        self._streams.add(stream)
        return stream

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this client is closed: make another one")

    async def aclose(self) -> None:
        """Close the streams and connections that are still open; the client cannot be used any more."""
        self._closed = True
        for stream in list(self._streams):
            await stream.aclose()
        await self._idle.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._server}>"


async def _messages(
    server: str, request: protocol.SnippetRequest, limits: Limits, source: str, file: Path | None
) -> AsyncGenerator[protocol.VideoMessage, None]:
    """The server's messages; a local file goes by its path in them, not by its secret URL."""
    with contextlib.ExitStack() as stack:
        if file is not None:
            secret_url = stack.enter_context(shared(file))
            request = msgspec.structs.replace(request, video_url=secret_url)
        async with aclosing(video_messages(server, request, limits)) as messages:
            async for message in messages:
                yield message if file is None else _renamed(message, request.video_url, source)


def _renamed(message: protocol.VideoMessage, secret_url: str, source: str) -> protocol.VideoMessage:
    replace = msgspec.structs.replace
    match message:
        case protocol.Snippet(data=data):
            metadata = replace(data.metadata, src_video_url=source)
            return replace(message, data=replace(data, metadata=metadata))
        case protocol.VideoError(message=text):
            message = replace(message, message=text.replace(secret_url, source))
    return replace(message, metadata=protocol.SourceMetadata(src_video_url=source))
