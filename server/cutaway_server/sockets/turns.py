"""How many requests are worked on at once, and how many may wait for their turn. Comes in: ``async with
turns.place():``; goes out: a place, in the order of arrival, or the fault :class:`Busy` at once when the line
is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
    what
        What stands in line, for the message that there is no room.
    """

    def __init__(self, places: int, waiting: int, what: str = "videos") -> None:
        self._what = what
        self._places = asyncio.Semaphore(places)
        self._most_waiting = waiting
        self._waiting = 0
        self._lent = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """Wait for a place and hold it.

        Raises
        ------
        Busy
            The line is full.
        """
        if self._places.locked() and self._waiting >= self._most_waiting:
            raise Busy(f"The server is busy: too many {self._what} are waiting. Try again in a minute.")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        place = Place(self)
        try:
            yield place
        finally:
            place.leave()

    def lend(self) -> bool:
        """Free a place whose holder comes back; False when too many are away.

        Each that is away keeps its frames in memory: as many are let go as may stand in line.
        """
        if self._lent >= self._most_waiting:
            return False
        self._lent += 1
        self._places.release()
        return True

    async def return_to(self) -> None:
        """Wait, behind those in line, for a place instead of the one that was lent; never refused."""
        await self._places.acquire()
        self._lent -= 1

    def leave(self, *, lent: bool) -> None:
        """Give a place back for good; one that was lent is free already."""
        if lent:
            self._lent -= 1
        else:
            self._places.release()


class Place:
    """One of the places, as its holder sees it."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._lent = False

    @asynccontextmanager
    async def lent_after(self, seconds: float) -> AsyncIterator[None]:
        """A block that needs no place: when it takes longer than `seconds`, others have the place until it ends."""
        timer = asyncio.get_running_loop().call_later(seconds, self._lend)
        try:
            yield
        finally:
            timer.cancel()
        if self._lent:
            await self._turns.return_to()
            self._lent = False

    def leave(self) -> None:
        """Give the place back for good."""
        self._turns.leave(lent=self._lent)

    def _lend(self) -> None:
        self._lent = self._turns.lend()
