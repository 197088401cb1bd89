"""What a search finds in one data folder. Comes in: a :class:`Wanted`; goes out: articles, best first, each story once.
One for a process: it keeps the record, the index and the vectors open, and sees what others add to them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cutaway_server.errors import Fault
from cutaway_server.search import embedding
from cutaway_server.search.articles import ranking
from cutaway_server.search.articles.duplicates import distinct
from cutaway_server.search.articles.entry import Found, Wanted
from cutaway_server.search.articles.found import found
from cutaway_server.search.articles.index import Index
from cutaway_server.search.articles.kept import Stored
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.terms import terms
from cutaway_server.search.articles.vectors import Vectors

CANDIDATES = 200
"""Best articles by their words alone, from which the rest of the ranking chooses."""
RECONSIDERED = 30
"""Best articles by words and meaning whose order the words of the very best may change."""
SURPRISING = 4
"""Best articles, times as many as wanted, from which surprises around an interest are picked."""
MAX_QUESTION = embedding.MAX_CHARACTERS
"""Characters of a question that are looked at."""
_FIRST_INDEX_SECONDS = 3.0
"""Wait for the first index of a new folder."""


class NotIndexed(Fault):
    """There are articles, but no index of them that can be opened."""

    def __init__(self, message: str = "The articles are not indexed yet, or their index cannot be opened.") -> None:
        super().__init__(message)


class Library:
    """The articles of a data folder, to be searched.

    Raises
    ------
    StoreUnusable, StoreBusy
        The record cannot be opened.
    """

    def __init__(self, data_dir: Path) -> None:
        self._record = Record.open(data_dir)
        self._index = Index(data_dir)
        self._vectors = Vectors(data_dir)
        self._first = time.monotonic() + _FIRST_INDEX_SECONDS

    @property
    def replaced(self) -> bool:
        """Whether the folder holds another record now, or none."""
        return self._record.replaced

    def close(self) -> None:
        """Close the files."""
        self._record.close()
        self._vectors.close()

    def find(self, wanted: Wanted) -> list[Found]:
        """At most ``wanted.limit`` articles, best first.

        Raises
        ------
        StoreUnusable, StoreBusy
            The record cannot be read.
        NotIndexed, IndexBroken
            The index is not there yet, cannot be opened, or cannot be read.
        """
        chance = np.random.default_rng(wanted.seed)
        # A lone surrogate is no character: what reads UTF-8 refuses it.
        text = wanted.text[:MAX_QUESTION].encode(errors="replace").decode()
        if text.strip():
            ids, scores = self._rank(text)
            if wanted.source == "stumber":
                ids, scores = ids[: SURPRISING * wanted.limit], scores[: SURPRISING * wanted.limit]
        elif wanted.source == "home":
            return _found(distinct(self._record.front(2 * wanted.limit)), wanted.limit)
        else:
            picked = self._record.sample(CANDIDATES, random.Random(int(chance.integers(1 << 62))))  # noqa: S311 - a dip
            ids, scores = np.array(picked, np.int64), np.zeros(len(picked), np.float32)
        if wanted.source == "stumber":
            # Twice as many as wanted, for stories that are told by several.
            self._vectors.refresh()
            order = ranking.surprises(scores, self._vectors.rows(ids), 2 * wanted.limit, chance)
            ids = ids[order]
        return _found(distinct(self._stored(ids, wanted.limit)), wanted.limit)

    def _refresh(self) -> None:
        self._index.refresh()
        while not self._index.ready and time.monotonic() < self._first:
            time.sleep(0.01)
            self._index.refresh()
        self._vectors.refresh()

    def _rank(self, text: str) -> tuple[NDArray[np.int64], ranking.Floats]:
        """Ids of articles, best first, with their scores."""
        self._refresh()
        if not self._index.ready:
            raise NotIndexed
        # Vectors find nothing by themselves, they order what has a word of the question: what is nearest to words that
        # nobody uses ("asdf": 0.56) is nearer than what is about the same ("automobiles": 0.45).
        wanted = ranking.rarest(terms(text), self._index.frequency)
        hits = self._index.search(dict.fromkeys(wanted, 1.0), CANDIDATES)
        question = embedding.embed([text])[0]
        rows = self._vectors.rows(hits.ids)
        scores = ranking.fused(hits.scores, rows, question)
        if len(hits.ids) > ranking.FEEDBACK:
            best = np.argsort(-scores, kind="stable")[: ranking.FEEDBACK]
            more = self._expansion(hits.ids[best], scores[best], wanted)
            scores = ranking.fused(hits.scores, rows, question + rows[best].mean(axis=0))
            near = np.argsort(-scores, kind="stable")[:RECONSIDERED]
            again = self._index.search(more, RECONSIDERED, among=hits.ids[near])
            if len(again.ids):
                scores[near[np.argsort(hits.ids[near])]] += (
                    ranking.EXPANSION * ranking.scaled(again.scores)[np.argsort(again.ids)]
                )
        order = np.argsort(-scores, kind="stable")
        return hits.ids[order], scores[order]

    def _expansion(self, ids: NDArray[np.int64], scores: ranking.Floats, taken: Sequence[str]) -> dict[str, float]:
        stored = {each.id: each.entry for each in self._record.get(ids.tolist())}
        there = np.array([id_ in stored for id_ in ids.tolist()])
        texts = [f"{entry.title}\n{entry.description}" for entry in stored.values()]
        return ranking.expansion(texts, scores[there], taken, self._index.frequency, self._index.count)

    def _stored(self, ids: NDArray[np.int64], limit: int) -> Iterator[Stored]:
        """The articles of the ids, read as they are needed: the best ones hold few duplicates."""
        for start in range(0, len(ids), limit):
            yield from self._record.get(ids[start : start + limit].tolist())


def _found(articles: Iterable[Stored], limit: int) -> list[Found]:
    return [found(str(each.id), each.entry, each.phrases) for each in islice(articles, limit)]
