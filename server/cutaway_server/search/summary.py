"""A summary without a model: the sentences of the articles found that say most about the question, and each something
new, with the place of their article behind them. Comes in: the question's words and the articles in the order in which
the client has them; goes out: the text in pieces, sentence by sentence. A job for a worker, 2 to 4 ms.

Chosen by relevance (cosine of static word vectors, words in common, key phrases of its article, an early place in its
text, a good place of its article) against what was chosen before (maximal marginal relevance, Carbonell and Goldstein
1998).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cutaway_server.search.embedding import DIMENSIONS, embed
from cutaway_server.search.phrases import STOPWORDS
from cutaway_server.search.sentences import sentences

MAX_ARTICLES = 10
MAX_ARTICLE_CHARACTERS = 2000
"""Of each article's text that are read."""
MOST_SENTENCES = 5
MOST_CHARACTERS = 1000
"""Of a summary, unless its first sentences alone are longer."""

_LEAST = 3
_MOST_CANDIDATES = 16
_MOST_OF_TEXT = 16
"""Sentences of one article that are looked at."""
_MOST_OF_ONE = 2
_SHORTEST, _LONGEST = 40, 320
_NOVELTY = 0.35
"""Weight of novelty against relevance."""
_SAME = 0.92
_FAINT = 0.5
"""A sentence less relevant than this share of the best is left out when there are enough without it."""
_WEIGHTS = {"meaning": 0.5, "words": 0.35, "early": 0.1, "telling": 0.1, "place": 0.05}
_TELLING_PHRASES = 3
"""A sentence with so many key phrases of its article is as telling as can be."""
_DIGEST_ITEMS = 5
_TITLES_ONLY, _ALSO = "Only the titles of the articles are known:", "Also, by their titles:"

_WORD = re.compile(r"[^\W\d_]{3,}|\d{2,}")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0e7f]{2,}")
_LETTERS = re.compile(r"[^\W\d_]+")
_MARKER = re.compile(r"\s*\[\d{1,3}\]")
_STOPPED = re.compile(r"[.!?…。！？｡؟۔।॥።။។]\W*$")
_LOOSE_STOP = re.compile(r" ([.,])(?=\s|$)")
_CHROME = re.compile(
    r"https?://|www\.|©|\ball rights reserved\b|^(read|see|learn|click|subscribe|sign up|continue|share|follow|listen|"
    r"download|advertisement|sponsored|posted|updated|photo|image|source|filed|tags?)\b",
    re.IGNORECASE,
)


