"""What stands in the files of pictures beside the pixels: the bytes of a PNG, JPEG, GIF or WebP come in; width, height
and the number of frames go out, and what the file says of its picture goes to :class:`Captions`. No pixel is looked at,
and every walk is bounded.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from cutaway_server.search.captions import Captions

MAX_FRAMES = 1000
"""Nobody counts further."""

_MOST_PARTS = 20_000
"""Chunks, segments or blocks of a file that are looked at."""
_MOST_TEXT_BYTES = 64 << 10
"""Of one compressed text, unpacked."""


class Damaged(Exception):
    """The file ends before it should, or is none of its kind."""


def _slice(data: bytes, start: int, size: int) -> bytes:
    if start + size > len(data):
        raise Damaged
    return data[start : start + size]


# --- PNG -------------------------------------------------------------------------------------------------------------


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    for _ in range(_MOST_PARTS):
        size, kind = struct.unpack_from(">I4s", data, position)
        if not kind.isalpha():
            raise Damaged
        # A whole file of pixels is not copied to see its name.
        keep = size if kind != b"IDAT" else min(size, 4096)
        body = _slice(data, position + 8, keep)
        _slice(data, position + 8 + size, 4)
        yield kind, body
        if kind == b"IEND":
            return
        position += size + 12


def _png(data: bytes, captions: Captions) -> tuple[int, int, int]:
    size, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    (checksum,) = struct.unpack_from(">I", data, 29)
    if (size, kind) != (13, b"IHDR") or checksum != zlib.crc32(data[12:29]):
        raise Damaged
    frames, pixels = 1, b""
    for kind, body in _chunks(data):
        if kind == b"IDAT" and not pixels:
            pixels = zlib.decompressobj().decompress(body, 64)
        elif kind == b"acTL":
            frames = max(frames, int.from_bytes(body[:4], "big"))
        elif kind == b"eXIf":
            captions.exif(body)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            _png_text(kind, body, captions)
    if not pixels:
        raise Damaged
    return width, height, frames


def _png_text(kind: bytes, body: bytes, captions: Captions) -> None:
    name, _, text = body.partition(b"\0")
    key = name.decode("latin-1")
    if not captions.wants(key):
        return
    packed = kind == b"zTXt"
    if kind == b"zTXt":
        text = text[1:]
    elif kind == b"iTXt":
        packed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[-1]  # after language and translated key
    if packed:
        try:
            text = zlib.decompressobj().decompress(text, _MOST_TEXT_BYTES)
        except zlib.error:
            return
    captions.named(key, text)


# --- JPEG ------------------------------------------------------------------------------------------------------------

_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})


def _jpeg(data: bytes, captions: Captions) -> tuple[int, int, int]:
    width = height = 0
    position = 2
    for _ in range(_MOST_PARTS):
        if data[position] != 0xFF:
            raise Damaged
        marker = data[position + 1]
        if marker == 0xFF:  # filling
            position += 1
            continue
        if marker in _ALONE:
            position += 2
            continue
        size = int.from_bytes(data[position + 2 : position + 4], "big")
        if size < 2:
            raise Damaged
        body = _slice(data, position + 4, size - 2)
        position += 2 + size
        if marker in _SIZES:
            height, width = struct.unpack_from(">HH", body, 1)
        elif marker == 0xDA:
            if data.find(b"\xff\xd9", position) < 0:
                raise Damaged
            return width, height, 1
        elif marker == 0xFE:
            captions.named("Comment", body)
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            captions.exif(body[6:])
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            captions.xmp(body[29:])
        elif marker == 0xED and body.startswith(b"Photoshop 3.0\0"):
            captions.photoshop(body[14:])
    raise Damaged


# --- GIF -------------------------------------------------------------------------------------------------------------


def _gif(data: bytes, captions: Captions) -> tuple[int, int, int]:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _table_bytes(flags)
    frames = 0
    while True:
        kind = data[position]
        if kind == 0x3B:
            break
        if kind == 0x2C:
            frames += 1
            if frames > MAX_FRAMES:
                break
            flags = data[position + 9]
            position = _after_blocks(data, position + 11 + _table_bytes(flags))
        elif kind == 0x21:
            label, start = data[position + 1], position + 2
            position = _after_blocks(data, start)
            if label == 0xFE and captions.wants("Comment"):
                captions.named("Comment", _joined(data, start))
            elif label == 0xFF and data[start + 1 : start + 12] == b"XMP DataXMP":
                # Written as plain text, closed by a ramp of bytes on which any walk over blocks comes to rest.
                captions.xmp(data[start + 12 : position].partition(b"\x01\xff\xfe")[0])
        else:
            raise Damaged
    if not frames:
        raise Damaged
    return width, height, frames


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, position: int) -> int:
    while size := data[position]:
        position += size + 1
    return position + 1


def _joined(data: bytes, position: int) -> bytes:
    parts: list[bytes] = []
    while (size := data[position]) and len(parts) < _MOST_TEXT_BYTES >> 8:
        parts.append(data[position + 1 : position + 1 + size])
        position += size + 1
    return b"".join(parts)


# --- WebP ------------------------------------------------------------------------------------------------------------


def _webp(data: bytes, captions: Captions) -> tuple[int, int, int]:
    (riff_size,) = struct.unpack_from("<I", data, 4)
    end = 8 + riff_size
    if end > len(data) + 1:  # some writers leave the last filling byte out
        raise Damaged
    width = height = frames = 0
    pixels, position = False, 12
    for _ in range(_MOST_PARTS):
        if position + 8 > end:
            break
        kind, size = struct.unpack_from("<4sI", data, position)
        if position + 8 + size > len(data):
            raise Damaged
        head = data[position + 8 : position + 8 + min(size, 16)]
        if kind == b"VP8X":
            width = int.from_bytes(head[4:7], "little") + 1
            height = int.from_bytes(head[7:10], "little") + 1
        elif kind == b"VP8 ":
            pixels = True
            if head[3:6] != b"\x9d\x01\x2a":
                raise Damaged
            if not width:
                width, height = (each & 0x3FFF for each in struct.unpack_from("<HH", head, 6))
        elif kind == b"VP8L":
            pixels = True
            if head[:1] != b"\x2f":
                raise Damaged
            if not width:
                (bits,) = struct.unpack_from("<I", head, 1)
                width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
        elif kind == b"ANMF":
            pixels = True
            frames += 1
        elif kind in (b"EXIF", b"XMP "):
            body = data[position + 8 : position + 8 + size]
            (captions.xmp if kind == b"XMP " else captions.exif)(body.removeprefix(b"Exif\0\0"))
        position += 8 + size + (size & 1)
    if not pixels:
        raise Damaged
    return width, height, max(frames, 1)


READERS = {"image/png": _png, "image/jpeg": _jpeg, "image/gif": _gif, "image/webp": _webp}
