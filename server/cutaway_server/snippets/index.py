"""What a container's index tells about a video before any media byte is read.

Comes in: an open PyAV container. Goes out: an :class:`Index`, a small picklable value (a few kB per hour) with the
keyframes, the bytes that each second of picture and sound costs, chapters and titles. Packet sizes are the cheapest
sign of what happens: an encoder spends its bytes where the picture moves and where there is something to hear.

All times are seconds from the start of the presentation (the container's ``start_time``).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import av
import numpy as np
from av.container import InputContainer

from cutaway_server.errors import Fault
from cutaway_server.snippets.packets import Floats, Ints, PacketTable

MAX_BINS = 20_000
"""Longer videos get wider bins: 5.5 hours at one second each."""
MAX_KEYFRAMES, MAX_CHAPTERS = 100_000, 1_000
"""A hostile file names millions of them; what is kept goes from process to process."""
MAX_TEXT = 500
"""Characters of a title or chapter name that are kept."""


class NotAVideo(Fault):
    """The bytes are no video that can be shown in moments."""


HDR_TRANSFERS = {16, 18}
"""The numbers of PQ and HLG (ITU-T H.273, table 3)."""


@dataclass(frozen=True)
class VideoTrack:
    """The picture: codec name, coded size in pixels, rate in frames per second, rotation in degrees.

    ``pixel_aspect`` is a pixel's width by its height; ``hdr`` says that brightness is coded for a high dynamic range
    (the transfer functions PQ and HLG, ITU-R BT.2100).
    """

    codec: str
    width: int
    height: int
    frames_per_second: float
    pixel_format: str
    rotation: int = 0
    """Counterclockwise, by which the picture is turned before it is shown."""
    pixel_aspect: float = 1.0
    interlaced: bool = False
    hdr: bool = False

    @property
    def shown_height(self) -> int:
        """The picture's height in pixels as it is seen."""
        return self.width if self.rotation % 180 else self.height


@dataclass(frozen=True)
class AudioTrack:
    """The sound: codec name, sample rate in Hz."""

    codec: str
    rate: int
    channels: int


@dataclass(frozen=True)
class Chapter:
    """A named part of the video, in seconds."""

    start: float
    end: float
    title: str


@dataclass(frozen=True, eq=False)
class Index:
    """What is known before media is read. Arrays are one-dimensional.

    ``keyframe_times`` (seconds, ascending), ``keyframe_ticks`` (the same in ticks of the stream),
    ``keyframe_positions`` and ``keyframe_sizes`` (bytes, 0 if unknown) belong together. ``exact`` says that the
    container's index tells the place and size of every packet.
    ``video_rate`` and ``audio_rate`` are bytes per second in bins of ``bin_seconds``; keyframes are left out of
    ``video_rate`` where packet sizes are known, because their size tells about detail, not about movement.
    """

    duration: float
    video: VideoTrack
    audio: AudioTrack | None
    title: str
    chapters: tuple[Chapter, ...]
    has_text: bool
    keyframe_times: Floats
    keyframe_ticks: Ints
    keyframe_positions: Ints
    keyframe_sizes: Ints
    exact: bool
    bin_seconds: float
    video_rate: Floats
    audio_rate: Floats
    description: str = ""
    """What the page around the video says about it."""
    heat: Floats = field(default_factory=lambda: np.zeros(0))
    """How often each bin is watched, 0 to 1; empty if nobody says."""
    segmented: bool = False
    """From a playlist: the keyframes are where segments begin, wherever shots do, and ``video_rate`` is coarse."""

    @property
    def gop_seconds(self) -> float:
        """The typical distance between keyframes."""
        if len(self.keyframe_times) < 2:
            return self.duration
        return float(np.median(np.diff(self.keyframe_times)))


def picture_stream(container: InputContainer) -> av.VideoStream:
    """The stream that is the video: the largest one that is no cover picture.

    Raises
    ------
    NotAVideo
        There is none.
    """
    attached = av.stream.Disposition.attached_pic
    streams = [
        s
        for s in container.streams.video
        if not s.disposition & attached and s.codec_context is not None and s.width > 0 and s.height > 0
    ]
    if not streams:
        raise NotAVideo(
            "This file has sound but no video." if container.streams.audio else "This file has no video in it."
        )
    return max(streams, key=lambda s: s.width * s.height)


