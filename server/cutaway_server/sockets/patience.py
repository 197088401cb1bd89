"""WebSocket as Tornado speaks it, but patient with a client whose message is too large: what it still sends is read and
thrown away until it has seen the close frame.

Tornado closes the TCP connection right behind its close frame with code 1009. Bytes that the client has sent and nobody
has read make the kernel reset it then, and a client in the middle of 50 MB finds a broken connection instead of the
reason.
"""

from __future__ import annotations

import asyncio

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketProtocol13

TOO_LARGE = 1009
_MOST_BYTES = 256 << 20
"""That are thrown away; Tornado itself closes 5 s after its close frame."""
_CHUNK_BYTES = 64 << 10


class Patient(WebSocketProtocol13):
    """The protocol of one connection."""

    _draining: asyncio.Task[None] | None = None
    _too_large = False

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """As Tornado does."""
        self._too_large = self._too_large or code == TOO_LARGE
        super().close(code, reason)

    def _abort(self) -> None:
        # Called once behind the close frame, and again when the time for the client's answer is over.
        if self._too_large and self._draining is None and self.stream is not None and not self.stream.closed():
            self.client_terminated = True  # ends the loop that reads frames
            self._draining = asyncio.create_task(self._drain(), name="drain a socket")
        else:
            super()._abort()

    async def _drain(self) -> None:
        left = _MOST_BYTES
        try:
            while left > 0:
                left -= len(await self.stream.read_bytes(_CHUNK_BYTES, partial=True))
        except StreamClosedError:
            pass
        finally:
            super()._abort()
