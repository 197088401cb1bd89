"""How many requests are worked on at once, and how many may wait for their turn. Comes in: ``async with
turns:``; goes out: a place, in the order of arrival, or the fault :class:`Busy` at once when the line is
full.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from cutaway_server.errors import Fault


class Busy(Fault):
    """Too many requests already wait."""


class Turns:
    """A bounded line before a bounded number of places.

    Parameters
    ----------
    places
        How many are inside at once.
    waiting
        How many may stand in line.
    """

    def __init__(self, places: int, waiting: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._most_waiting = waiting
        self._waiting = 0

    async def __aenter__(self) -> None:
        if self._places.locked() and self._waiting >= self._most_waiting:
            raise Busy("The server is busy: too many videos are waiting. Try again in a minute.")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.release()
