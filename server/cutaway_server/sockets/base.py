"""What all sockets share: who may connect, one task that does the work, sending with backpressure, and an eye
on the client. What comes in is a WebSocket handshake; a subclass writes :meth:`Socket.work`, which sends
frames and returns.

The task is started from the synchronous ``open()`` and never awaited there, so that pings, the close frame
and the end of the connection are seen while it runs; when the client leaves, it is cancelled at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.iostream import IOStream
from tornado.websocket import WebSocketClosedError, WebSocketHandler, WebSocketProtocol13

from cutaway_server.pages.base import Guarded
from cutaway_server.sockets.delivery import delivery
from cutaway_server.sockets.framing import Framing

_log = logging.getLogger(__name__)

STALL_SECONDS = 30.0
"""A client that was sent something and for so long takes no byte of it, and sends none, is cut."""
PING_SECONDS = 30.0
MAX_INCOMING_BYTES = 64 << 10
"""Longest message that a client may send on a socket where it has nothing to say."""
_FIRST_LOOK_SECONDS = 0.002
_LAST_LOOK_SECONDS = 0.25


class Socket(Guarded, WebSocketHandler):
    """Base of the socket handlers."""

    stall_seconds = STALL_SECONDS
    ping_seconds = PING_SECONDS

    def initialize(self) -> None:
        """Set up the state of one connection."""
        self._stream: IOStream | None = None
        self._task: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._heard = 0
        self._ping_unanswered = False

    async def work(self) -> None:
        """Serve the connection; cancelled when the client leaves. Returning does not close it."""
        raise NotImplementedError

    def drain(self) -> None:
        """The server is going down: begin nothing new. A socket that serves one request does not anyway."""

    def stop(self) -> None:
        """The server is going down: come to an end, with the terminal message."""
        raise NotImplementedError

    # --- who may connect
    # -------------------------------------------------------------------------------------

    def check_origin(self, origin: str) -> bool:
        """Asked by Tornado for origins other than the server's own: only those that the operator named.

        The own origin is recognised by comparing with ``Host``, which :class:`Guarded` has checked before.
        """
        return origin.rstrip("/").lower() in self.cutaway.allow_origin

    @property
    def max_message_size(self) -> int:
        """Longest message that is read, bytes."""
        return MAX_INCOMING_BYTES

    @property
    def ping_interval(self) -> float:
        """Off: Tornado's own pings wait behind a large message in the buffer, and time out there for a client
        that is slow but receiving. :meth:`_watch` sends them instead.
        """
        return 0

    def get_compression_options(self) -> dict[str, Any] | None:
        """Never: video does not shrink, and a compressor costs 160 kB for each socket."""
        return None

    # --- the life of a connection
    # ------------------------------------------------------------------------------

    def get_websocket_protocol(self) -> WebSocketProtocol13 | None:
        """Tornado's, but for a message that is too large, after which the client is let hear why."""
        protocol = super().get_websocket_protocol()
        return Framing(self, False, protocol.params) if isinstance(protocol, WebSocketProtocol13) else None

    def open(self, *_: str, **__: str) -> None:
        """Start the task. Synchronous on purpose."""
        if self.ws_connection is None or self.ws_connection.stream is None:
            return
        # Kept: Tornado's close() forgets the connection before the last bytes have left.
        self._stream = self.ws_connection.stream
        self.set_nodelay(True)
        self._task = asyncio.create_task(self._work(), name=f"{type(self).__name__} {self.request_id}")
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.request_id}")
        live = self._live()
        live[self] = self._task
        self._task.add_done_callback(lambda _: live.pop(self, None))

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Hear that the client is alive; what it says is nobody's business here. What is returned is awaited before
        the next message is read.
        """
        self._heard += 1
        return None

    def on_pong(self, data: bytes) -> None:
        """The client answers a ping."""
        self._heard += 1
        self._ping_unanswered = False

    def on_close(self) -> None:
        """The connection is gone: so is the work."""
        for task in (self._task, self._watcher):
            if task is not None:
                task.cancel()
        _log.info("closed, code %s, after %.1f s", self.close_code, self.request.request_time())

    def _live(self) -> dict[Socket, asyncio.Task[None]]:
        live: dict[Socket, asyncio.Task[None]] = self.settings["live_sockets"]
        return live

    async def _work(self) -> None:
        try:
            await self.work()
        except WebSocketClosedError:
            _log.info("the client left while it was being sent to")
        except Exception:
            _log.exception("a socket's work failed")
            self.cut()

    # --- sending
    # -------------------------------------------------------------------------------------------------

    async def send(self, *frames: bytes) -> None:
        """Send each of `frames`, UTF-8 JSON, as one text frame; returns when the kernel has all of them.

        Raises
        ------
        WebSocketClosedError
            The client is gone.
        """
        if self.ws_connection is None or self.ws_connection.is_closing():
            raise WebSocketClosedError
        assert isinstance(self.ws_connection, Framing)
        await self.ws_connection.write_texts(frames)

    def send_at_once(self, frame: bytes) -> bool:
        """Send UTF-8 JSON as one text frame, unless something that was sent before still waits for the client or it is
        gone; whether it was sent. What the kernel does not take of it holds up the next :meth:`send`.
        """
        if self.ws_connection is None or self.ws_connection.is_closing():
            return False
        assert isinstance(self.ws_connection, Framing)
        return self.ws_connection.write_at_once(frame)

    async def hang_up(self, code: int = 1000) -> None:
        """Close, normally unless `code` says otherwise, once all that was sent has arrived.

        Tornado aborts the connection 5 s after its close frame was written, even when megabytes before it are
        still on their way to a slow client. So the frame is written when they have arrived; how long that may
        take is the watcher's decision.
        """
        delay = _FIRST_LOOK_SECONDS
        while self._pending():
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_LOOK_SECONDS)
        self.close(code)

    def cut(self) -> None:
        """Drop the connection without a word."""
        if self._stream is not None:
            self._stream.close()

    def _pending(self) -> bool:
        """Whether something that was sent has not arrived."""
        if self._stream is None or self._stream.closed():
            return False
        state = delivery(self._stream.socket)
        return self._stream.writing() or (state is not None and state.pending)

    def _signs_of_life(self) -> tuple[int, ...]:
        state = None if self._stream is None or self._stream.closed() else delivery(self._stream.socket)
        return (self._heard,) if state is None else (self._heard, state.acknowledged_bytes, state.received_bytes)

    async def _watch(self) -> None:
        """Ping a silent client, and cut one that is owed something but shows no sign of life for
        ``stall_seconds``.

        One rule for both: a byte that arrived, there or here, a pong and a message are signs of life; bytes under
        way and an unanswered ping are what is waited for. So a client that takes, or sends, a large message byte by
        byte lives, even while a ping or its answer waits behind that message; one that never reads, or was
        unplugged, does not.
        """
        now: Callable[[], float] = asyncio.get_running_loop().time
        alive_at = pinged_at = now()
        seen = self._signs_of_life()
        while True:
            await asyncio.sleep(min(self.stall_seconds, self.ping_seconds) / 10)
            signs = self._signs_of_life()
            if signs != seen or not (self._ping_unanswered or self._pending()):
                seen, alive_at = signs, now()
            elif now() - alive_at >= self.stall_seconds:
                _log.info("cut: the client took nothing for %g s", self.stall_seconds)
                self.cut()
                return
            if not self._ping_unanswered and now() - pinged_at >= self.ping_seconds:
                pinged_at = now()
                try:
                    self.ping()
                except WebSocketClosedError:
                    return
                self._ping_unanswered = True
