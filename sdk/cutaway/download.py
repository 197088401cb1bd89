"""One HTTP GET from the same server: the bytes of a generated image.

What comes in are the server's address and a path that a message gave; what goes out are bytes of the announced
type, or one of :mod:`cutaway.errors`. Not Tornado's ``AsyncHTTPClient``, whose requests go on when their caller is
cancelled, and which does not tell an answer that is too large from one that broke off.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from urllib.parse import SplitResult, urlsplit

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPInputError, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpclient import TCPClient

from .connection import Limits, explain
from .errors import ConnectionLost, ProtocolError, ServerError, Timeout

MAX_DOWNLOAD_BYTES = 32 * 2**20
DOWNLOAD_SECONDS = 60.0
"""For the whole answer. A drawn card takes some 50 ms; a generated image is ready before its message is sent."""

SERVER_PATH = re.compile(r"/(?!/)[!-~]*")
"""What may follow the server's address without leading to another host."""


def http_url(address: str, path: str) -> str:
    """The ``http(s)`` URL of a path on the server whose WebSocket address this is."""
    return f"http{address.removeprefix('ws')}{path}"


async def download(address: str, path: str, mime_type: str, limits: Limits) -> bytes:
    """Fetch ``path`` from the server.

    Cancelling closes the connection at once.

    Raises
    ------
    ConnectError, Timeout, ConnectionLost
        The server cannot be reached, is too slow, or broke off.
    ServerError
        It does not have it any more, or refused.
    ProtocolError
        What it sent is of another type, or too large.
    """
    if not SERVER_PATH.fullmatch(path):
        raise ProtocolError(f"the server named an image by {path[:100]!r}, which is no path")
    parts = urlsplit(http_url(address, path))
    stream = await _open(parts, address, limits)
    answer = _Answer()
    try:
        async with asyncio.timeout(DOWNLOAD_SECONDS):
            parameters = HTTP1ConnectionParameters(no_keep_alive=True, max_body_size=2 * MAX_DOWNLOAD_BYTES)
            connection = HTTP1Connection(stream, True, parameters)
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.write_headers(RequestStartLine("GET", target, "HTTP/1.1"), _headers(parts))
            connection.finish()
            await connection.read_response(answer)
    except TimeoutError as error:
        raise Timeout(f"{address} did not send the image within {DOWNLOAD_SECONDS:g} s") from error
    except StreamClosedError as error:
        raise ConnectionLost(f"the connection to {address} ended before the image was complete") from error
    finally:
        stream.close()
    return answer.checked(address, mime_type)


async def _open(parts: SplitResult, address: str, limits: Limits) -> IOStream:
    secure = parts.scheme == "https"
    try:
        return await TCPClient().connect(
            parts.hostname or "",
            parts.port or (443 if secure else 80),
            ssl_options=ssl.create_default_context() if secure else None,
            timeout=limits.connect_timeout,
        )
    except Exception as error:  # as for WebSockets
        cause = error.real_error if isinstance(error, StreamClosedError) else None
        cause = cause if isinstance(cause, Exception) else error
        raise explain(cause, address, limits.connect_timeout) from cause


def _headers(parts: SplitResult) -> HTTPHeaders:
    headers = HTTPHeaders({"Host": parts.netloc.rpartition("@")[2], "Connection": "close", "Accept": "image/*"})
    if parts.username is not None:  # as Tornado does for WebSockets
        credentials = f"{parts.username}:{parts.password or ''}"
        headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    return headers


class _Answer(HTTPMessageDelegate):
    """Keeps what arrives, up to its limit."""

    def __init__(self) -> None:
        self._status = 0
        self._headers = HTTPHeaders()
        self._body = bytearray()
        self._complete = False
        self._too_large = False

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        assert isinstance(start_line, ResponseStartLine)
        self._status, self._headers = start_line.code, headers
        length = headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > MAX_DOWNLOAD_BYTES:
            self._refuse()

    def data_received(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > MAX_DOWNLOAD_BYTES:
            self._refuse()

    def _refuse(self) -> None:
        self._too_large = True
        raise HTTPInputError("too large")  # the one exception that ends the reading quietly

    def finish(self) -> None:
        self._complete = True

    def checked(self, address: str, mime_type: str) -> bytes:
        """The body, if it is what was asked for."""
        if self._too_large:
            raise ProtocolError(f"the image that {address} sent has more than {MAX_DOWNLOAD_BYTES // 2**20} MiB")
        if not self._complete:
            raise ConnectionLost(f"the connection to {address} ended before the image was complete")
        if self._status == 404:
            raise ServerError("the server does not keep this image any more: search again for a new one")
        if self._status != 200:
            raise ServerError(f"{address} refused the image with HTTP {self._status}")
        sent = self._headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if sent != mime_type.lower():
            raise ProtocolError(f"the server sent {sent[:60] or 'no type'!r} for an image of type {mime_type[:60]!r}")
        return bytes(self._body)
