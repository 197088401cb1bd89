"""The order of what was found. Comes in: a question's terms, scores and vectors; goes out: weights and orders. Pure
functions; one fixed setting for all collections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MAX_TERMS = 32
"""Terms of a question that are looked for: of a whole page, its rarest words say what it is about."""
DENSE = 0.3
"""Share of the vectors in the score."""
VARIETY = 0.4
"""Weight of being unlike what was picked before, against the interest, in surprises."""
_TEMPERATURE = 0.25
"""Of the sampling of surprises: the most relevant candidate is e^4 times as likely as the least."""


def rarest(counts: Mapping[str, int], frequency: Callable[[str], int]) -> dict[str, float]:
    """The terms to look for, each with its weight; those that no article has are left out."""
    known = sorted((found, term) for term in counts if (found := frequency(term)))
    return {term: float(counts[term]) for _, term in known[:MAX_TERMS]}


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
