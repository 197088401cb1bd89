"""One snippet's clip: choose its bounds, copy where source and place allow, encode otherwise, check.

Comes in: an open video and a moment. Goes out: a :class:`Clip`, or a :class:`Declined` that says why there is nothing
to show here. Runs in a worker; files stay inside the scratch folder it is given.
"""

from __future__ import annotations

import logging
import tempfile
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import av

from cutaway_server.snippets.bounds import Bounds, Wish, choose
from cutaway_server.snippets.check import BadClip, check
from cutaway_server.snippets.encode import CannotEncode, encode
from cutaway_server.snippets.head import Head, NoHead, encode_head, with_head
from cutaway_server.snippets.index import Index
from cutaway_server.snippets.media import Media
from cutaway_server.snippets.moments import early_keyframes
from cutaway_server.snippets.refine import FULL_HD, Seen, look_through, stretch_of
from cutaway_server.snippets.remux import can_copy_audio, can_copy_video, clean_ends, copy_packets, shown
from cutaway_server.snippets.snapping import DRIFT_SECONDS
from cutaway_server.snippets.window import Window

log = logging.getLogger(__name__)

BLACK, SENTENCE = "black", "sentence"
SIZES_TRIED = 4
POOR_BYTES_PER_SECOND = 16_000
"""Less than this (128 kb/s) is not worth watching: a clip that must be small is made shorter before."""
ENCODED_FRAMES_PER_SECOND = 25.0
"""What veryfast makes of 1080p on two cores."""
QUICK_FRAMES = 60
"""1080p frames that may be decoded before the first snippet leaves."""
QUICK_ENCODE_COST = 3.0
"""How much dearer encoding is while somebody waits for the first snippet."""
EASY_SHARE, HARD_BYTES = 0.25, 0.012
"""The work that the easiest pictures are, and the bytes a pixel (5 Mb/s for 1080p) from which on they are hard."""
SEAM_FRAMES = 16
"""How many frames after a head are decoded before it is sent: more than any decoder reorders."""
SHORT_GOP_SECONDS = 4.0
LEAD_SECONDS = 3.0
TAIL_SECONDS = 2.5
EARLY_KEYFRAME_SECONDS = 6.0
"""How much farther (seconds) a keyframe may be from the ideal beginning for being where a shot begins."""
TEXT_MARGIN_SECONDS = 20.0
BLACK_SHARE, ALL_BLACK_SHARE = 0.6, 0.9
"""What may be black of a snippet, and of a short video that is shown whole."""
STILL_SHARE = 0.97


@dataclass(frozen=True)
class Order:
    """What to cut: the wished-for moment and the stretch (seconds) inside which it has to stay."""

    wish: Wish
    low: float
    high: float
    quick: bool = False
    """Be early rather than thorough: for the first snippet."""
    lenient: bool = False
    """Take what is second best, too (:class:`SecondBest`)."""
    keep_whole: bool = False
    """Show the whole stretch, as for a video shorter than the shortest snippet."""


@dataclass
class Clip:
    """A finished clip. ``start`` and ``end`` are the source's seconds of the frames really shown."""

    data: bytes
    start: float
    end: float
    copied: bool
    seen: Seen


class Declined(Exception):
    """There is nothing worth showing at this place."""


class SecondBest(Declined):
    """There is something, to be shown only if the video has nothing better.

    That is sound with a black picture (``BLACK``), or a place where no snippet spares every sentence (``SENTENCE``).
    """


def cut(media: Media, order: Order, *, max_height: int | None, max_bytes: int, scratch: Path) -> Clip:
    """Make the clip of one moment.

    Raises
    ------
    Declined
        The stretch is black, or still and silent, or holds too little.
    Fault
        The bytes could not be fetched, or not be encoded.
    """
    key = first_keyframe(media, order)
    window = media.window(key, _reading_end(media, order, key))
    if not window.video:
        raise Declined("no frames")
    # The window's own captions begin and end in the middle of sentences.
    told = media.cues([(order.low - TEXT_MARGIN_SECONDS, order.high + TEXT_MARGIN_SECONDS)])[0]
    window.cues = told or window.cues
    frames = QUICK_FRAMES if order.quick else None
    seen = look_through(window, around=order.wish.anchor, max_frames=frames, named=order.wish.named)
    if not seen.shots.signatures:
        raise Declined("nothing decodes")
    copyable = can_copy_video(media.index, max_height)
    if order.keep_whole:
        bounds = _whole(window, seen, copyable)
    else:
        bounds = _choose(media, window, seen, order, copyable, spare_sentences=True)
        if bounds is None and (rough := _choose(media, window, seen, order, copyable, spare_sentences=False)):
            if not order.lenient:
                raise SecondBest(SENTENCE)
            bounds = rough
    if bounds is None:
        raise Declined("too short")
    decline_dull(seen, bounds, order)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        return _make(media.index, window, seen, order, bounds, max_height, max_bytes, Path(folder) / "clip.mp4")


