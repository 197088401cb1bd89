"""The last look at a clip before it leaves: is it an MP4 that plays everywhere, from its first frame to its end?

Comes in: the clip's bytes and what it should be. Goes out: its real length, or an exception.
"""

from __future__ import annotations

import io
from typing import Literal

import av

from cutaway_server.snippets.boxes import walk
from cutaway_server.snippets.decoding import STRICT

Decoded = int | Literal["keyframes", "all"]


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
        with av.open(io.BytesIO(data), "r", options={"format_whitelist": "mov", "protocol_whitelist": ""}) as clip:
            length = _check_tracks(clip, seconds, frame_seconds, sound)
        # The edit list must not be what makes the pictures right: look at them without it.
        options = {"format_whitelist": "mov", "protocol_whitelist": "", "ignore_editlist": "1"}
        with av.open(io.BytesIO(data), "r", options=options) as clip:
            _check_frames(clip, frames, decode)
            if sound and decode == "all":
                clip.seek(0)
                if not sum(f.samples for f in clip.decode(clip.streams.audio[0])):
                    raise BadClip("no sound decodes")
    except av.FFmpegError as error:
        raise BadClip(f"does not decode: {error}") from error
    return length


def _check_tracks(clip: av.container.InputContainer, seconds: float, frame_seconds: float, sound: bool) -> float:
    video = clip.streams.video[0]
    context = video.codec_context
    if context.codec.canonical_name != "h264" or context.pix_fmt not in ("yuv420p", "yuvj420p"):
        raise BadClip(f"video is {context.codec.canonical_name} {context.pix_fmt}")
    length = float((video.duration or 0) * (video.time_base or 0))
    if abs(length - seconds) > frame_seconds + 0.002:
        raise BadClip(f"video is {length:.3f} s long, not {seconds:.3f}")
    if video.start_time:
        raise BadClip("video does not start at 0")
    if not sound:
        return length
    if not clip.streams.audio:
        raise BadClip("sound is missing")
    audio = clip.streams.audio[0]
    if audio.codec_context.codec.canonical_name != "aac":
        raise BadClip(f"sound is {audio.codec_context.codec.canonical_name}")
    return length


def _check_frames(clip: av.container.InputContainer, frames: int | None, decode: Decoded) -> None:
    video = clip.streams.video[0]
    entries = video.index_entries
    if not len(entries) or not entries[0].is_keyframe:
        raise BadClip("the first packet is no keyframe")
    if frames is not None and len(entries) != frames:
        raise BadClip(f"{len(entries)} frames, not {frames}")
    sparse = decode in (1, "keyframes")
    if sparse:
        video.codec_context.skip_frame = "NONKEY"
    video.codec_context.options = {"err_detect": STRICT}
    video.thread_count = 2
    sent: list[int] = []
    shown: list[int] = []
    sizes: set[tuple[int, int]] = set()
    for packet in clip.demux(video):
        if packet.size and packet.pts is not None:
            sent.append(packet.pts)
        for frame in packet.decode():
            if frame.pts is None or frame.pts <= (shown[-1] if shown else -1):
                raise BadClip(f"frame {len(shown)} is shown at {frame.pts}, after {shown[-1:]}")
            if frame.is_corrupt:
                raise BadClip(f"frame {len(shown)} is damaged")
            shown.append(frame.pts)
            sizes.add((frame.width, frame.height))
        if isinstance(decode, int) and len(shown) >= decode:
            break
    if not shown or shown[0] or (decode == "all" and len(shown) != len(entries)):
        raise BadClip(f"{len(shown)} of {len(entries)} frames can be shown, from {shown[:1]}")
    if len(sizes) > 1:
        raise BadClip(f"pictures of several sizes: {sorted(sizes)}")
    if not sparse and sorted(sent)[: len(shown)] != shown:
        raise BadClip("frames are missing")
