"""The last look at a clip before it leaves: is it an MP4 that plays everywhere, from its first frame to its end?

Comes in: the clip's bytes and what it should be. Goes out: its real length, or an exception.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import av

from cutaway_server.snippets.boxes import walk
from cutaway_server.snippets.decoding import STRICT
from cutaway_server.snippets.window import Packet

Decoded = int | Literal["keyframes", "all"]

ROUNDING_SECONDS = 0.002
_OPTIONS = {"format_whitelist": "mov", "protocol_whitelist": ""}


class BadClip(Exception):
    """A clip that must not be sent; the message says what is wrong with it."""


def top_boxes(data: bytes) -> list[str]:
    """The types of a file's outermost boxes, in order."""
    return [box.kind for box in walk(lambda at, size: data[at : at + size])]


def check(
    data: bytes, *, seconds: float, frame_seconds: float, frames: int | None, sound: bool, decode: Decoded
) -> float:
    """Check a clip.

    Parameters
    ----------
    seconds, frame_seconds
        How long it should be, and how long one frame is.
    frames
        How many frames it should have, if known.
    decode
        What of it to decode: the first so many frames, when the packets themselves were decoded before they were
        copied; all keyframes; or everything.

    Returns
    -------
    float
        How long it really is, in seconds.

    Raises
    ------
    BadClip
        It is not what it should be.
    """
    boxes = top_boxes(data)
    if boxes[:1] != ["ftyp"] or "moov" not in boxes or "mdat" in boxes[: boxes.index("moov")]:
        raise BadClip(f"boxes {boxes}")
    try:
        with av.open(io.BytesIO(data), "r", options=_OPTIONS) as clip:
            header_seconds = _check_tracks(clip, sound)
        # The edit list must not be what makes the pictures right: look at them without it.
        with av.open(io.BytesIO(data), "r", options={**_OPTIONS, "ignore_editlist": "1"}) as clip:
            packets = _packets(clip, frames)
            length = _check_length(packets, header_seconds, seconds, frame_seconds)
            _check_frames(clip, packets, decode)
            if sound and decode == "all":
                clip.seek(0)
                if not sum(f.samples for f in clip.decode(clip.streams.audio[0])):
                    raise BadClip("no sound decodes")
    except av.FFmpegError as error:
        raise BadClip(f"does not decode: {error}") from error
    return length


def _check_tracks(clip: av.container.InputContainer, sound: bool) -> float:
    """The picture's length (seconds) as the header has it."""
    video = clip.streams.video[0]
    context = video.codec_context
    if context.codec.canonical_name != "h264" or context.pix_fmt not in ("yuv420p", "yuvj420p"):
        raise BadClip(f"video is {context.codec.canonical_name} {context.pix_fmt}")
    if video.start_time:
        raise BadClip("video does not start at 0")
    if sound and not clip.streams.audio:
        raise BadClip("sound is missing")
    if sound and (codec := clip.streams.audio[0].codec_context.codec.canonical_name) != "aac":
        raise BadClip(f"sound is {codec}")
    return float((video.duration or 0) * (video.time_base or 0))


def _packets(clip: av.container.InputContainer, frames: int | None) -> list[Packet]:
    """The packets of the picture, in decoding order."""
    entries = clip.streams.video[0].index_entries
    if not len(entries) or not entries[0].is_keyframe:
        raise BadClip("the first packet is no keyframe")
    if frames is not None and len(entries) != frames:
        raise BadClip(f"{len(entries)} frames, not {frames}")
    packets = [p for p in clip.demux(video=0) if p.size and p.pts is not None]
    if len(packets) != len(entries):
        raise BadClip(f"{len(packets)} of {len(entries)} frames are there")
    return packets


def _check_length(packets: list[Packet], header_seconds: float, seconds: float, frame_seconds: float) -> float:
    """The length (seconds) by the times at which frames are shown.

    The header's goes by decoding times, which are as many frames behind as B-frames refer to: up to two, and where the
    rate varies, that is as much as these are off. The last packet has the length of what is shown last.
    """
    times = _times(packets)
    base = float(packets[0].time_base)
    length = (times[-1] + (packets[-1].duration or 0) - times[0]) * base
    if abs(length - seconds) > frame_seconds + ROUNDING_SECONDS:
        raise BadClip(f"video is {length:.3f} s long, not {seconds:.3f}")
    longest = sum(sorted(b - a for a, b in pairwise(times))[-2:]) * base
    if abs(header_seconds - length) > max(longest, frame_seconds) + ROUNDING_SECONDS:
        raise BadClip(f"video says that it is {header_seconds:.3f} s long, but is {length:.3f}")
    return length


def _times(packets: Sequence[Packet]) -> list[int]:
    return sorted(p.pts for p in packets if p.pts is not None)


def _check_frames(clip: av.container.InputContainer, packets: list[Packet], decode: Decoded) -> None:
    video = clip.streams.video[0]
    sparse = decode in (1, "keyframes")
    if sparse:
        video.codec_context.skip_frame = "NONKEY"
    # Smoothed edges, which take a fourth of the time, hide no damage.
    video.codec_context.options = {"err_detect": STRICT, "skip_loop_filter": "all"}
    video.thread_count = 2
    video.thread_type = "AUTO"
    if decode == "keyframes":  # One after the other, they are decoded two at a time.
        packets = sorted(packets, key=lambda p: not p.is_keyframe)
    shown: list[int] = []
    sizes: set[tuple[int, int]] = set()
    for packet in [*packets, None]:
        for frame in video.codec_context.decode(packet):
            if frame.pts is None or frame.pts <= (shown[-1] if shown else -1):
                raise BadClip(f"frame {len(shown)} is shown at {frame.pts}, after {shown[-1:]}")
            if frame.is_corrupt:
                raise BadClip(f"frame {len(shown)} is damaged")
            shown.append(frame.pts)
            sizes.add((frame.width, frame.height))
        if isinstance(decode, int) and len(shown) >= decode:
            break
    if not shown or shown[0] or (decode == "all" and len(shown) != len(packets)):
        raise BadClip(f"{len(shown)} of {len(packets)} frames can be shown, from {shown[:1]}")
    if len(sizes) > 1:
        raise BadClip(f"pictures of several sizes: {sorted(sizes)}")
    if not sparse and _times(packets)[: len(shown)] != shown:
        raise BadClip("frames are missing")
