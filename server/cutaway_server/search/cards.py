"""Drawn cards: a question and the number of a variant come in, a PNG of 1024 x 576 goes out. The text is set large in
balanced lines, its key phrases small beside it, over shapes and colours that the text itself decides: the same question
always gets the same card, two questions hardly ever. For a worker; 60 to 120 ms a card.
"""

from __future__ import annotations

import hashlib
import io
import math
import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from cutaway_server.search.fonts import Setting, setting
from cutaway_server.search.palette import Palette, Rgb
from cutaway_server.search.phrases import key_phrases
from cutaway_server.search.typesetting import Block, fit

WIDTH, HEIGHT = 1024, 576
VARIANTS = 3
MARGIN = 64
MAX_CHARACTERS = 240
"""Of a question that are shown; a card is read at a glance."""

_FINE = 2
"""Shapes are drawn so many times larger, then reduced: Pillow's have no smooth edges."""
_KICKER, _PHRASE = 19, 25


@dataclass(frozen=True, slots=True)
class Card:
    """What a card shows: `kicker` is the small line over the question."""

    text: str
    kicker: str


def left_out(text: str) -> float:
    """The share of a text that no font here can show, 0 to 1. A job for a worker."""
    found = setting(text[:MAX_CHARACTERS])
    signs = sum(not each.isspace() for each in text[:MAX_CHARACTERS])
    return found.left_out / signs if signs else 0.0


def draw(card: Card, variant: int) -> bytes:
    """Draw a card as a PNG. A job for a worker."""
    text = card.text
    if len(text) > MAX_CHARACTERS:
        text = (text[:MAX_CHARACTERS].rpartition(" ")[0] or text[:MAX_CHARACTERS]) + "…"
    layout = _LAYOUTS[variant % len(_LAYOUTS)]
    seed = hashlib.sha256(f"{card.kicker}\0{card.text}".encode()).digest()
    chance = random.Random(seed)  # noqa: S311 - for shapes
    words = setting(text)
    sheet = _Sheet(words, card.kicker.upper(), key_phrases(words.text), Palette(seed), chance)
    layout(sheet)
    file = io.BytesIO()
    sheet.image.save(file, "PNG", compress_level=7)
    return file.getvalue()


class _Sheet:
    """A card in work. Shapes first, then texts; for text that runs from the right the whole is mirrored."""

    def __init__(
        self, words: Setting, kicker: str, phrases: list[str], palette: Palette, chance: random.Random
    ) -> None:
        self.words = words
        self.kicker = kicker
        self.phrases = phrases
        self.palette = palette
        self.chance = chance
        self.mirrored = _runs_from_right(words.text)
        self.image = Image.new("RGB", (WIDTH, HEIGHT))

    def shapes(self, background: Rgb, paint: Callable[[ImageDraw.ImageDraw], None]) -> None:
        """Fill the card, then paint at ``_FINE`` times its size."""
        large = Image.new("RGB", (WIDTH * _FINE, HEIGHT * _FINE), background)
        paint(ImageDraw.Draw(large))
        self.image = large.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        if self.mirrored:
            self.image = self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    def block(self, block: Block, left: float, top: float, width: float, colour: Rgb, align: str = "left") -> None:
        """Set lines into a column."""
        if self.mirrored:
            left = WIDTH - left - width
        if self.mirrored and align == "left":
            align = "right"
        pen = ImageDraw.Draw(self.image)
        for n, line in enumerate(block.lines):
            free = width - block.font.getlength(line)
            x = left + {"left": 0.0, "center": free / 2, "right": free}[align]
            pen.text((round(x), round(top + n * block.leading)), line, colour, block.font, anchor="ls")

    def spaced(self, text: str, left: float, baseline: float, width: float, colour: Rgb, align: str = "left") -> None:
        """One small line of capitals with air between the letters."""
        found = setting(text)
        font, air = found.face(_KICKER), 3.5
        length = sum(font.getlength(each) + air for each in found.text) - air
        x = left + (width - length) / 2 if align == "center" else left
        if self.mirrored:
            x = WIDTH - x - length
        pen = ImageDraw.Draw(self.image)
        for each in found.text:
            pen.text((x, baseline), each, colour, font, anchor="ls")
            x += font.getlength(each) + air

    def small(self, text: str, size: int = _PHRASE) -> tuple[str, ImageFont.FreeTypeFont]:
        """A phrase as it can be set, in the regular weight of the headline's font."""
        found = setting(text)
        same = found if found.bold != self.words.bold else self.words
        return found.text, same.face(size, bold=False)


