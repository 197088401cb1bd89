"""What a hostile client or server may send: bytes that pretend, exaggerate, drip or explode. Used by test_hostile."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from fractions import Fraction
from pathlib import Path

import av

from snippets.films import Films


def box(kind: bytes, payload: bytes = b"", size: int | None = None) -> bytes:
    """An MP4 box; its size may be a lie."""
    return struct.pack(">I4s", (len(payload) + 8 if size is None else size) & 0xFFFFFFFF, kind) + payload


def patched(data: bytes, marker: bytes, offset: int, value: bytes, count: int = 1 << 30) -> bytes:
    """Bytes overwritten at an offset from each place of a marker."""
    copy = bytearray(data)
    at = data.find(marker)
    assert at >= 0, marker
    while at >= 0 and count:
        copy[at + offset : at + offset + len(value)] = value
        at, count = data.find(marker, at + 1), count - 1
    return bytes(copy)


def two_thousand_tracks(films: Films) -> bytes:
    """An MP4 whose index comes last, with its first track two thousand times."""
    data = films.data("moov_last.mp4")
    at = data.index(b"moov") - 4
    moov = data[at + 8 :]
    start = moov.index(b"trak") - 4
    size = int.from_bytes(moov[start : start + 4], "big")
    trak = moov[start : start + size]
    return data[:at] + box(b"moov", moov[:start] + trak * 2000 + moov[start + size :])


def two_thousand_programs() -> bytes:
    """An MPEG-TS whose tables name two thousand streams of H.264, and nothing in them."""

    def packet(pid: int, payload: bytes, counter: int) -> bytes:
        head = struct.pack(">BHB", 0x47, 0x4000 | pid, 0x10 | counter & 15) + b"\0"
        return (head + payload).ljust(188, b"\xff")

    def section(table: int, body: bytes) -> bytes:
        data = struct.pack(">BHHBBB", table, 0xB000 | (len(body) + 9), 1, 0xC1, 0, 0) + body
        return data + struct.pack(">I", _crc(data))

    packets = []
    for n in range(500):
        tables = section(0, struct.pack(">HH", 1, 0xE000 | (32 + n)))
        streams = b"".join(struct.pack(">BHH", 0x1B, 0xE000 | (600 + 4 * n + k), 0xF000) for k in range(4))
        packets += [packet(0, tables, n), packet(32 + n, section(2, struct.pack(">HH", 0xE100, 0xF000) + streams), n)]
    return b"".join(packets) * 4


def _crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc >> 31 else crc << 1) & 0xFFFFFFFF
    return crc


def deep_boxes() -> bytes:
    """Boxes in boxes, twenty thousand levels deep."""
    levels = 20_000
    return box(b"ftyp", b"isom\0\0\2\0isomiso2") + b"".join(box(b"moov", size=8 * (levels - n)) for n in range(levels))


def tiny_boxes() -> bytes:
    """A million empty boxes, then nothing."""
    return box(b"ftyp", b"isom\0\0\2\0isomiso2") + box(b"free") * 1_000_000


def tiny_boxes_in_the_index() -> bytes:
    """An index of nothing but a million empty boxes."""
    return box(b"ftyp", b"isom\0\0\2\0isomiso2") + box(b"moov", box(b"free") * 1_000_000)


def huge_index(folder: Path, films: Films) -> Path:
    """A file with an index of 100 MiB, most of it nothing."""
    path = folder / "huge_index.mp4"
    with path.open("wb") as file:
        file.write(box(b"ftyp", b"isom\0\0\2\0isomiso2") + box(b"moov", size=100 << 20))
        file.truncate((100 << 20) + 24)
    return path


def gap_of_ten_hours(films: Films) -> bytes:
    """A film whose second half comes ten hours after its first."""
    out = io.BytesIO()
    with av.open(io.BytesIO(films.data("silent.mp4"))) as source, av.open(out, "w", "mp4") as output:
        video = source.streams.video[0]
        stream = output.add_stream_from_template(video)
        gap = round(36_000 / Fraction(video.time_base or 1))
        late = False
        for number, packet in enumerate(source.demux(video)):
            if packet.pts is None or packet.dts is None:
                continue
            late |= packet.is_keyframe and number > 150
            packet.pts, packet.dts = packet.pts + gap * late, packet.dts + gap * late
            packet.stream = stream
            output.mux(packet)
    return out.getvalue()


def sixteen_thousand_pixels(films: Films) -> bytes:
    """Pictures that turn out to be 16,000 x 16,000 only when they are decoded."""
    data = films.data("mjpeg.avi")
    return patched(data, b"\xff\xc0\x00\x11\x08", 5, struct.pack(">HH", 16_000, 16_000))


def zip_bomb() -> bytes:
    """Much of nothing, in little."""
    return gzip.compress(bytes(200 << 20), 1)


def zip_archive(films: Films) -> bytes:
    """A film in an archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("film.mp4", films.data("silent.mp4"))
    return out.getvalue()