def sound_stream(container: InputContainer) -> av.AudioStream | None:
    """The stream that is heard: the default one, else the first."""
    streams = [s for s in container.streams.audio if s.codec_context is not None and s.rate]
    default = [s for s in streams if s.disposition & av.stream.Disposition.default]
    return next(iter(default or streams), None)


def text_stream(container: InputContainer) -> av.subtitles.stream.SubtitleStream | None:
    """The first text track (pictures of text cannot be read)."""
    known = {"mov_text", "subrip", "srt", "webvtt", "ass", "ssa", "text"}
    streams = [s for s in container.streams.subtitles if s.codec_context and s.codec_context.name in known]
    return streams[0] if streams else None


def build_index(
    container: InputContainer,
    pictures: PacketTable,
    sounds: PacketTable | None,
    *,
    origin: float,
    duration: float,
    exact: bool,
    rotation: int,
    interlaced: bool = False,
) -> Index:
    """Condense packet tables into an :class:`Index`."""
    video = picture_stream(container)
    audio = sound_stream(container)
    context = video.codec_context
    keys = np.flatnonzero(pictures.keyframe)
    keys = keys[:: max(-(-len(keys) // MAX_KEYFRAMES), 1)]
    bin_seconds = max(1.0, duration / MAX_BINS)
    rate = float(video.average_rate or video.guessed_rate or 0)
    return Index(
        duration=duration,
        video=VideoTrack(
            codec=context.codec.canonical_name,
            width=context.width,
            height=context.height,
            frames_per_second=rate if 0 < rate <= 240 else 25.0,
            pixel_format=context.pix_fmt or "",
            rotation=rotation,
            pixel_aspect=float(video.sample_aspect_ratio or 1) or 1.0,
            interlaced=interlaced,
            hdr=context.color_trc in HDR_TRANSFERS,
        ),
        audio=AudioTrack(audio.codec_context.codec.canonical_name, audio.rate, audio.channels) if audio else None,
        title=clean(container.metadata.get("title", "")),
        chapters=read_chapters(container, origin, duration),
        has_text=text_stream(container) is not None,
        keyframe_times=pictures.time[keys],
        keyframe_ticks=pictures.shown[keys],
        keyframe_positions=pictures.position[keys],
        keyframe_sizes=pictures.size[keys],
        exact=exact,
        bin_seconds=bin_seconds,
        video_rate=byte_rate(pictures, duration, bin_seconds, leave_out_keyframes=True),
        audio_rate=byte_rate(sounds, duration, bin_seconds) if sounds is not None else np.zeros(0),
    )


def byte_rate(table: PacketTable, duration: float, bin_seconds: float, *, leave_out_keyframes: bool = False) -> Floats:
    """Bytes per second in each bin.

    Where packet sizes are unknown (Matroska's cues name only keyframes), the bytes between two entries are spread
    evenly over the time between them.
    """
    edges = np.arange(0.0, duration + bin_seconds, bin_seconds)
    if len(table.time) == 0 or len(edges) < 2:
        return np.zeros(max(len(edges) - 1, 1))
    if table.size.any():
        moving = table.size * ~table.keyframe if leave_out_keyframes else table.size
        if not moving.any():  # Every packet is a keyframe (MJPEG, ProRes): their sizes are all there is.
            moving = table.size
        totals, _ = np.histogram(table.time, edges, weights=moving)
    else:
        order = np.argsort(table.position, kind="stable")
        passed = np.interp(edges, table.time[order], (table.position - table.position[0])[order])
        totals = np.diff(np.maximum.accumulate(passed))
        totals[edges[:-1] >= table.time[-1]] = np.median(totals)
    return np.asarray(totals / bin_seconds, dtype=np.float64)


def read_chapters(container: InputContainer, origin: float, duration: float) -> tuple[Chapter, ...]:
    """The container's chapters that lie inside the video, with their names."""
    chapters = []
    for raw in itertools.islice(container.chapters(), MAX_CHAPTERS):
        base = float(raw["time_base"] or 0)
        start = max(raw["start"] * base - origin, 0.0)
        end = min(raw["end"] * base - origin, duration)
        if end > start:
            chapters.append(Chapter(start, end, clean(raw["metadata"].get("title", ""))))
    return tuple(sorted(chapters, key=lambda c: c.start))


def clean(text: str) -> str:
    """One line of printable text, bounded in length."""
    words = "".join(c if c.isprintable() else " " for c in text).split()
    return " ".join(words)[:MAX_TEXT]
