"""How many bytes a stretch of a local file costs at least: the packets of all GOPs that it touches.

PyAV reads the file's index here, not the server's own code, so that this does not share its mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

_EDGE_SECONDS = 0.1
"""Decoding times, which an index has, precede those of showing by a few frames."""


def covering_bytes(path: Path, spans: Iterable[tuple[float, float]]) -> int:
    """The size of the GOPs that some spans of time (seconds) touch, and of the sound beside them, each counted once."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        (times, sizes, keys), (heard_at, heard_sizes, _) = (_table(stream) for stream in (video, audio))
    seen, heard = np.zeros(len(times), bool), np.zeros(len(heard_at), bool)
    starts = np.flatnonzero(keys)
    for start, end in spans:
        first = starts[max(np.searchsorted(times[starts], start + 0.01, "right") - 1, 0)]
        following = int(np.searchsorted(times[starts], end - _EDGE_SECONDS, "left"))
        last = starts[following] if following < len(starts) else len(times)
        seen[first:last] = True
        heard |= (heard_at >= times[first]) & (heard_at <= times[last - 1])
    return int(sizes[seen].sum() + heard_sizes[heard].sum())


def index_bytes(path: Path) -> int:
    """The size of all boxes but the media data (ISO/IEC 14496-12 section 4.2)."""
    total, at = 0, 0
    with path.open("rb") as file:
        while len(head := file.read(16)) == 16:
            size = int.from_bytes(head[:4], "big")
            if size == 1:
                size = int.from_bytes(head[8:], "big")
            total += 0 if head[4:8] == b"mdat" else size
            at += size
            file.seek(at)
    return total


def _table(stream: av.stream.Stream) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    entries = np.array([(e.timestamp, e.size, e.is_keyframe) for e in stream.index_entries], np.int64)
    return entries[:, 0] * float(stream.time_base or 0), entries[:, 1], entries[:, 2] > 0
