"""Lines of text: a text and a box come in, the largest size that fits and its balanced lines go out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ImageFont

from cutaway_server.search.fonts import Setting

_LEADING = 1.14
_MOST_LINES = 6
_SMALLEST = 20
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\uac00-\ud7af]")
_NOT_FIRST = frozenset("、。，．・：；？！）」』】》ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ!?,.:;)]}")
"""What may not begin a line (kinsoku)."""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines in one font; all measures in pixels."""

    lines: tuple[str, ...]
    font: ImageFont.FreeTypeFont
    leading: float
    """From baseline to baseline."""
    ascent: float
    """From the top of the block to its first baseline."""
    height: float


def fit(words: Setting, width: float, height: float, largest: int) -> Block:
    """Set a text as large as its box allows; what does not fit even in the smallest size ends with "…"."""
    for size in range(largest, _SMALLEST - 1, -2):
        font = words.face(size)
        lines = _wrapped(words.text, font, width)
        if len(lines) <= min(_MOST_LINES, height // (size * _LEADING)) and not _torn(words.text, lines):
            return _block(_balanced(words.text, font, width, len(lines)), font, size)
    font = words.face(_SMALLEST)
    lines = _wrapped(words.text, font, width)
    most = int(height // (_SMALLEST * _LEADING))
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1].rstrip(' ,.;:')}…"]
    return _block(lines, font, _SMALLEST)


def _block(lines: list[str], font: ImageFont.FreeTypeFont, size: int) -> Block:
    leading = size * _LEADING
    ascent = size * 0.80
    return Block(tuple(lines), font, leading, ascent, ascent + leading * (len(lines) - 1) + size * 0.2)


def _balanced(text: str, font: ImageFont.FreeTypeFont, width: float, count: int) -> list[str]:
    """The same number of lines in the narrowest column: no lonely word at the end."""
    low, high = width / max(count, 1) * 0.8, width
    while high - low > 4:
        middle = (low + high) / 2
        lines = _wrapped(text, font, middle)
        if len(lines) <= count and all(font.getlength(line) <= middle for line in lines) and not _torn(text, lines):
            high = middle
        else:
            low = middle
    return _wrapped(text, font, high)


def _torn(text: str, lines: list[str]) -> bool:
    """Whether a word was broken to fit, which a smaller size may spare it."""
    return not _WIDE.search(text) and " ".join(lines).split() != text.split()


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines, line = [], ""
    for piece in _pieces(text, lambda each: font.getlength(each) <= width):
        if line and font.getlength((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece if line else piece.lstrip()
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str, fits: Callable[[str], bool]) -> list[str]:
    """What may not be broken: words with the space behind them, single signs of scripts without spaces."""
    found: list[str] = []
    for word in re.findall(r"\S+\s*|\s+", text):
        if _WIDE.search(word):
            for sign in word:
                last = found[-1][-1] if found else " "
                if found and (
                    sign in _NOT_FIRST or sign.isspace() or not (_WIDE.search(sign + last) or last.isspace())
                ):
                    found[-1] += sign
                else:
                    found.append(sign)
        elif fits(word.rstrip()):
            found.append(word)
        else:
            found += list(word)
    return found
