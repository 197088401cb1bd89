"""The messages of one search on their way to its client. Comes in: what its agents have to say, each in its own time;
goes out: encoded frames, those together that are ready together. It is bounded: an agent that is ahead of the client
waits. A piece of the summary that nothing is in the way of leaves at once; those that would wait behind a write anyway
become one frame, so that a model's tiny pieces do not cost more in frames than they say, and a slow client gets few
large ones.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from cutaway.protocol import SearchMessage, SummaryChunk, encode_search

MOST_WAITING = 8
"""Messages that wait to be taken."""
MAX_JOINED_CHARACTERS = 16_384
"""Of one frame that is made of several pieces."""

_Pieces: TypeAlias = "list[str]"


class Outbox:
    """Filled by any number of tasks, emptied by one.

    Parameters
    ----------
    send_at_once
        Sends a frame if nothing that was sent before waits, and says whether it did: what it takes to wake the task
        that sends is saved.
    """

    def __init__(self, send_at_once: Callable[[bytes], bool] = lambda frame: False) -> None:
        self._send_at_once = send_at_once
        self._awaited = False
        self._waiting: deque[SearchMessage | _Pieces] = deque()
        self._pieces: _Pieces = []
        """The pieces of the summary that wait, while more may join them."""
        self._room = MAX_JOINED_CHARACTERS
        self._ended = False
        self._filled = asyncio.Event()
        self._taken = asyncio.Event()

    async def put(self, message: SearchMessage) -> None:
        """One more message, behind those of its agent; waits while too many do."""
        if isinstance(message, SummaryChunk):
            if self._awaited and not self._waiting and self._send_at_once(encode_search(message)):
                return
            if self._pieces and len(message.text) <= self._room:
                self._pieces.append(message.text)
                self._room -= len(message.text)
                return
        while len(self._waiting) >= MOST_WAITING:
            self._taken.clear()
            await self._taken.wait()
        if isinstance(message, SummaryChunk):
            self._pieces = [message.text]
            self._room = MAX_JOINED_CHARACTERS - len(message.text)
            self._waiting.append(self._pieces)
        else:
            self._waiting.append(message)
        self._filled.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._filled.set()

    async def take(self) -> list[bytes]:
        """The frames of all that waits, as soon as anything does; empty when all was taken and nothing more comes."""
        self._awaited = True
        try:
            while not self._waiting and not self._ended:
                self._filled.clear()
                await self._filled.wait()
        finally:
            self._awaited = False
        ready = [encode_search(_whole(each)) for each in self._waiting]
        self._waiting.clear()
        self._pieces = []
        self._taken.set()
        return ready


def _whole(waiting: SearchMessage | _Pieces) -> SearchMessage:
    return SummaryChunk(text="".join(waiting)) if isinstance(waiting, list) else waiting
