"""Search requests over sockets that are used again: one search at a time on each, a few of them kept open.

What comes in is a request; what goes out are the messages of its answer. A socket whose answer is complete rests
in :class:`IdleSockets`, watched, until the next search takes it; it is closed after a while, when the server says
anything unasked, and when its loop ends. Leaving a search early closes its socket, which is what cancels it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeAlias

from tornado.websocket import WebSocketClientConnection

from . import protocol
from .connection import Limits, close, connect, hang_up, read_answer
from .errors import ConnectionLost, ProtocolError

MAX_IDLE = 4
"""So many searches in a row, side by side, find an open socket."""
IDLE_SECONDS = 60.0
MAX_ANSWER_BYTES = 16 * 2**20
"""Far more than 24 articles and a summary; a stream keeps its whole answer, so there must be an end."""
_MESSAGE_BYTES = 1000
"""What a message weighs at least, as objects in memory."""


class IdleSockets:
    """The open sockets of one client on which no search runs."""

    def __init__(self) -> None:
        self._resting: dict[WebSocketClientConnection, asyncio.Task[None]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._resting)

    def take(self) -> WebSocketClientConnection | None:
        """A socket of the running loop, the one that rested last; None when there is none."""
        loop = asyncio.get_running_loop()
        for connection, watch in reversed(list(self._resting.items())):
            if watch.get_loop() is loop:
                del self._resting[connection]
                watch.cancel()
                return connection
        return None

    async def rest(self, connection: WebSocketClientConnection) -> None:
        """Keep a socket whose answer is complete, or close it when there are enough."""
        for each, watch in list(self._resting.items()):
            if watch.get_loop().is_closed():  # without having ended its tasks; the sockets went with it
                del self._resting[each]
        if self._closed or len(self._resting) >= MAX_IDLE:
            await hang_up(connection)
        else:
            self._resting[connection] = asyncio.create_task(_watch(connection, self._resting))

    async def aclose(self) -> None:
        """Close them all, now and from now on."""
        self._closed = True
        own = asyncio.get_running_loop()
        if here := [watch for watch in self._stop() if watch.get_loop() is own]:
            await asyncio.wait(here)

    def _stop(self) -> list[asyncio.Task[None]]:
        watches = list(self._resting.values())
        for watch in watches:
            with contextlib.suppress(RuntimeError):  # its loop is closed, and the task with it
                watch.get_loop().call_soon_threadsafe(watch.cancel)
        return watches

    def __del__(self) -> None:
        self._stop()


_Resting: TypeAlias = dict[WebSocketClientConnection, "asyncio.Task[None]"]


async def _watch(connection: WebSocketClientConnection, resting: _Resting) -> None:
    """Close a resting socket in time. It must not know the :class:`IdleSockets`, whose end is its own."""
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_SECONDS):
                await connection.read_message()  # None: the server has closed it; a message: nobody has asked
    finally:
        if resting.pop(connection, None) is not None:  # otherwise a search has it
            close(connection)


async def search_messages(
    address: str, request: protocol.SearchRequest, limits: Limits, idle: IdleSockets
) -> AsyncGenerator[protocol.SearchMessage, None]:
    """Ask for a search and yield the messages of the answer; the last one is ``done``.

    A socket that has rested may have died unnoticed: if nothing came on it, the request is sent once more, on a
    new one. However it ends early (error, ``aclose()``, cancellation), the TCP connection is closed at once.
    """
    frame = protocol.encode_request(request)
    connection = idle.take()
    while True:
        rested = connection is not None
        if connection is None:
            connection = await connect(f"{address}{protocol.SEARCH_PATH}", address, limits)
        answered = False
        try:
            answer = read_answer(connection, address, limits, _decoder(), idle.rest, request=frame)
            async with aclosing(answer) as messages:
                async for message in messages:
                    answered = True
                    yield message
            return
        except ConnectionLost:
            if answered or not rested:
                raise
            connection = None


def _decoder() -> Callable[[str | bytes], protocol.SearchMessage]:
    """Decodes the frames of one answer, up to a size of all of them."""
    taken = 0

    def decode(frame: str | bytes) -> protocol.SearchMessage:
        nonlocal taken
        taken += max(len(frame), _MESSAGE_BYTES)
        if taken > MAX_ANSWER_BYTES:
            raise ProtocolError(f"the server's answer to one search exceeds {MAX_ANSWER_BYTES // 2**20} MiB")
        return protocol.decode_search(frame)

    return decode
