"""What a playlist says of a video, whichever kind of playlist it is: tracks, each a row of segments.

Comes in: what :mod:`~cutaway_server.snippets.streams.hls` and :mod:`~cutaway_server.snippets.streams.dash` read. Goes
out: frozen, picklable values, and the choice among them: the smallest picture to look at, the best H.264 one up
to 720 lines to cut from. All times are seconds of the presentation. Nothing here fetches anything.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from urllib.parse import urljoin

from cutaway.protocol import MAX_URL_CHARACTERS
from cutaway_server.errors import Fault

MAX_TRACKS, MAX_SEGMENTS = 500, 50_000
"""What one playlist may list: 27 hours of segments of two seconds."""
MAX_NAMED_CHARACTERS = 64 << 20
"""What all URLs of one playlist may come to: a short manifest can name very many very long ones."""
MAX_SECONDS = 7 * 24 * 3600.0
MAX_HEIGHT = 720
"""Lines of the picture that is cut from, where there is a choice."""
MAX_SOUND_BANDWIDTH = 200_000
BROKEN = "This playlist is damaged and cannot be read."
_PLAIN = re.compile(r"[\w~-][\w.~-]*(?:/[\w~-][\w.~-]*)*", re.ASCII)


class BadPlaylist(Fault):
    """A playlist that is broken, too large, or of a kind that is not read."""


class LiveStream(BadPlaylist):
    """What is going on now has no moments to choose from."""

    def __init__(self, message: str = "This is a live stream: it can be read when it is over and saved.") -> None:
        super().__init__(message)


class Protected(BadPlaylist):
    """The video is encrypted for players with a licence."""

    def __init__(self, message: str = "This video is protected (DRM): it cannot be read.") -> None:
        super().__init__(message)


@dataclass(frozen=True)
class Cipher:
    """AES-128 in CBC mode (RFC 8216, section 4.3.2.4): where the key is, and the initialisation vector."""

    key_url: str
    iv: bytes


@dataclass(frozen=True)
class Part:
    """A resource, or the bytes [start, stop) of it."""

    url: str
    start: int = 0
    stop: int | None = None
    cipher: Cipher | None = None

    @property
    def size(self) -> int:
        """How many bytes it has, 0 if the playlist does not tell."""
        return 0 if self.stop is None else self.stop - self.start


@dataclass(frozen=True)
class Segment:
    """A piece of a track that can be read by itself, after ``init`` if it has one.

    Timestamps go on from one segment of a ``run`` to the next; another run (after a discontinuity, in another period)
    may begin anywhere, and with other parameters. ``origin`` is the timestamp (seconds) of the presentation's
    beginning in this run; None if only the media themselves tell.
    """

    start: float
    duration: float
    part: Part
    init: Part | None = None
    run: int = 0
    origin: float | None = None

    @property
    def end(self) -> float:
        """When the next one begins."""
        return self.start + self.duration


@dataclass(frozen=True)
class Track:
    """One rendition of the picture (the sound may be in it), the sound, or the captions.

    ``index`` is where its segments are listed as long as they were not read: a media playlist, or the ``sidx`` of
    ``whole``. A picture's sound is the track of the ``group`` that it names in ``sound_group``; none belongs to None.
    Bandwidth in bits per second; what is not known is 0 or "".
    """

    segments: tuple[Segment, ...] = ()
    index: Part | None = None
    whole: Segment | None = None
    bandwidth: int = 0
    width: int = 0
    height: int = 0
    codecs: str = ""
    language: str = ""
    group: str = ""
    sound_group: str | None = None
    text_group: str | None = None
    default: bool = False

    @cached_property
    def starts(self) -> list[float]:
        """When the segments begin, ascending."""
        return [s.start for s in self.segments]

    def at(self, time: float) -> int:
        """The number of the segment that is shown at a time."""
        return max(bisect_right(self.starts, time + 1e-3) - 1, 0)

    def between(self, start: float, end: float) -> list[Segment]:
        """The segments that are shown from ``start`` until ``end``."""
        covering = self.segments[self.at(start) : self.at(end) + 1]
        return [s for s in covering if s.start < end and s.end > start]


@dataclass(frozen=True)
class Period:
    """The tracks to choose from in one part of the presentation; mostly there is only one part."""

    pictures: tuple[Track, ...]
    sounds: tuple[Track, ...] = ()
    texts: tuple[Track, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The tracks that are read."""

    cut: Track
    look: Track
    sound: Track | None = None
    """None: the sound is in the picture's own segments, or there is none."""
    text: Track | None = None


