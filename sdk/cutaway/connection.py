"""One WebSocket to a server: connect with bounded retries, read messages with timeouts, hang up at once.

What comes in is a server's address and a request; what goes out are the messages of :mod:`cutaway.protocol`,
up to and including the terminal one, or one of :mod:`cutaway.errors`. Every error of Tornado's WebSockets, of
sockets, TLS and JSON is translated here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias, TypeVar
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from tornado.httpclient import HTTPError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from . import protocol
from .errors import ConnectError, ConnectionLost, InvalidRequest, ProtocolError, Timeout

M = TypeVar("M")
HangUp: TypeAlias = Callable[[WebSocketClientConnection], Awaitable[None]]

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_TRANSIENT_STATUSES = {429, 502, 503, 504}
_TERMINAL = (protocol.SnippetComplete, protocol.VideoError, protocol.Done)

MAX_MESSAGE_BYTES = 64 * 2**20
"""A server's largest MP4 is 32 MiB, which is 43 MiB in base64. (Tornado's own limit is 10 MiB.)"""
PING_SECONDS = 10.0
"""Well below the 30 s after which the server cuts a silent client: while the consumer takes its time, Tornado does
not answer the server's pings, and that the answers to ours arrive is what shows that this side lives."""
DEAD_SECONDS = 60.0
"""A connection on which a ping is not acknowledged, by TCP, for so long is dead (RFC 5482); Linux would wait 15 min."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, and how often to try; seconds, None for no limit."""

    connect_timeout: float | None
    gap_timeout: float | None
    connect_retries: int


def server_address(text: str) -> str:
    """The ``ws://`` or ``wss://`` address of a server, without the path of an endpoint.

    Raises
    ------
    InvalidRequest
        Not such an address.
    """
    try:
        parts = urlsplit(text.strip())
        valid = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:  # a bad port, a broken IPv6 address
        valid = False
    if not valid or parts.query or parts.fragment:
        raise InvalidRequest(
            f"{text!r} is not the address of a server: write it like ws://localhost:8000 or https://example.com"
        )
    path = parts.path.rstrip("/").removesuffix(protocol.VIDEO_PATH).removesuffix(protocol.SEARCH_PATH)
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, "", ""))


async def video_messages(
    address: str, request: protocol.SnippetRequest, limits: Limits
) -> AsyncGenerator[protocol.VideoMessage, None]:
    """Ask for snippets and yield the messages of the answer; the last one is terminal.

    However it ends (error, ``aclose()``, cancellation), the TCP connection is closed at once, even when
    messages are unread, so that the server stops working; the terminal message is yielded when it is closed
    already.
    """
    url = f"{address}{protocol.VIDEO_PATH}?{urlencode(request.to_query())}"
    connection = await connect(url, address, limits)
    async with aclosing(read_answer(connection, address, limits, protocol.decode_video, hang_up)) as messages:
        async for message in messages:
            yield message


async def read_answer(
    connection: WebSocketClientConnection,
    address: str,
    limits: Limits,
    decode: Callable[[str | bytes], M],
    finish: HangUp,
    *,
    request: bytes | None = None,
) -> AsyncGenerator[M, None]:
    """Send a request, if it is not in the URL already, and yield the messages of its answer.

    ``finish`` gets the connection when the terminal message is there, before that is yielded. In any other case
    the connection is hung up here.
    """
    count = 0
    try:
        if request is not None:
            await _send(connection, address, limits.gap_timeout, request)
        while True:
            frame = await _read_frame(connection, address, limits.gap_timeout)
            if frame is None:
                raise ConnectionLost(_describe_loss(connection, address, count))
            message = _decode(frame, decode)
            if isinstance(message, _TERMINAL):
                break
            count += 1
            yield message
    except ConnectionLost:
        close(connection)
        raise
    except BaseException:
        await hang_up(connection)
        raise
    await finish(connection)
    yield message


# --- connecting ---------------------------------------------------------------------------------------------


def backoff(retries: int, *, first_seconds: float = 0.1, factor: float = 2.0) -> Iterator[float]:
    """The delays before each retry: doubling, with jitter so that clients do not come in step."""
    delay = first_seconds
    for _ in range(retries):
        yield delay * random.uniform(1.0, 1.25)  # noqa: S311 (not a secret)
        delay *= factor


def is_transient(error: BaseException) -> bool:
    """Whether another attempt may succeed: a server that is just starting, an overloaded proxy.

    A name that does not exist, a bad certificate, a refused handshake and an attempt that used up its time
    are final.
    """
    if isinstance(error, HTTPError) and error.code in _TRANSIENT_STATUSES:
        return True
    return isinstance(error, ConnectionError | StreamClosedError | HTTPStreamClosedError)


async def connect(url: str, address: str, limits: Limits) -> WebSocketClientConnection:
    """Open a WebSocket, with bounded retries.

    Raises
    ------
    ConnectError, Timeout
        It did not come about.
    """
    delays = backoff(limits.connect_retries)
    while True:
        try:
            return await _attempt(url, limits.connect_timeout)
        except Exception as error:  # Tornado hands out whatever its parsers raised: see ConnectError's cause
            delay = next(delays, None) if is_transient(error) else None
            if delay is None:
                raise explain(error, address, limits.connect_timeout) from error
        await asyncio.sleep(delay)