def first_keyframe(media: Media, order: Order) -> int:
    """The number of the keyframe at which to begin reading.

    With short GOPs, one some seconds before the ideal beginning, so that in-points can be compared. With long ones
    everything after it has to be read and decoded, so the snippet should begin right there: at the keyframe nearest
    to the ideal beginning, or rather at one that the encoder put in early, since it does so where a shot begins. Where
    somebody named the beginning, it is worth the reading.
    """
    times = media.index.keyframe_times
    ideal = order.wish.anchor - order.wish.length / 2
    before = max(int(bisect_right(times, order.low + 0.02)) - 1, 0)
    if order.wish.named is not None:
        return max(int(bisect_right(times, order.wish.named.start - DRIFT_SECONDS)) - 1, before)
    if media.index.gop_seconds <= SHORT_GOP_SECONDS:
        return max(int(bisect_right(times, ideal - LEAD_SECONDS + 0.02)) - 1, before)
    latest = min(order.wish.anchor, order.high - order.wish.min_seconds)
    early = {0.0, *early_keyframes(media.index)}

    def price(key: int) -> float:
        return abs(float(times[key]) - ideal) - (EARLY_KEYFRAME_SECONDS if times[key] in early else 0.0)

    inside = [n for n in range(before, len(times)) if order.low - 0.02 <= times[n] <= latest]
    return min(inside, key=price) if inside else before


def _reading_end(media: Media, order: Order, key: int) -> float:
    """Where to end reading, which is as dear as decoding: a little after the wished-for length, or, where sentences
    are to be spared, at the end of the stretch; of a named span, as far after it as its end may be off."""
    if order.wish.named is not None:
        return min(order.high, order.wish.anchor + order.wish.length / 2 + DRIFT_SECONDS + TAIL_SECONDS / 2)
    if order.keep_whole or media.index.has_text:
        return order.high
    begin = max(float(media.index.keyframe_times[key]), order.wish.anchor - order.wish.length / 2)
    return min(order.high, begin + order.wish.length + TAIL_SECONDS)


def _choose(
    media: Media, window: Window, seen: Seen, order: Order, copyable: bool, *, spare_sentences: bool
) -> Bounds | None:
    stretch = stretch_of(window, seen).inside(order.low, order.high)
    if order.quick and order.wish.named is None:  # Nobody waits for the first snippet's head to be encoded.
        stretch = replace(stretch, splices=())
    if not copyable:
        return choose(stretch, order.wish, encode_cost=None, spare_sentences=spare_sentences, encoded=True)
    video = media.index.video
    cost = video.width * video.height / FULL_HD * video.frames_per_second / ENCODED_FRAMES_PER_SECOND
    if order.wish.named is not None:
        cost *= _effort(window)
    if order.quick:
        cost *= QUICK_ENCODE_COST
    return choose(stretch, order.wish, encode_cost=cost, spare_sentences=spare_sentences)


def _effort(window: Window) -> float:
    """How much work these pictures are, compared with hard ones: a slide takes a fourth of it."""
    pixels = window.video_stream.width * window.video_stream.height * len(window.video)
    return EASY_SHARE + (1 - EASY_SHARE) * min(sum(s.packet.size for s in window.video) / pixels / HARD_BYTES, 1.0)


def _whole(window: Window, seen: Seen, copyable: bool) -> Bounds | None:
    """All that a player shows: not what an edit list hides before the presentation starts."""
    stretch = stretch_of(window, seen)
    frames = [at for at in stretch.frames if at >= -0.5 * window.frame_seconds]
    ends = stretch.ends if copyable else stretch.frames
    if not frames or not ends or ends[-1] <= frames[0]:
        return None
    return Bounds(frames[0], ends[-1], copied=copyable)


def decline_dull(seen: Seen, bounds: Bounds, order: Order) -> None:
    """Refuse what nobody wants to see: black pictures, and still pictures in silence.

    Raises
    ------
    Declined
        It is one of these.
    """
    shots = seen.shots.between(bounds.start, bounds.end)
    silent = seen.silent(bounds.start, bounds.end) and not seen.sentences
    black = shots.black() > (ALL_BLACK_SHARE if order.keep_whole else BLACK_SHARE)
    if black and silent:
        raise Declined("black and silent")
    if black and not order.lenient:
        raise SecondBest(BLACK)
    if silent and shots.still() > STILL_SHARE:
        raise Declined("still and silent")


def _make(
    index: Index,
    window: Window,
    seen: Seen,
    order: Order,
    bounds: Bounds,
    max_height: int | None,
    max_bytes: int,
    path: Path,
) -> Clip:
    """Copy if possible, else encode; whatever fails its check is encoded."""
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
    return Clip(data, window.seconds(start), window.seconds(end), True, seen)


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
    return Clip(data, window.seconds(start), window.seconds(start) + seconds, False, seen)


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
