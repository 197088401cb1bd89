"""WebSocket as Tornado speaks it, but for three things. Frames that are ready together leave together. Of large
messages only a few are taken in at once, over all connections: the others wait in their clients, not in memory. And a
client whose message is too large is met with patience: what it still sends is read and thrown away until it has seen
the close frame.

Tornado closes the TCP connection right behind its close frame with code 1009. Bytes that the client has sent and nobody
has read make the kernel reset it then, and a client in the middle of 50 MB finds a broken connection instead of the
reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler, WebSocketProtocol13

TOO_LARGE = 1009
LARGE_BYTES = 64 << 10
MOST_LARGE = 8
"""Messages above ``LARGE_BYTES`` that are taken in at once; 200 of 16 MiB were 6 GB. The application's setting
``large_messages`` is the semaphore of so many.
"""
_LARGE_SECONDS = 120.0
"""For one of them: others wait for it."""
_MOST_BYTES = 256 << 20
"""That are thrown away."""
_DRAIN_SECONDS = 5.0
"""As long as Tornado waits for the answer to a close frame."""
_CHUNK_BYTES = 64 << 10
_FINAL_TEXT = 0x81


class Framing(WebSocketProtocol13):
    """The protocol of one connection."""

    _draining: asyncio.Task[None] | None = None
    _too_large = False
    _taking: asyncio.TimerHandle | None = None
    """Set while a large message is taken in."""

    async def _receive_frame_loop(self) -> None:
        try:
            await super()._receive_frame_loop()
        finally:
            self._taken()

    async def _receive_frame(self) -> None:
        await super()._receive_frame()  # until the message is handled
        if self._fragmented_message_buffer is None:
            self._taken()

    async def _read_bytes(self, n: int) -> bytes:
        if self._taking is None and n + len(self._fragmented_message_buffer or b"") > LARGE_BYTES:
            await self._large_messages.acquire()
            self._taking = asyncio.get_running_loop().call_later(_LARGE_SECONDS, self._abort)
        return await super()._read_bytes(n)

    def _taken(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
            self._large_messages.release()

    @property
    def _large_messages(self) -> asyncio.Semaphore:
        assert isinstance(self.handler, WebSocketHandler)
        semaphore: asyncio.Semaphore = self.handler.settings["large_messages"]
        return semaphore

    async def write_texts(self, frames: Sequence[bytes]) -> None:
        """Write text frames in one system call, which on a busy machine takes as long as encoding twenty; returns when
        the kernel has all of them.

        Raises
        ------
        WebSocketClosedError
            The client is gone.
        """
        try:
            await self.stream.write(b"".join(part for frame in frames for part in (_head(len(frame)), frame)))
        except StreamClosedError:
            raise WebSocketClosedError from None

    def write_at_once(self, frame: bytes) -> bool:
        """Write a text frame if the kernel has all that was written before; whether it was."""
        if self.stream is None or self.stream.closed() or self.stream.writing():
            return False
        self.stream.write(_head(len(frame)) + frame)
        return True

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """As Tornado does."""
        self._too_large = self._too_large or code == TOO_LARGE
        super().close(code, reason)

    def _abort(self) -> None:
        # Called behind the close frame, at once again by the loop that reads frames, whose end that is, and by a timer.
        if self._too_large and self._draining is None and self.stream is not None and not self.stream.closed():
            self.client_terminated = True  # ends the loop that reads frames
            self._draining = asyncio.create_task(self._drain(), name="drain a socket")
        elif self._draining is None or self._draining.done():
            super()._abort()

    async def _drain(self) -> None:
        left = _MOST_BYTES
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while left > 0:
                    left -= len(await self.stream.read_bytes(_CHUNK_BYTES, partial=True))
        except (StreamClosedError, TimeoutError):
            pass
        finally:
            super()._abort()


def _head(size: int) -> bytes:
    """What stands before the text of a frame (RFC 6455, 5.2); a server masks nothing."""
    if size < 126:
        return bytes((_FINAL_TEXT, size))
    if size < 1 << 16:
        return bytes((_FINAL_TEXT, 126)) + size.to_bytes(2, "big")
    return bytes((_FINAL_TEXT, 127)) + size.to_bytes(8, "big")