async def _attempt(url: str, seconds: float | None) -> WebSocketClientConnection:
    request = HTTPRequest(url, connect_timeout=seconds or 0, request_timeout=seconds or 0)
    attempt = asyncio.ensure_future(
        websocket_connect(
            request,
            max_message_size=MAX_MESSAGE_BYTES,
            ping_interval=PING_SECONDS,
            # No deadline for pongs: they wait behind a large message, and behind a consumer that takes its time
            # (Tornado then stops reading). A living system acknowledges the bytes of a ping in both cases.
            ping_timeout=0,
        )
    )
    try:
        connection = await asyncio.shield(attempt)
    except asyncio.CancelledError:
        # Cancelling Tornado's future would not close the connection that still comes about behind it.
        attempt.add_done_callback(_close_late)
        raise
    if sys.platform == "linux" and connection.protocol is not None and connection.protocol.stream is not None:
        stream = connection.protocol.stream
        if not stream.closed():
            stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(DEAD_SECONDS * 1000))
    return connection


def _close_late(attempt: asyncio.Future[WebSocketClientConnection]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        close(attempt.result())


def explain(error: Exception, address: str, connect_timeout: float | None) -> ConnectError | Timeout:
    """In our words, why there is no connection."""
    if isinstance(error, TimeoutError | HTTPTimeoutError):
        return Timeout(f"no connection to {address} within connect_timeout={connect_timeout:g} s")
    if isinstance(error, HTTPStreamClosedError | StreamClosedError):
        return ConnectError(f"{address} hung up during the handshake: is it Cutaway?")
    if isinstance(error, HTTPError):
        hint = ""
        if location := error.response and error.response.headers.get("Location"):
            hint = f"; it redirects to {location!r}, which WebSockets do not follow"
        return ConnectError(
            f"{address} refused the WebSocket with HTTP {error.code} {error.message}{hint}: is it Cutaway?",
            status=error.code,
        )
    if isinstance(error, ssl.SSLError):
        return ConnectError(f"no trusted TLS connection to {address}: {error}")
    if isinstance(error, ConnectionRefusedError):
        return ConnectError(f"nothing listens at {address}: start a server there with `cutaway serve`")
    if isinstance(error, OSError):
        return ConnectError(f"cannot connect to {address}: {error or type(error).__name__}")
    # Tornado asserts what a handshake must be; most of these errors have no words.
    return ConnectError(f"what listens at {address} does not answer as a WebSocket server: is it Cutaway?")


# --- reading and hanging up ---------------------------------------------------------------------------------


async def _send(connection: WebSocketClientConnection, address: str, seconds: float | None, request: bytes) -> None:
    try:
        async with asyncio.timeout(seconds):
            await connection.write_message(request)
    except TimeoutError as error:
        raise Timeout(f"{address} did not take the request for gap_timeout={seconds:g} s") from error
    except (WebSocketClosedError, StreamClosedError) as error:
        raise ConnectionLost(_describe_loss(connection, address, 0)) from error


async def _read_frame(connection: WebSocketClientConnection, address: str, seconds: float | None) -> str | bytes | None:
    try:
        async with asyncio.timeout(seconds):
            return await connection.read_message()
    except TimeoutError as error:
        raise Timeout(f"no message from {address} for gap_timeout={seconds:g} s") from error


def _decode(frame: str | bytes, decode: Callable[[str | bytes], M]) -> M:
    try:
        return decode(frame)
    except (msgspec.DecodeError, RecursionError) as error:  # RecursionError: deeply nested JSON
        raise ProtocolError(
            f"the server sent a frame of {len(frame):,} characters that is no message: {error}"
        ) from error


def _describe_loss(connection: WebSocketClientConnection, address: str, count: int) -> str:
    code, reason = connection.close_code, connection.close_reason
    # Tornado drops a connection silently when a message exceeds the limit; nothing tells the two cases apart.
    mute = f"no close code: it or the network stopped, or a message was larger than {MAX_MESSAGE_BYTES // 2**20} MiB"
    how = f"close code {code}{f', {reason}' if reason else ''}" if code else mute
    messages = "1 message" if count == 1 else f"{count} messages"
    return f"the connection to {address} ended before the server was done, after {messages} ({how})"


def close(connection: WebSocketClientConnection) -> None:
    """Say goodbye and close the TCP connection in the same step."""
    stream = connection.protocol and connection.protocol.stream
    connection.close(1001)
    # Tornado's close waits up to 5 s for an answer that it cannot see while messages are unread.
    if stream is not None:
        stream.close()


async def hang_up(connection: WebSocketClientConnection) -> None:
    """Close, and take what Tornado's read loop may be waiting to hand over, so that its task can end."""
    close(connection)
    with contextlib.suppress(TimeoutError):  # 6.5 does not say None when the task was cancelled
        async with asyncio.timeout(1):
            while await connection.read_message() is not None:
                pass
