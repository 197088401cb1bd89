"""The key phrases of an article, looked for once, when it comes in. Comes in: plain text; goes out: phrases of at most
three words, the most telling first. Some milliseconds an article.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yake import KeywordExtractor  # type: ignore[import-untyped]

MOST = 8
_MAX_CHARACTERS = 1500
"""What an article is about is said at its beginning; 8 ms for this much, 100 ms for a long article."""


@cache
def _extractor() -> KeywordExtractor:
    import yake  # half a second, and only the keeper needs it

    return yake.KeywordExtractor(lan="en", n=3, dedupLim=0.8, top=MOST)


def key_phrases(title: str, description: str) -> tuple[str, ...]:
    """At most eight phrases (YAKE, Campos et al., Information Sciences 509, 2020; a lower score is better)."""
    text = f"{title}. {description}"[:_MAX_CHARACTERS]
    return tuple(phrase for phrase, _ in sorted(_extractor().extract_keywords(text), key=lambda found: found[1]))
