"""Drawn cards: what is on them, in which fonts and colours."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from cutaway_server.search import fonts
from cutaway_server.search.cards import HEIGHT, VARIANTS, WIDTH, Card, draw, left_out
from cutaway_server.search.fonts import setting
from cutaway_server.search.palette import Palette, contrast
from cutaway_server.search.phrases import key_phrases
from cutaway_server.search.typesetting import fit

QUESTIONS = [
    "",
    "rust",
    "how do jet engines work in cold weather",
    "Donaudampfschifffahrtsgesellschaftskapitän",
    "x" * 10_000,
    "word " * 2_000,
    "機械学習と人工知能の最新動向",
    "ما هو الذكاء الاصطناعي؟",
    "party 🎉🎊 time",
    "e\u0301tude \u200d\u202e\ufe0f …",
    "a\nb\tc",
]


@pytest.fixture(autouse=True)
def fresh_fonts():
    for each in (fonts._fonts, fonts._coverage, fonts._face):
        each.cache_clear()
    yield
    for each in (fonts._fonts, fonts._coverage, fonts._face):
        each.cache_clear()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("bare", [False, True], ids=["fonts", "no fonts"])
@pytest.mark.parametrize("text", QUESTIONS, ids=range(len(QUESTIONS)))
def test_every_question_has_its_cards(text: str, bare: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if bare:
        monkeypatch.setattr(fonts, "_FOLDERS", ())
    cards = [draw(Card(text, "Search"), variant) for variant in range(VARIANTS)]
    assert len(set(cards)) == VARIANTS
    for card in cards:
        image = opened(card)
        assert (image.format, image.size, image.mode) == ("PNG", (WIDTH, HEIGHT), "RGB")
        assert len(image.resize((128, 72)).getcolors(128 * 72) or []) > 10
        assert len(card) < 200_000


def test_the_same_question_has_the_same_card_and_another_has_another() -> None:
    assert draw(Card("jet engines", "Search"), 0) == draw(Card("jet engines", "Search"), 0)
    assert draw(Card("jet engines", "Search"), 0) != draw(Card("jet engine", "Search"), 0)


@pytest.mark.parametrize("text", ["rust", QUESTIONS[2], QUESTIONS[3], QUESTIONS[5], "How is it? " * 20])
def test_the_words_are_on_the_card_within_its_margins(text: str) -> None:
    """The second layout sets dark text on paper, right of its shapes."""
    image = opened(draw(Card(text, "Search"), 1)).convert("L")
    paper = image.crop((HEIGHT // 2, 0, WIDTH, HEIGHT))
    left, top, right, bottom = paper.point(lambda light: 255 * (light < 110)).getbbox() or (0, 0, 0, 0)
    assert 56 <= left < 80
    assert 50 <= top < 90
    assert left + 100 < right <= WIDTH - HEIGHT // 2 - 56
    assert bottom <= HEIGHT - 40


def test_every_palette_has_contrast() -> None:
    for first in range(256):
        for second in range(4):
            colours = Palette(bytes((first, second)))
            assert contrast(colours.light, colours.deep[0]) > 10
            assert contrast(colours.light, colours.deep[2]) > 6.5
            assert contrast(colours.pale, colours.deep[2]) > 5
            assert contrast(colours.accent, colours.deep[0]) > 6
            assert contrast(colours.ink, colours.paper) > 10
            assert contrast(colours.ink, colours.tint) > 8
            assert contrast(colours.accent_dark, colours.paper) > 4.5
            assert contrast(colours.accent_dark, colours.tint) > 4.5


# --- setting text ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"), [("one two three four five six seven eight nine ten", 3), ("a quite ordinary question", 2)]
)
def test_lines_fit_and_are_balanced(text: str, lines: int) -> None:
    block = fit(setting(text), 500, 200, 90)
    lengths = [block.font.getlength(line) for line in block.lines]
    assert " ".join(block.lines) == text
    assert max(lengths) <= 500
    assert block.height <= 200
    assert len(lengths) >= lines
    assert min(lengths) > 0.5 * max(lengths)


def test_a_text_that_is_too_long_ends_with_an_ellipsis() -> None:
    block = fit(setting("word " * 400), 300, 100, 60)
    assert block.lines[-1].endswith("…")
    assert block.height <= 110


def test_signs_that_no_font_has_are_plain_or_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_FOLDERS", ())
    found = setting("Crème “brûlée” 🍮 日本")
    assert found.text == 'Creme "brulee"'
    assert found.left_out == 3
    assert left_out("日本") == 1.0
    assert left_out("plain") == 0.0
    assert left_out("") == 0.0


def test_the_font_that_has_most_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Latin-Bold.ttf").write_bytes(_font(4, range(32, 127)))
    (tmp_path / "Wide-Regular.otf").write_bytes(_font(12, [*range(32, 127), *range(0x4E00, 0x9FFF)]))
    (tmp_path / "Broken-Bold.ttf").write_bytes(b"\0\1\0\0\0\xff" + b"x" * 40)
    (tmp_path / "NotoColorEmoji.ttf").write_bytes(_font(12, range(0x1F600, 0x1F64F)))
    monkeypatch.setattr(fonts, "_FOLDERS", (str(tmp_path),))
    assert str(setting("plain").bold).endswith("Latin-Bold.ttf")
    assert str(setting("日本 plain").bold).endswith("Wide-Regular.otf")
    assert setting("日本 plain").left_out == 0
    assert setting("plain 😀").left_out == 1


def _font(form: int, codes) -> bytes:
    """A font of nothing but a table of signs."""
    codes = sorted(codes)
    runs = []
    for code in codes:
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    if form == 12:
        body = struct.pack(">HHIII", 12, 0, 16 + 12 * len(runs), 0, len(runs))
        body += b"".join(struct.pack(">III", first, last, 1) for first, last in runs)
    else:
        ends = b"".join(struct.pack(">H", last) for _, last in runs)
        starts = b"".join(struct.pack(">H", first) for first, _ in runs)
        body = struct.pack(">HHHHHHH", 4, 0, 0, 2 * len(runs), 0, 0, 0) + ends + b"\0\0" + starts
    cmap = struct.pack(">HHHHI", 0, 1, 3, 10 if form == 12 else 1, 12) + body
    return struct.pack(">IHHHH", 0x10000, 1, 0, 0, 0) + struct.pack(">4sIII", b"cmap", 0, 28, len(cmap)) + cmap


# --- key phrases -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("how do jet engines work in cold weather", ["jet engines work", "cold weather"]),
        ("rust", []),
        ("jet engines", []),
        ("What about C++ and Node.js for the web?", ["C++", "Node.js", "web"]),
        ("", []),
        ("the of and", []),
    ],
)
def test_key_phrases(text: str, phrases: list[str]) -> None:
    assert key_phrases(text) == phrases