# --- layouts ---------------------------------------------------------------------------------------------------------


def _orbits(sheet: _Sheet) -> None:
    """Dark, with rings that leave the card on one side and the text on the other."""
    colours, chance, width = sheet.palette, sheet.chance, 610
    centre = (WIDTH * (0.90 + 0.06 * chance.random()), HEIGHT * (0.34 + 0.36 * chance.random()))
    rings = [(470, colours.deep[1]), (372, colours.deep[2]), (268, colours.deep[3]), (150, colours.accent)]

    def paint(pen: ImageDraw.ImageDraw) -> None:
        for radius, colour in rings:
            _disc(pen, centre, radius, colour)
        for radius in (320, 209, 209):
            # Between the text and the edge of the card.
            angle = math.acos(max(-1.0, (MARGIN + width + 40 - centre[0]) / radius)) * chance.uniform(0.55, 1)
            at = (
                centre[0] + radius * math.cos(angle),
                centre[1] + radius * math.sin(angle) * chance.choice((-1, 1)),
            )
            _disc(pen, at, 7 + 13 * chance.random(), chance.choice((colours.second, colours.accent)))

    sheet.shapes(colours.deep[0], paint)
    phrases = _list_height(sheet)
    block = fit(sheet.words, width, HEIGHT - 2 * MARGIN - 50 - phrases, 132)
    top = max((HEIGHT - block.height - phrases) / 2 + 16, MARGIN + 44)
    sheet.spaced(sheet.kicker, MARGIN, MARGIN + 14, width, colours.accent)
    sheet.block(block, MARGIN, top + block.ascent, width, colours.light)
    _list(sheet, MARGIN, top + block.height, width, colours.pale, colours.accent)


