"""One snippet's clip: read the stretch of a moment, look at it, choose its bounds, and have it made.

Comes in: an open video and a moment. Goes out: a :class:`~cutaway_server.snippets.clip.Clip`, or a
:class:`~cutaway_server.snippets.clip.Declined` that says why there is nothing to show here. Runs in a worker.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from pathlib import Path

from cutaway_server.snippets.bounds import Bounds, choose
from cutaway_server.snippets.clip import QUICK_FRAMES, Clip, Declined, Order, make
from cutaway_server.snippets.media import Media
from cutaway_server.snippets.moments import early_keyframes
from cutaway_server.snippets.refine import FULL_HD, Seen, look_through, stretch_of
from cutaway_server.snippets.remux import can_copy_video
from cutaway_server.snippets.snapping import DRIFT_SECONDS
from cutaway_server.snippets.window import Window

BLACK, SENTENCE = "black", "sentence"
ENCODED_FRAMES_PER_SECOND = 25.0
"""What veryfast makes of 1080p on two cores."""
QUICK_ENCODE_COST = 3.0
"""How much dearer encoding is while somebody waits for the first snippet."""
EASY_SHARE, HARD_BYTES = 0.25, 0.012
"""The work that the easiest pictures are, and the bytes a pixel (5 Mb/s for 1080p) from which on they are hard."""
SHORT_GOP_SECONDS = 4.0
LEAD_SECONDS = 3.0
TAIL_SECONDS = 2.5
EARLY_KEYFRAME_SECONDS = 6.0
"""How much farther (seconds) a keyframe may be from the ideal beginning for being where a shot begins."""
TEXT_MARGIN_SECONDS = 20.0
BLACK_SHARE, ALL_BLACK_SHARE = 0.6, 0.9
"""What may be black of a snippet, and of a short video that is shown whole."""
STILL_SHARE = 0.97


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
    return make(media.index, window, seen, order, bounds, max_height, max_bytes, scratch)


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
