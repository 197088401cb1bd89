"""Byte spans of a file: where packets lie, joined so that few requests fetch many of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cutaway_server.snippets.packets import Ints, PacketTable

MERGE_GAP_BYTES = 64 << 10
"""Packets that are nearer than this are fetched with what lies between: a round trip costs more."""

Span = tuple[int, int]


def merged(positions: Ints, sizes: Ints) -> list[Span]:
    """Byte spans of packets, sorted, neighbours joined."""
    if not len(positions):
        return []
    order = np.argsort(positions)
    starts = positions[order]
    ends = np.maximum.accumulate(starts + sizes[order])
    breaks = np.flatnonzero(starts[1:] - ends[:-1] > MERGE_GAP_BYTES)
    first = np.concatenate(([0], breaks + 1))
    last = np.concatenate((breaks, [len(starts) - 1]))
    return [(int(starts[a]), int(ends[b])) for a, b in zip(first, last, strict=True)]


def bounded(spans: Iterable[Span], limit: int) -> list[Span]:
    """The spans up to ``limit`` bytes in all."""
    kept = []
    for start, end in spans:
        stop = min(end, start + limit)
        kept.append((start, stop))
        limit -= stop - start
        if limit <= 0:
            break
    return kept


def packet_spans(table: PacketTable) -> list[Span]:
    """The span of each packet, in order of time."""
    return [(int(a), int(a + n)) for a, n in zip(table.position, table.size, strict=True)]
