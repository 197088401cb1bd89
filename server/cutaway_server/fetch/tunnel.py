"""One connection through the door: a client on this machine, a server outside, and the bytes between them.

What comes in is an accepted connection, what goes out is what both sides send, counted. A tunnel collects the
client's request head, hands it to the door (which decides and dials), and then pumps. It works on asyncio
transports directly, without stream readers: a byte is received once and sent once, a side that cannot take
more pauses the other, and cutting a tunnel is one synchronous call.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Coroutine

from cutaway_server.fetch.heads import MAX_HEAD_BYTES, BadHead, closing_response_head

__all__ = ["Tunnel"]

_log = logging.getLogger(__name__)

# What may wait on one side while the other is slow; a full pipe of 256 kB keeps 1 Gbit/s busy at 2 ms of
# latency.
_BUFFER_BYTES = 256 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _End(asyncio.Protocol):
    """One side of a tunnel; everything that happens to it is told to the tunnel."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        self.tunnel.opened(self)

    def data_received(self, data: bytes) -> None:
        self.tunnel.received(self, data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.tunnel.lost(self, exc)

    def reset(self) -> None:
        """Close at once, and so that the other end sees an error and not the regular end of a body."""
        if self.transport is not None:
            sock = self.transport.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()


class Tunnel:
    """One client connection and its way out.

    Parameters
    ----------
    serve
        Coroutine function that gets the tunnel and the request head, and calls :meth:`refuse` or
        :meth:`pump`.
    head_seconds, idle_seconds
        Longest time for the whole request head, and without a byte in either direction.
    opened, closed
        Called once each: when the client's connection is made, and when both sides are closed and `serve` has ended.
    """

    def __init__(
        self,
        serve: Callable[[Tunnel, bytes], Coroutine[None, None, None]],
        *,
        head_seconds: float,
        idle_seconds: float,
        opened: Callable[[Tunnel], None],
        closed: Callable[[Tunnel], None],
    ) -> None:
        self._serve = serve
        self._idle_seconds = idle_seconds
        self._opened = opened
        self._closed = closed
        self._head_seconds = head_seconds
        self._loop = asyncio.get_running_loop()
        self._client = _End(self)
        self._upstream = _End(self)
        self._client.other, self._upstream.other = self._upstream, self._client
        self._head: bytearray | None = bytearray()  # None once it is complete
        self._early = b""  # what the client sent after its head
        self._task: asyncio.Task[None] | None = None
        self._spend: Callable[[int], bool] = lambda _: True
        self._body_left: int | None = None  # of an absolute-form request; None is a tunnel, where all bytes pass
        self._response_head: bytearray | None = None  # of an absolute-form request, until it is complete
        self._over = False
        self._told = False
        self._moved_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def client(self) -> asyncio.Protocol:
        """The protocol for the accepted connection."""
        return self._client

    @property
    def upstream(self) -> asyncio.Protocol:
        """The protocol for the connection to the server outside."""
        return self._upstream

    def refuse(self, status: int, phrase: str, fields: dict[str, str]) -> None:
        """Answer the client's request with a status of our own and close."""
        transport = self._client.transport
        if transport is None or transport.is_closing():
            return
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in fields.items())]
        transport.write("\r\n".join([*lines, "Content-Length: 0", "Connection: close", "", ""]).encode("ascii"))
        transport.close()

    def pump(self, spend: Callable[[int], bool], *, forward: bytes | None = None, body_bytes: int = 0) -> None:
        """Connect both sides, after the upstream connection is made.

        Parameters
        ----------
        spend
            Called with every number of bytes; False cuts the tunnel.
        forward, body_bytes
            For an absolute-form request the head to send, and the length of the body that follows it.
        """
        client, upstream = self._client.transport, self._upstream.transport
        if client is None or upstream is None or client.is_closing():
            self.cut()
            return
        self._spend = spend
        self._moved_at = self._loop.time()
        self._set_timer(self._idle_seconds, self._check_idle)
        if forward is None:
            client.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            self._body_left, self._response_head = body_bytes, bytearray()
            self._send(self._upstream, forward)
        early, self._early = self._early, b""
        if early:
            self.received(self._client, early)
        if not self._over:
            client.resume_reading()

    def cut(self) -> None:
        """Close both sides at once and stop whatever is being waited for. Callable at any time, any number of
        times."""
        self._over = True
        self._set_timer(None)
        if self._task is not None:
            self._task.cancel()
        self._client.reset()
        self._upstream.reset()

    def opened(self, end: _End) -> None:
        """Take note that one side is connected."""
        if self._over:
            end.reset()
        elif end is self._client:
            self._set_timer(self._head_seconds, self.cut)
            self._opened(self)

    def received(self, end: _End, data: bytes) -> None:
        """Take what one side sent: part of the request head, or bytes for the other side."""
        if self._over:
            return
        if self._head is not None:
            self._collect(data)
            return
        try:
            if end is self._upstream and self._response_head is not None:
                data = self._rewritten(data)
        except BadHead:
            self.cut()
            return
        if end is self._client and self._body_left is not None:
            # One request per connection: what follows its body is for nobody.
            data = data[: self._body_left]
            self._body_left -= len(data)
        if data:
            self._send(self._client if end is self._upstream else self._upstream, data)

    def lost(self, end: _End, exc: Exception | None) -> None:
        """Take note that one side is closed, and close the other."""
        other = end.other
        assert other is not None
        if end is self._client or exc is not None or self._over:
            self.cut()
        elif other.transport is not None:
            other.transport.close()  # sends what is still buffered first
        self._check_closed()

    def _collect(self, data: bytes) -> None:
        assert self._head is not None and self._client.transport is not None
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > MAX_HEAD_BYTES:
                self.refuse(431, "Request Header Fields Too Large", {})
            return
        head, self._early, self._head = bytes(self._head[: end + 4]), bytes(self._head[end + 4 :]), None
        self._set_timer(None)
        self._client.transport.pause_reading()
        self._task = self._loop.create_task(self._serve(self, head))
        self._task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a request at the door failed", exc_info=error)
            self.cut()
        self._check_closed()

    def _send(self, end: _End, data: bytes) -> None:
        self._moved_at = self._loop.time()
        if not self._spend(len(data)):
            self.cut()
        elif end.transport is not None and not end.transport.is_closing():
            end.transport.write(data)

    def _rewritten(self, data: bytes) -> bytes:
        """Return what of a response can be sent on, with its head made one of a closing connection."""
        assert self._response_head is not None
        self._response_head += data
        ready = b""
        while (end := self._response_head.find(b"\r\n\r\n")) >= 0:
            status, head = closing_response_head(bytes(self._response_head[: end + 4]))
            ready += head
            del self._response_head[: end + 4]
            if status >= 200:
                ready += self._response_head
                self._response_head = None
                return ready
        if len(self._response_head) > MAX_HEAD_BYTES:
            raise BadHead(502, "the response head is too long")
        return ready

    def _set_timer(self, seconds: float | None, act: Callable[[], None] | None = None) -> None:
        """Replace the one timer: of the head, then none while dialling, then of idleness."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None or act is None else self._loop.call_later(seconds, act)

    def _check_idle(self) -> None:
        left = self._moved_at + self._idle_seconds - self._loop.time()
        if left <= 0:
            self.cut()
        else:
            self._set_timer(left, self._check_idle)

    def _check_closed(self) -> None:
        ended = self._task is None or self._task.done()
        if ended and self._client.transport is None and self._upstream.transport is None and not self._told:
            self._told = True
            self._set_timer(None)
            self._closed(self)
