"""What a model is shown of a video: keyframes as small JPEGs with their times, and what is said or heard.

Comes in: how to open a video, and a stretch of it. Goes out: :class:`~cutaway_server.gemini.video.Material`, and
:class:`~cutaway_server.snippets.captions.Sentence` values. Like all that reads media these are jobs, run in a worker;
of the file they read the keyframes that they show and nothing between them. Sound that comes with these, as it does
where a file's index does not tell how large keyframes are, and all of it from a local copy, is passed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import Interpolation

from cutaway_server.gemini.video import Material, Still
from cutaway_server.snippets import looks
from cutaway_server.snippets.captions import Sentence, sentences
from cutaway_server.snippets.index import Index, VideoTrack
from cutaway_server.snippets.media import Source
from cutaway_server.snippets.recordings import recordings
from cutaway_server.snippets.shots import Signature, sign

LEAST_SPACING_SECONDS = 3.0
LONG_SIDE = 768
"""Pixels: the side of the squares in which Gemini takes pictures in."""
QUALITIES = (5, 9, 15, 24)
MOST_BYTES = 80_000
"""Of a still: 64 of them are 7 MB as base64 at most."""
SAME = 8 / 255
"""Pictures none of whose fields differs by more are the same slide."""


@dataclass(frozen=True)
class Part:
    """What one job looks at: a part, counted from 0, of the stretch from ``start`` until ``end`` (seconds).

    ``most_stills`` and ``most_sound_bytes`` are what may come of the whole stretch.
    """

    start: float
    end: float
    most_stills: int
    most_sound_bytes: int = 0
    number: int = 0
    count: int = 1


def look(source: Source, index: Index, part: Part) -> Material:
    """Keyframes, evenly spread, and of the sound what was read with them.

    A picture like the one before it is left out, so of a slide there is one still.

    Raises
    ------
    Fault
        The source fails.
    """
    chosen = spread(index.keyframe_times, part.start, part.end, part.most_stills)
    first, stop = (n * len(chosen) // part.count for n in (part.number, part.number + 1))
    shown: list[Still] = []
    last: Signature | None = None
    with source.open(index) as media:
        for key, frame in media.keyframes(chosen[max(first - 1, 0) : stop]):
            time = float(index.keyframe_times[key])
            signature = sign(frame, time)
            if key < chosen[first]:  # What the part before ends with.
                last = signature
                continue
            if last is not None and is_same(last, signature):
                continue
            if picture := small_jpeg(frame, index.video):
                shown.append(Still(time, picture))
                last = signature
        begin, end = (part.start + n * (part.end - part.start) / part.count for n in (part.number, part.number + 1))
        heard = media.sound_here(begin, end) if part.most_sound_bytes else None
        sound = recordings(heard, part.most_sound_bytes // part.count) if heard else []
    return Material(stills=tuple(shown), sound=tuple(sound))


def told(source: Source, index: Index, start: float, end: float) -> list[Sentence]:
    """What is said from ``start`` until ``end`` (seconds), as far as there are captions whose places are known.

    Raises
    ------
    Fault
        The source fails.
    """
    with source.open(index) as media:
        return [s for s in sentences(media.cues([(start, end)])[0]) if s.start < end and s.end > start]


def spread(times: Sequence[float] | np.ndarray, start: float, end: float, most: int) -> list[int]:
    """The numbers of ``most`` keyframes or fewer, ascending: those nearest to evenly spread times.

    ``times`` are the keyframes' (seconds, ascending). Only keyframes from ``start`` until ``end`` are chosen.
    """
    times = np.asarray(times, np.float64)
    first, last = np.searchsorted(times, [start - 1e-6, end])
    count = min(most, int((end - start) / LEAST_SPACING_SECONDS) + 1)
    if first == last or count < 1:
        return []
    aims = start + (np.arange(count) + 0.5) * (end - start) / count
    after = np.clip(np.searchsorted(times, aims), first, last - 1)
    before = np.clip(after - 1, first, last - 1)
    nearest = np.where(np.abs(times[after] - aims) < np.abs(times[before] - aims), after, before)
    return [int(key) for key in np.unique(nearest)]


def is_same(one: Signature, other: Signature) -> bool:
    """Whether two pictures show the same, but for the noise of coding and the blink of an eye."""
    return float(np.abs(one.fields - other.fields).max()) < SAME


def small_jpeg(frame: av.VideoFrame, track: VideoTrack) -> bytes | None:
    """A JPEG of a frame as it is seen, upright and with square pixels; None if it cannot be made."""
    wide, high = frame.width * track.pixel_aspect, frame.height
    scale = min(LONG_SIDE / max(wide, high), 1.0)
    width, height = (max(round(side * scale) & ~1, 2) for side in (wide, high))
    small = frame.reformat(width, height, "rgb24" if track.rotation else "yuvj420p", interpolation=Interpolation.AREA)
    if track.rotation % 360:
        small = looks.upright(small, track.rotation)
    for quality in QUALITIES:
        picture = looks.jpeg(small, small.width, small.height, quality)
        if 0 < len(picture) <= MOST_BYTES:
            return picture
    return None
