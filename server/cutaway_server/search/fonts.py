"""Fonts for drawn cards: a text comes in, what can be set of it and the font to set it in go out. A sign that no font
of this machine has is replaced by its plain form, or left out: nobody shall read boxes.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont

_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
)
_PREFERRED = (
    "Inter-Bold",
    "SourceSans3-Bold",
    "OpenSans-Bold",
    "NotoSans-Bold",
    "Roboto-Bold",
    "LiberationSans-Bold",
    "Arial Bold",
    "DejaVuSans-Bold",
    "NotoSansCJK-Bold",
    "NotoSansCJK-Regular",
)
"""For headlines, the best first; any other font comes after them."""
_REGULAR = (("-Bold", "-Regular"), ("-Bold", ""), (" Bold", ""))
"""How the file of the regular weight is called when that of the bold one is known."""
_UNFIT = ("mono", "emoji", "lastresort", "symbol", "condensed", "narrow", "italic", "oblique", "light", "thin", "math")
_MOST_FONTS = 600
_INVISIBLE = frozenset("\u200c\u200d\u200e\u200f\ufe0e\ufe0f")
_PLAIN = {"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "…": "...", "\xa0": " "}
_BUILT_IN = frozenset(range(32, 127))
"""Signs of the font that Pillow carries for machines without any."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A text as it can be set.

    Attributes
    ----------
    text
        What can be shown of it.
    bold, regular
        Files of the fonts; None for the one that Pillow carries.
    left_out
        How many letters and signs are missing from it.
    """

    text: str
    bold: Path | None
    regular: Path | None
    left_out: int

    def face(self, size: int, *, bold: bool = True) -> ImageFont.FreeTypeFont:
        """The font in a size, pixels."""
        return _face(self.bold if bold else self.regular, size)


def setting(text: str) -> Setting:
    """Find the font that can show most of `text`, and what it can show of it."""
    text = unicodedata.normalize("NFC", text)
    wanted = frozenset(map(ord, text)) - frozenset(map(ord, _INVISIBLE)) - {32}
    best, has = None, frozenset[int]()
    for path in _fonts():
        covered = _coverage(path)
        if best is None or len(wanted & covered) > len(wanted & has):
            best, has = path, covered
        if wanted <= has:
            break
    if best is None or len(wanted & _BUILT_IN) > len(wanted & has):
        best, has = None, _BUILT_IN
    shown = "".join(_shown(character, has) for character in text)
    left_out = sum(ord(each) not in has and not _shown(each, has) for each in text if each not in _INVISIBLE)
    return Setting(" ".join(shown.split()), best, _regular_of(best), left_out)


def _shown(character: str, has: frozenset[int]) -> str:
    if ord(character) in has or character in _INVISIBLE:
        return character
    plain = _PLAIN.get(character) or "".join(
        each for each in unicodedata.normalize("NFKD", character) if not unicodedata.combining(each)
    )
    return plain if all(ord(each) in has for each in plain) else " " * character.isspace()


@lru_cache(64)
def _face(path: Path | None, size: int) -> ImageFont.FreeTypeFont:
    if path is None:
        built_in = ImageFont.load_default(size)
        assert isinstance(built_in, ImageFont.FreeTypeFont), "Pillow without FreeType"
        return built_in
    return ImageFont.truetype(path, size)


@cache
def _fonts() -> tuple[Path, ...]:
    """The files of this machine's fonts, the best for headlines first."""
    found = [
        path
        for folder in _FOLDERS
        for path in sorted(Path(folder).expanduser().rglob("*.[ot]t[fc]"))[:_MOST_FONTS]
        if not any(word in path.stem.lower() for word in _UNFIT)
    ]

    def rank(path: Path) -> tuple[int, bool, bool]:
        known = _PREFERRED.index(path.stem) if path.stem in _PREFERRED else len(_PREFERRED)
        return known, "Serif" in path.stem, "Bold" not in path.stem

    return tuple(sorted(found, key=rank))


def _regular_of(bold: Path | None) -> Path | None:
    for ending, other in _REGULAR if bold else ():
        sibling = bold.with_stem(bold.stem.replace(ending, other)) if bold else None
        if sibling and sibling != bold and sibling.exists():
            return sibling
    return bold


# --- what a font has -------------------------------------------------------------------------------------------------


@lru_cache(256)
def _coverage(path: Path) -> frozenset[int]:
    """The signs that a font has a picture of: its ``cmap``, empty when it cannot be read."""
    try:
        data = path.read_bytes()
        start = struct.unpack_from(">I", data, 12)[0] if data[:4] == b"ttcf" else 0
        (count,) = struct.unpack_from(">H", data, start + 4)
        for n in range(count):
            tag, _, offset, _ = struct.unpack_from(">4sIII", data, start + 12 + 16 * n)
            if tag == b"cmap":
                return frozenset(_codes(data, offset))
    except (OSError, struct.error, IndexError):
        pass
    return frozenset()


def _codes(data: bytes, cmap: int) -> Iterator[int]:
    (count,) = struct.unpack_from(">H", data, cmap + 2)
    tables = {}
    for n in range(count):
        platform, _, offset = struct.unpack_from(">HHI", data, cmap + 4 + 8 * n)
        (form,) = struct.unpack_from(">H", data, cmap + offset)
        if platform in (0, 3):
            tables[form] = cmap + offset
    if 12 in tables:
        (groups,) = struct.unpack_from(">I", data, tables[12] + 12)
        for n in range(groups):
            first, last, _ = struct.unpack_from(">III", data, tables[12] + 16 + 12 * n)
            yield from range(first, min(last, 0x10FFFF) + 1)
    elif 4 in tables:
        at = tables[4]
        segments = struct.unpack_from(">H", data, at + 6)[0] // 2
        for n in range(segments):
            (last,) = struct.unpack_from(">H", data, at + 14 + 2 * n)
            (first,) = struct.unpack_from(">H", data, at + 16 + 2 * (segments + n))
            yield from range(first, min(last, 0xFFFE) + 1)
