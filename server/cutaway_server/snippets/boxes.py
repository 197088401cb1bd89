"""The outermost boxes of an MP4 or QuickTime file (ISO/IEC 14496-12 section 4.2): which, where, how large; and what
stands in a segment index."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_BOXES = 4_096
"""More than a fragmented hour has; a file of nothing but tiny boxes ends the walk here."""
_HEAD_BYTES = 16


@dataclass(frozen=True)
class Box:
    """A box; ``size`` counts its head, too, and is None where the box goes on to the end of the file."""

    kind: str
    position: int
    size: int | None


def walk(read: Callable[[int, int], bytes]) -> Iterator[Box]:
    """Yield boxes one after the other; ends where what follows is none.

    Parameters
    ----------
    read
        Gives up to ``n`` bytes at a position; fewer at the end of the file.
    """
    at = 0
    for _ in range(MAX_BOXES):
        head = read(at, _HEAD_BYTES)
        if len(head) < 8:
            return
        size = int.from_bytes(head[:4], "big")
        if size == 1:  # The real size follows in 64 bits.
            size = int.from_bytes(head[8:16], "big")
        yield Box(head[4:8].decode("latin-1"), at, size or None)
        if size < 8:
            return
        at += size


@dataclass(frozen=True)
class Reference:
    """An entry of a segment index: a piece of the file in bytes, how long it lasts in ticks, and what it is."""

    size: int
    ticks: int
    nested: bool
    """It is another index."""
    keyed: bool
    """It is said to begin with a keyframe."""


@dataclass(frozen=True)
class SegmentIndex:
    """A ``sidx`` box (section 8.16.3).

    The pieces lie one after the other, the first one ``offset`` bytes after the box; they begin at ``earliest`` ticks,
    of which there are ``timescale`` in a second.
    """

    track: int
    timescale: int
    earliest: int
    offset: int
    references: tuple[Reference, ...]


def read_sidx(data: bytes) -> SegmentIndex | None:
    """Read a ``sidx`` box, its head included; None when it makes no sense."""
    try:
        version, track, timescale = data[8], *struct.unpack_from(">II", data, 12)
        earliest, offset = struct.unpack_from(">QQ" if version else ">II", data, 20)
        at = 36 if version else 28
        (count,) = struct.unpack_from(">H", data, at + 2)
        rows = [struct.unpack_from(">III", data, at + 4 + 12 * n) for n in range(count)]
    except (struct.error, IndexError):
        return None
    top = 1 << 31
    references = tuple(Reference(size % top, ticks, size >= top, key >= top) for size, ticks, key in rows)
    return SegmentIndex(track, timescale, earliest, offset, references) if timescale and references else None
