"""TTML captions (W3C, Timed Text Markup Language 2): the paragraphs that say when they are shown.

Comes in: a file's bytes. Goes out: :class:`~cutaway_server.snippets.captions.Cue` values. The XML is read as it comes
and no tree is built, in time proportional to its length; the parser knows no entities and no DTD.
"""

from __future__ import annotations

import re
from contextlib import suppress
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import DefusedXMLParser  # type: ignore[import-untyped]

from cutaway_server.snippets.captions import Cue, plain_text

FRAME_RATE = 30.0
"""Frames per second where the document does not tell (section 7.2.5)."""
_CLOCK = re.compile(r"(\d{1,4}):(\d{2}):(\d{2}(?:\.\d{1,9})?)(?::(\d{1,4}(?:\.\d{1,9})?))?", re.ASCII)
_OFFSET = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?(h|m|s|ms|f|t|)", re.ASCII)
_RATE = re.compile(r"\d{1,9}", re.ASCII)


def read_ttml(data: bytes, most: int) -> list[Cue]:
    """The first ``most`` cues of a document, as far as it can be read."""
    document = _Document(most)
    with suppress(ParseError, DefusedXmlException, ValueError, LookupError):
        parser = DefusedXMLParser(target=document, forbid_dtd=True)
        parser.feed(data)
        parser.close()
    return document.cues


class _Document:
    """What the parser tells, piece by piece."""

    def __init__(self, most: int) -> None:
        self.cues: list[Cue] = []
        self._most = most
        self._times: tuple[float, float] | None = None
        self._said: list[str] = []
        self._units = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0, "ms": 0.001, "f": 1 / FRAME_RATE, "t": 1.0}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        if name == "tt":
            self._set_rates({_local(key): value.strip() for key, value in attributes.items()})
        elif name == "p":
            self._times, self._said = self._between(attributes), []
        elif name == "br":
            self._said.append(" ")

    def data(self, text: str) -> None:
        if self._times:
            self._said.append(text)

    def end(self, tag: str) -> None:
        if _local(tag) == "p":
            if self._times and len(self.cues) < self._most:
                self.cues.append(Cue(*self._times, plain_text("".join(self._said).encode(), "text")))
            self._times, self._said = None, []

    def close(self) -> None:
        """The parser wants it."""

    def _set_rates(self, told: dict[str, str]) -> None:
        frames = _rate(told.get("frameRate", ""))
        factor = [_rate(part) for part in told.get("frameRateMultiplier", "").split()]
        rate = (frames or FRAME_RATE) * (factor[0] / factor[1] if len(factor) == 2 and all(factor) else 1.0)
        # Without a rate, ticks are as many as frames where those are told, and seconds else (section 7.2.12).
        ticks = _rate(told.get("tickRate", "")) or (rate * (_rate(told.get("subFrameRate", "")) or 1) if frames else 1)
        self._units |= {"f": 1 / rate, "t": 1 / ticks}

    def _between(self, attributes: dict[str, str]) -> tuple[float, float] | None:
        """From when to when a paragraph is shown, in seconds."""
        begin, end, length = (self._seconds(attributes.get(name, "")) for name in ("begin", "end", "dur"))
        if begin is None or (end is None and length is None):
            return None
        ends = [time for time in (end, None if length is None else begin + length) if time is not None]
        return begin, min(ends)

    def _seconds(self, text: str) -> float | None:
        """A time expression (section 12.3.1) in seconds."""
        if clock := _CLOCK.fullmatch(text.strip()):
            hours, minutes, seconds, frames = (float(part or 0) for part in clock.groups())
            return (hours * 60 + minutes) * 60 + seconds + frames * self._units["f"]
        offset = _OFFSET.fullmatch(text.strip())
        return float(offset[1]) * self._units[offset[2]] if offset else None


def _local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition("}")[2]


def _rate(text: str) -> int:
    """A rate, 0 if it is none."""
    return int(text) if _RATE.fullmatch(text) else 0
