"""What the agents of one search tell each other. The articles agent adds what it finds, the others wait for it; the
summary names the web pages that it rests on, which join the articles. The order is that of the batches, so an
article's position here, from 1 on, is the one that a summary's marker names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from cutaway.protocol import SummaryDone
from cutaway_server.search.articles.entry import Found


class Findings:
    """What was found so far.

    Attributes
    ----------
    failed
        No place could be asked; set before the end is.
    seen
        The words for the question's image that a model gave, which articles were searched with too.
    written
        How the summary is made, as far as that is known: what is told at its end, and of one that breaks off.
    """

    def __init__(self) -> None:
        self.failed = False
        self.seen = ""
        self.written = SummaryDone()
        self._looked = False
        self._found: list[Found] = []
        self._complete = False
        self._leads: list[tuple[str, str]] = []
        self._summed_up = False
        self._begun = self._now()
        self._changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def found(self) -> list[Found]:
        """The articles that are there now."""
        return list(self._found)

    def add(self, found: Iterable[Found]) -> None:
        """More articles, behind those that are there."""
        self._found += found
        self._tell()

    def see(self, words: str) -> None:
        """All is known that a model sees in the question's image."""
        self.seen = words
        self._looked = True
        self._tell()

    def end(self, *, failed: bool = False) -> None:
        """Nothing more comes for a summary to rest on."""
        self.failed = self.failed or failed
        self._complete = True
        self._tell()

    def lead(self, pages: Iterable[tuple[str, str]]) -> None:
        """All the web pages that the summary is known to rest on: pairs of URL and title."""
        self._leads = list(pages)

    def summed_up(self) -> None:
        """The summary is written, or will never be: no more leads."""
        self._summed_up = True
        self._tell()

    async def looked(self, patience_seconds: float) -> bool:
        """Whether a model has looked at the image, or articles are there without that, or no more will come, within
        `patience_seconds`.
        """
        await self._wait(self._has_begun, self._now() + patience_seconds)
        return self._has_begun()

    async def first(self, patience_seconds: float) -> list[Found]:
        """The articles, as soon as there are any, or no more will come, or `patience_seconds` have passed."""
        await self._wait(lambda: self._complete or bool(self._found), self._now() + patience_seconds)
        return self.found

    async def some(self, enough: int, patience_seconds: float) -> list[Found]:
        """The articles, as soon as there are `enough`, or no more will come, or there is one and `patience_seconds`
        have passed since; empty when nothing was found.
        """
        await self._wait(lambda: self._complete or bool(self._found))
        await self._wait(lambda: self._complete or len(self._found) >= enough, self._now() + patience_seconds)
        return self.found

    async def leads(self, seconds: float) -> list[tuple[str, str]]:
        """The pages that the summary rests on, when all are known, or `seconds` have passed since the search began."""
        await self._wait(lambda: self._summed_up, self._begun + seconds)
        return list(self._leads)

    def _has_begun(self) -> bool:
        return self._looked or self._complete or bool(self._found)

    async def _wait(self, condition: Callable[[], bool], deadline: float | None = None) -> None:
        while not condition():
            left = None if deadline is None else deadline - self._now()
            if left is not None and left <= 0:
                return
            await asyncio.wait([self._changed], timeout=left)

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.get_running_loop().create_future()
        changed.set_result(None)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
