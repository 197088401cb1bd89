"""The packets of one stream as a container's index lists them: when each is shown, where it lies, how large it is.

Comes in: a stream whose index the demuxer has read, or a container to be read through. Goes out: tables, of all
packets or of a stretch of time. Hours of video have millions of packets, so only the rows that are asked for are made.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROW = np.dtype([("at", "i8"), ("position", "i8"), ("size", "i8"), ("keyframe", "?")])


@dataclass(frozen=True, eq=False)
class PacketTable:
    """Packets of one stream in decoding order.

    ``shown`` (ticks of the stream) and ``time`` (seconds of the presentation) are decoding times, moved so that the
    first picture *shown* is at the stream's start: exact for keyframes of a steady stream, a frame or two off for
    others. ``position`` and ``size`` are bytes in the file; ``size`` is 0 where the index does not tell it.
    """

    shown: Ints
    time: Floats
    position: Ints
    size: Ints
    keyframe: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_] | slice) -> PacketTable:
        """Some of the rows."""
        return PacketTable(*(column[chosen] for column in vars(self).values()))

    def between(self, start: float, end: float) -> PacketTable:
        """The packets of times from ``start`` until ``end`` (seconds)."""
        return self.where((self.time >= start - 1e-6) & (self.time < end))


class Packets(ABC):
    """What is known of one stream's packets."""

    @abstractmethod
    def table(self, *, every: int = 1) -> PacketTable:
        """All packets, or every n-th of them with its size multiplied by n."""

    @abstractmethod
    def between(self, start: float, end: float) -> PacketTable:
        """The packets of times from ``start`` until ``end`` (seconds)."""


class Indexed(Packets):
    """The packets that the demuxer's index names, looked up when asked for.

    Parameters
    ----------
    origin
        Where the presentation starts, in seconds of the stream's own times.
    size_bytes
        The length of the file; packets beyond it are left out.
    head_bytes
        What precedes a packet at its place in the index.
    """

    def __init__(self, stream: av.stream.Stream, origin: float, size_bytes: int, *, head_bytes: int = 0) -> None:
        self._stream = stream
        self._head_bytes = head_bytes
        self._entries = stream.index_entries
        self._origin = origin
        self._size_bytes = size_bytes
        # Pictures that an edit list hides may be as many as a GOP has; the priming of sound is short.
        pictures = stream.type == "video"
        firsts = (e.timestamp for e in self._entries if not (pictures and e.is_discard))
        self._shift = _shift(stream, next(firsts, 0))

    def __len__(self) -> int:
        return len(self._entries)

    def table(self, *, every: int = 1) -> PacketTable:
        """All packets inside the file, in order of time."""
        return self._read(range(0, len(self._entries), every), every)

    def between(self, start: float, end: float) -> PacketTable:
        """The packets of a stretch of time, found by binary search."""
        first, last = (self._entries.search_timestamp(self._ticks(t), any_frame=True) for t in (start, end))
        return self._read(range(max(first, 0), min(last + 2, len(self._entries)))).between(start, end)

    def _ticks(self, seconds: float) -> int:
        return round((seconds + self._origin) / float(self._stream.time_base or 1)) - self._shift

    def _read(self, numbers: range, every: int = 1) -> PacketTable:
        entries = (self._entries[n] for n in numbers) if every > 1 or len(numbers) < len(self) else self._entries
        rows = np.fromiter(
            ((e.timestamp, e.pos, e.size, e.is_keyframe) for e in entries), dtype=_ROW, count=len(numbers)
        )
        rows["position"] += self._head_bytes
        rows = rows[rows["position"] + rows["size"] <= self._size_bytes]
        rows["size"] *= every
        return _table(rows, self._stream, self._shift, self._origin)


class Listed(Packets):
    """Packets that were read through."""

    def __init__(self, table: PacketTable) -> None:
        self._table = table

    def table(self, *, every: int = 1) -> PacketTable:
        """All packets; the parameter changes nothing, since they are here already."""
        return self._table

    def between(self, start: float, end: float) -> PacketTable:
        """The packets of a stretch of time."""
        return self._table.between(start, end)


def scan(container: InputContainer, streams: Sequence[av.stream.Stream], origin: float) -> dict[int, Packets]:
    """List the packets of some streams, by stream number, by reading the whole file."""
    found: dict[int, list[tuple[int, int, int, bool]]] = {s.index: [] for s in streams}
    with contextlib.suppress(av.FFmpegError):  # A truncated file: what was read until then is the video.
        for packet in container.demux(streams):
            at = packet.dts if packet.dts is not None else packet.pts
            if at is not None and packet.size:
                found[packet.stream.index].append((at, packet.pos or 0, packet.size, packet.is_keyframe))
    return {s.index: Listed(make_table(found[s.index], s, origin)) for s in streams}


def make_table(rows: Iterable[tuple[int, int, int, bool]], stream: av.stream.Stream, origin: float) -> PacketTable:
    """Arrange rows of (timestamp in ticks, position, size, keyframe) as a table."""
    array = np.array(list(rows), dtype=_ROW)
    first = int(array["at"].min()) if len(array) else 0
    return _table(array, stream, _shift(stream, first), origin)


def keyframe_table(rows: Iterable[tuple[int, int]], base: Fraction, origin: float) -> PacketTable:
    """Arrange rows of (time of showing in ticks, position) as a table of keyframes of unknown size."""
    shown, position = np.array(sorted(rows), dtype=np.int64).reshape(-1, 2).T
    nothing = np.zeros(len(shown), np.int64)
    time = np.asarray(shown * float(base) - origin, dtype=np.float64)
    return PacketTable(shown, time, position, nothing, np.ones(len(shown), np.bool_))


def _shift(stream: av.stream.Stream, first: int) -> int:
    """By how many ticks packets are decoded before they are shown, at most two seconds.

    The first packet of a stream is shown first; by as much as its dts precedes its pts, the others' do.
    """
    if stream.start_time is None:
        return 0
    return max(min(stream.start_time - first, round(2 / float(stream.time_base or 1))), 0)


def _table(rows: NDArray[np.void], stream: av.stream.Stream, shift: int, origin: float) -> PacketTable:
    rows = rows[np.argsort(rows["at"], kind="stable")]
    shown = rows["at"] + shift
    time = shown * float(stream.time_base or 0) - origin
    return PacketTable(shown, time.astype(np.float64), rows["position"], rows["size"], rows["keyframe"])
