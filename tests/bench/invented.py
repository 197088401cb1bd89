"""Invented articles for benchmarks: 8 words of title and 32 of description, drawn from a vocabulary by Zipf's law.

A store of a million of them is made once, in two minutes and 1.5 GB, and kept in a folder; its vectors are random,
because word vectors of a million articles take ten minutes and as many bytes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cutaway_server.search.articles.entry import Entry
from cutaway_server.search.articles.keeper import catch_up
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.vectors import VectorsWriter
from cutaway_server.search.embedding import DIMENSIONS

MILLION = 1_000_000
AT_ONCE = 5_000
_VOCABULARY = 200_000
_EXPONENT = 1.07
"""Of Zipf's law, as English text has it."""
_FUNCTION_WORDS = 100
"""The most frequent words, which nobody asks for."""
_TITLE_WORDS, _WORDS = 8, 40
_NEWEST = 1_790_000_000


def _vocabulary() -> list[str]:
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    random = np.random.default_rng(1)
    return ["".join(random.choice(letters, 3 + number % 8)) + str(number % 7) for number in range(_VOCABULARY)]


def _draw(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    weights = 1 / (np.arange(_VOCABULARY) + 2.7) ** _EXPONENT
    return np.searchsorted(np.cumsum(weights) / weights.sum(), random.random(shape))


def articles(count: int, seed: int = 2) -> Iterator[list[Entry]]:
    """So many articles, some thousand at a time."""
    words, random = _vocabulary(), np.random.default_rng(seed)
    for start in range(0, count, AT_ONCE):
        drawn = _draw(random, (min(AT_ONCE, count - start), _WORDS)).tolist()
        likes = (random.pareto(1.0, len(drawn)) * 3).astype(int).tolist()
        yield [
            Entry(
                key=f"https://news.example/{seed}/{start + number:07}",
                url=f"https://news.example/{seed}/{start + number:07}",
                title=" ".join(words[each] for each in row[:_TITLE_WORDS]),
                description=" ".join(words[each] for each in row[_TITLE_WORDS:]),
                published=_NEWEST - 60 * (start + number),
                likes=likes[number],
            )
            for number, row in enumerate(drawn)
        ]


def questions(count: int, terms: int = 4) -> Sequence[str]:
    """Questions of so many words, drawn as those of the articles are, without the most frequent."""
    words, random = _vocabulary(), np.random.default_rng(3)
    drawn = _draw(random, (1, 8 * count * terms))[0]
    asked = drawn[drawn >= _FUNCTION_WORDS][: count * terms].reshape(count, terms).tolist()
    return [" ".join(words[each] for each in row) for row in asked]


def store(material: Path, count: int = MILLION) -> Path:
    """The data folder with so many articles; made if it is not there."""
    folder = material / f"articles-{count}"
    if not folder.exists():
        print(f"making {folder.name} ...", file=sys.stderr, flush=True)
        part = folder.with_name(f"part-{folder.name}")
        shutil.rmtree(part, ignore_errors=True)
        with Record.open(part) as record:
            for some in articles(count):
                record.put(some)
            record.connection.execute("UPDATE articles SET phrases = '[]'")
            catch_up(part)
            _fill_vectors(part, record, count)
        part.rename(folder)
    return folder


def _fill_vectors(folder: Path, record: Record, count: int) -> None:
    random = np.random.default_rng(4)
    writer = VectorsWriter(folder, record.identity)
    for start in range(1, count + 1, AT_ONCE):
        ids = np.arange(start, min(start + AT_ONCE, count + 1))
        writer.write(ids, random.normal(size=(len(ids), DIMENSIONS)).astype(np.float32))
    writer.finish(record.sequence)
    writer.close()
