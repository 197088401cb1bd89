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
its ``__cause__``. Two things are left as they are: ``OSError`` when a snippet cannot be written to disk, and
``RuntimeError`` for a mistake in the calling program, such as using a closed client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
        What ``result()`` had received when it failed; empty elsewhere.
    """

    snippets: tuple[Snippet, ...] = ()


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
    """The connection ended before a terminal message. Snippets received before stay valid."""


class Timeout(CutawayError, TimeoutError):
    """No connection, no message or no end in the agreed time."""


class ServerError(CutawayError):
    """The server could not do what was asked. Snippets received before stay valid.

    Attributes
    ----------
    message : str
        The server's own words. They may quote a remote site: escape them where they are shown.
    src_video_url : str
        The video they are about, as the caller gave it.
    """

    def __init__(self, message: str, src_video_url: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.src_video_url = src_video_url

    def __reduce__(self) -> tuple[type[ServerError], tuple[str, str]]:
        return type(self), (self.message, self.src_video_url)


class ProtocolError(CutawayError):
    """A frame is none of the messages: another server, or another version of it."""


class ServerStartError(CutawayError):
    """The embedded server ended or stayed silent before it listened; the message ends with its last words."""


class ServerNotInstalled(ServerStartError):
    """The embedded server needs ``pip install 'cutaway[server]'``."""
