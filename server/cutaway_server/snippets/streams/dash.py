"""DASH manifests (ISO/IEC 23009-1): from their XML to tracks and segments. Pure.

Comes in: the bytes of an MPD and its URL. Goes out: a
:class:`~cutaway_server.snippets.streams.segments.Period` for each period. The XML parser knows no entities and no DTD.
"""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from cutaway_server.snippets.streams.naming import Naming, children, inherited, name_of, ranged
from cutaway_server.snippets.streams.segments import (
    BROKEN,
    MAX_SECONDS,
    MAX_TRACKS,
    BadPlaylist,
    LiveStream,
    Part,
    Period,
    Protected,
    Segment,
    Track,
    absolute,
    checked,
    too_many,
    too_much,
)

SIDX_SEARCH_BYTES = 64 << 10
"""Where a manifest does not tell the place of the ``sidx``, it is looked for up to here."""
_DURATION = re.compile(
    r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,9}(?:\.\d+)?)H)?(?:(\d{1,9}(?:\.\d+)?)M)?(?:(\d{1,12}(?:\.\d+)?)S)?)?"
)


def read(data: bytes, url: str) -> list[Period]:
    """The periods of a manifest.

    Raises
    ------
    BadPlaylist
        It cannot be read, is live or protected.
    """
    try:
        mpd = fromstring(data, forbid_dtd=True)
        if name_of(mpd) != "MPD":
            raise BadPlaylist(BROKEN)
        return _Manifest(mpd, url).periods()
    except (ParseError, DefusedXmlException, ValueError, LookupError, ArithmeticError) as error:
        raise BadPlaylist(BROKEN) from error


class _Manifest:
    def __init__(self, mpd: Element, url: str) -> None:
        if mpd.get("type", "static") != "static":
            raise LiveStream
        self._mpd = mpd
        self._url = url
        self._total = _seconds(mpd.get("mediaPresentationDuration"))
        self._protected = False
        self._tracks = 0
        self._segments = 0
        self._characters = 0

    def periods(self) -> list[Period]:
        elements = children(self._mpd, "Period")
        base = _base(self._url, self._mpd)
        found = []
        begin = 0.0
        for run, element in enumerate(elements):
            start = _seconds(element.get("start"))
            begin = begin if start is None else start
            length = _seconds(element.get("duration"))
            following = _seconds(elements[run + 1].get("start")) if run + 1 < len(elements) else self._total
            if length is None and following is not None:
                length = following - begin
            if length is not None and not 0 <= length <= MAX_SECONDS:
                raise BadPlaylist(BROKEN)
            period = self._period(element, _base(base, element), run, begin, length)
            if period.pictures:
                found.append(period)
            begin = max(
                [begin + (length or 0.0), *(t.segments[-1].end for t in period.pictures if t.segments and not length)]
            )
        if not found:
            if self._protected:
                raise Protected
            raise BadPlaylist("This manifest (DASH) has no video in it.")
        return found

    def _period(self, element: Element, base: str, run: int, start: float, length: float | None) -> Period:
        kinds: dict[str, list[Track]] = {"video": [], "audio": [], "text": []}
        above = inherited(None, element)
        for group in children(element, "AdaptationSet"):
            in_group = inherited(above, group)
            group_base = _base(base, group)
            protected, trick = bool(children(group, "ContentProtection")), _is_trick(group)
            main = any(r.get("value") == "main" for r in children(group, "Role"))
            for representation in children(group, "Representation"):
                self._tracks += 1
                if self._tracks > MAX_TRACKS:
                    raise BadPlaylist(f"This manifest (DASH) names more than the {MAX_TRACKS} renditions that may be.")
                both = {**group.attrib, **representation.attrib}
                kind = _kind(both)
                if kind not in kinds or trick:
                    continue
                if protected or children(representation, "ContentProtection"):
                    self._protected = True
                    continue
                where = _base(group_base, representation)
                naming = inherited(in_group, representation)
                kinds[kind].append(
                    replace(
                        self._located(naming, both, where, run, start, length, kind),
                        bandwidth=int(both.get("bandwidth", 0)),
                        width=int(both.get("width", 0)),
                        height=int(both.get("height", 0)),
                        codecs=both.get("codecs", ""),
                        language=both.get("lang", ""),
                        sound_group="",
                        text_group="",
                        default=main,
                    )
                )
        return Period(*(tuple(tracks) for tracks in kinds.values()))

    def _located(
        self,
        naming: Naming | None,
        attributes: dict[str, str],
        base: str,
        run: int,
        start: float,
        length: float | None,
        kind: str,
    ) -> Track:
        """A track whose segments are known, or are to be read from the file's own index."""
        if naming is None or naming.kind == "SegmentBase":
            return _in_one_file(naming, base, run, start, length, kind)
        scale = naming.timescale
        origin = naming.offset / scale - start
        init = naming.init(base, attributes)
        found: list[Segment] = []
        for part, time, ticks in naming.parts(base, attributes, length):
            begin = time / scale - origin
            if length is not None and begin >= start + length - 1e-3 and found:
                break
            self._characters += len(part.url)
            too_much(self._characters)
            found.append(Segment(begin, ticks / scale, part, init, run, origin))
        self._segments += len(found)
        too_many(self._segments // 4)  # Many renditions of a long video are all right.
        return Track(checked(found))


def _in_one_file(naming: Naming | None, base: str, run: int, start: float, length: float | None, kind: str) -> Track:
    scale = naming.timescale if naming else 1
    origin = (naming.offset if naming else 0) / scale - start
    init = None
    if naming is not None and naming.initialization is not None:
        init = ranged(base, naming.initialization.get("sourceURL"), naming.initialization.get("range"))
    whole = Segment(start, length or MAX_SECONDS, Part(base), init, run, origin)
    if kind == "text":
        return Track((whole,))
    place = naming.attributes.get("indexRange") if naming else None
    index = ranged(base, None, place) if place else Part(base, 0, SIDX_SEARCH_BYTES)
    return Track(index=index, whole=whole)


def _base(base: str, element: Element) -> str:
    """The base URL inside an element: its first one (others are alternatives)."""
    own = next((b.text.strip() for b in children(element, "BaseURL") if b.text), "")
    return absolute(base, own) if own else base


def _kind(attributes: dict[str, str]) -> str:
    kind = attributes.get("contentType") or attributes.get("mimeType", "").partition("/")[0]
    if attributes.get("mimeType", "").endswith("/webm"):  # It has another index, and is never the only one.
        return ""
    if kind in ("text", "application"):
        return "text" if attributes.get("mimeType") == "text/vtt" else ""
    return kind


def _is_trick(group: Element) -> bool:
    """Pictures for winding only (ISO/IEC 23009-1 Amd 1, ``trickmode``)."""
    properties = [*children(group, "EssentialProperty"), *children(group, "SupplementalProperty")]
    return any("trickmode" in p.get("schemeIdUri", "") for p in properties)


def _seconds(text: str | None) -> float | None:
    """An ``xs:duration`` without years and months in seconds."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise BadPlaylist(BROKEN)
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return min(((days * 24 + hours) * 60 + minutes) * 60 + seconds, 1e12)
