"""The key phrases of a question: its words come in, the runs of words between those that carry no meaning go out, the
longest first (the first step of RAKE: Rose et al. 2010). A question is too short for statistics.
"""

from __future__ import annotations

import re

_COMMON = """about after all also and any are been but can could did does for from had has have her his how into its
    just more most not now off one our out over should since some than that the their them then there these they this
    those through under very was were what when where which while who why will with would you your der die das und ist
    wie ein eine les des une est que los las del con por"""
STOPWORDS = frozenset(_COMMON.split())
_LITTLE = """a an as at be by do he i if in is it me my no of on or so to up us we de en et la le un au im zu"""
_BETWEEN = STOPWORDS.union(_LITTLE.split())
_BREAK = re.compile(r"[^\w\s'’\-+#.&]+|\.(?=\s|$)")
MAX_WORDS = 4
_MOST_REPEATED = 0.75
"""Share of the text."""


def key_phrases(text: str, most: int = 4) -> list[str]:
    """At most `most` phrases in the order of the text; none when that would only repeat it."""
    found: list[str] = []
    for part in _BREAK.split(text):
        run: list[str] = []
        for word in [*part.split(), ""]:
            if word and word.casefold() not in _BETWEEN:
                run.append(word)
                continue
            if 0 < len(run) <= MAX_WORDS and any(map(str.isalpha, "".join(run))):
                found.append(" ".join(run))
            run = []
    found = [each for each in dict.fromkeys(found) if len(each) > 2]
    longest = sorted(found, key=len, reverse=True)[:most]
    if len(longest) < 2 or sum(map(len, longest)) > _MOST_REPEATED * len(text):
        return []
    return [each for each in found if each in longest]
