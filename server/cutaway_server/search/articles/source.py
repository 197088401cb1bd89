"""Where articles are found: one small class for each place, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from cutaway_server.search.articles.entry import Found, Wanted


class ArticleSource(ABC):
    """A place where articles are found.

    Attributes
    ----------
    name
        What it is called in messages and logs.
    """

    name: str

    @abstractmethod
    async def find(self, wanted: Wanted) -> Sequence[Found]:
        """At most ``wanted.limit`` articles, best first; empty when there are none.

        Cancelling ends the work that it started within 100 ms.

        Raises
        ------
        Fault
            The place cannot be asked, or its answer is none.
        """
