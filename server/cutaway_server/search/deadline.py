"""How long a search may go on. Comes in: the seconds that it has, and perhaps the word that the server stops; goes out:
blocks of code that end in time, so that what was begun can still be brought to its proper end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

STOPPING = "The server is stopping."


class Deadline:
    """The end of one search.

    Attributes
    ----------
    stopped
        The time is over before its time.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._at: float | None = None
        self._blocks: set[asyncio.Timeout] = set()

    def begin(self, seconds: float) -> None:
        """So much time is left for the blocks that begin from now on."""
        if not self.stopped:
            self._at = asyncio.get_running_loop().time() + seconds

    def stop(self) -> None:
        """The time is over, also for the blocks that run."""
        self.stopped = True
        self._at = asyncio.get_running_loop().time()
        for each in self._blocks:
            if not each.expired():
                each.reschedule(self._at)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[asyncio.Timeout]:
        """A block that is cancelled when the time is over; what is given tells whether it was.

        Raises
        ------
        TimeoutError
            The time is over.
        """
        async with asyncio.timeout_at(self._at) as block:
            self._blocks.add(block)
            try:
                yield block
            finally:
                self._blocks.discard(block)
