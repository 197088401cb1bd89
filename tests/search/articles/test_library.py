"""What searches find: order, languages, duplicates, surprises, and questions that nobody should ask."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cutaway_server.search.articles.dates import iso_date
from cutaway_server.search.articles.entry import Wanted
from cutaway_server.search.articles.keeper import catch_up
from cutaway_server.search.articles.library import Library, NotIndexed
from cutaway_server.search.articles.record import Record
from search.articles.stores import entry, index, put, search, titles

pytestmark = pytest.mark.usefixtures("no_samples")

DAY = 24 * 3600
TOPICS = {
    "animals": "zebras giraffes and lions drink at the water hole in the savanna while the elephants wait",
    "money": "the central bank raised interest rates again to fight inflation and the markets fell sharply",
    "space": "the telescope saw a distant galaxy with young stars and the astronomers measured its light",
    "food": "knead the dough with flour water and yeast then bake the bread in a hot oven until brown",
}


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    put(tmp_path, *(entry(name, f"About {name}", text) for name, text in TOPICS.items()))
    index(tmp_path)
    return tmp_path


def test_an_article_as_a_client_gets_it(tmp_path: Path) -> None:
    put(
        tmp_path,
        entry(
            "k",
            "Zebras at night",
            "word " * 400,
            author="A. B.",
            published=1795338000,
            image="https://a.example/i.png",
            url="https://a.example/1",
            comments=2,
            likes=3,
            emojis=("🦓",),
            has_video=True,
        ),
        entry("plain", "Giraffes by day"),
    )
    index(tmp_path)
    (found,) = search(tmp_path, "zebra")
    article = found.article
    assert (article.id, article.title, article.author) == ("1", "Zebras at night", "A. B.")
    assert (article.date, article.type, article.url) == ("2026-11-22T09:00:00Z", "article", "https://a.example/1")
    assert (article.comments, article.likes, article.emojis, article.has_video) == (2, 3, ("🦓",), True)
    assert len(article.description) <= 1000
    assert article.description.endswith("word…")
    assert found.text == "word " * 400
    assert any("Zebras" in phrase for phrase in found.phrases)
    (simple,) = search(tmp_path, "giraffe")
    assert (simple.article.type, simple.article.date, simple.article.url) == ("simple", "", None)


@pytest.mark.parametrize(
    ("question", "topic"),
    [
        ("zebra", "animals"),
        ("the interest rate", "money"),
        ("What is the distance of galaxies?", "space"),
        ("how do I bake a bread, please", "food"),
        ("galaxies " + "nothing of that is here " * 5000, "space"),
    ],
)
def test_the_right_article_is_first(zoo: Path, question: str, topic: str) -> None:
    assert titles(search(zoo, question))[0] == f"About {topic}"


def test_words_that_no_article_has_find_nothing(zoo: Path) -> None:
    for question in ("qwxzv jjkkq", "monetary policy"):
        assert search(zoo, question) == []
        assert search(zoo, question, source="stumber") == []


def test_an_article_without_a_vector_is_found_as_well(zoo: Path) -> None:
    put(zoo, entry("new", "Zebras zebras zebras", "zebras at the water hole"))
    library = Library(zoo)
    catch_up(zoo)  # without vectors
    assert titles(library.find(Wanted(text="zebras")))[0] == "Zebras zebras zebras"
    library.close()


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Die Straße nach Köln", "strasse koln"),
        ("Die Straße nach Köln", "STRASSE KÖLN"),
        ("L'état, c'est moi", "etat"),
        ("日本語の文章を検索する", "検索"),
        ("日本語の文章を検索する", "文"),
        ("한국어 텍스트를 검색합니다", "텍스트"),
        ("การค้นหาภาษาไทย", "ค้นหา"),
        ("Поиск по статьям", "статьям"),
        ("مرحبا بالعالم", "بالعالم"),
        ("חיפוש מאמרים", "מאמרים"),
        ("The new C++ standard", "c++"),
        ("Rockets 🚀 to the moon", "🚀 moon"),
        ("To be or not to be", "to be or not to be"),
    ],
)
def test_languages(tmp_path: Path, text: str, question: str) -> None:
    put(tmp_path, entry("it", text), entry("other", "something else entirely"))
    index(tmp_path)
    assert titles(search(tmp_path, question))[0] == text


@pytest.mark.parametrize(
    "question",
    [
        'title:zebra AND (x OR "y',
        "zebra~2 +savanna -lion ^4 [a TO b] {c} \\ / * ? :",
        "\0zebra\0",
        "zebra \ud800",
        "🦓🦓 zebra",
        "‮zebra‬ مرحبا",
        "zebra " + "x" * 100_000,
        "zebra" + " lion giraffe word" * 100_000,
    ],
)
def test_a_question_is_plain_words(zoo: Path, question: str) -> None:
    assert "About animals" in titles(search(zoo, question))[:1]
    assert "About animals" in titles(search(zoo, question, source="stumber"))


@pytest.mark.parametrize("question", ["the of and", "\0", "\ud800", "   \n", "!!! ???", "🚀", "title:", "*"])
@pytest.mark.parametrize("source", ["home", "stumber"])
def test_a_question_without_words_harms_nobody(zoo: Path, question: str, source: str) -> None:
    assert len(search(zoo, question, source=source)) <= 4


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=200), other=st.text(st.characters(), max_size=200))
def test_hostile_texts_are_kept_and_searched(tmp_path: Path, text: str, other: str) -> None:
    put(tmp_path, entry(text, text, other), entry("fixed", "zebra"))
    index(tmp_path)
    assert "zebra" in titles(search(tmp_path, "zebra"))
    for question in (text, other):
        search(tmp_path, question)


def test_a_book_is_searched_by_its_beginning(tmp_path: Path) -> None:
    put(tmp_path, entry("book", "A book", "zebra " + "word " * 200_000 + " giraffe"))
    index(tmp_path)
    assert titles(search(tmp_path, "zebra")) == ["A book"]


def test_a_title_counts_more_than_a_mention(tmp_path: Path) -> None:
    filler = "about many things that happened in the city this week and last"
    put(
        tmp_path,
        *(entry(f"m{number}", f"News of day {number}", f"{filler} zebra {number}") for number in range(5)),
        entry("t", "A zebra in the city", filler),
    )
    index(tmp_path)
    assert titles(search(tmp_path, "zebra"))[0] == "A zebra in the city"


def test_changes_are_seen(zoo: Path) -> None:
    library = Library(zoo)
    try:
        put(zoo, entry("animals", "About animals", TOPICS["animals"], likes=77))
        assert library.find(Wanted(text="zebra"))[0].article.likes == 77, "at once: it is read from the record"
        put(zoo, entry("animals", "About unicorns", "nothing but unicorns"))
        index(zoo)
        assert titles(library.find(Wanted(text="unicorns"))) == ["About unicorns"]
        with Record.open(zoo) as record:
            record.remove([1])
        assert "About unicorns" not in titles(library.find(Wanted(text="unicorns"))), "removed, though still indexed"
    finally:
        library.close()


def test_the_same_story_is_shown_once(tmp_path: Path) -> None:
    story = "The parliament passed the law on data after a long debate on Tuesday night, with a narrow majority."
    put(
        tmp_path,
        entry("a", "Parliament passes the data law", story, url="https://a.example/1"),
        entry("b", "Parliament passes the data law!", f"{story} More to follow.", url="https://b.example/2"),
        entry("c", "Parliament Passes Data Law — The Paper", story, url="https://c.example/3"),
        entry("d", "Data law: what parliament did not say", "An opinion about what is missing in the data law."),
        entry("e", "Report 1 of parliament", story),
        entry("f", "Report 2 of parliament", story),
        entry("g", "Parliament: open letter to all"),
        entry("h", "Parliament: open letter to all"),
    )
    index(tmp_path)
    expected = {1: "abc", 1 + 1: "d", 3: "e", 4: "f", 5: "gh"}
    for source in ("home", "stumber"):
        for text in ("parliament", ""):
            shown = titles(search(tmp_path, text, source=source))
            assert len(shown) == len(expected), shown
            assert sum("data law" in title.lower() for title in shown) == 2
            assert {"Report 1 of parliament", "Report 2 of parliament"} <= set(shown)


def test_duplicates_do_not_use_up_the_places(tmp_path: Path) -> None:
    text = "the very same words of a news agency that everybody prints without a change"
    put(
        tmp_path,
        *(entry(f"copy {number}", "Zebra escapes from the zoo", text) for number in range(60)),
        *(entry(f"own {number}", f"Zebra story of our own number {number}", f"words {number}") for number in range(30)),
    )
    index(tmp_path)
    found = titles(search(tmp_path, "zebra escapes"))
    assert len(found) == 24
    assert found.count("Zebra escapes from the zoo") == 1


def test_the_front_page_is_fresh_and_popular(tmp_path: Path) -> None:
    now = int(time.time())
    put(
        tmp_path,
        *(entry(str(age), f"number {age} of those", published=now - age * DAY) for age in range(40)),
        entry("hit", "Everybody talks about it", published=now - 3 * DAY, likes=10**7),
    )
    found = titles(search(tmp_path))
    assert found[:2] == ["Everybody talks about it", "number 0 of those"]
    assert len(found) == 24
    assert titles(search(tmp_path, limit=3)) == found[:3]


def test_a_question_is_answered_before_there_is_any_index(tmp_path: Path) -> None:
    put(tmp_path, entry("a", "zebra"))
    began = time.monotonic()
    with pytest.raises(NotIndexed):
        search(tmp_path, "zebra")
    assert time.monotonic() - began < 5
    assert titles(search(tmp_path)) == ["zebra"]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    put(
        tmp_path,
        *(
            entry(f"{name} {number}", f"{name} {number}", f"{text} {number}", published=number)
            for name, text in TOPICS.items()
            for number in range(60)
        ),
    )
    index(tmp_path)
    return tmp_path


def test_a_lucky_dip_is_varied_and_repeatable(many: Path) -> None:
    dips = [titles(search(many, source="stumber", seed=seed)) for seed in range(4)]
    assert dips == [titles(search(many, source="stumber", seed=seed)) for seed in range(4)]
    assert len(set(map(tuple, dips))) == 4
    assert search(many, source="stumber") != search(many, source="stumber")
    for dip in dips:
        assert len(set(dip)) == 24
        first = {title.split()[0] for title in dip[:6]}
        assert len(first) >= 3, "the first ones are of different kinds"


def test_surprises_are_around_the_interest(many: Path) -> None:
    found = [titles(search(many, "zebras in the savanna", source="stumber", seed=seed)) for seed in range(4)]
    assert found[0] != found[1]
    assert found[0] == titles(search(many, "zebras in the savanna", source="stumber", seed=0))
    assert all(title.startswith("animals") for each in found for title in each)
    assert found[0] != titles(search(many, "zebras in the savanna"))


def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    index(tmp_path)
    for source in ("home", "stumber"):
        for text in ("", "zebra"):
            assert search(tmp_path, text, source=source) == []


def test_a_removed_index_is_told(zoo: Path) -> None:
    library = Library(zoo)
    try:
        for path in (zoo / "index").iterdir():
            path.unlink()
        with pytest.raises(NotIndexed):
            library.find(Wanted(text="zebra"))
    finally:
        library.close()


@pytest.mark.parametrize(
    ("published", "text"),
    [
        (None, ""),
        (0, "1970-01-01T00:00:00Z"),
        (-62135596800, "0001-01-01T00:00:00Z"),
        (-62135596801, ""),
        (1 << 53, ""),
    ],
)
def test_dates(published: int | None, text: str) -> None:
    assert iso_date(published) == text
