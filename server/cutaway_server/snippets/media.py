"""An open video in a worker, wherever it comes from: what the jobs look at, listen to and cut,
and the recipe from which it is opened.

A file, the segments of a playlist, or a picture and its sound from two places are all the same to them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from cutaway_server.snippets.captions import Cue
from cutaway_server.snippets.index import Index
from cutaway_server.snippets.window import Packet, Window


@dataclass(frozen=True)
class Heard:
    """Packets of a stream of sound, each with its time (seconds), in order of time. Of use while the media that they
    come from is open."""

    stream: av.AudioStream
    packets: list[tuple[float, Packet]]


class Media(ABC):
    """An open video. All times are seconds from the start of the presentation.

    Every method raises Fault when the bytes could not be fetched.
    """

    index: Index

    def __enter__(self) -> Media:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of all files and connections."""

    @property
    @abstractmethod
    def language(self) -> str:
        """The language of the captions (ISO 639), "" if unknown."""

    @abstractmethod
    def keyframes(self, which: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode single keyframes, given by their number in ``index.keyframe_times``; one that cannot be is left
        out."""

    @abstractmethod
    def sound(self, spans: Sequence[tuple[float, float]]) -> list[NDArray[np.float32]]:
        """Decode stretches of sound as mono samples at 8 kHz, full scale 1.0; empty where there is none."""

    def sound_here(self, start: float, end: float) -> Heard | None:
        """The sound of a stretch of time as far as its bytes are here already: nothing is fetched for it.

        None where that is not known, or there is none.
        """
        return None

    @abstractmethod
    def cues(self, stretches: Sequence[tuple[float, float]]) -> list[list[Cue]]:
        """The captions shown in stretches of time, where their places are known; else empty lists."""

    @abstractmethod
    def window(self, key: int, end: float) -> Window:
        """Read the packets from keyframe number ``key`` until ``end`` seconds.

        The window ends early when it would grow beyond ``MAX_WINDOW_BYTES`` or where the video is damaged or cut off.
        """


class Source(ABC):
    """How to open a video. Picklable; holds no open file."""

    @abstractmethod
    def open(self, index: Index | None = None) -> Media:
        """Open the video in this process; what is known of it from an earlier opening saves time.

        Raises
        ------
        Fault
            It cannot be fetched or is no video.
        """
