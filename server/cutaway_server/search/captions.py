"""The words that a picture carries: titles, captions and keywords in EXIF, IPTC, XMP and plain comments. Blocks of
bytes come in from :mod:`cutaway_server.search.picture`; what goes out is one line of plain text, without what cameras
and programs write into every file. Damaged metadata is passed over: the picture is none the worse for it.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from itertools import islice
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

MAX_CHARACTERS = 400
"""Of all words together: a question, not a document."""
_MOST_BYTES = 256 << 10
"""Of an XMP packet."""
_MOST_TEXTS = 64
_MOST_TRIED = 256
"""Texts that are looked at, those included of which nothing is left."""
_MOST_ENTRIES = 500
_MOST_OF_ALL = 512 << 10
"""Bytes of metadata that are looked at in one picture: with as many blocks as 10 MB hold, it would take a minute."""
_LEAST_COST, _TABLE_COST = 1 << 10, 16 << 10
"""What a small block counts for, and one of entries that may all point to the same bytes."""
_TEXT_BYTES = 32 * MAX_CHARACTERS
"""Of one text."""

_TITLE, _CAPTION, _KEYWORDS, _PLACE = range(4)

_NAMED = {
    "title": _TITLE,
    "headline": _TITLE,
    "subject": _KEYWORDS,
    "keywords": _KEYWORDS,
    "description": _CAPTION,
    "caption": _CAPTION,
    "comment": _CAPTION,
}
_XMP_KEY = "XML:com.adobe.xmp"
_PROMPT = "parameters"
"""Where programs that generate pictures keep what they were asked for."""
_EXIF = {0x010E: _CAPTION, 0x9C9B: _TITLE, 0x9C9C: _CAPTION, 0x9C9E: _KEYWORDS, 0x9C9F: _KEYWORDS, 0x9286: _CAPTION}
_EXIF_FOLDER, _USER_COMMENT, _FIRST_OF_WINDOWS = 0x8769, 0x9286, 0x9C9B
_UNIT_BYTES = {1: 1, 2: 1, 7: 1}
"""Of the EXIF types that hold text: bytes, ASCII, undefined."""
_IPTC = {5: _TITLE, 105: _TITLE, 120: _CAPTION, 25: _KEYWORDS, 92: _PLACE, 90: _PLACE, 95: _PLACE, 101: _PLACE}
_DC = "{http://purl.org/dc/elements/1.1/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_XMP = {
    f"{_DC}title": _TITLE,
    f"{_PHOTOSHOP}Headline": _TITLE,
    f"{_DC}description": _CAPTION,
    f"{_DC}subject": _KEYWORDS,
    f"{_PHOTOSHOP}City": _PLACE,
    f"{_PHOTOSHOP}Country": _PLACE,
}

_BOILERPLATE = re.compile(
    r"""
    (created|made|edited|generated|optimi[sz]ed|compressed|processed|saved|converted)\s+(with|using|by)\b.*
    | saved\s+for\s+web.* | creator:.*
    | (olympus|minolta|sony|konica|kodak|maginon|vivitar|samsung|digital)\s+(digital\s+)?(still\s+)?camera
    | (sony\s+)?dsc | exif[_ ]?jpeg([_ ]?(picture|\d+))? | jpeg[_ ]picture
    | (the\s+)?gimp.* | adobe\s+(photoshop|imageready).*
    | screen\s?(shot|capture)s?([\s_]+(from|at|[\d:.-]+(png|jpe?g)?))*
    | bildschirmfoto | capture\s+d.écran | captura\s+de\s+pantalla | lavc.*
    | (lead\ technologies|ez\s?gif|cs\d|file\ written\ by|intel.*jpeg|handmade\ software|libvips|imagemagick)\b.*
    | (img|dsc|dscf|dscn|pict?|image|photo|picture|scan|screenshot|unbenannt|sans\s+titre)
      [-_ ]?[\d\s:_.-]*(\.\w{3,4})?
    | processed\s+with\s+vsco.* | untitled.* | default | none | null | n/?a | unknown | user\s*comments? | ascii
    | \*.* | quality\s*=.* | [\W\d_]*
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


