"""MP4 files taken apart and put together with other boxes: what no muxer writes, but cameras and editors do.

Only for files whose ``moov`` comes last: the media stay where they are, so the places in the index stay right.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_HOLDING = {"moov", "trak", "mdia", "minf", "stbl", "edts"}


@dataclass
class Box:
    """A box: its bytes, or the boxes in it."""

    kind: str
    data: bytes = b""
    inside: list[Box] = field(default_factory=list)

    def find(self, *kinds: str) -> Box:
        """The first box on a path."""
        box = self
        for kind in kinds:
            box = next(b for b in box.inside if b.kind == kind)
        return box

    def put(self, box: Box, at: int = 0) -> None:
        """Put a box in, in place of those of its kind."""
        self.inside = [b for b in self.inside if b.kind != box.kind]
        self.inside.insert(at, box)

    def bytes(self) -> bytes:
        body = self.data + b"".join(b.bytes() for b in self.inside)
        return struct.pack(">I4s", len(body) + 8, self.kind.encode()) + body


def read(data: bytes) -> list[Box]:
    boxes = []
    while len(data) >= 8:
        size = int.from_bytes(data[:4], "big")
        kind = data[4:8].decode()
        body = data[8:size]
        boxes.append(Box(kind, inside=read(body)) if kind in _HOLDING else Box(kind, body))
        data = data[size:]
    return boxes


@dataclass
class Mp4:
    """A file's boxes."""

    boxes: list[Box]

    @classmethod
    def of(cls, path: Path) -> Mp4:
        return cls(read(path.read_bytes()))

    @property
    def moov(self) -> Box:
        return next(b for b in self.boxes if b.kind == "moov")

    def track(self, handler: str) -> Box:
        """The first track of a kind: vide, soun."""
        tracks = [b for b in self.moov.inside if b.kind == "trak"]
        return next(t for t in tracks if t.find("mdia", "hdlr").data[8:12] == handler.encode())

    def save(self, path: Path) -> None:
        path.write_bytes(b"".join(b.bytes() for b in self.boxes))

    @property
    def timescale(self) -> int:
        return _u32(self.moov.find("mvhd"), 12)

    def edit(self, handler: str, parts: Sequence[tuple[float, float | None]]) -> None:
        """Give a track an edit list: (seconds, where they begin in its media, None for nothing).

        What the old list hides at the beginning (priming, reordering) stays hidden.
        """
        track = self.track(handler)
        scale = _u32(track.find("mdia", "mdhd"), 12)
        hidden = _i32(track.find("edts", "elst"), 12)
        entries = [(round(s * self.timescale), -1 if m is None else round(m * scale) + hidden) for s, m in parts]
        self.set_edits(handler, entries)

    def set_edits(self, handler: str, entries: Iterable[tuple[int, int]]) -> None:
        """Give a track an edit list: (length in the movie's ticks, beginning in the track's, -1 for nothing)."""
        rows = [struct.pack(">IiI", length, begin, 1 << 16) for length, begin in entries]
        self.track(handler).put(Box("edts", inside=[Box("elst", struct.pack(">II", 0, len(rows)) + b"".join(rows))]), 1)


def _u32(box: Box, at: int) -> int:
    return int(struct.unpack_from(">I", box.data, at)[0])


def _i32(box: Box, at: int) -> int:
    return int(struct.unpack_from(">i", box.data, at)[0])


def retime(movie: Mp4, scale: int, shown: Sequence[int], length: int) -> int:
    """Give the pictures other times; return by how many ticks the first one is shown after the media's beginning.

    Parameters
    ----------
    scale
        Ticks per second.
    shown
        When each picture is shown, in decoding order, in ticks from the first one's.
    length
        When the last one ends.
    """
    track = movie.track("vide")
    mdhd, table = track.find("mdia", "mdhd"), track.find("mdia", "minf", "stbl")
    decoded = sorted(shown)
    delay = max(d - s for d, s in zip(decoded, shown, strict=True))
    steps = [b - a for a, b in zip(decoded, [*decoded[1:], length], strict=True)]
    rows = b"".join(struct.pack(">II", 1, step) for step in steps)
    table.put(Box("stts", struct.pack(">II", 0, len(steps)) + rows), 1)
    late = [s + delay - d for d, s in zip(decoded, shown, strict=True)]
    rows = b"".join(struct.pack(">II", 1, offset) for offset in late)
    table.put(Box("ctts", struct.pack(">II", 0, len(late)) + rows), 2)
    mdhd.data = mdhd.data[:12] + struct.pack(">II", scale, length) + mdhd.data[20:]
    return delay
