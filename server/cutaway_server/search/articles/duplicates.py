"""The same story from several places, shown once. Comes in: articles in order; goes out: those that are not told by an
earlier one already. Judged by words alone, so that it costs microseconds and no vectors are needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cutaway_server.search.articles.kept import Stored

_BEGINNING = 600
"""Characters of a description that are compared."""
_ALIKE = 0.8
_RELATED = 0.5
_FEW_WORDS = 8
"""Texts of fewer words say too little to be called the same."""
_TELLING_TITLE = 3
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _Story:
    title: frozenset[str]
    text: frozenset[str]
    numbers: frozenset[str]

    @classmethod
    def of(cls, article: Stored) -> _Story:
        title = _WORD.findall(article.entry.title.casefold())
        text = article.entry.description[:_BEGINNING].casefold().split()
        return cls(frozenset(title), frozenset(text), frozenset(word for word in title if word.isdecimal()))

    def same(self, other: _Story) -> bool:
        """One title and related texts, or one text; but never with other numbers in the title: part 1 is not part 2.

        Titles that have no word in common tell nothing the same, which is quickly seen.
        """
        if self.numbers != other.numbers or self.title.isdisjoint(other.title):
            return False
        if min(len(self.text), len(other.text)) < _FEW_WORDS:
            # Nothing but a title on one side at least: that must be the same, and more than "Open thread".
            return self.title == other.title and len(self.title) >= _TELLING_TITLE
        texts = _overlap(self.text, other.text)
        return texts >= _ALIKE or (texts >= _RELATED and _overlap(self.title, other.title) >= _ALIKE)


def distinct(articles: Iterable[Stored]) -> Iterator[Stored]:
    """The articles without those that tell the same story as one before."""
    seen: list[_Story] = []
    for article in articles:
        story = _Story.of(article)
        if not any(story.same(other) for other in seen):
            seen.append(story)
            yield article


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard's coefficient: common words among all."""
    ours, theirs = len(one), len(other)
    if ours < _RELATED * theirs or theirs < _RELATED * ours:
        return 0.0
    common = len(one & other)
    return common / (ours + theirs - common)
