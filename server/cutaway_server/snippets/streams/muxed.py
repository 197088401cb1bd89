"""Segments put together in memory, and what they hold.

Comes in: the bytes of an initialisation section and of segments that follow each other: MPEG-TS, fragmented MP4, or
bare AAC with its time in an ID3 tag. Goes out: an open container, and from it packets with their times.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from cutaway_server.snippets.decoding import MAX_PIXELS, decoder_of
from cutaway_server.snippets.index import HDR_TRANSFERS, AudioTrack, NotAVideo, VideoTrack, picture_stream, sound_stream
from cutaway_server.snippets.sound import listen
from cutaway_server.snippets.window import Packet, Sample

WRAP_SECONDS = 2**33 / 90_000
"""After this, the timestamps of MPEG-TS begin again at 0 (ISO/IEC 13818-1, section 2.4.3.7)."""
NO_SOUND = np.zeros(0, np.float32)
_ID3_TIME = b"com.apple.streaming.transportStreamTimestamp\0"


@dataclass
class Muxed:
    """Segments as one container; ``lead`` seconds are to be added to its timestamps."""

    container: InputContainer
    wraps: bool
    lead: float = 0.0

    @property
    def video(self) -> av.VideoStream:
        """The picture's stream.

        Raises
        ------
        NotAVideo
            There is none, or what it is is not told in these segments.
        """
        try:
            return picture_stream(self.container)
        except NotAVideo:
            raise NotAVideo("A segment of this stream has no picture that can be shown by itself.") from None

    @property
    def audio(self) -> av.AudioStream | None:
        """The sound's stream, if there is one."""
        return sound_stream(self.container)

    def packets(self, *streams: av.stream.Stream) -> Iterator[Packet]:
        """The packets that can be read; a damaged or cut off end is one."""
        try:
            for packet in self.container.demux(*streams):
                if packet.size and packet.pts is not None:
                    yield packet
        except (av.FFmpegError, EOFError):
            return

    def seconds(self, packet: Packet) -> float:
        """When a packet is shown, by its own timestamp."""
        return float((packet.pts or 0) * packet.time_base) + self.lead


def join(data: bytes) -> Muxed:
    """Open segments.

    Raises
    ------
    NotAVideo
        They are of no kind that is read.
    """
    kind = _kind(data)
    options = {"format_whitelist": kind, "protocol_whitelist": "", "max_streams": "64"}
    try:
        container = av.open(io.BytesIO(data), "r", kind, options=options, metadata_errors="replace")
    except (av.FFmpegError, EOFError) as error:
        raise NotAVideo("A segment of this stream is damaged, or not what its playlist says.") from error
    for stream in container.streams.video:
        if stream.codec_context is not None and stream.width * stream.height > MAX_PIXELS:
            raise NotAVideo(f"The picture is too large: {stream.width} x {stream.height} pixels.")
    return Muxed(container, wraps=kind != "mov", lead=_id3_seconds(data) if kind == "aac" else 0.0)


def _kind(data: bytes) -> str:
    if data[:1] == b"\x47" and data[188:189] in (b"\x47", b""):
        return "mpegts"
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xF6 == 0xF0):
        return "aac"
    return "mov"


def _id3_seconds(data: bytes) -> float:
    """The time of bare AAC's first sample (RFC 8216, section 3.4)."""
    place = data[:4096].find(_ID3_TIME)
    stamp = data[place + len(_ID3_TIME) :][:8] if place >= 0 else b""
    return (int.from_bytes(stamp, "big") & (1 << 33) - 1) / 90_000


def samples(packets: list[Packet], frame_ticks: int) -> list[Sample]:
    """Packets with what is known of them; those without a length get that of a frame."""
    return [Sample(p, p.pts or 0, p.duration or frame_ticks, p.is_keyframe) for p in packets]


def first_keyframe(muxed: Muxed) -> tuple[Packet | None, bool]:
    """The picture's first keyframe, and whether all of it is there, which the packet after it shows."""
    found = None
    for packet in muxed.packets(muxed.video):
        if found is not None:
            return found, True
        if packet.is_keyframe:
            found = packet
    return found, False


def decode(stream: av.VideoStream, packet: Packet) -> av.VideoFrame | None:
    """A single keyframe's picture, None if it cannot be decoded."""
    decoder = decoder_of(stream, threads=1)
    try:
        return next(iter(decoder.decode(packet) + decoder.decode(None)), None)
    except (av.FFmpegError, EOFError):
        return None


def picture_track(muxed: Muxed) -> tuple[VideoTrack, float]:
    """What the picture is, and the timestamp (seconds) of its first frame.

    Raises
    ------
    NotAVideo
        There is no picture.
    """
    stream = muxed.video
    found = list(muxed.packets(stream))
    first = next((p for p in found if p.is_keyframe), None)
    if first is None:
        raise NotAVideo("This stream says that it is a video but has no pictures in it.")
    frame = decode(stream, first)
    times = sorted(p.pts for p in found if p.pts is not None)
    steps = [b - a for a, b in pairwise(times[:-4] or times) if b > a]  # The last ones may lack those between.
    base = Fraction(stream.time_base or 0)
    rate = float(1 / (median(steps) * base)) if steps and base else float(stream.average_rate or 0)
    context = stream.codec_context
    track = VideoTrack(
        codec=context.codec.canonical_name,
        width=context.width,
        height=context.height,
        frames_per_second=rate if 0 < rate <= 240 else 25.0,
        pixel_format=context.pix_fmt or (frame.format.name if frame else ""),
        rotation=round(frame.rotation / 90) * 90 if frame else 0,
        pixel_aspect=float(stream.sample_aspect_ratio or 1) or 1.0,
        interlaced=frame is not None and frame.interlaced_frame,
        hdr=context.color_trc in HDR_TRANSFERS,
    )
    return track, muxed.seconds(first)


def sound_track(muxed: Muxed) -> AudioTrack | None:
    """What the sound is."""
    stream = muxed.audio
    return AudioTrack(stream.codec_context.codec.canonical_name, stream.rate, stream.channels) if stream else None


def heard_in(data: bytes, begin: float, start: float, end: float) -> NDArray[np.float32]:
    """The sound from ``start`` until ``end`` of segments whose sound begins at ``begin``, in seconds."""
    opened = join(data)
    packets = list(opened.packets(opened.audio)) if opened.audio else []
    if opened.audio is None or not packets:
        return NO_SOUND
    origin = opened.seconds(packets[0]) - begin
    return listen(opened.audio.codec_context, (p for p in packets if start <= opened.seconds(p) - origin < end))
