"""Shot boundaries in a run of consecutive decoded frames.

Comes in: frames in display order. Goes out: the times at which a new shot's first frame is shown. Each frame is
reduced at once to a few hundred numbers (means of small fields of luma and chroma, a luma histogram); a boundary is
where a frame differs from the one before by much more than its neighbours do from theirs, the adaptive rule of
Truong and Venkatesh (ACM TOMM 3(1), 2007, section 3) and of PySceneDetect's AdaptiveDetector.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby, pairwise

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

NEIGHBOURS = 4
"""Frames on either side whose differences say how much the picture moves."""
LEAST_DIFFERENCE = 0.07
LEAST_RATIO = 3.0
STILL_DIFFERENCE = 0.0015
"""Frames that differ by less are the same picture (coding noise of a still one stays below)."""
FLASH_FRAMES = 3
BLACK_SECONDS = 0.2
"""Shorter runs of black frames are a flash between shots."""
_COLUMNS, _ROWS = 32, 18
_BLACK_LUMA = 26.0

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
        return self.brightness * 255 < _BLACK_LUMA and self.contrast * 255 < 9


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

    def boundaries(self) -> list[float]:
        """The times (seconds) at which new shots begin; a flash of a few frames is none."""
        differences = self.differences()
        found: list[int] = []
        for n, value in enumerate(differences):
            if value < LEAST_DIFFERENCE:
                continue
            around = np.concatenate((differences[max(n - NEIGHBOURS, 0) : n], differences[n + 1 : n + 1 + NEIGHBOURS]))
            if not len(around):
                continue
            level = float(np.sort(around)[: max(len(around) - 1, 1)].mean())
            if value >= LEAST_RATIO * max(level, 0.008) and value >= float(around.max()):
                found.append(n)
        return [self.signatures[n].time for n in found if not self._is_flash(n)]

    def _is_flash(self, n: int) -> bool:
        """The picture before frame ``n`` is back within a few frames."""
        before = self.signatures[n - 1]
        after = self.signatures[n + 1 : n + 1 + FLASH_FRAMES]
        back = any(difference(before, s) < LEAST_DIFFERENCE / 2 for s in after)
        earlier = self.signatures[max(n - 1 - FLASH_FRAMES, 0) : n - 1]
        return back or any(difference(s, self.signatures[n]) < LEAST_DIFFERENCE / 2 for s in earlier)

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
