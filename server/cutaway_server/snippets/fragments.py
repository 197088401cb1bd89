"""The index of an MP4, fetched at once, and where its fragments lie, if it has some and lists them itself.

Comes in: a remote file. Goes out: the fragments of each track that a segment index (``sidx``, ISO/IEC 14496-12
section 8.16.3) before the first fragment or a random access table (``mfra``, section 8.8.9) at the file's end names.
With either, libavformat, too, finds a fragment without walking through all that come before it.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from cutaway_server.snippets.boxes import Box, read_sidx, walk
from cutaway_server.snippets.files import ByteFile, NoIndex
from cutaway_server.snippets.index import NotAVideo

BEFORE_INDEX = {"ftyp", "free", "skip", "wide", "mdat", "uuid", "pnot"}
BEFORE_FRAGMENTS = {"free", "skip", "styp", "emsg", "prft", "meta", "uuid"}
BOXES_BEFORE_INDEX = 32
FIRST_MEDIA_BYTES = 192 << 10
MAX_INDEX_BYTES = 64 << 20
MAX_LIST_BYTES = 8 << 20
"""An hour of fragments of two seconds takes 22 kB (sidx) or 36 kB a track (mfra)."""
_MFRO_BYTES = 16
LAST_BYTES = 64 << 10

Read = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Fragment:
    """A fragment that begins with a keyframe of its track; ``time`` is in ticks of ``Fragments.timescale``."""

    time: int
    position: int


@dataclass(frozen=True)
class Fragments:
    """The fragments of one track, in order of time.

    ``timescale`` is ticks per second, None for the track's own; ``end`` is the time (ticks) at which the last fragment
    ends, None where the list does not tell.
    """

    track: int
    timescale: int | None
    fragments: tuple[Fragment, ...]
    end: int | None = None

    def seconds(self, ticks: int, track_base: Fraction) -> float:
        """Ticks of the list in seconds; ``track_base`` is the length of the track's own tick in seconds."""
        return float(ticks * (Fraction(1, self.timescale) if self.timescale else track_base))


def fetch_index(file: ByteFile, *, walk_all: bool) -> list[Fragments]:
    """Fetch the index of an MP4 as a whole, and read where its fragments lie, if it has some.

    As the demuxer asks for it, each doubling of the reader's step would take a round trip, and the last one would
    go up to a megabyte too far. Files of other kinds have no fragments.

    Parameters
    ----------
    walk_all
        The demuxer may walk from fragment to fragment through the whole file, because it is a local copy.

    Raises
    ------
    NotAVideo
        The index is larger than ``MAX_INDEX_BYTES``.
    NoIndex
        There are fragments that are listed nowhere, and walking through them would take a round trip for each.
    """

    def read(at: int, size: int) -> bytes:
        file.seek(at)
        return file.read(size)

    listed: list[Fragments] = []
    expected = BEFORE_INDEX
    for box in itertools.islice(walk(read), BOXES_BEFORE_INDEX):
        if box.kind == "moov" and box.size:
            if min(box.size, file.size - box.position) > MAX_INDEX_BYTES:
                raise NotAVideo(f"The index of this video is larger than {MAX_INDEX_BYTES >> 20} MiB.")
            # What follows is the first media, from which the library learns what the streams are.
            end = box.position + box.size + FIRST_MEDIA_BYTES
            file.prefetch([(box.position, min(end, file.size))], wait=False)
            expected = BEFORE_FRAGMENTS
        elif box.kind == "sidx" and expected is BEFORE_FRAGMENTS:
            listed += filter(None, [listed_by(read, box, file.size)])
        elif box.kind == "moof" and expected is BEFORE_FRAGMENTS:
            if not listed:
                file.prefetch([(file.size - LAST_BYTES, file.size)])
                listed = read_mfra(read, file.size)
            if not listed and not walk_all:
                raise NoIndex
            return listed
        elif box.kind not in expected:
            break
    return []


def listed_by(read: Read, box: Box, size_bytes: int) -> Fragments | None:
    """The fragments of a segment index; None when it makes no sense or does not list all up to the file's end."""
    if box.size is None or box.size > MAX_LIST_BYTES:
        return None
    index = read_sidx(read(box.position, box.size))
    if index is None or any(r.nested for r in index.references):
        return None
    time, position = index.earliest, box.position + box.size + index.offset
    found, keyed = [], []
    for reference in index.references:
        found.append(Fragment(time, position))
        if reference.keyed:
            keyed.append(found[-1])
        time += reference.ticks
        position += reference.size
    if position not in (size_bytes, size_bytes - _mfra_bytes(read, size_bytes)):
        return None
    # Some writers never say that a fragment begins with a keyframe, though all do.
    return Fragments(index.track, index.timescale, tuple(keyed or found), time)


def read_mfra(read: Read, size_bytes: int) -> list[Fragments]:
    """Read the random access table at the file's end; empty when there is none."""
    length = _mfra_bytes(read, size_bytes)
    data = read(size_bytes - length, length) if length else b""
    tables = []
    at = 8
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            break
        if kind == b"tfra" and (table := _read_tfra(data[at : at + size])):
            tables.append(table)
        at += size
    return tables


def _mfra_bytes(read: Read, size_bytes: int) -> int:
    """How long the table at the file's end is, 0 if there is none: its last four bytes tell."""
    tail = read(max(size_bytes - _MFRO_BYTES, 0), _MFRO_BYTES)
    if len(tail) < _MFRO_BYTES or tail[4:8] != b"mfro":
        return 0
    length = int.from_bytes(tail[12:], "big")
    return length if 8 < length <= min(MAX_LIST_BYTES, size_bytes) else 0


def _read_tfra(data: bytes) -> Fragments | None:
    try:
        version, (track, lengths, count) = data[8], struct.unpack_from(">III", data, 12)
        pair = struct.Struct(">QQ" if version else ">II")
        step = pair.size + sum(((lengths >> shift) & 3) + 1 for shift in (4, 2, 0))
        entries = [pair.unpack_from(data, 24 + step * n) for n in range(min(count, len(data) // step))]
    except (struct.error, IndexError):
        return None
    # Several keyframes of a fragment have one place: its first.
    firsts = {position: time for time, position in sorted(entries, reverse=True)}
    found = sorted((Fragment(time, position) for position, time in firsts.items()), key=lambda f: f.time)
    return Fragments(track, None, tuple(found)) if found else None
