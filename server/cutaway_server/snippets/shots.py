"""Frames in numbers, and the shots that a run of consecutive decoded frames shows.

Comes in: frames in display order. Goes out: transitions between shots, times at which new shots begin, and how much is
still or black. Each frame is reduced at once to a few hundred numbers (means of small fields of luma and chroma, a luma
histogram); where one shot gives way to the next is found in these by :mod:`cutaway_server.snippets.transitions`.

Where is the boundary of a transition that takes its time? It has two ends: until ``start`` the old shot is seen alone,
from ``end`` on the new one, and in between nothing should begin or end. A hard cut is both at once. The new shot begins
at ``end``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby, pairwise

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from cutaway_server.snippets.transitions import Pictures, find

STILL_DIFFERENCE = 0.0015
"""Frames that differ by less are the same picture (coding noise of a still one stays below)."""
FRAMES_PER_SECOND = 30
"""More do not tell more about transitions."""
BLACK_SECONDS = 0.2
"""Shorter runs of black frames are a flash between shots."""
_COLUMNS, _ROWS = 32, 18
_BLACK_LUMA, _WHITE_LUMA, _PLAIN_CONTRAST = 26.0, 200.0, 9.0
_LEAST_CONTRAST = 12 / 255
"""Flatter pictures have little form: else noise would be one."""

Floats32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Signature:
    """A frame in numbers, all 0 to 1."""

    time: float
    fields: Floats32
    histogram: Floats32
    brightness: float
    contrast: float

    @property
    def black(self) -> bool:
        """Nothing can be seen."""
        return self.brightness * 255 < _BLACK_LUMA and self.contrast * 255 < _PLAIN_CONTRAST

    @property
    def plain(self) -> bool:
        """There is nothing but one colour."""
        return self.contrast * 255 < (_PLAIN_CONTRAST if self.brightness * 255 > _WHITE_LUMA else _PLAIN_CONTRAST / 2)


@dataclass(frozen=True)
class Transition:
    """From one shot to the next, in seconds: the first frame that is not the old shot alone, the first of the new one
    alone. Both are the same in a hard cut."""

    start: float
    end: float


@dataclass
class Shots:
    """The frames of one stretch of video, in display order.

    Feed every frame with :meth:`add`.
    """

    signatures: list[Signature] = field(default_factory=list)
    _differences: list[float] = field(default_factory=list, repr=False)

    def add(self, frame: av.VideoFrame, time: float) -> Signature:
        """Take in the next frame, shown at ``time`` seconds."""
        signature = sign(frame, time)
        self.signatures.append(signature)
        return signature

    def between(self, start: float, end: float) -> Shots:
        """The frames shown from ``start`` until ``end`` (seconds)."""
        return Shots([s for s in self.signatures if start - 1e-6 <= s.time < end])

    def differences(self) -> NDArray[np.float64]:
        """How much each frame differs from the one before: 0 (the same) to 1; 0 for the first."""
        for n in range(len(self._differences), len(self.signatures)):
            self._differences.append(difference(self.signatures[n - 1], self.signatures[n]) if n else 0.0)
        return np.array(self._differences)

    def transitions(self) -> list[Transition]:
        """Hard cuts, fades, dissolves and wipes, in order.

        Black or white between two shots is a part of their transition; at the ends of the stretch it is a shot.
        """
        times = np.array([s.time for s in self.signatures])
        if len(times) < 2:
            return []
        frame_seconds = max(float(np.median(np.diff(times))), 1e-3)
        stride = max(round(1 / (FRAMES_PER_SECOND * frame_seconds)), 1)
        differences = self.differences()
        found: list[Transition] = []
        end = 0
        thinned = self if stride == 1 else Shots(self.signatures[::stride])
        for first, last in find(_pictures(thinned, frame_seconds * stride)):
            start, end = max((first - 1) * stride + 1, end), last * stride
            if first == last:
                start = end = start + int(differences[start : end + 1].argmax())
            found.append(Transition(float(times[start]), float(times[end])))
        return found

    def boundaries(self) -> list[float]:
        """The times (seconds) at which new shots begin: the ends of the transitions."""
        return [transition.end for transition in self.transitions()]

    def still(self) -> float:
        """The share of frames that show the same picture as the one before."""
        differences = self.differences()[1:]
        return float((differences < STILL_DIFFERENCE).mean()) if len(differences) else 1.0

    def black(self) -> float:
        """The share of frames on which nothing can be seen."""
        return float(np.mean([s.black for s in self.signatures])) if self.signatures else 0.0

    def blacks(self) -> list[tuple[float, float]]:
        """The runs of black frames that last: first frame and the frame after the last (seconds)."""
        runs = []
        for black, run in groupby(pairwise(self.signatures), key=lambda pair: pair[0].black):
            pairs = list(run)
            start, end = pairs[0][0].time, pairs[-1][1].time
            if black and end - start >= BLACK_SECONDS:
                runs.append((start, end))
        return runs

    def movement(self) -> float:
        """The typical difference between frames inside shots: about 0.002 for a talk, 0.03 for a chase."""
        differences = self.differences()[1:]
        return float(np.median(differences)) if len(differences) else 0.0


def sign(frame: av.VideoFrame, time: float) -> Signature:
    """Reduce a frame to its signature."""
    if frame.format.name not in ("yuv420p", "yuvj420p") or frame.width < 4 * _COLUMNS or frame.height < 4 * _ROWS:
        frame = frame.reformat(8 * _COLUMNS, 8 * _ROWS, "yuv420p", interpolation=Interpolation.FAST_BILINEAR)
    luma = _plane(frame, 0)
    # Every nth pixel is enough for means, and some 30 times cheaper than scaling the frame.
    step = max(min(luma.shape[0] // (_ROWS * 4), luma.shape[1] // (_COLUMNS * 4)), 1)
    luma = luma[step // 2 :: step, step // 2 :: step]
    fields = [_means(luma, _ROWS, _COLUMNS)]
    for plane in (1, 2):
        chroma = _plane(frame, plane)
        stride = max(step // 2, 1)
        fields.append(_means(chroma[::stride, ::stride], _ROWS // 2, _COLUMNS // 2))
    histogram = np.bincount(luma.ravel() >> 3, minlength=32).astype(np.float32) / luma.size
    numbers = np.concatenate([f.ravel() for f in fields]) / 255
    return Signature(
        time,
        numbers.astype(np.float32),
        histogram.astype(np.float32),
        float(luma.mean()) / 255,
        float(luma.std()) / 255,
    )


def _pictures(shots: Shots, frame_seconds: float) -> Pictures:
    signatures = shots.signatures
    fields = np.stack([s.fields for s in signatures])
    luma, chroma = np.split(fields, [_ROWS * _COLUMNS], axis=1)
    luma = luma.reshape(-1, _ROWS // 2, 2, _COLUMNS // 2, 2).mean((2, 4)).reshape(len(fields), -1)
    contrast = luma.std(1, keepdims=True) + _LEAST_CONTRAST
    form = np.hstack((luma - luma.mean(1, keepdims=True), chroma - 128 / 255)) / contrast
    colour = [-1 if s.black else int(s.plain) for s in signatures]
    return Pictures(np.hstack((luma, chroma)), form, shots.differences(), np.array(colour, np.int8), frame_seconds)


def difference(one: Signature, other: Signature) -> float:
    """How unlike two frames are, 0 to 1."""
    return 0.7 * float(np.abs(one.fields - other.fields).mean()) * 2 + 0.3 * 0.5 * float(
        np.abs(one.histogram - other.histogram).sum()
    )


def _plane(frame: av.VideoFrame, number: int) -> Bytes:
    plane = frame.planes[number]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


def _means(plane: Bytes, rows: int, columns: int) -> Floats32:
    high, wide = plane.shape[0] // rows, plane.shape[1] // columns
    used = plane[: rows * high, : columns * wide].astype(np.float32)
    return np.asarray(used.reshape(rows, high, columns, wide).mean(axis=(1, 3)), dtype=np.float32)
