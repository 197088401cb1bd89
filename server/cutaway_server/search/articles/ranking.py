"""The order of what was found. Comes in: a question's terms, scores and vectors; goes out: weights and orders. Pure
functions; one fixed setting for all collections.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cutaway_server.search.articles.terms import ANALYZER, spaced

Floats = NDArray[np.float32]

MAX_TERMS = 32
"""Terms of a question that are looked for: of a whole page, its rarest words say what it is about."""
DENSE = 0.3
"""Share of the vectors in the score."""
FEEDBACK = 5
"""Best articles that are taken for what was meant, to look again at all candidates."""
EXPANSION = 0.2
"""Weight of the words of those, against the score of the question's own."""
_EXPANSION_TERMS = 8
_EXPANSION_TRIED = 30
_EXPANSION_CHARACTERS = 2000
_SHARED = 2
"""How many of the best articles must have a word: one of a single article would only lift that."""
_COMMON = 0.1
"""Share of all articles; words of more are no help."""
VARIETY = 0.4
"""Weight of being unlike what was picked before, against the interest, in surprises."""
_TEMPERATURE = 0.25
"""Of the sampling of surprises: the most relevant candidate is e^4 times as likely as the least."""


def rarest(terms: Iterable[str], frequency: Callable[[str], int]) -> list[str]:
    """The terms to look for; those that no article has are left out."""
    known = sorted((found, term) for term in terms if (found := frequency(term)))
    return [term for _, term in known[:MAX_TERMS]]


def scaled(scores: Floats) -> Floats:
    """From 0 for the least to 1 for the most."""
    if not len(scores):
        return scores
    least, most = scores.min(), scores.max()
    return (scores - least) / (most - least) if most > least else np.ones_like(scores)


def fused(lexical: Floats, rows: Floats, question: Floats) -> Floats:
    """One score of both: the weighted sum of the scaled ones, the second being the nearness of vectors.

    An article without a vector, a row of zeros, is judged by its words alone.
    """
    words = scaled(lexical)
    meaning = words.copy()
    known = rows.any(axis=1)
    dense = rows @ question
    meaning[known] = scaled(dense[known])
    return (1 - DENSE) * words + DENSE * meaning


def expansion(
    texts: Sequence[str], scores: Floats, taken: Collection[str], frequency: Callable[[str], int], count: int
) -> dict[str, float]:
    """The words that best describe the best articles, besides those of the question, with weights up to 1.

    After the relevance model RM3 (Abdul-Jaleel et al., TREC 2004), but for the candidates alone, so that it can reorder
    what was found, and never brings what has nothing to do with the question.

    Parameters
    ----------
    texts, scores
        Of the articles.
    taken
        The question's terms.
    frequency, count
        How many articles have a term; how many there are.
    """
    found: Counter[str] = Counter()
    shared: Counter[str] = Counter()
    for text, score in zip(texts, scores.tolist(), strict=True):
        words = ANALYZER.analyze(spaced(text[:_EXPANSION_CHARACTERS], single=False))
        for word, times in Counter(words).items():
            # The rest are initials, units and years.
            if word not in taken and not word.isdecimal() and (len(word) > 2 or not word.isascii()):
                found[word] += score * times / len(words)
                shared[word] += 1
    weights = {
        word: share * math.log(count / articles)
        for word, share in found.most_common(_EXPANSION_TRIED)
        if shared[word] >= _SHARED and (articles := frequency(word)) < max(_COMMON * count, FEEDBACK)
    }
    best = sorted(weights.items(), key=lambda item: -item[1])[:_EXPANSION_TERMS]
    return {word: weight / best[0][1] for word, weight in best}


def surprises(relevance: Floats, rows: Floats, count: int, chance: np.random.Generator) -> list[int]:
    """Positions of varied picks, by chance, the more relevant the likelier.

    Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998) over scores with Gumbel noise, which makes of
    picking the best a sampling without replacement (Vieira 2014; Kool et al., ICML 2019).
    """
    noisy = scaled((scaled(relevance) / _TEMPERATURE + chance.gumbel(size=len(relevance))).astype(np.float32))
    nearest = np.zeros(len(relevance), np.float32)
    left = np.ones(len(relevance), bool)
    picked: list[int] = []
    while left.any() and len(picked) < count:
        worth = np.where(left, (1 - VARIETY) * noisy - VARIETY * nearest, -np.inf)
        best = int(worth.argmax())
        picked.append(best)
        left[best] = False
        nearest = np.maximum(nearest, rows @ rows[best])
    return picked
