"""The last look at a clip before it leaves: is it an MP4 that plays everywhere, from its first frame to its end?

Comes in: the clip's bytes and what it should be. Nothing goes out but an exception.
"""

from __future__ import annotations

import io

import av

MAX_SYNC_SECONDS = 0.1
TRACK_SLACK_SECONDS = 0.5


class BadClip(Exception):
    """A clip that must not be sent; the message says what is wrong with it."""


def top_boxes(data: bytes) -> list[str]:
    """The types of a file's outermost boxes, in order (ISO/IEC 14496-12 section 4.2)."""
    found, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 8].decode("latin-1"))
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:
            break
        at += size
    return found


def check(data: bytes, *, seconds: float, frame_seconds: float, frames: int | None, sound: bool, whole: bool) -> None:
    """Check a clip.

    Parameters
    ----------
    seconds, frame_seconds
        How long it should be, and how long one frame is.
    frames
        How many frames it should have, if known.
    whole
        Decode all of it; otherwise only its keyframes.

    Raises
    ------
    BadClip
        It is not what it should be.
    """
    boxes = top_boxes(data)
    if boxes[:1] != ["ftyp"] or "moov" not in boxes or boxes.index("moov") > boxes.index("mdat"):
        raise BadClip(f"boxes {boxes}")
    try:
        with av.open(io.BytesIO(data), "r", options={"format_whitelist": "mov", "protocol_whitelist": ""}) as clip:
            _check_tracks(clip, seconds, frame_seconds, sound)
        # The edit list must not be what makes the pictures right: look at them without it.
        options = {"format_whitelist": "mov", "protocol_whitelist": "", "ignore_editlist": "1"}
        with av.open(io.BytesIO(data), "r", options=options) as clip:
            _check_frames(clip, frames, frame_seconds, whole)
            if sound and whole:
                clip.seek(0)
                if not sum(f.samples for f in clip.decode(clip.streams.audio[0])):
                    raise BadClip("no sound decodes")
    except av.FFmpegError as error:
        raise BadClip(f"does not decode: {error}") from error


def _check_tracks(clip: av.container.InputContainer, seconds: float, frame_seconds: float, sound: bool) -> None:
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
        return
    if not clip.streams.audio:
        raise BadClip("sound is missing")
    audio = clip.streams.audio[0]
    if audio.codec_context.codec.canonical_name != "aac":
        raise BadClip(f"sound is {audio.codec_context.codec.canonical_name}")


def _check_frames(clip: av.container.InputContainer, frames: int | None, frame_seconds: float, whole: bool) -> None:
    video = clip.streams.video[0]
    entries = video.index_entries
    if not len(entries) or not entries[0].is_keyframe:
        raise BadClip("the first packet is no keyframe")
    if frames is not None and len(entries) != frames:
        raise BadClip(f"{len(entries)} frames, not {frames}")
    if not whole:
        video.codec_context.skip_frame = "NONKEY"
    video.codec_context.options = {"err_detect": "crccheck+bitstream+buffer+explode"}
    video.thread_count = 2
    shown = 0
    last = -1
    for frame in clip.decode(video):
        if frame.pts is None or frame.pts <= last or (shown == 0 and frame.pts):
            raise BadClip(f"frame {shown} is shown at {frame.pts}, after {last}")
        if frame.is_corrupt:
            raise BadClip(f"frame {shown} is damaged")
        last = frame.pts
        shown += 1
    if not shown or (whole and shown != len(entries)):
        raise BadClip(f"{shown} of {len(entries)} frames can be shown")
