"""The clip between chosen bounds: copied where source and place allow, encoded otherwise, checked.

Comes in: a window of packets, what was seen in it, and the bounds. Goes out: a :class:`Clip`. Runs in a worker; files
stay inside the scratch folder that it is given for this clip alone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import av

from cutaway_server.snippets.bounds import Bounds, Wish
from cutaway_server.snippets.check import BadClip, check
from cutaway_server.snippets.encode import CannotEncode, encode
from cutaway_server.snippets.head import Head, NoHead, encode_head, with_head
from cutaway_server.snippets.index import Index
from cutaway_server.snippets.refine import Seen
from cutaway_server.snippets.remux import can_copy_audio, clean_ends, copy_packets, shown
from cutaway_server.snippets.window import Window

log = logging.getLogger(__name__)

SIZES_TRIED = 4
POOR_BYTES_PER_SECOND = 16_000
"""Less than this (128 kb/s) is not worth watching: a clip that must be small is made shorter before."""
QUICK_FRAMES = 60
"""1080p frames that may be decoded before the first snippet leaves."""
SEAM_FRAMES = 16
"""How many frames after a head are decoded before it is sent: more than any decoder reorders."""


@dataclass(frozen=True)
class Order:
    """What to cut: the wished-for moment and the stretch (seconds) inside which it has to stay."""

    wish: Wish
    low: float
    high: float
    quick: bool = False
    """Be early rather than thorough: for the first snippet."""
    lenient: bool = False
    """Take what is second best, too (:class:`~cutaway_server.snippets.cut.SecondBest`)."""
    keep_whole: bool = False
    """Show the whole stretch, as for a video shorter than the shortest snippet."""


@dataclass
class Clip:
    """A finished clip, and its file in the scratch folder. ``start`` and ``end`` are the source's seconds of the frames
    really shown.
    """

    data: bytes
    file: Path
    start: float
    end: float
    copied: bool
    seen: Seen


class Declined(Exception):
    """There is nothing worth showing at this place."""


def make(
    index: Index,
    window: Window,
    seen: Seen,
    order: Order,
    bounds: Bounds,
    max_height: int | None,
    max_bytes: int,
    scratch: Path,
) -> Clip:
    """Copy if possible, else encode; whatever fails its check is encoded.

    Raises
    ------
    CannotEncode
        It could not be encoded, or not be made small enough.
    Declined
        It is too damaged.
    """
    path = scratch / "clip.mp4"
    if bounds.copied and (not seen.damaged or bounds.end <= seen.decoded_until):
        try:
            clip = _copy(index, window, seen, bounds, order, max_bytes, path)
        except (BadClip, NoHead, av.FFmpegError, ValueError) as error:
            log.info("A copy of %.3f-%.3f s failed (%s): encoding", bounds.start, bounds.end, error)
        else:
            if clip is not None:
                return clip
    return _encode(index, window, seen, bounds, order, max_height, max_bytes, path)


def _copy(
    index: Index, window: Window, seen: Seen, bounds: Bounds, order: Order, max_bytes: int, path: Path
) -> Clip | None:
    """The clip by copying packets, all but those of a head; None if not even the shortest fits into ``max_bytes``."""
    start = _ticks(window, bounds.start)
    position = _position(window, start)
    head = None if window.video[position].keyframe else encode_head(window, start)
    if head is None:
        window = replace(window, video=[s for s in window.video[position:] if s.pts >= start])
    else:
        window = with_head(window, head)
    ends = clean_ends(window.video, at_end=window.at_end)
    kept, end = min(ends, key=lambda e: abs(window.seconds(e[1]) - bounds.end))
    total = 0
    fitting = 0
    for n, sample in enumerate(window.video):
        total += sample.packet.size
        if total > max_bytes * 0.97:  # The rest is sound and the sample tables.
            break
        fitting = n + 1
    if fitting < kept:
        ends = [e for e in ends if e[0] <= fitting and window.seconds(e[1]) - bounds.start >= order.wish.min_seconds]
        if not ends:
            return None
        kept, end = ends[-1]
    base, audio_base = window.video_base, window.audio_base
    has_sound = any(start * base <= s.pts * audio_base < end * base for s in window.audio)
    if not has_sound:
        window = replace(window, audio=[])
    sound = None
    if has_sound and not can_copy_audio(index):
        sound = path.with_suffix(".sound.mp4")
        encode(window, start, end, sound, track=None)
    copy_packets(window, start, kept, end, path, sound=sound, extradata=head.extradata if head else None)
    data = path.read_bytes()
    if len(data) > max_bytes:
        return None
    seconds = float((end - start) * base)
    check(
        data,
        seconds=seconds,
        frame_seconds=window.frame_seconds,
        frames=kept,
        sound=has_sound,
        # All packets were decoded in look_through(), but those of a head, and of a snippet in haste.
        decode=_checked_frames(head, order),
    )
    return Clip(data, path, window.seconds(start), window.seconds(end), True, seen)


def _checked_frames(head: Head | None, order: Order) -> int | Literal["keyframes"]:
    """How much of a copy is decoded to see that it is sound."""
    if head is not None and not (order.quick and len(head.samples) > QUICK_FRAMES):
        return len(head.samples) + SEAM_FRAMES
    return "keyframes" if order.quick else 1


def _encode(
    index: Index,
    window: Window,
    seen: Seen,
    bounds: Bounds,
    order: Order,
    max_height: int | None,
    max_bytes: int,
    path: Path,
) -> Clip:
    start, end = _ticks(window, bounds.start), _ticks(window, bounds.end)
    fitting = max(max_bytes * 0.9 / POOR_BYTES_PER_SECOND, order.wish.min_seconds)
    if bounds.end - bounds.start > fitting:  # Rather shorter than too poor.
        end = _ticks(window, bounds.start + fitting)
    seconds = float((end - start) * window.video_base)
    room = max_bytes
    for _ in range(SIZES_TRIED):
        encode(
            window,
            start,
            end,
            path,
            max_height=max_height,
            max_bytes=room,
            track=index.video,
        )
        data = path.read_bytes()
        if len(data) <= max_bytes:
            break
        room = room * max_bytes // len(data) * 9 // 10
        most = min(max_height or 10_000, index.video.shown_height)
        max_height = min(most, max(most // 2, 90))
    else:
        raise CannotEncode("This part of the video could not be made small enough.")
    # Damaged packets may leave out frames at the end, so the length is what it is.
    slack = _longest_frame(window, start, end) if not seen.damaged else seconds
    try:
        length = check(data, seconds=seconds, frame_seconds=slack, frames=None, sound=False, decode="all")
    except BadClip as error:
        raise CannotEncode("This part of the video could not be encoded.") from error
    if seen.damaged:
        if length < order.wish.min_seconds and not order.keep_whole:
            raise Declined("too damaged")
        seconds = min(length, seconds)
    return Clip(data, path, window.seconds(start), window.seconds(start) + seconds, False, seen)


def _longest_frame(window: Window, start: int, end: int) -> float:
    """How long (seconds) the longest frame is shown: by so much the end of the last one may be off."""
    times = [*sorted(s.pts for s in shown(window) if start <= s.pts < end), end]
    longest = max((b - a for a, b in pairwise(times)), default=0)
    return max(float(longest * window.video_base), window.frame_seconds)


def _ticks(window: Window, at: float) -> int:
    """The shown frame (or the end of the last one) nearest to a time."""
    samples = shown(window)
    last = max(samples, key=lambda s: s.pts)
    return min((*(s.pts for s in samples), last.pts + max(last.duration, 1)), key=lambda t: abs(window.seconds(t) - at))


def _position(window: Window, pts: int) -> int:
    return next(n for n, s in enumerate(window.video) if s.pts == pts)