class Source(NamedTuple):
    """An article as the summary needs it; `place` is its position in the batches, from 1 on."""

    place: int
    title: str
    text: str
    phrases: tuple[str, ...] = ()
    """Its key phrases: a sentence with some of them tells what the article is about."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    source: Source
    order: int
    """Of the sentence in its text."""
    text: str
    quoted: bool = False
    """A title, for want of a text."""


def summarise(words: str, sources: Sequence[Source]) -> list[str]:
    """The pieces of a summary, which joined are its text; empty when there is nothing to tell.

    Parameters
    ----------
    words
        What was asked; ``""`` gives a digest of the first articles.
    """
    candidates = [each for source in sources[:MAX_ARTICLES] for each in _candidates(source)]
    if not words:
        return _digest(candidates)
    chosen = _choose(words, candidates)
    # Read in the order of what matters most, an article's sentences together and in theirs.
    best = {each.source.place: n for n, each in reversed(list(enumerate(chosen)))}
    chosen.sort(key=lambda each: (each.quoted, best[each.source.place], each.order))
    told = [_told(each) for each in chosen if not each.quoted]
    titles = [_told(each) for each in chosen if each.quoted]
    if titles:
        titles[0] = f"{_ALSO if told else _TITLES_ONLY} {titles[0]}"
        titles = [f"{each}{';' if n < len(titles) else '.'}" for n, each in enumerate(titles, 1)]
    return _pieces(told + titles, " ")


def _candidates(source: Source) -> list[_Candidate]:
    found = [
        _Candidate(source, n, text)
        for n, text in enumerate(_clean_sentences(source.text[:MAX_ARTICLE_CHARACTERS]))
        if text
    ]
    title = _plain(source.title)
    return found or ([_Candidate(source, 0, title, quoted=True)] if title else [])


@lru_cache(512)
def _clean_sentences(text: str) -> tuple[str, ...]:
    """The sentences that can stand alone, each in its place; ``""`` for the others."""
    lower = text.islower()
    found = [_plain(each) for each in sentences(text)[:_MOST_OF_TEXT]]
    # Beside sentences, what has no end is a heading or a point of a list.
    whole = [each for each in found if _STOPPED.search(each)] or found
    return tuple(_usable(each, lower) if each in whole else "" for each in found)


def _usable(sentence: str, lower: bool) -> str:
    """The sentence, shortened when it is long; ``""`` for a fragment, a list, or a page's furniture."""
    wide = not sentence.isascii() and bool(_UNSPACED.search(sentence))
    if len(sentence) < (_SHORTEST // 4 if wide else _SHORTEST) or _CHROME.search(sentence):
        return ""
    if sum(map(len, _LETTERS.findall(sentence))) < 0.6 * len(sentence) or sentence.isupper():
        return ""
    if sentence[0].islower() and not lower:
        return ""
    if len(sentence) > _LONGEST:
        cut = sentence[:_LONGEST]
        return (cut if wide else cut.rpartition(" ")[0]).rstrip(" ,;:-–—") + "…"
    return sentence


def _choose(words: str, candidates: list[_Candidate]) -> list[_Candidate]:
    terms = _terms(words)
    cheap = np.array([_overlap(terms, each) for each in candidates], np.float32)
    early = np.array([1 / (1 + each.order) for each in candidates], np.float32)
    place = np.array([1 / each.source.place for each in candidates], np.float32)
    telling = np.array([_telling(each) for each in candidates], np.float32)
    rough = _WEIGHTS["words"] * cheap + _WEIGHTS["early"] * early
    rough += _WEIGHTS["telling"] * telling + _WEIGHTS["place"] * place
    kept = np.argsort(-rough, kind="stable")[:_MOST_CANDIDATES]
    candidates = [candidates[n] for n in kept]
    vectors = _vectors([words, *(each.text for each in candidates)])
    meaning, vectors = np.clip(vectors[1:] @ vectors[0], 0, 1), vectors[1:]
    relevance = rough[kept] + _WEIGHTS["meaning"] * meaning
    relevance -= np.array([0.1 * each.quoted for each in candidates], np.float32)

    chosen: list[int] = []
    length = 0
    closest = np.zeros(len(candidates), np.float32)
    of_one: dict[int, int] = {}
    open_ = np.ones(len(candidates), bool)
    while open_.any() and len(chosen) < MOST_SENTENCES:
        score = np.where(open_, (1 - _NOVELTY) * relevance - _NOVELTY * closest, -np.inf)
        n = int(np.argmax(score))
        open_[n] = False
        each = candidates[n]
        if closest[n] > _SAME or of_one.get(each.source.place, 0) >= _MOST_OF_ONE:
            continue
        if len(chosen) >= _LEAST and (
            relevance[n] < _FAINT * relevance[chosen[0]] or length + len(each.text) > MOST_CHARACTERS
        ):
            continue
        chosen.append(n)
        length += len(each.text)
        of_one[each.source.place] = of_one.get(each.source.place, 0) + 1
        closest = np.maximum(closest, vectors @ vectors[n])
    return [candidates[n] for n in chosen]


def _digest(candidates: list[_Candidate]) -> list[str]:
    """The first articles, each with its title and the first sentence of its text."""
    first: dict[int, _Candidate] = {}
    for each in candidates:
        first.setdefault(each.source.place, each)
    lines = []
    for each in list(first.values())[:_DIGEST_ITEMS]:
        title = _plain(each.source.title)
        if each.quoted or not title or _same_words(title, each.text):
            lines.append(_told(each))
        else:
            stop = "" if title[-1] in ".!?…。！？" else ":"
            lines.append(f"{title}{stop} {_told(each)}")
    return _pieces(lines, "\n")


def _told(each: _Candidate) -> str:
    text = f"“{each.text}”" if each.quoted else each.text
    return f"{text} [{each.source.place}]"


def _pieces(texts: list[str], between: str) -> list[str]:
    return [text if n == 0 else between + text for n, text in enumerate(texts)]


def _plain(text: str) -> str:
    """One line without control characters and without what looks like a marker of ours."""
    # What is in few sentences is not looked for in all: these lines are half of a summary's time.
    text = " ".join((_MARKER.sub("", text) if "[" in text else text).split())
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    return _LOOSE_STOP.sub(r"\1", text) if " ." in text or " ," in text else text


def _same_words(title: str, sentence: str) -> bool:
    ours, theirs = _terms(title), _terms(sentence)
    return bool(ours) and len(ours & theirs) >= 0.8 * len(ours)


@lru_cache(4096)
def _terms(text: str) -> frozenset[str]:
    folded = text.casefold()
    # Plurals are folded by their ending; scripts without spaces are compared by pairs of signs.
    found = {word.rstrip("s") or word for word in _WORD.findall(folded) if word not in STOPWORDS}
    for run in _UNSPACED.findall(folded):
        found.discard(run)
        found |= {run[n : n + 2] for n in range(len(run) - 1)}
    return frozenset(found)


def _overlap(terms: frozenset[str], each: _Candidate) -> float:
    return len(terms & _terms(each.text)) / len(terms) if terms else 0.0


def _telling(each: _Candidate) -> float:
    text = each.text.casefold()
    return min(sum(phrase.casefold() in text for phrase in each.source.phrases) / _TELLING_PHRASES, 1.0)


_cache: dict[str, NDArray[np.float32]] = {}
_CACHED = 4096
_EMBEDDED_CHARACTERS = 160
"""A sentence is about what its beginning is about, and half of all time goes into looking words up."""


def _vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """A row for each text; those of sentences seen lately are remembered (1 kB each)."""
    missing = [text for text in dict.fromkeys(texts) if text not in _cache]
    if len(_cache) + len(missing) > _CACHED:
        _cache.clear()
        missing = list(dict.fromkeys(texts))
    if missing:
        _cache.update(zip(missing, embed([text[:_EMBEDDED_CHARACTERS] for text in missing]), strict=True))
    return np.stack([_cache[text] for text in texts]) if texts else np.zeros((0, DIMENSIONS), np.float32)
