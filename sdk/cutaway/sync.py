"""The blocking client, for scripts and notebooks: :mod:`cutaway.client`'s twin on the background loop."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Literal

from .client import AsyncClient
from .embedded import EmbeddedServer
from .imageinput import ImageInput
from .loop import background
from .search import SearchStream
from .snippets import OnProgress, SnippetStream

__all__ = ["Client"]


class Client:
    """A client of one Cutaway server, for scripts, threads and notebooks.

    Making one is free: every stream has its own connection. Those of searches are used again, and a few of them
    stay open for a minute. As a ``with`` block, it closes at the end the streams that are still open, and these.
    Inside a coroutine use :class:`~cutaway.AsyncClient`, which does not block.

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
    >>> with cutaway.Client("ws://localhost:8000") as client:  # doctest: +SKIP
    ...     for snippet in client.snippets("https://example.com/talk.mp4"):
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
        self._client = AsyncClient(
            server,
            connect_timeout=connect_timeout,
            gap_timeout=gap_timeout,
            total_timeout=total_timeout,
            connect_retries=connect_retries,
        )

    def snippets(
        self,
        url: str | os.PathLike[str],
        *,
        max_snippets: int = 8,
        min_seconds: float = 5.0,
        max_seconds: float = 30.0,
        max_height: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> SnippetStream:
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
        SnippetStream
            To be iterated over, or collected with ``stream.result()``.

        Raises
        ------
        InvalidRequest
            A value is out of range, the file is not there, or the server is not an embedded one. Everything
            else is raised by the stream.
        """
        return SnippetStream(
            self._client.snippets(
                url,
                max_snippets=max_snippets,
                min_seconds=min_seconds,
                max_seconds=max_seconds,
                max_height=max_height,
                on_progress=on_progress,
            )
        )

    def search(
        self,
        text: str | None = None,
        image: ImageInput | None = None,
        source: Literal["home", "stumber"] = "home",
    ) -> SearchStream:
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
        SearchStream
            To be iterated over, as a whole or by its lenses, or collected with ``stream.result()``.

        Raises
        ------
        InvalidRequest
            A value is none of these, the image cannot be read or sent. Everything else is raised by the stream.

        Examples
        --------
        >>> stream = client.search("solar sails")  # doctest: +SKIP
        >>> for article in stream.articles:  # doctest: +SKIP
        ...     print(article.number, article.title, article.url)
        >>> result = stream.result()  # doctest: +SKIP
        """
        return SearchStream(self._client.search(text, image, source))

    def close(self) -> None:
        """Close the streams and connections that are still open; the client cannot be used any more."""
        background().run(self._client.aclose())

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._client).replace("AsyncClient", "Client")
