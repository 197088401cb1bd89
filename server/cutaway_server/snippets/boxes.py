"""The outermost boxes of an MP4 or QuickTime file (ISO/IEC 14496-12 section 4.2): which, where, how large."""

from __future__ import annotations

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