def _tiles(sheet: _Sheet) -> None:
    """Paper, with a column of quarter circles beside the text."""
    colours, chance = sheet.palette, sheet.chance
    side = HEIGHT // 4
    inks = [colours.deep[0], colours.deep[3], colours.accent, colours.second, colours.tint]

    def paint(pen: ImageDraw.ImageDraw) -> None:
        before: Rgb | None = None
        for n in range(8):
            x, y = side * (n % 2), side * (n // 2)
            ground = chance.choice([ink for ink in inks if ink != before])
            before = ground
            pen.rectangle(_fine(x, y, x + side, y + side), ground)
            ink = chance.choice([each for each in inks if each != ground])
            corner = (x + side * chance.randrange(2), y + side * chance.randrange(2))
            if chance.random() < 0.25:
                _disc(pen, (x + side / 2, y + side / 2), side * 0.30, ink)
                continue
            box = _fine(corner[0] - side, corner[1] - side, corner[0] + side, corner[1] + side)
            # The quarter that lies inside of the tile.
            first = {(0, 0): 0, (1, 0): 90, (1, 1): 180, (0, 1): 270}[int(corner[0] > x), int(corner[1] > y)]
            pen.pieslice(box, first, first + 90, ink)

    sheet.shapes(colours.paper, paint)
    left = 2 * side + MARGIN
    width = WIDTH - left - MARGIN
    block = fit(sheet.words, width, 310, 120)
    top = MARGIN + 50
    sheet.spaced(sheet.kicker, left, MARGIN + 14, width, colours.accent_dark)
    sheet.block(block, left, top + block.ascent, width, colours.ink)
    _rows(sheet, left, width)


def _hills(sheet: _Sheet) -> None:
    """A sky with the text, a sun, and hills that grow darker towards the eye."""
    colours, chance = sheet.palette, sheet.chance
    horizon = 400
    sun = (WIDTH * (0.2 + 0.6 * chance.random()), horizon - 10)
    waves = [(chance.uniform(0.5, 1.6), chance.uniform(0, math.tau), chance.uniform(16, 34)) for _ in range(4)]

    def paint(pen: ImageDraw.ImageDraw) -> None:
        _disc(pen, sun, 92, colours.warm)
        for n, ((frequency, phase, height), colour) in enumerate(zip(waves, reversed(colours.deep), strict=True)):
            base = horizon + 12 + n * 46
            points = [
                (x * _FINE, (base - height * math.sin(math.tau * frequency * x / WIDTH + phase)) * _FINE)
                for x in range(0, WIDTH + 8, 8)
            ]
            pen.polygon([*points, (WIDTH * _FINE, HEIGHT * _FINE), (0, HEIGHT * _FINE)], colour)

    sheet.shapes(colours.tint, paint)
    width = WIDTH - 2 * 104
    block = fit(sheet.words, width, 196, 96)
    top = (horizon - 110 - block.height) / 2 + 44
    sheet.spaced(sheet.kicker, 104, MARGIN - 4, width, colours.accent_dark, "center")
    sheet.block(block, 104, top + block.ascent, width, colours.ink, "center")
    phrases = "   ·   ".join(sheet.phrases)
    text, font = sheet.small(phrases, 22)
    if text and font.getlength(text) <= WIDTH - 2 * MARGIN:
        line = Block((text,), font, 0, 0, 0)
        sheet.block(line, MARGIN, HEIGHT - 34, WIDTH - 2 * MARGIN, colours.light, "center")


_LAYOUTS = (_orbits, _tiles, _hills)


def _list_height(sheet: _Sheet) -> float:
    return 30 + 36 * len(sheet.phrases) if sheet.phrases else 0


def _list(sheet: _Sheet, left: float, top: float, width: float, colour: Rgb, mark: Rgb) -> None:
    """Key phrases one below the other, each behind a short bar."""
    pen = ImageDraw.Draw(sheet.image)
    for n, phrase in enumerate(sheet.phrases):
        text, font = sheet.small(phrase)
        baseline = top + 58 + 36 * n
        x = WIDTH - left - 18 if sheet.mirrored else left
        pen.rectangle((x, baseline - 10, x + 18, baseline - 8), mark)
        sheet.block(Block((text,), font, 0, 0, 0), left + 32, baseline, width - 32, colour)


def _rows(sheet: _Sheet, left: float, width: float) -> None:
    """Key phrases in up to two columns under a rule, at the foot of the card."""
    if not sheet.phrases:
        return
    pen = ImageDraw.Draw(sheet.image)
    lines = (len(sheet.phrases) + 1) // 2
    rule = HEIGHT - MARGIN - 38 * lines - 6
    x = WIDTH - left - width if sheet.mirrored else left
    pen.rectangle((x, rule, x + width, rule + 1), sheet.palette.tint)
    column = width / 2
    for n, phrase in enumerate(sheet.phrases):
        text, font = sheet.small(phrase, 22)
        if font.getlength(text) > column - 16:
            text = _shortened(text, font, column - 16)
        at = left + column * (n % 2)
        sheet.block(Block((text,), font, 0, 0, 0), at, rule + 36 + 38 * (n // 2), column, sheet.palette.accent_dark)


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1].rstrip()
    return f"{text}…"


def _disc(pen: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, colour: Rgb) -> None:
    x, y = centre
    pen.ellipse(_fine(x - radius, y - radius, x + radius, y + radius), colour)


def _fine(*numbers: float) -> tuple[float, float, float, float]:
    left, top, right, bottom = (each * _FINE for each in numbers)
    return left, top, right, bottom


def _runs_from_right(text: str) -> bool:
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("R", "AL"):
            return True
        if direction == "L":
            return False
    return False
