"""The articles of the data folder as a source of searches. Comes in: what is wanted; goes out: what a worker finds; the
event loop only waits.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cutaway_server.errors import Fault
from cutaway_server.search.articles import jobs
from cutaway_server.search.articles.entry import Found, Wanted
from cutaway_server.search.articles.index import IndexBroken
from cutaway_server.search.articles.keeper import keep
from cutaway_server.search.articles.source import ArticleSource
from cutaway_server.work.pool import OutOfTime, WorkerDied, Workers

_log = logging.getLogger(__name__)

PRELOAD = ("cutaway_server.search.preload", "cutaway_server.search.articles.jobs", "yake")
"""For the pool: all that is heavy, before any worker is forked."""
_FIND_SECONDS = 10.0
_LEAVE_SECONDS = 0.05
"""A search takes some milliseconds: one that nobody wants any more is waited for, because another worker than the one
that would be killed for it would have to be forked, and to open the index again."""
_RESTART_SECONDS = 1.0


class IndexUnusable(Fault):
    """The index of the articles cannot be read at the moment."""


class LocalArticles(ArticleSource):
    """The articles of a data folder.

    Parameters
    ----------
    workers
        Where searches run; started, and the caller's to stop. One of them is taken for good by :meth:`keep`.
    data_dir
        The folder.
    """

    name = "your articles"

    def __init__(self, workers: Workers, data_dir: Path) -> None:
        self._workers = workers
        self._data_dir = data_dir

    async def find(self, wanted: Wanted) -> Sequence[Found]:
        """See :class:`ArticleSource`."""
        job = asyncio.ensure_future(
            self._workers.run(jobs.find, self._data_dir, wanted, seconds=_FIND_SECONDS, light=True)
        )
        try:
            return await asyncio.shield(job)
        except IndexBroken as error:
            _log.error("the search index cannot be read: %s", error)
            raise IndexUnusable(
                "The search index of the articles is damaged: run `cutaway articles reindex`, or start the server anew."
            ) from None
        except OutOfTime:
            raise OutOfTime("The search among the articles took too long: try again with fewer words.") from None
        except WorkerDied:
            raise WorkerDied("The search among the articles broke off: try again.") from None
        finally:
            if not job.done():
                await asyncio.wait([job], timeout=_LEAVE_SECONDS)
                job.cancel()
                await asyncio.wait([job])

    async def keep(self) -> NoReturn:
        """Keep index and vectors up to the articles, in one worker, until cancelled."""
        while True:
            try:
                await self._workers.run(keep, self._data_dir, seconds=math.inf)
            except Fault as fault:
                _log.error("the search index is not kept: %s", fault)
            await asyncio.sleep(_RESTART_SECONDS)
