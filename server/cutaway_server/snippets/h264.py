"""H.264 as bytes: NAL units, parameter sets and their numbers (ITU-T H.264, ISO/IEC 14496-15 section 5.3.3).

Comes in: packets and the extradata of a stream, as MP4 and Matroska have them (avcC, lengths before NAL units) or as
transport streams and AVI do (Annex B, start codes). Goes out: just what it takes to put a piece that was encoded here
before packets that were not: is this keyframe an IDR picture, which parameter set numbers are taken, and one
extradata with the sets of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

IDR, SPS, PPS = 5, 7, 8
MOST_SETS = 31
"""avcC counts sequence parameter sets in five bits."""
_START_CODE = re.compile(rb"\x00\x00\x01")


class UnknownFormat(ValueError):
    """The extradata is neither avcC nor Annex B, or has no parameter sets."""


@dataclass(frozen=True)
class ParameterSets:
    """The extradata of a stream, taken apart.

    ``length_size`` is the number of bytes before each NAL unit that tell its length, 0 for Annex B. ``head`` and
    ``tail`` are the rest of an avcC.
    """

    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    length_size: int
    head: bytes = b""
    tail: bytes = b""

    @classmethod
    def parse(cls, extradata: bytes) -> ParameterSets:
        """Take extradata apart.

        Raises
        ------
        UnknownFormat
            It is not what H.264 streams have.
        """
        if extradata[:1] == b"\x01":
            try:
                return cls._parse_avcc(extradata)
            except IndexError:
                raise UnknownFormat from None
        units = list(nal_units(extradata, 0))
        sps, pps = (tuple(u for u in units if u[0] & 31 == kind) for kind in (SPS, PPS))
        if not sps or not pps:
            raise UnknownFormat
        return cls(sps, pps, 0)

    @classmethod
    def _parse_avcc(cls, data: bytes) -> ParameterSets:
        at = 5
        sets: list[tuple[bytes, ...]] = []
        for mask in (31, 255):
            count = data[at] & mask
            at += 1
            units = []
            for _ in range(count):
                size = int.from_bytes(data[at : at + 2], "big")
                units.append(data[at + 2 : at + 2 + size])
                if not size or len(units[-1]) != size:
                    raise UnknownFormat
                at += 2 + size
            sets.append(tuple(units))
        if not all(sets):
            raise UnknownFormat
        return cls(sets[0], sets[1], (data[4] & 3) + 1, data[:5], data[at:])

    def free_number(self) -> int:
        """A number (1 to 31) that no parameter set has.

        Raises
        ------
        UnknownFormat
            All are taken.
        """
        taken = {_first_number(u[4:]) for u in self.sps} | {_first_number(u[1:]) for u in self.pps}
        free = set(range(1, MOST_SETS + 1)) - taken
        if not free or len(self.sps) >= MOST_SETS:
            raise UnknownFormat
        return max(free)

    def joined(self, other: ParameterSets) -> bytes:
        """The extradata, in this stream's form, with the parameter sets of both."""
        sps, pps = self.sps + other.sps, self.pps + other.pps
        if not self.length_size:
            return b"".join(b"\x00\x00\x00\x01" + unit for unit in (*sps, *pps))

        def listed(units: tuple[bytes, ...]) -> bytes:
            return b"".join(len(u).to_bytes(2, "big") + u for u in units)

        return self.head + bytes([0xE0 | len(sps)]) + listed(sps) + bytes([len(pps)]) + listed(pps) + self.tail


def nal_units(data: bytes, length_size: int) -> Iterator[bytes]:
    """The NAL units of a packet, without start codes or lengths; what is cut off is left out."""
    if length_size:
        at = 0
        while at + length_size < len(data):
            size = int.from_bytes(data[at : at + length_size], "big")
            at += length_size
            if size:
                yield data[at : at + size]
            at += size
        return
    starts = [m.end() for m in _START_CODE.finditer(data)]
    for start, following in zip(starts, [*starts, len(data) + 3][1:], strict=True):
        if unit := data[start : following - 3].rstrip(b"\x00"):
            yield unit


def is_idr(data: bytes, length_size: int) -> bool:
    """Whether a packet is an IDR picture: nothing after it refers to anything before it."""
    return any(unit[0] & 31 == IDR for unit in nal_units(data, length_size))


def _first_number(data: bytes) -> int:
    """The unsigned Exp-Golomb number (clause 9.1) at the beginning of some bytes."""
    bits = "".join(f"{byte:08b}" for byte in data[:9])
    zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[zeros : 2 * zeros + 1] or "1", 2) - 1
