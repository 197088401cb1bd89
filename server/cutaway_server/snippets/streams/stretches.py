"""Windows of packets out of segments: what a clip is made of.

Comes in: the tracks of a stream, where a stretch begins and ends. Goes out: a
:class:`~cutaway_server.snippets.window.Window` whose picture and sound, from the same segments or from others with
other borders and other timestamps, count their times from the same origin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby

from cutaway_server.snippets.index import VideoTrack
from cutaway_server.snippets.streams.muxed import WRAP_SECONDS, Muxed, join, samples
from cutaway_server.snippets.streams.parts import Parts
from cutaway_server.snippets.streams.segments import Choice, Segment, Track
from cutaway_server.snippets.window import MAX_WINDOW_BYTES, Packet, Window

MAX_WINDOW_SEGMENTS = 120
SOUND_MARGIN_SECONDS = 0.2
STRAY_SECONDS = 1.0
"""Timestamps that differ by more from what the playlist says are believed only to be steady."""


@dataclass
class _Asked:
    """Segments that are on their way."""

    segments: Sequence[Segment]
    init: Future[bytes]
    parts: Sequence[Future[bytes]]

    def join(self) -> tuple[Muxed, list[Segment]]:
        """Those that came, together: the longest row of them if some are missing."""
        came = [part.exception() is None for part in self.parts]
        rows = [list(row) for there, row in groupby(range(len(came)), key=lambda n: came[n]) if there]
        row = max(rows, key=len, default=[0])
        data = b"".join(self.parts[n].result() for n in row)
        return join(self.init.result() + data), [self.segments[n] for n in row]


def read_stretch(
    parts: Parts, choice: Choice, origin_of: Callable[[int], float | None], start: float, end: float, video: VideoTrack
) -> Window:
    """Read a window.

    Parameters
    ----------
    origin_of
        Tells the timestamp (seconds) of the presentation's beginning in a run of the picture, if that is known.

    Raises
    ------
    Fault
        The bytes could not be fetched, or are no video.
    """
    cut = choice.cut
    pictures = _longest_run(cut.between(start, end) or [cut.segments[cut.at(start)]])[:MAX_WINDOW_SEGMENTS]
    run = pictures[0].run
    sounds = _sounds(choice.sound, pictures, end)
    share = MAX_WINDOW_BYTES // (len(pictures) + len(sounds))
    asked = _ask(parts, pictures, share)
    asked_sound = _ask(parts, sounds, share) if sounds else None
    believed = origin_of(run)
    opened, pictures = asked.join()
    shown = opened.video
    heard = opened
    if asked_sound is not None:
        heard, sounds = asked_sound.join()
    base = shown.time_base or 1
    frame_seconds = 1 / video.frames_per_second
    pictured, sounded = _sorted(opened, heard)
    first = next((n for n, p in enumerate(pictured) if p.is_keyframe), len(pictured))
    pictured = pictured[first:]
    origin = believed or 0.0
    if pictured:
        origin = _anchored(opened, opened.seconds(pictured[0]), believed, pictures[0])
    window = Window(shown, heard.audio if sounded else None, origin, frame_seconds)
    kept = [p for p in pictured if _decoded(opened, p) - origin < end]
    following = cut.segments[cut.segments.index(pictures[-1]) + 1 :][:1]
    window.at_end = len(kept) == len(pictured) and not (following and following[0].run == run)
    window.video = samples(kept, max(round(frame_seconds / float(base)), 1))
    if heard.audio is not None and sounded:
        window.audio = samples(sounded, 0)
        own = origin
        if asked_sound is not None:
            told = sounds[0].origin
            own = _anchored(heard, heard.seconds(sounded[0]), origin if told is None else told, sounds[0])
        shift = round((origin - own + heard.lead) / float(heard.audio.time_base or 1))
        for sample in window.audio:
            sample.pts += shift
        window.audio = [s for s in window.audio if float(s.pts * window.audio_base) - origin < end]
    return window


def _longest_run(segments: Sequence[Segment]) -> list[Segment]:
    runs = [list(group) for _, group in groupby(segments, key=lambda s: s.run)]
    return max(runs, key=lambda run: run[-1].end - run[0].start)


def _sounds(track: Track | None, pictures: Sequence[Segment], end: float) -> list[Segment]:
    """The segments of the sound beside those of the picture, in the same run if the sound knows of it."""
    if track is None:
        return []
    until = min(end, pictures[-1].end) + SOUND_MARGIN_SECONDS
    found = track.between(pictures[0].start - SOUND_MARGIN_SECONDS, until)[:MAX_WINDOW_SEGMENTS]
    return [s for s in found if s.run == pictures[0].run] or (_longest_run(found) if found else [])


def _ask(parts: Parts, segments: Sequence[Segment], max_bytes: int) -> _Asked:
    return _Asked(segments, parts.init(segments[0]), [parts.whole(s.part, max_bytes) for s in segments])


def _sorted(opened: Muxed, heard: Muxed) -> tuple[list[Packet], list[Packet]]:
    """The packets of the picture and of the sound, each in decoding order."""
    video, audio = opened.video, heard.audio
    if heard is not opened:
        return list(opened.packets(video)), list(heard.packets(audio)) if audio else []
    pictured: list[Packet] = []
    sounded: list[Packet] = []
    for packet in opened.packets(*(s for s in (video, audio) if s is not None)):
        (pictured if packet.stream is video else sounded).append(packet)
    return pictured, sounded


def _decoded(opened: Muxed, packet: Packet) -> float:
    stamp = packet.dts if packet.dts is not None else packet.pts
    return float((stamp or 0) * packet.time_base) + opened.lead


def _anchored(opened: Muxed, stamp: float, believed: float | None, segment: Segment) -> float:
    """The timestamp of the presentation's beginning, given the first one of a segment.

    What is believed is the same after each wrap; where it is far off, the playlist's own time counts.
    """
    placed = stamp - segment.start
    if believed is None:
        return placed
    if opened.wraps:
        believed += WRAP_SECONDS * round((placed - believed) / WRAP_SECONDS)
    return believed if abs(placed - believed) <= max(STRAY_SECONDS, 0.6 * segment.duration) else placed
