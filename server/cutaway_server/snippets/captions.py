"""Captions: the cues of a text track, and the sentences they make up.

Comes in: the raw packets of a text track. Goes out: :class:`Cue` values and the :class:`Sentence` values joined from
them, since a caption line ends where the line is full, not where the speaker ends.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_CUE_CHARACTERS = 1_000
MAX_MARKED_BYTES = 32 << 10
"""How much of a cue is looked at, its markup included."""
MAX_SENTENCE_SECONDS = 20.0
PAUSE_SECONDS = 1.5
"""A gap between cues that ends a sentence without punctuation (automatic captions have none)."""

_TAGS = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*(?:\s+|$)")


@dataclass(frozen=True)
class Cue:
    """A caption and the seconds between which it is shown."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Sentence:
    """What is said from ``start`` to ``end``, in seconds."""

    start: float
    end: float
    text: str


def plain_text(data: bytes, codec: str) -> str:
    """The words of one packet of a text track.

    Formats: 3GPP timed text (ISO/IEC 14496-17, ``mov_text``: a 16-bit length before the text), SSA/ASS as Matroska
    stores it (eight comma-separated fields before the text), SubRip (text with tags), WebVTT (and HTML's entities).
    """
    if codec == "mov_text":
        data = data[2 : 2 + int.from_bytes(data[:2], "big")]
    text = data[:MAX_MARKED_BYTES].decode("utf-8", "replace")
    if codec in ("ass", "ssa"):
        text = text.split(",", 8)[-1].replace("\\N", " ").replace("\\n", " ")
    text = _TAGS.sub("", text)
    if codec == "webvtt":
        text = html.unescape(text)
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:MAX_CUE_CHARACTERS]


def sentences(cues: Iterable[Cue]) -> list[Sentence]:
    """Join cues into sentences.

    A sentence ends at its punctuation, at a pause, or after ``MAX_SENTENCE_SECONDS``. Where it ends inside a cue, the
    time is interpolated by the number of characters.
    """
    found: list[Sentence] = []
    text, start, last = "", 0.0, 0.0

    def finish(end: float) -> None:
        nonlocal text
        if text.strip():  # Captions may overlap: none is over before it began.
            found.append(Sentence(start, max(start, end), text.strip()))
        text = ""

    for cue in sorted(set(cues), key=lambda c: (c.start, c.end)):
        if text and (cue.start - last > PAUSE_SECONDS or cue.end - start > MAX_SENTENCE_SECONDS):
            finish(last)
        position = 0
        seconds_per_character = (cue.end - cue.start) / max(len(cue.text), 1)
        for match in [*_SENTENCE_END.finditer(cue.text), None]:
            stop = match.end() if match else len(cue.text)
            piece = cue.text[position:stop]
            if piece.strip():
                if not text:
                    start = cue.start + position * seconds_per_character
                text = f"{text} {piece.strip()}" if text else piece.strip()
            if match:
                finish(cue.start + stop * seconds_per_character)
            position = stop
        last = max(last, cue.end)
    finish(last)
    return sorted(found, key=lambda s: s.start)
