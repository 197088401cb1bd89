"""Where the pieces of an answer wait for whoever takes them: bounded, in order, and texts that wait are joined.

Comes in: pieces as the model's stream has them; what is full makes the stream wait. Goes out: each piece at once when
it is awaited, and the texts that gathered meanwhile as one.
"""

from __future__ import annotations

import asyncio
from collections import deque

from cutaway_server.gemini.ask import Answer, Grounding, Picture, Text

MOST_WAITING = 1 << 16
"""Characters of text and HTML or bytes of images that may wait before the stream does; one piece more may be there."""


class Line:
    """One writer, one reader."""

    def __init__(self) -> None:
        self._waiting: deque[Answer] = deque()
        self._size = 0
        self._closed = False
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    async def put(self, piece: Answer) -> None:
        """Add a piece; wait while too much is there."""
        while self._size >= MOST_WAITING:
            self._taken.clear()
            await self._taken.wait()
        self._waiting.append(piece)
        self._size += _size(piece)
        self._changed.set()

    def close(self) -> None:
        """Nothing more comes."""
        self._closed = True
        self._changed.set()

    async def take(self) -> Answer | None:
        """The next piece, joined with the texts right behind it; None at the end."""
        while not self._waiting:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        piece = self._waiting.popleft()
        if isinstance(piece, Text):
            texts = [piece.text]
            while self._waiting and isinstance(following := self._waiting[0], Text):
                texts.append(following.text)
                self._waiting.popleft()
            piece = Text("".join(texts)) if len(texts) > 1 else piece
        self._size -= _size(piece)
        self._taken.set()
        return piece


def _size(piece: Answer) -> int:
    match piece:
        case Text(text):
            return len(text)
        case Picture(data):
            return len(data)
        case Grounding(_, entry_point):
            return len(entry_point)
