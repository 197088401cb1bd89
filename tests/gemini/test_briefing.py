"""What the model is told: everything once and in its place, as data, and never more than can be sent along."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway_server.gemini.ask import Blob
from cutaway_server.gemini.briefing import (
    MAX_INLINE_BYTES,
    MAX_SAID_CHARACTERS,
    Order,
    instruction,
    linked_parts,
    material_parts,
    thinned,
    weight,
)
from cutaway_server.gemini.video import Material, Sound, Still, VideoBrief, Window
from cutaway_server.snippets.captions import Sentence

BRIEF = VideoBrief(duration=600.0, title="A talk")
WINDOW = Window(0.0, 600.0)
ORDER = Order(3, 24, 5.0, 30.0)
times = st.floats(0, 600).map(lambda time: round(time, 1))


@settings(deadline=None)
@given(st.lists(times, max_size=12).map(sorted), st.lists(st.tuples(times, st.text(max_size=20)), max_size=12))
def test_pictures_and_sentences_stand_in_order_of_time(shown: list[float], said: list[tuple[float, str]]) -> None:
    stills = tuple(Still(time, b"%d" % n) for n, time in enumerate(shown))
    sentences = tuple(Sentence(time, time + 1, words) for time, words in said)
    about, *parts = material_parts(BRIEF, WINDOW, Material(stills, sentences))
    assert about == 'What is known of the video, as data: {"title":"A talk"}'
    assert [part.data for part in parts if isinstance(part, Blob)] == [still.jpeg for still in stills]
    lines = [line for part in parts if isinstance(part, str) for line in part.split("\n")]
    seen = [line for line in lines if line.startswith("Picture at ")]
    assert seen == [f"Picture at {time:.1f} s:" for time in shown]
    order = [float(line.split()[2]) if line in seen else json.loads(line)["from"] for line in lines]
    assert order == sorted(order)
    assert len(lines) == len(stills) + len(sentences)


@settings(deadline=None, max_examples=30)
@given(st.text(min_size=12), st.text(max_size=20))
def test_nothing_of_the_video_stands_among_the_orders(words: str, language: str) -> None:
    brief = VideoBrief(duration=600.0, title=words, description=words, language=language)
    plain = instruction(replace(brief, title="", description="", language=""), WINDOW, ORDER, linked=False)
    told = instruction(brief, WINDOW, ORDER, linked=False)
    assert told == plain or told == plain.removesuffix(".") + f" (the code of the language is {language})."
    assert told == plain or (language.isascii() and len(language) < 16 and " " not in language)


def test_captions_are_bounded() -> None:
    said = tuple(Sentence(n / 100, n / 100 + 1, "word " * 50) for n in range(5_000))
    _, told = material_parts(BRIEF, WINDOW, Material((), said))
    assert isinstance(told, str)
    assert MAX_SAID_CHARACTERS - 400 < len(told) <= MAX_SAID_CHARACTERS + 300
    assert json.loads(told.split("\n")[-1])["said"] == ("word " * 50).strip()


sizes = st.sampled_from([1_000, 90_000, 400_000, 3_000_000, 12_000_000])


@settings(deadline=None, max_examples=60)
@given(st.lists(sizes, max_size=40), st.lists(sizes, max_size=4), st.integers(0, 400))
def test_what_is_thinned_can_be_sent_along(jpegs: list[int], sounds: list[int], sentences: int) -> None:
    blank = {size: bytes(size) for size in (*jpegs, *sounds)}
    material = Material(
        tuple(Still(float(n), blank[size]) for n, size in enumerate(jpegs)),
        tuple(Sentence(float(n), n + 1.0, "Some words. \\\"'" * 10) for n in range(sentences)),
        tuple(Sound(9.0 * n, 9.0 * n + 6, Blob(blank[size], "audio/aac")) for n, size in enumerate(sounds)),
    )
    light = thinned(BRIEF, WINDOW, material)
    assert weight(material_parts(BRIEF, WINDOW, light)) <= MAX_INLINE_BYTES
    assert [still for still in material.stills if still in light.stills] == list(light.stills)
    assert light.sentences == material.sentences
    if weight(material_parts(BRIEF, WINDOW, material)) < MAX_INLINE_BYTES - 50_000:
        assert light == material
    if len(set(jpegs)) == 1 and len(light.stills) > 1:
        gaps = [b.time - a.time for a, b in zip(light.stills, light.stills[1:], strict=False)]
        assert max(gaps) - min(gaps) <= 1


@settings(deadline=None)
@given(st.floats(700, 90_000), st.floats(0, 1), st.floats(300, 600))
def test_offsets_are_inside_of_the_video(duration: float, where: float, length: float) -> None:
    start = float(int((duration - length) * where))
    window = Window(start, min(start + length, duration))
    link = linked_parts(replace(BRIEF, duration=duration), window, "https://www.youtube.com/watch?v=lCdaVNyHtjU")[0]
    assert not isinstance(link, str | Blob)
    assert link.start is None if start == 0 else link.start == start
    assert link.end is None or start + 1 < link.end < duration
