"""Summaries without a model, and the sentences that they are made of."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.search.sentences import sentences
from cutaway_server.search.summary import Source, summarise

JETS = [
    Source(
        place=1,
        title="How jet engines work",
        text="A jet engine compresses air, mixes it with fuel and burns it. The hot gas leaves through a nozzle and "
        "pushes the aircraft forward. Subscribe to our newsletter for more stories like this. Tickets cost ten euros.",
    ),
    Source(
        place=2,
        title="Cold starts",
        text="In cold weather the oil of a jet engine is thick, so pilots let it idle before they take off. Read more "
        "at https://example.com/cold. Ice on the fan blades of the engine is removed with warm air.",
    ),
    Source(
        place=3,
        title="A bakery in Lyon",
        text="The bakery sells four hundred loaves of bread on a Sunday. Its owner gets up at three in the morning.",
    ),
    Source(
        place=4,
        title="Same again",
        text="A jet engine compresses air, mixes it with fuel and burns it. Nothing else is said by this report.",
    ),
]


def markers(text: str) -> list[int]:
    return [int(each) for each in re.findall(r"\[(\d+)\]", text)]


# --- summaries --------------------------------------------------------------------------------------------------------


def test_the_sentences_that_answer_each_with_its_source() -> None:
    pieces = summarise("how do jet engines work in cold weather", JETS)
    text = "".join(pieces)
    assert 3 <= len(pieces) <= 6
    assert "In cold weather the oil of a jet engine is thick, so pilots let it idle before they take off. [2]" in text
    assert "Subscribe" not in text
    assert "https" not in text
    assert text.count("compresses air") == 1
    assert "loaves" not in text
    assert all(re.search(r" \[\d+\]\.?$", piece) for piece in pieces)
    assert all(piece.startswith(" ") for piece in pieces[1:])


def test_an_articles_sentences_stay_together_and_in_their_order() -> None:
    places = markers("".join(summarise("jet engine air fuel nozzle ice", JETS)))
    assert places == sorted(places, key=places.index)
    assert max(places.count(place) for place in places) <= 2


def test_titles_stand_in_for_texts_and_are_quoted() -> None:
    titles = ["Rust in the kernel", "Why Rust is slow to compile", "A trip to Rome", "Rust 2.0 announced"]
    sources = [Source(place=n, title=title, text="") for n, title in enumerate(titles, 1)]
    pieces = summarise("rust", sources)
    assert pieces[0].startswith("Only the titles of the articles are known: “")
    assert "“Rust in the kernel” [1];" in "".join(pieces)
    assert pieces[-1].endswith("].")
    assert set(markers("".join(pieces))) <= {1, 2, 3, 4}


def test_without_a_question_the_first_articles_are_told() -> None:
    pieces = summarise("", JETS)
    assert pieces[0] == "How jet engines work: A jet engine compresses air, mixes it with fuel and burns it. [1]"
    assert pieces[2] == "\nA bakery in Lyon: The bakery sells four hundred loaves of bread on a Sunday. [3]"


def test_nothing_gives_nothing() -> None:
    assert summarise("x", []) == []
    assert summarise("x", [Source(place=1, title="", text=" \n ")]) == []
    assert summarise("", [Source(place=1, title="", text="")]) == []


def test_remote_text_is_plain_and_cannot_forge_a_marker() -> None:
    hostile = "The engine \x1b[31m of the \u202ejet is said to be safe by all experts [7] in the whole country [99]."
    text = "".join(summarise("jet engine", [Source(place=3, title="a", text=hostile)]))
    assert markers(text) == [3]
    assert text.isprintable()


def test_other_scripts_and_questions_without_known_words() -> None:
    text = "人工知能は急速に発展しています。多くの企業が機械学習を導入しました。天気は晴れです。"
    pieces = summarise("機械学習", [Source(place=1, title="AI", text=text)])
    assert "多くの企業が機械学習を導入しました。 [1]" in "".join(pieces)
    assert summarise("qqqq zzzz", JETS)


def test_a_long_sentence_is_cut_between_words() -> None:
    text = "".join(summarise("engine", [Source(place=1, title="a", text="The engine " + "turns and " * 200)]))
    assert len(text) < 340
    assert text.endswith("… [1]")


def test_ten_long_articles_take_milliseconds() -> None:
    line = "the engine of a jet compresses air and burns fuel while ice forms on blades in winter"
    words = line.split()
    texts = [
        " ".join(" ".join(words[(n * k) % 7 :]).capitalize() + "." for k in range(40 + n)) + f" Only {n} knows this."
        for n in range(10)
    ]
    sources = [Source(place=n, title=f"Title {n}", text=text) for n, text in enumerate(texts, 1)]
    summarise("warm up", JETS)
    start = time.process_time()
    assert summarise("ice on jet engines", sources)
    assert time.process_time() - start < 0.1


@given(st.text(max_size=300), st.lists(st.tuples(st.text(max_size=60), st.text(max_size=600)), max_size=4))
def test_any_text_is_summed_up(words: str, articles: list[tuple[str, str]]) -> None:
    sources = [Source(place=n, title=title, text=text) for n, (title, text) in enumerate(articles, 1)]
    for question in (words, ""):
        pieces = summarise(question, sources)
        assert set(markers(" ".join(re.findall(r"\[\d+\]$", "\n".join(pieces), re.MULTILINE)))) <= set(range(1, 5))
        assert len(pieces) <= 6


# --- sentences --------------------------------------------------------------------------------------------------------


def test_the_points_of_a_list_are_no_sentence() -> None:
    points = "Multiple uploads from a phone in Safari\nApple's wireless keyboard A1016 and its successors\n"
    article = Source(
        place=1, title="Uploads", text=f"{points}A phone may send several files at once, which it could not before."
    )
    assert summarise("uploads", [article]) == ["A phone may send several files at once, which it could not before. [1]"]
    (first, *_) = summarise("uploads", [Source(place=1, title="Uploads", text=points)])
    assert first == "Apple's wireless keyboard A1016 and its successors [1]"


BROKEN = """Where somebody has broken the lines of a text, such as one about
London, they are about as long as its words allow
The end"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "Dr. Smith paid $3.50 at 5 p.m. yesterday. He left.",
            ["Dr. Smith paid $3.50 at 5 p.m. yesterday.", "He left."],
        ),
        ("J. R. R. Tolkien wrote it. It is long.", ["J. R. R. Tolkien wrote it.", "It is long."]),
        ("See e.g. Fig. 3 and vol. 2. Done.", ["See e.g. Fig. 3 and vol. 2.", "Done."]),
        ("He said “No.” Then he left.", ["He said “No.”", "Then he left."]),
        ('"Why?" she asked. "Because."', ['"Why?" she asked.', '"Because."']),
        ("Wait... what? Yes… but. Ok.", ["Wait... what?", "Yes… but.", "Ok."]),
        ("It grew in 2016. The next year it fell.", ["It grew in 2016.", "The next year it fell."]),
        ("1. First point. 2. Second point.", ["1. First point.", "2. Second point."]),
        ("Version 1.2.3 of example.com is out. Get it.", ["Version 1.2.3 of example.com is out.", "Get it."]),
        ("Das gilt z.B. am 3. Mai 2016. Danach nicht.", ["Das gilt z.B. am 3. Mai 2016.", "Danach nicht."]),
        ("今日は晴れです。明日は？「はい。」", ["今日は晴れです。", "明日は？", "「はい。」"]),
        ("यह सच है। वह नहीं।", ["यह सच है।", "वह नहीं।"]),
        ("هل هذا صحيح؟ نعم.", ["هل هذا صحيح؟", "نعم."]),
        ("A heading\n\nThe text.\nStill the text. End", ["A heading", "The text.", "Still the text.", "End"]),
        (
            "Pre-show: Lots\nJohn's Mac Pro\nis old. New:\n10 pads",
            ["Pre-show: Lots", "John's Mac Pro\nis old.", "New:", "10 pads"],
        ),
        (BROKEN, BROKEN.rsplit("\n", 1)),
        ("all lower case here . and another one .", ["all lower case here .", "and another one ."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text: str, found: list[str]) -> None:
    assert sentences(text) == found


@given(st.text(st.sampled_from("aB1 .!?…\"'”)]。！？」\n\tDr.é中")))
def test_no_sign_is_lost(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())
    assert all(each == each.strip() != "" for each in sentences(text))


@pytest.mark.parametrize(
    "text", [". " * 50_000, "a." * 50_000, "。" * 100_000, '."' * 50_000, "A. " * 40_000, "\n" * 100_000]
)
def test_splitting_takes_no_time(text: str) -> None:
    start = time.process_time()
    sentences(text)
    assert time.process_time() - start < 0.5


def test_a_sentence_with_key_phrases_of_its_article_is_preferred() -> None:
    telling = "The garden was planted for bumblebees, and moths come at night."
    text = "The garden has a gate of iron. The garden has a path of gravel and a bench. The garden is open on Sundays."
    text = text.replace("garden", "garden by the old river").replace(".", " in all the weathers.") + " " + telling
    assert telling not in "".join(summarise("garden gate gravel Sundays", [Source(1, "A garden", text)]))
    phrases = ("bumblebees", "Moths", "planted")
    assert telling in "".join(summarise("garden gate gravel Sundays", [Source(1, "A garden", text, phrases)]))
