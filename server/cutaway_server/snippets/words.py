"""Titles and descriptions without a model: from chapters, from what is said, or from what can be measured.

Comes in: chapters, sentences and the measurements of a clip. Goes out: plain text. Nothing is invented: where there
are no words to go by, the title and description say what is known, which is place, length and what changes on screen.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cutaway_server.snippets.captions import Sentence
from cutaway_server.snippets.index import Chapter
from cutaway_server.snippets.looks import Look, difference
from cutaway_server.snippets.refine import Seen

if TYPE_CHECKING:
    from yake import KeywordExtractor  # type: ignore[import-untyped]

MAX_QUOTE_CHARACTERS = 320
MAX_TITLE_CHARACTERS = 90
PHRASES_TRIED = 12
QUICK_SHOT_SECONDS = 2.5
MUCH_MOVEMENT = 0.018
LITTLE_MOVEMENT = 0.002
# fmt: off
STOP_WORDS = {
    "ara": "ar", "bul": "bg", "ces": "cz", "cze": "cz", "dan": "da", "deu": "de", "ger": "de", "ell": "el",
    "spa": "es", "est": "et", "fas": "fa", "fin": "fi", "fra": "fr", "fre": "fr", "hin": "hi", "hrv": "hr",
    "hun": "hu", "ind": "id", "ita": "it", "jpn": "ja", "lit": "lt", "lav": "lv", "nld": "nl", "dut": "nl",
    "nor": "no", "pol": "pl", "por": "pt", "ron": "ro", "rum": "ro", "rus": "ru", "slk": "sk", "slv": "sl",
    "swe": "sv", "tur": "tr", "ukr": "uk", "zho": "zh", "chi": "zh",
}
# fmt: on
"""ISO 639-2 codes, and the names of YAKE's lists of stop words in these languages."""
JOINING_WORDS = {"of", "and"}
"""Stop words that may stand inside a phrase: the Game of Life."""
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def clock(seconds: float) -> str:
    """A time as people write it: 1:02:03 or 2:03."""
    whole = int(seconds + 0.5)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


@lru_cache(maxsize=8)
def _extractor(language: str) -> KeywordExtractor:
    import yake  # Only workers need it, and they have it preloaded.

    return yake.KeywordExtractor(lan=language, n=3, dedupLim=0.8, top=PHRASES_TRIED)


def key_phrases(text: str, language: str = "") -> list[str]:
    """The text's key phrases, the most telling first (YAKE, Campos et al., Information Sciences 509, 2020).

    ``language`` is an ISO 639-2 code; unknown ones are taken for English.
    """
    if len(text.split()) < 4:
        return []
    extractor = _extractor(STOP_WORDS.get(language.lower(), "en"))
    stop_words = extractor.stopword_set - JOINING_WORDS
    place = text.lower()
    found = []
    for phrase, score in extractor.extract_keywords(text):
        inner = phrase.lower().split()
        if any(word in stop_words for word in inner):
            continue
        # A lower score is better. Longer phrases tell more than the single words in them, and what is named early
        # is what the rest is about.
        early = max(place.find(phrase.lower()), 0) / len(text)
        found.append((score * 0.7 ** (len(inner) - 1) * (1 + early) ** 2, phrase))
    return [phrase for _, phrase in sorted(found)]


def title_from_speech(sentences: Sequence[Sentence], taken: Collection[str] = (), language: str = "") -> str:
    """A title from what is said that has no word in common with ``taken``; "" if there is none."""
    text = " ".join(s.text for s in sentences)
    used = {word for title in taken for word in _content(title)}
    phrases = [p for p in key_phrases(text, language) if not set(_content(p)) & used]
    if not phrases:
        return ""
    title = phrases[0]
    if len(title.split()) == 1:  # One word says too little.
        others = (p for p in phrases[1:] if not set(_content(p)) & set(_content(title)))
        title = ", ".join([title, *itertools.islice(others, 1)])
    title = title[:MAX_TITLE_CHARACTERS]
    return title[:1].upper() + title[1:]


def _content(text: str) -> list[str]:
    """The words of a text, lower case and without plural s, for comparing."""
    return [w.rstrip("s") for w in re.findall(r"\w{3,}", text.lower())]