def choose(period: Period) -> Choice:
    """Choose among a period's tracks.

    Raises
    ------
    BadPlaylist
        It has no picture.
    """
    pictures = [t for t in period.pictures if not _only_sound(t)]
    if not pictures:
        raise BadPlaylist("This playlist has no video in it.")
    readable = [t for t in pictures if _is_h264(t)] or [t for t in pictures if not t.codecs] or pictures
    small = [t for t in readable if t.height <= MAX_HEIGHT]
    cut = max(small, key=_quality) if small else min(readable, key=_quality)
    look = min(readable, key=lambda t: (t.bandwidth or 1 << 40, t.height))
    sounds = [t for t in period.sounds if t.group == cut.sound_group]
    texts = [t for t in period.texts if t.group == cut.text_group]
    sound = max(sounds, key=_sound_quality, default=None)
    if sound is None and look.sound_group != cut.sound_group:  # Its own segments have no sound to listen to.
        look = cut
    spoken = sound.language if sound else ""
    text = max(texts, key=lambda t: (t.default, bool(spoken) and t.language == spoken), default=None)
    return Choice(cut, look, sound, text)


def joined(choices: Sequence[Choice]) -> Choice:
    """The choices of all periods as one, when their segments are known."""
    first = choices[0]
    if len(choices) == 1:
        return first
    sounds = [c.sound for c in choices if c.sound]
    texts = [c.text for c in choices if c.text]
    return Choice(
        _row(first.cut, [c.cut for c in choices]),
        _row(first.look, [c.look for c in choices]),
        _row(sounds[0], sounds) if sounds else None,
        _row(texts[0], texts) if texts else None,
    )


def _row(first: Track, tracks: Iterable[Track]) -> Track:
    return replace(first, segments=tuple(s for t in tracks for s in t.segments))


def checked(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The segments, if they make sense.

    Raises
    ------
    BadPlaylist
        There are none or too many, or their times cannot be.
    """
    if not segments:
        raise BadPlaylist("This playlist names no segments.")
    too_many(len(segments))
    last = segments[-1]
    if not all(0 <= s.duration <= MAX_SECONDS and -MAX_SECONDS <= s.start <= MAX_SECONDS for s in segments):
        raise BadPlaylist("This playlist is damaged: the times in it cannot be.")
    if not last.end > segments[0].start:
        raise BadPlaylist("This playlist is damaged: all of its segments are empty.")
    return tuple(sorted(segments, key=lambda s: s.start))


def absolute(base: str, name: str) -> str:
    """The URL that a playlist at ``base`` names; what may be fetched is judged where it is fetched.

    Raises
    ------
    BadPlaylist
        It is no URL, or longer than one may be.
    """
    try:
        # Plain file names, of which there are thousands, take a tenth of the time.
        url = _folder(base) + name if _PLAIN.fullmatch(name) else urljoin(base, name)
    except ValueError:
        raise BadPlaylist(BROKEN) from None
    too_long(url)
    return url


@lru_cache(64)
def _folder(base: str) -> str:
    return urljoin(base, "x")[:-1]


def too_many(count: int) -> None:
    """Refuse a number of segments that nobody needs.

    Raises
    ------
    BadPlaylist
        There are more than may be.
    """
    if count > MAX_SEGMENTS:
        raise BadPlaylist(f"This playlist names more than the {MAX_SEGMENTS} segments that may be.")


def too_long(*texts: str) -> None:
    """Refuse a URL that could not be fetched, or what one is made from.

    Raises
    ------
    BadPlaylist
        One is longer than a URL may be.
    """
    if any(len(text) > MAX_URL_CHARACTERS for text in texts):
        raise BadPlaylist(f"This playlist names a URL longer than the {MAX_URL_CHARACTERS} characters that may be.")


def too_much(characters: int) -> None:
    """Refuse names that take more memory than any video's do.

    Raises
    ------
    BadPlaylist
        All of them together are longer than they may be.
    """
    if characters > MAX_NAMED_CHARACTERS:
        raise BadPlaylist(f"This playlist's URLs come to more than the {MAX_NAMED_CHARACTERS >> 20} MiB that may be.")


def _only_sound(track: Track) -> bool:
    kinds = [c.strip().split(".")[0].lower() for c in track.codecs.split(",") if c.strip()]
    return not track.height and bool(kinds) and all(k in _SOUNDS for k in kinds)


_SOUNDS = {"mp4a", "ac-3", "ec-3", "opus", "vorbis", "flac", "alac"}


def _is_h264(track: Track) -> bool:
    return any(c.strip().lower().startswith(("avc1", "avc3")) for c in track.codecs.split(","))


def _quality(track: Track) -> tuple[int, int]:
    return track.height, track.bandwidth


def _sound_quality(track: Track) -> tuple[bool, bool, bool, int]:
    """Sound that can be copied, the main one, as rich as it need be."""
    copied = not track.codecs or track.codecs.startswith("mp4a.40")
    return track.default, copied, track.bandwidth <= MAX_SOUND_BANDWIDTH, track.bandwidth
