"""From text to the terms of the index, the same way for articles and for questions. Comes in: plain text in any
language; goes out: stems in lower case without accents; for scripts that put no spaces between words, pairs of
neighbouring characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

LONGEST = 40
"""Bytes of a term; nobody asks for longer ones."""
_NO_SPACES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    # Japanese, Chinese, Korean
    "\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_FUNCTION_WORDS = """
    a about after all also am an and any are as at be because been before being between both but by can could did do
    does doing for from had has have having he her here hers him his how i if in into is it its just me more most
    my no nor not now of on once only or other our out over own please same she should so some such tell than that
    the their them then there these they this those through to too under until up us very was we were what when
    where which while who whom whose why will with would you your yours
"""
"""What makes a question of words, and is in nearly every article or in the wrong ones."""
_RUN = re.compile(f"[{_NO_SPACES}]+")


def _build(*filters: Filter) -> TextAnalyzer:
    builder = TextAnalyzerBuilder(Tokenizer.simple())
    for each in (Filter.remove_long(LONGEST), Filter.lowercase(), *filters):
        builder = builder.filter(each)
    return builder.build()


# Words are stemmed as English ones, which harms other languages little: both sides are cut alike.
ANALYZER = _build(Filter.ascii_fold(), Filter.stemmer("english"))
_TELLING = _build(Filter.custom_stopword(_FUNCTION_WORDS.split()), Filter.ascii_fold(), Filter.stemmer("english"))


def spaced(text: str, *, single: bool = True) -> str:
    """The text as :data:`ANALYZER` can split it: runs of characters without spaces become overlapping pairs.

    The way of Lucene's ``CJKBigramFilter``; `single` adds the characters one by one, for questions of one.
    """
    if text.isascii():
        return text
    return _RUN.sub(lambda run: f" {' '.join(_pairs(run[0], single))} ", text)


def _pairs(run: str, single: bool) -> Iterator[str]:
    yield from (run[n : n + 2] for n in range(len(run) - 1))
    if single or len(run) == 1:
        yield from run


def terms(question: str) -> set[str]:
    """The terms of a question, without words like "what" and "the" if there are others."""
    text = spaced(question, single=False)
    return set(_TELLING.analyze(text) or ANALYZER.analyze(text))
