"""What the record says of its articles: values that go from there to whoever follows, finds or counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cutaway_server.search.articles.entry import Entry


@dataclass(frozen=True, slots=True)
class Put:
    """What became of the entries that were put: how many are new, have changed, are as they were."""

    added: int = 0
    changed: int = 0
    same: int = 0

    def __add__(self, other: Put) -> Put:
        return Put(self.added + other.added, self.changed + other.changed, self.same + other.same)


@dataclass(frozen=True, slots=True)
class Stored:
    """An article as it is kept."""

    id: int
    entry: Entry
    phrases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """The words of an article as of a change."""

    id: int
    sequence: int
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened up to and including ``sequence``: only the last state of each article."""

    sequence: int
    texts: Sequence[Text]
    removed: Sequence[int]


@dataclass(frozen=True, slots=True)
class Stats:
    """The record in numbers; ``samples`` says that all articles are those of the package."""

    articles: int
    samples: bool
    without_phrases: int
    size_bytes: int
    sequence: int
