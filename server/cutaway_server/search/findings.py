"""The articles of one search as they are found: the articles agent adds to them, the other agents wait for them. Their
order is that of the batches, so an article's position here, from 1 on, is the one that a summary's marker names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from cutaway_server.search.articles.entry import Found


class Findings:
    """What was found so far.

    Attributes
    ----------
    failed
        No place could be asked; set before the end is.
    """

    def __init__(self) -> None:
        self.failed = False
        self._found: list[Found] = []
        self._complete = False
        self._changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add(self, found: Iterable[Found]) -> None:
        """More articles, behind those that are there."""
        self._found += found
        self._tell()

    def end(self) -> None:
        """Nothing more comes."""
        self._complete = True
        self._tell()

    async def some(self, enough: int, patience_seconds: float) -> list[Found]:
        """The articles, as soon as there are `enough`, or no more will come, or there is one and `patience_seconds`
        have passed since; empty when nothing was found.
        """
        deadline: float | None = None
        now = asyncio.get_running_loop().time
        while not self._complete and len(self._found) < enough:
            if self._found and deadline is None:
                deadline = now() + patience_seconds
            if deadline is not None and now() >= deadline:
                break
            await asyncio.wait([self._changed], timeout=None if deadline is None else deadline - now())
        return list(self._found)

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.get_running_loop().create_future()
        changed.set_result(None)