def chapter_at(chapters: Sequence[Chapter], at: float) -> str:
    """The name of the chapter at a time, "" if it has none."""
    return next((c.title for c in chapters if c.start <= at < c.end), "")


def measured_title(seen: Seen, start: float, end: float, file_title: str) -> str:
    """A title that says what was measured, and when; unique, because no two snippets begin in the same second."""
    if file_title:
        return f"{file_title[: MAX_TITLE_CHARACTERS - 20]}, at {clock(start)}"
    shots = seen.shots.between(start, end)
    count = shot_count(seen, start, end)
    if shots.still() > 0.97:
        what = "A still picture" + (", with sound" if not seen.silent(start, end) else "")
    elif count is None:
        what = "A moment"
    elif count > 1 and (end - start) / count < QUICK_SHOT_SECONDS:
        what = f"{_number(count).capitalize()} quick shots"
    elif count > 1:
        what = f"{_number(count).capitalize()} shots"
    else:
        what = "One shot"
    movement = shots.movement()
    if movement > MUCH_MOVEMENT:
        what += " with much movement"
    elif movement < LITTLE_MOVEMENT and shots.still() <= 0.97:
        what += " with little movement"
    return f"{what}, at {clock(start)}"


def spoken(sentences: Sequence[Sentence], start: float, end: float) -> list[Sentence]:
    """The sentences said between two times, whole ones only."""
    return [s for s in sentences if s.start >= start - 0.5 and s.end <= end + 0.5]


def describe(seen: Seen, start: float, end: float, duration: float, chapter: str) -> str:
    """A description: the sentences spoken, or what can be measured."""
    said = spoken(seen.sentences, start, end)
    if said:
        quote = ""
        for sentence in said:
            if quote and len(quote) + len(sentence.text) > MAX_QUOTE_CHARACTERS:
                quote += " …"
                break
            quote = f"{quote} {sentence.text}".strip()
        return f"“{quote}”"
    place = f"From {clock(start)} to {clock(end)} of {clock(duration)}"
    if chapter:
        place += f", in “{chapter}”"
    return f"{place}: {measurements(seen, start, end)}."


def measurements(seen: Seen, start: float, end: float) -> str:
    """What is on screen and to be heard between two times, as far as it was measured."""
    shots = seen.shots.between(start, end)
    looks = [look for look in seen.looks if start <= look.time < end]
    count = shot_count(seen, start, end)
    length = int(end - start + 0.5)
    parts = [f"{length} second{'s' if length != 1 else ''}"]
    if count is not None:
        parts.append(f"{_number(count)} shot{'s' if count != 1 else ''}")
    if shots.still() > 0.97:
        parts.append("the picture stands still")
    elif shots.movement() > MUCH_MOVEMENT:
        parts.append("much movement")
    elif shots.movement() < LITTLE_MOVEMENT:
        parts.append("little movement")
    if looks:
        parts.append(_scenery(looks))
    if len(seen.loudness):
        inside, all_over = seen.level(start, end), seen.level(-1e9, 1e9)
        if seen.silent(start, end):
            parts.append("silent")
        elif inside > 0.2:
            parts.append("loud")
        elif inside < 0.01 or inside < 0.3 * all_over:
            parts.append("quiet")
    return ", ".join(p for p in parts if p)


def _scenery(looks: Sequence[Look]) -> str:
    brightness = float(np.mean([look.brightness for look in looks]))
    first, last = looks[0], looks[-1]
    if last.brightness - first.brightness > 60:
        return "from dark to bright"
    if first.brightness - last.brightness > 60:
        return "from bright to dark"
    tone = "dark" if brightness < 60 else "bright" if brightness > 150 else ""
    colour = "colourful" if np.mean([look.saturation for look in looks]) > 0.55 and brightness > 40 else ""
    if np.mean([look.saturation for look in looks]) < 0.06:
        colour = "without colour"
    words = " and ".join(w for w in (tone, colour) if w)
    if len(looks) > 1 and difference(first, last) > 0.4:
        return f"{words + ', ' if words else ''}the view changes"
    return words


def shot_count(seen: Seen, start: float, end: float) -> int | None:
    """How many shots there are between two times; None when not all of it was decoded."""
    if seen.decoded_until < end - 0.5:
        return None
    return 1 + sum(start + 0.1 < b < end - 0.1 for b in seen.boundaries)


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)
