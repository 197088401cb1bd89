"""The packets of a stretch of video, as they are in the source: the material that clips are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

import av
from av.packet import Packet as _Packet

from cutaway_server.snippets.captions import Cue

MAX_WINDOW_BYTES = 128 << 20

Packet: TypeAlias = "_Packet[Any]"


@dataclass
class Sample:
    """A packet with the time (in the stream's ticks) at which the source shows it."""

    packet: Packet
    pts: int
    duration: int
    keyframe: bool
    hidden: bool = False
    """An edit list has it decoded but not shown."""


@dataclass
class Window:
    """The packets of a stretch of the video, in decoding order; the first video packet is a keyframe.

    ``video_stream`` and ``audio_stream`` say what the packets are; they may come from two files. A window is of use
    while the media that it comes from is open.
    """

    video_stream: av.VideoStream
    audio_stream: av.AudioStream | None
    origin: float
    """Where the presentation starts, in seconds of the streams' own times."""
    frame_seconds: float
    video: list[Sample] = field(default_factory=list)
    audio: list[Sample] = field(default_factory=list)
    cues: list[Cue] = field(default_factory=list)
    at_end: bool = False
    """The video ends in this window."""

    @property
    def video_base(self) -> Fraction:
        """The length of a video tick in seconds."""
        return Fraction(self.video_stream.time_base or 0)

    @property
    def audio_base(self) -> Fraction:
        """The length of a tick of the sound in seconds."""
        return Fraction(self.audio_stream.time_base or 0) if self.audio_stream else Fraction(1)

    def seconds(self, ticks: int) -> float:
        """Video ticks to seconds from the start of the presentation."""
        return float(ticks * self.video_base) - self.origin