class Captions:
    """Collects the words of one picture."""

    def __init__(self) -> None:
        self._texts: list[tuple[int, str]] = []
        self._tried = 0
        self._left = _MOST_OF_ALL

    def words(self) -> str:
        """Title, caption, keywords and place, in this order, none twice; at most ``MAX_CHARACTERS``."""
        kept: list[str] = []
        for _, text in sorted(self._texts, key=lambda each: each[0]):
            folded = text.casefold()
            if not any(folded in other.casefold() for other in kept):
                kept.append(text)
        line = ", ".join(kept)
        if len(line) > MAX_CHARACTERS:
            line = line[:MAX_CHARACTERS].rpartition(" ")[0] or line[:MAX_CHARACTERS]
        return line

    def wants(self, key: str) -> bool:
        """Whether a text of this name may say something, and there was not too much before it."""
        return self._left > 0 and (key == _XMP_KEY or key.lower() == _PROMPT or key.lower() in _NAMED)

    def named(self, key: str, value: bytes) -> None:
        """A text with a name, as PNG has them; comments of GIF and JPEG are such."""
        if key == _XMP_KEY:
            self.xmp(value)
        elif not self.wants(key) or not self._pay(len(value)):
            return
        elif key.lower() == _PROMPT:
            self._add(_CAPTION, _text(value).partition("Negative prompt:")[0].partition("\nSteps:")[0])
        else:
            self._add(_NAMED[key.lower()], _text(value))

    def exif(self, block: bytes) -> None:
        """A TIFF structure."""
        order = {b"II": "<", b"MM": ">"}.get(block[:2])
        if order is None or not self._pay(_TABLE_COST):
            return
        with contextlib.suppress(struct.error):
            (first,) = struct.unpack_from(f"{order}I", block, 4)
            folders = [first]
            for folder in folders:
                for tag, value, number in _entries(block, folder, order):
                    if self._tried >= _MOST_TRIED:
                        return
                    if tag == _EXIF_FOLDER and len(folders) == 1:
                        folders.append(number)
                    elif tag == _USER_COMMENT:
                        self._add(_CAPTION, _user_comment(value, order))
                    elif tag in _EXIF:
                        wide = tag >= _FIRST_OF_WINDOWS
                        self._add(_EXIF[tag], value.decode("utf-16-le", "ignore") if wide else _text(value))

    def photoshop(self, block: bytes) -> None:
        """Photoshop's resources, of which one is the IPTC record."""
        position = 0
        if not self._pay(_TABLE_COST):
            return
        for _ in range(_MOST_ENTRIES):
            if block[position : position + 4] != b"8BIM":
                return
            name_bytes = block[position + 6] if len(block) > position + 6 else 0
            size_at = position + 6 + ((name_bytes + 2) & ~1)
            if len(block) < size_at + 4:
                return
            size = int.from_bytes(block[size_at : size_at + 4], "big")
            if block[position + 4 : position + 6] == b"\x04\x04":
                self._iptc(block[size_at + 4 : size_at + 4 + size])
                return
            position = size_at + 4 + size + (size & 1)

    def xmp(self, packet: bytes) -> None:
        """An XMP packet: RDF as XML."""
        if len(packet) > _MOST_BYTES or not self._pay(len(packet)):
            return
        try:
            root = fromstring(packet.strip(b"\0 \r\n\t"), forbid_dtd=True)
        except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError):
            return
        for element in root.iter():
            if self._tried >= _MOST_TRIED:
                return
            for name, value in element.attrib.items():
                if name in _XMP:
                    self._add(_XMP[name], value)
            if element.tag in _XMP:
                self._tried += 1
                for text in _items(element):
                    self._add(_XMP[element.tag], text)

    def _iptc(self, record: bytes) -> None:
        position, utf8 = 0, False
        for _ in range(_MOST_ENTRIES):
            head = record[position : position + 5]
            if len(head) < 5 or head[0] != 0x1C or head[3] & 0x80 or self._tried >= _MOST_TRIED:
                return
            value = record[position + 5 : position + 5 + int.from_bytes(head[3:5], "big")]
            if head[1:3] == b"\x01\x5a":
                utf8 = value == b"\x1b%G"
            elif head[1] == 2 and head[2] in _IPTC:
                self._add(_IPTC[head[2]], value[:_TEXT_BYTES].decode("utf-8", "replace") if utf8 else _text(value))
            position += 5 + len(value)

    def _pay(self, cost: int) -> bool:
        """Whether a block may still be looked at."""
        self._left -= max(cost, _LEAST_COST)
        return self._left >= 0

    def _add(self, rank: int, text: str) -> None:
        self._tried += 1
        if len(self._texts) >= _MOST_TEXTS:
            return
        text = text[: 8 * MAX_CHARACTERS]
        parts = re.split(r"[;,|]", text) if rank == _KEYWORDS else [text]
        for part in parts[:_MOST_TEXTS]:
            plain = "".join(character if character.isprintable() else " " for character in _repaired(part))
            plain = " ".join(plain.split()).strip(" ,;")
            if plain and not _BOILERPLATE.fullmatch(plain):
                self._texts.append((rank, plain))


def _items(element: Element) -> Iterator[str]:
    """The text of a property: its own, or of the items of its list."""
    inside = islice(element.iter(), 1, 4 * _MOST_TEXTS)
    found = [each.text for each in inside if each.text and each.text.strip()]
    yield from found or ([element.text] if element.text else [])


def _entries(block: bytes, folder: int, order: str) -> Iterator[tuple[int, bytes, int]]:
    """Tag, bytes and number of each entry of an EXIF folder that holds text or points on."""
    (count,) = struct.unpack_from(f"{order}H", block, folder)
    for n in range(min(count, _MOST_ENTRIES)):
        at = folder + 2 + 12 * n
        tag, kind, units = struct.unpack_from(f"{order}HHI", block, at)
        (number,) = struct.unpack_from(f"{order}I", block, at + 8)
        size = min(units * _UNIT_BYTES.get(kind, 0), _TEXT_BYTES)
        start = at + 8 if size <= 4 else number
        yield tag, block[start : start + size], number


def _user_comment(value: bytes, order: str) -> str:
    code, text = value[:8], value[8:]
    if code == b"UNICODE\0":
        # The byte order is the file's by the letter, the writer's in practice: Latin text tells.
        little = text[1:2] == b"\0" or (order == "<" and text[:1] != b"\0")
        return text.decode("utf-16-le" if little else "utf-16-be", "ignore")
    if code.startswith(b"JIS"):
        return text.decode("iso2022_jp", "ignore")
    return _text(text)


def _text(value: bytes) -> str:
    """Bytes whose encoding nobody says: UTF-8 when they are, what Windows writes otherwise."""
    value = value[:_TEXT_BYTES].partition(b"\0")[0]
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace")


def _repaired(text: str) -> str:
    """UTF-8 that somebody took for Windows' encoding ("GrÃ¼ÃŸe"), read as what it was."""
    for wrong in ("cp1252", "latin-1"):
        with contextlib.suppress(UnicodeError):
            return text.encode(wrong).decode("utf-8")
    return text
