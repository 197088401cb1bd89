"""The bytes of a remote file that are held in memory: sorted, never overlapping, bounded.

What comes in are blocks (those that are being filled included), what goes out is the block at a position, and
the gaps that a set of spans leaves. Nothing here fetches or locks; the reader does both.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Block", "Blocks"]

MERGE_BYTES = 16 * 1024
"""Spans that are closer than this are fetched as one: on a real network a round trip costs more than these
bytes."""
SPLIT_BYTES = 4 * 1024 * 1024
"""Longest request: long spans use several connections, and a reset costs little."""


@dataclass(eq=False)
class Block:
    """Consecutive bytes from `start`, of which the first `filled` are there.

    A pinned block stays until it is released, another one until newer ones need its place.
    """

    start: int
    data: bytearray = field(repr=False)
    filled: int = 0
    pinned: bool = False
    used: int = 0

    @property
    def stop(self) -> int:
        """The position after the last byte that the block will hold."""
        return self.start + len(self.data)

    @property
    def complete(self) -> bool:
        """Whether all bytes are there."""
        return self.filled == len(self.data)


class Blocks:
    """A sorted collection of blocks.

    Parameters
    ----------
    cached_bytes
        How many bytes of complete blocks that are not pinned are kept.
    """

    def __init__(self, cached_bytes: int) -> None:
        self._cached_bytes = cached_bytes
        self._blocks: list[Block] = []
        self._starts: list[int] = []
        self._tick = 0

    def __iter__(self) -> Iterator[Block]:
        return iter(tuple(self._blocks))

    @property
    def pinned_bytes(self) -> int:
        """Bytes that pinned blocks hold or will hold."""
        return sum(len(block.data) for block in self._blocks if block.pinned)

    def at(self, position: int) -> Block | None:
        """Return the block that holds, or will hold, the byte at a position."""
        index = bisect_right(self._starts, position) - 1
        if index < 0 or position >= self._blocks[index].stop:
            return None
        block = self._blocks[index]
        self._tick += 1
        block.used = self._tick
        return block

    def gap_around(self, position: int, size: int) -> tuple[int, int]:
        """Return the ``[start, stop)`` of the hole around a position that no block holds, in a file of `size`
        bytes."""
        index = bisect_right(self._starts, position)
        start = self._blocks[index - 1].stop if index else 0
        return start, self._starts[index] if index < len(self._starts) else size

    def add(self, block: Block) -> None:
        """Add a block that overlaps none."""
        index = bisect_left(self._starts, block.start)
        self._blocks.insert(index, block)
        self._starts.insert(index, block.start)
        self._tick += 1
        block.used = self._tick

    def remove(self, block: Block) -> None:
        """Take a block out."""
        index = bisect_left(self._starts, block.start)
        if index < len(self._blocks) and self._blocks[index] is block:
            del self._blocks[index], self._starts[index]

    def overlapping(self, start: int, stop: int) -> list[Block]:
        """Return the blocks that share a byte with ``[start, stop)``."""
        first = max(0, bisect_right(self._starts, start) - 1)
        return [block for block in self._blocks[first : bisect_left(self._starts, stop)] if block.stop > start]

    def missing(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return the parts of ``[start, stop)`` that no block holds, in pieces of at most ``SPLIT_BYTES``."""
        pieces = []
        for block in (*self.overlapping(start, stop), Block(stop, bytearray())):
            while start < block.start:
                piece = min(block.start, start + SPLIT_BYTES)
                pieces.append((start, piece))
                start = piece
            start = max(start, block.stop)
        return pieces

    def evict(self) -> None:
        """Drop the least recently used blocks, as far as they are complete, not pinned and too many."""
        cached = [block for block in self._blocks if block.complete and not block.pinned]
        excess = sum(len(block.data) for block in cached) - self._cached_bytes
        for block in sorted(cached, key=lambda block: block.used):
            if excess <= 0:
                return
            self.remove(block)
            excess -= len(block.data)


def merged(spans: Iterable[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Return spans clamped to a file of `size` bytes, sorted, those merged that are closer than
    ``MERGE_BYTES``."""
    result: list[tuple[int, int]] = []
    for start, stop in sorted((max(0, start), min(size, stop)) for start, stop in spans):
        if start >= stop:
            continue
        if result and start - result[-1][1] < MERGE_BYTES:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        else:
            result.append((start, stop))
    return result
