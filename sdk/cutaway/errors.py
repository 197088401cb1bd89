"""Everything this package raises on purpose: one tree, under :class:`CutawayError`.

::

    CutawayError
     ├── InvalidRequest      (also ValueError)       refused here, before anything was sent
     ├── ConnectError        (also ConnectionError)  no connection: wrong address, refused, TLS, HTTP 403 ...
     ├── ConnectionLost      (also ConnectionError)  it broke before the server had said that it was done
     ├── Timeout             (also TimeoutError)     the server answered too late
     ├── ServerError                                 the server tried and failed; the message is its own
     ├── ProtocolError                               the server sent something that is none of the messages
     └── ServerStartError                            an embedded server did not start
          └── ServerNotInstalled                     because the extra ``cutaway[server]`` is missing

What goes wrong in a lower library (Tornado, sockets, TLS, JSON) arrives as one of these, with the original as
its ``__cause__``. Two things are left as they are: ``OSError`` when something cannot be written to disk, and
``RuntimeError`` for a mistake in the calling program, such as using a closed client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answer import SearchResult
    from .values import Snippet

__all__ = [
    "ConnectError",
    "ConnectionLost",
    "CutawayError",
    "InvalidRequest",
    "ProtocolError",
    "ServerError",
    "ServerNotInstalled",
    "ServerStartError",
    "Timeout",
]


class CutawayError(Exception):
    """Base of all errors of this package.

    Attributes
    ----------
    snippets : tuple of Snippet
        What ``result()`` of a snippet stream had received when it failed; empty elsewhere.
    result : SearchResult or None
        What ``result()`` of a search had received when it failed; None elsewhere.
    """

    snippets: tuple[Snippet, ...] = ()
    result: SearchResult[Any] | None = None


class InvalidRequest(CutawayError, ValueError):
    """The request cannot be right, so nothing was sent: a value out of range, a missing file, no URL."""


class ConnectError(CutawayError, ConnectionError):
    """No connection to the server came about.

    Attributes
    ----------
    status : int or None
        The HTTP status with which the server refused the WebSocket, if it came that far.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConnectionLost(CutawayError, ConnectionError):
    """The connection ended before a terminal message. What was received before stays valid."""


class Timeout(CutawayError, TimeoutError):
    """No connection, no message or no end in the agreed time."""


class ServerError(CutawayError):
    """The server could not do what was asked. What was received before stays valid.

    Attributes
    ----------
    message : str
        The server's own words. They may quote a remote site: escape them where they are shown.
    src_video_url : str
        The video they are about, as the caller gave it; ``""`` for a search.
    field : str or None
        Which field of a search request is at fault, if one is.
    """

    def __init__(self, message: str, src_video_url: str = "", *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.src_video_url = src_video_url
        self.field = field


class ProtocolError(CutawayError):
    """A frame is none of the messages: another server, or another version of it."""


class ServerStartError(CutawayError):
    """The embedded server ended or stayed silent before it listened; the message ends with its last words."""


class ServerNotInstalled(ServerStartError):
    """The embedded server needs ``pip install 'cutaway[server]'``."""
