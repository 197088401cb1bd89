"""HLS playlists (RFC 8216): from their text to tracks and segments. Pure.

Comes in: the text of a playlist and its URL. Goes out: a master playlist's renditions as a
:class:`~cutaway_server.snippets.streams.segments.Period`, a media playlist's segments.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import m3u8  # type: ignore[import-untyped]

from cutaway_server.snippets.streams.segments import (
    BROKEN,
    MAX_TRACKS,
    BadPlaylist,
    Cipher,
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

MAX_KEY_SEARCHES = 10_000_000
"""The parser looks for the key of each segment among all keys: so many steps take it a second."""
_MAP = re.compile(r"X-TIMESTAMP-MAP=([^\n]*)")
_MPEGTS = re.compile(r"MPEGTS:(\d{1,19})")
_LOCAL = re.compile(r"LOCAL:(?:(\d{1,4}):)?(\d{2}):(\d{2})[.,](\d{3})")


def read(text: str, url: str) -> Period:
    """The renditions of a stream, from its master playlist or its only media playlist.

    Raises
    ------
    BadPlaylist
        It cannot be read, is live or protected.
    """
    playlist = _parse(text)
    if not playlist.is_variant:
        return Period((Track(_segments(playlist, url)),))
    if any(_method(key) not in ("", "NONE", "AES-128") for key in playlist.session_keys):
        raise Protected
    # Where the main sound of a group has no playlist of its own, it is in the picture's segments.
    inside = {m.group_id for m in playlist.media if (m.type or "").upper() == "AUDIO" and not m.uri}
    pictures = [
        Track(
            index=Part(absolute(url, p.uri)),
            bandwidth=_number(p.stream_info.average_bandwidth or p.stream_info.bandwidth),
            width=(p.stream_info.resolution or (0, 0))[0],
            height=(p.stream_info.resolution or (0, 0))[1],
            codecs=p.stream_info.codecs or "",
            sound_group=None if p.stream_info.audio in inside else p.stream_info.audio,
            text_group=p.stream_info.subtitles,
        )
        for p in playlist.playlists
        if p.uri
    ]
    return Period(tuple(pictures), _media(playlist, "AUDIO", url), _media(playlist, "SUBTITLES", url))


def read_segments(text: str, url: str) -> tuple[Segment, ...]:
    """The segments of a media playlist.

    Raises
    ------
    BadPlaylist
        It is none, cannot be read, is live or protected.
    """
    playlist = _parse(text)
    if playlist.is_variant:
        raise BadPlaylist("This playlist (HLS) names playlists that name others: one such step is allowed.")
    return _segments(playlist, url)


def _parse(text: str) -> Any:
    text = text.removeprefix("\ufeff").lstrip()
    if not text.startswith("#EXTM3U"):
        raise BadPlaylist("A playlist that this stream (HLS) names is none.")
    too_many(text.count("#EXTINF"))
    if text.count("#EXT-X-STREAM-INF") + text.count("#EXT-X-MEDIA:") > MAX_TRACKS:
        raise BadPlaylist(f"This playlist (HLS) names more than the {MAX_TRACKS} renditions that may be.")
    _too_many_keys(text)
    try:
        return m3u8.loads(text)
    except Exception as error:  # The parser lets out whatever its conversions raise.
        raise BadPlaylist(BROKEN) from error


def _too_many_keys(text: str) -> None:
    keys = [line for line in text.splitlines() if "#EXT-X-KEY" in line or "#EXT-X-SESSION-KEY" in line]
    if len(set(keys)) * (len(keys) + text.count("#EXTINF")) > MAX_KEY_SEARCHES:
        raise BadPlaylist(f"This playlist (HLS) names {len(keys)} keys, more than can be read in time.")


def _media(playlist: Any, kind: str, url: str) -> tuple[Track, ...]:
    return tuple(
        Track(
            index=Part(absolute(url, m.uri)),
            language=m.language or "",
            group=m.group_id or "",
            default=m.default == "YES",
        )
        for m in playlist.media
        if (m.type or "").upper() == kind and m.uri and m.forced != "YES"
    )


def _segments(playlist: Any, url: str) -> tuple[Segment, ...]:
    if not playlist.is_endlist and (playlist.playlist_type or "").upper() != "VOD":
        raise LiveStream
    if any(_method(key) not in ("", "NONE", "AES-128") for key in playlist.keys):
        raise Protected
    if playlist.is_i_frames_only:
        raise BadPlaylist("This playlist (HLS) has only still pictures, no video.")
    found: list[Segment] = []
    time, run, behind, characters = 0.0, 0, (url, 0), 0
    ciphers: dict[tuple[str, str | None], Cipher] = {}
    inits: dict[int, Part | None] = {}
    first = _number(playlist.media_sequence)
    for number, (before, segment) in enumerate(pairwise([None, *playlist.segments])):
        seconds = segment.duration
        if not isinstance(seconds, int | float) or not math.isfinite(seconds) or not segment.uri:
            raise BadPlaylist(BROKEN)
        skipped = before is not None and bool(before.gap_tag)
        run += bool(found) and (bool(segment.discontinuity) or skipped or _turned(before, segment))
        if not segment.gap_tag:
            where = absolute(url, segment.uri)
            characters += len(where)
            too_much(characters)
            part = _part(where, segment.byterange, behind, _cipher(segment.key, url, first + number, ciphers))
            behind = (where, part.stop or 0)
            section = segment.init_section
            if id(section) not in inits:
                inits[id(section)] = _init(section, url, segment.key)
            found.append(Segment(time, seconds, part, inits[id(section)], run))
        time += seconds
    return checked(found)


def _turned(before: Any, segment: Any) -> bool:
    """Whether another initialisation section begins: new parameters, and mostly new timestamps."""
    one, other = (s.init_section for s in (before, segment))
    return one is not other and (one and (one.uri, one.byterange)) != (other and (other.uri, other.byterange))


def _init(section: Any, url: str, key: Any) -> Part | None:
    if section is None or not section.uri:
        return None
    cipher = None
    if _method(key) == "AES-128":
        if not key.iv:  # It has no sequence number that could stand in (RFC 8216, section 4.3.2.5).
            raise BadPlaylist(BROKEN)
        cipher = _cipher(key, url, 0, {})
    where = absolute(url, section.uri)
    return _part(where, section.byterange, (where, 0), cipher)


def _cipher(key: Any, url: str, number: int, known: dict[tuple[str, str | None], Cipher]) -> Cipher | None:
    if _method(key) != "AES-128":
        return None
    if not key.uri or (key.keyformat or "identity").lower() != "identity":
        raise Protected
    name = (key.uri, key.iv)
    if key.iv and name in known:
        return known[name]
    digits = re.fullmatch(r"0[xX]([0-9a-fA-F]{1,32})", key.iv or "")
    if key.iv and not digits:
        raise BadPlaylist(BROKEN)
    # Without a vector, the segment's sequence number is it (RFC 8216, section 5.2).
    vector = int(digits[1], 16) if digits else number
    known[name] = Cipher(absolute(url, key.uri), vector.to_bytes(16, "big"))
    return known[name]


def _part(url: str, span: str | None, behind: tuple[str, int], cipher: Cipher | None) -> Part:
    """A resource, or the part of it that ``length[@offset]`` names; without offset it follows the one before."""
    if not span:
        return Part(url, cipher=cipher)
    match = re.fullmatch(r"(\d{1,15})(?:@(\d{1,15}))?", span.strip())
    if not match or int(match[1]) == 0:
        raise BadPlaylist(BROKEN)
    start = int(match[2]) if match[2] else behind[1] if behind[0] == url else 0
    return Part(url, start, start + int(match[1]), cipher)


def _method(key: Any) -> str:
    return str(key.method or "").upper() if key else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 63 else 0


def timestamp_offset(text: str) -> float | None:
    """By how many seconds MPEG timestamps are ahead of a WebVTT segment's times (section 3.5); None if not told."""
    told = _MAP.search(text[:4096])
    if told is None or (stamp := _MPEGTS.search(told[1])) is None or (local := _LOCAL.search(told[1])) is None:
        return None
    hours, minutes, seconds, milliseconds = (int(part or 0) for part in local.groups())
    return int(stamp[1]) / 90_000 - (hours * 3600 + minutes * 60 + seconds + milliseconds / 1000)
