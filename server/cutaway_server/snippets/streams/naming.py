"""How a DASH manifest names the segments of a rendition (ISO/IEC 23009-1, section 5.3.9), and how a file's index does.

Comes in: the elements SegmentTemplate, SegmentList and SegmentBase of all levels, or the bytes of a ``sidx`` box. Goes
out: parts with their times in ticks, or segments. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from cutaway_server.snippets.boxes import read_sidx, walk
from cutaway_server.snippets.streams.segments import (
    BROKEN,
    BadPlaylist,
    Part,
    Segment,
    absolute,
    checked,
    too_long,
    too_many,
)

_FIELD = re.compile(r"\$(?:(RepresentationID|Number|Time|Bandwidth)(?:%0(\d{1,2})d)?)?\$")


@dataclass(frozen=True)
class Naming:
    """How a representation's segments are named: the attributes and parts of the nearest elements."""

    kind: str
    attributes: dict[str, str]
    timeline: Element | None
    listed: tuple[Element, ...]
    initialization: Element | None

    @property
    def timescale(self) -> int:
        """Ticks per second."""
        scale = int(self.attributes.get("timescale", "1"))
        if not 0 < scale < 1 << 32:
            raise BadPlaylist(BROKEN)
        return scale

    @property
    def offset(self) -> int:
        """The ticks at which the period begins in the media."""
        return self._number("presentationTimeOffset", 0)

    def init(self, base: str, attributes: dict[str, str]) -> Part | None:
        """What goes before the segments, if anything does."""
        if self.kind == "SegmentTemplate" and (name := self.attributes.get("initialization")):
            return Part(absolute(base, filled(name, attributes)))
        element = self.initialization
        return ranged(base, element.get("sourceURL"), element.get("range")) if element is not None else None

    def parts(self, base: str, attributes: dict[str, str], length: float | None) -> Iterator[tuple[Part, int, int]]:
        """Each segment's part, its time and duration in ticks.

        Parameters
        ----------
        attributes
            Of the representation.
        length
            Of the period, in seconds.
        """
        if self.kind == "SegmentList":
            for element, (time, ticks) in zip(self.listed, self._times(length), strict=False):
                yield ranged(base, element.get("media"), element.get("mediaRange")), time, ticks
            return
        template = self.attributes.get("media", "")
        first = self._number("startNumber", 1)
        for n, (time, ticks) in enumerate(self._times(length)):
            yield Part(absolute(base, filled(template, attributes, Number=first + n, Time=time))), time, ticks

    def _number(self, name: str, default: int) -> int:
        value = int(self.attributes.get(name, default))
        if not 0 <= value < 1 << 63:
            raise BadPlaylist(BROKEN)
        return value

    def _times(self, length: float | None) -> Iterator[tuple[int, int]]:
        """The times and durations of segments in ticks, as far as they are told."""
        until = self.offset + (length or 0.0) * self.timescale
        return self._steady(until) if self.timeline is None else _in_timeline(self.timeline, until)

    def _steady(self, until: float) -> Iterator[tuple[int, int]]:
        ticks = self._number("duration", 0)
        if self.kind == "SegmentList" and not ticks:  # Then there is one.
            ticks = math.ceil(until - self.offset)
        if not ticks:
            raise BadPlaylist(BROKEN)
        count = len(self.listed) or math.ceil((until - self.offset) / ticks - 1e-6)
        too_many(count)
        for time in range(self.offset, self.offset + count * ticks, ticks):
            yield time, min(ticks, max(math.ceil(until) - time, 1)) if until > self.offset else ticks


def _in_timeline(timeline: Element, until: float) -> Iterator[tuple[int, int]]:
    """The times and durations that a SegmentTimeline lists (ISO/IEC 23009-1, section 5.3.9.6)."""
    time, total = 0, 0
    rows = children(timeline, "S")
    for n, row in enumerate(rows):
        time = int(row.get("t", time))
        ticks, repeat = int(row.attrib["d"]), int(row.get("r", 0))
        if ticks <= 0 or time < 0:
            raise BadPlaylist(BROKEN)
        if repeat < 0:  # Until the next row, or the end.
            end = int(rows[n + 1].get("t", 0)) if n + 1 < len(rows) else until
            repeat = max(math.ceil((end - time) / ticks - 1e-6) - 1, 0)
        total += repeat + 1
        too_many(total)
        for _ in range(repeat + 1):
            yield time, ticks
            time += ticks


def inherited(above: Naming | None, element: Element) -> Naming | None:
    """What an element says of segments, over what is said above it."""
    for kind in ("SegmentTemplate", "SegmentList", "SegmentBase"):
        for own in children(element, kind):
            timeline = next(iter(children(own, "SegmentTimeline")), above.timeline if above else None)
            listed = tuple(children(own, "SegmentURL")) or (above.listed if above else ())
            init = next(iter(children(own, "Initialization")), above.initialization if above else None)
            too_many(len(listed))
            return Naming(kind, {**(above.attributes if above else {}), **own.attrib}, timeline, listed, init)
    return above


def filled(template: str, attributes: dict[str, str], **numbers: int) -> str:
    """A template with its fields filled in (ISO/IEC 23009-1, section 5.3.9.4.4)."""
    too_long(template, attributes.get("id", ""))

    def fill(match: re.Match[str]) -> str:
        name, width = match[1], int(match[2] or 1)
        if name is None:
            return "$"
        if name == "RepresentationID":
            return attributes.get("id", "")
        value = numbers[name] if name in numbers else int(attributes.get("bandwidth", 0))
        return f"{value:0{width}d}"

    return _FIELD.sub(fill, template)


def ranged(base: str, url: str | None, span: str | None) -> Part:
    """A resource, or the part of it that ``first-last`` names."""
    where = absolute(base, url) if url else base
    if not span:
        return Part(where)
    first, last = (int(number) for number in span.split("-"))
    if not 0 <= first <= last < 1 << 62:
        raise BadPlaylist(BROKEN)
    return Part(where, first, last + 1)


def listed_by(data: bytes, at: int, whole: Segment) -> tuple[Segment, ...]:
    """The segments of a file that a ``sidx`` box lists.

    Parameters
    ----------
    data, at
        Bytes of the file, and where in it they begin.
    whole
        The whole file as one segment, with the origin of its timestamps.

    Raises
    ------
    BadPlaylist
        There is no such box, or it makes no sense.
    """
    box = next((b for b in walk(lambda a, n: data[a : a + n]) if b.kind == "sidx"), None)
    if box is None or not box.size or box.position + box.size > len(data):
        raise BadPlaylist("This video (DASH) has no index that tells where its segments are.")
    index = read_sidx(data[box.position : box.position + box.size])
    if index is None:
        raise BadPlaylist(BROKEN)
    if any(r.nested for r in index.references):
        raise BadPlaylist("This video (DASH) has an index of indexes, which is not read.")
    position = at + box.position + box.size + index.offset
    init = whole.init or Part(whole.part.url, 0, at + box.position)
    time = index.earliest
    found = []
    for reference in index.references:
        start = time / index.timescale - (whole.origin or 0.0)
        part = Part(whole.part.url, position, position + reference.size)
        found.append(replace(whole, start=start, duration=reference.ticks / index.timescale, part=part, init=init))
        position += reference.size
        time += reference.ticks
    return checked(found)


def name_of(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def children(element: Element, name: str) -> list[Element]:
    """The children of a name, whatever their namespace."""
    return [child for child in element if name_of(child) == name]
