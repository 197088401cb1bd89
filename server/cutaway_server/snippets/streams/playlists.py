"""Which resources are playlists of streams, and from one to the tracks that are read.

Comes in: the bytes of a playlist or manifest. Goes out: a
:class:`~cutaway_server.snippets.streams.segments.Choice` whose tracks have their segments; the lists of
these are fetched together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cutaway_server.errors import Fault
from cutaway_server.snippets.streams import dash, hls
from cutaway_server.snippets.streams.naming import listed_by
from cutaway_server.snippets.streams.parts import Parts
from cutaway_server.snippets.streams.segments import Choice, Track, choose, joined

MAX_PLAYLIST_BYTES = 8 << 20


def is_playlist(head: bytes) -> bool:
    """Whether a resource that begins so is a playlist of one of these kinds, whatever it is called."""
    return _is_hls(head) or _is_dash(head)


def _is_hls(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"#EXTM3U")


def _is_dash(head: bytes) -> bool:
    text = head[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith(b"<") and b"<MPD" in text


def read_playlist(data: bytes, url: str, parts: Parts) -> Choice:
    """Choose among the tracks of a playlist, and read where their segments are.

    Raises
    ------
    Fault
        A playlist cannot be read or fetched, is live or protected.
    """
    periods = [hls.read(_text(data), url)] if _is_hls(data) else dash.read(data, url)
    return joined(_loaded([choose(p) for p in periods], parts))


def _loaded(choices: Sequence[Choice], parts: Parts) -> list[Choice]:
    """The choices with the segments of all their tracks, whose lists are fetched together."""
    tracks = [t for c in choices for t in (c.cut, c.look, c.sound, c.text) if t is not None and t.index is not None]
    asked = {t.index: parts.resource(t.index, MAX_PLAYLIST_BYTES) for t in tracks if t.index is not None}

    def load(track: Track) -> Track:
        if track.index is None:
            return track
        got = asked[track.index].result()
        if track.whole is not None:
            segments = listed_by(got.data, track.index.start, track.whole)
        else:
            segments = hls.read_segments(_text(got.data), got.url)
        return replace(track, segments=segments, index=None)

    def spare(track: Track | None, instead: Track | None) -> Track | None:
        """What the video can be read without."""
        try:
            return load(track) if track is not None else None
        except Fault:
            return instead

    found = []
    for choice in choices:
        cut = load(choice.cut)
        look = spare(choice.look, cut) or cut
        sound = load(choice.sound) if choice.sound is not None else None
        found.append(Choice(cut, look, sound, spare(choice.text, None)))
    return found


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
