"""Articles and results as values: records, tables, notebooks, and what strangers may put into them."""

from __future__ import annotations

import dataclasses
import html
import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway import AgentFailed, Article, Articles, AsyncGeneratedImage, SearchResult, protocol
from cutaway.answer import Answer
from cutaway.articles import read_article, safe_link
from cutaway.filenames import without_controls
from cutaway.results import age, article_rows, plain_article, short_count
from protocol.structs import messages, quick

from .fake_search import article

ARTICLE = read_article(7, article(3))
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>\n\x1b]0;pwned\x07\u202e"
EMPTY: SearchResult[Any] = SearchResult("", Articles(), "", (), (), ())


def test_an_item_of_the_wire_becomes_an_article() -> None:
    assert (
        Article(
            number=7,
            id="3",
            title="Article 3",
            author="Author 3",
            published=datetime(2026, 3, 3, 9, 30, tzinfo=UTC),
            description="What article 3 says.",
            url="https://www.example.com/3",
            image_url="https://www.example.com/3.jpg",
            likes=30,
            comments=3,
            emojis=("🔬",),
            has_video=False,
            type="article",
        )
        == ARTICLE
    )
    assert ARTICLE.site == "example.com"
    assert pickle.loads(pickle.dumps(ARTICLE)) == ARTICLE
    with pytest.raises(dataclasses.FrozenInstanceError):
        ARTICLE.title = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("2026-03-01T09:30:00Z", datetime(2026, 3, 1, 9, 30, tzinfo=UTC)),
        ("2026-03-01T09:30:00+02:00", datetime(2026, 3, 1, 7, 30, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-99-99T00:00:00Z", None),
    ],
)
def test_dates(text: str, published: datetime | None) -> None:
    assert read_article(1, article(1, date=text)).published == published


def test_reprs_are_one_short_line() -> None:
    assert repr(ARTICLE) == "<Article 7 'Article 3' example.com 2026-03-03>"
    hostile = dataclasses.replace(ARTICLE, title=HOSTILE * 9, url=f"https://{'x' * 500}.com/", published=None)
    assert len(repr(hostile)) < 140
    assert repr(hostile).isprintable()
    result = dataclasses.replace(EMPTY, query=HOSTILE * 9, summary="a b", articles=Articles([ARTICLE]))
    assert len(repr(result)) < 140
    assert repr(result).isprintable()
    assert repr(EMPTY) == "<SearchResult '': no articles>"
    assert repr(dataclasses.replace(result, query="q", errors=(AgentFailed("images", ""),))) == (
        "<SearchResult 'q': 1 article, a summary of 2 words, 1 error>"
    )
    assert repr(Articles([ARTICLE] * 3)) == "<Articles: 3>"


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "https://e.com/\"onclick='x'", "https://e.com/\n", "//e.com", "ftp://e.com",
     "https://", "https:///x", "https://e.com/\u202e", "https://e.com/\x1b]8;;"],
)  # fmt: skip
def test_only_whole_web_addresses_are_links(url: str) -> None:
    assert safe_link(url) is None
    shown = dataclasses.replace(ARTICLE, url=url)._repr_mimebundle_()["text/html"]
    assert "a" not in [tag for tag, _ in _Tags(shown).tags]


def test_in_a_notebook_everything_of_strangers_is_text() -> None:
    hostile = dataclasses.replace(ARTICLE, title=HOSTILE, author=HOSTILE, description=HOSTILE, emojis=(HOSTILE,))
    result = dataclasses.replace(
        EMPTY,
        query=HOSTILE,
        articles=Articles([hostile]),
        summary=f"{HOSTILE} [7] [8]\n\nmore [7]",
        captions=(HOSTILE,),
        errors=(AgentFailed("summary", HOSTILE),),
        search_entry_point=HOSTILE,
    )
    for value in (hostile, result.articles, result):
        bundle = value._repr_mimebundle_(include=None, exclude=None)
        assert bundle["text/plain"] == repr(value)
        tags = _Tags(bundle["text/html"]).tags
        assert {tag for tag, _ in tags} <= {"div", "small", "b", "a", "p", "iframe", "br"}
        assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
        outside = bundle["text/html"].replace(html.escape(HOSTILE), "")  # what is in the frame stays as it is
        assert not any(character in outside for character in "\x1b\x07\u202e")
    links = [attributes for tag, attributes in tags if tag == "a"]
    assert len(links) == 3  # the title, and [7] twice
    assert {each["href"] for each in links} == {ARTICLE.url}
    assert {each["rel"] for each in links} == {"noopener noreferrer"}
    (frame,) = [attributes for tag, attributes in tags if tag == "iframe"]
    assert "allow-scripts" not in str(frame["sandbox"]) and "allow-same-origin" not in str(frame["sandbox"])
    assert frame["srcdoc"] == HOSTILE
    assert "no articles" in EMPTY._repr_mimebundle_()["text/html"]


def test_articles_are_a_tuple_that_becomes_records() -> None:
    articles = Articles(dataclasses.replace(ARTICLE, number=number) for number in (1, 2, 3))
    assert isinstance(articles[1:], Articles) and len(articles[1:]) == 2
    assert articles[0].number == 1
    records = articles.to_records()
    assert records[2] == {**records[0], "number": 3}
    assert records[0]["published"] == ARTICLE.published
    assert [Article(**record) for record in records] == list(articles)
    assert dataclasses.replace(EMPTY, articles=articles).to_records() == records


def test_a_data_frame_has_a_row_for_each_article() -> None:
    pandas = pytest.importorskip("pandas")
    articles = Articles([ARTICLE, dataclasses.replace(ARTICLE, number=8, published=None)])
    frame = dataclasses.replace(EMPTY, articles=articles).to_dataframe()
    assert list(frame.index) == [7, 8]
    assert frame.loc[7, "title"] == "Article 3"
    assert frame.loc[7, "published"] == pandas.Timestamp("2026-03-03T09:30:00Z")
    assert frame.loc[8, "published"] is pandas.NaT
    assert str(frame["published"].dt.tz) == "UTC"
    assert list(frame.columns) == [field.name for field in dataclasses.fields(Article)][1:]
    assert list(EMPTY.to_dataframe().columns) == list(frame.columns)
    ancient = dataclasses.replace(ARTICLE, published=datetime(1, 1, 1, tzinfo=UTC))
    assert len(Articles([ancient]).to_dataframe()) == 1


def test_missing_pandas_is_told_in_words() -> None:
    script = "import sys; sys.modules['pandas'] = None; import cutaway; cutaway.Articles().to_dataframe()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ModuleNotFoundError: to_dataframe() needs pandas: pip install pandas" in done.stderr


def _image(message: protocol.Image) -> AsyncGeneratedImage:
    async def fetch() -> bytes:
        raise AssertionError

    return AsyncGeneratedImage(f"http://e.com{message.path}", message.mime_type, message.by, "x", fetch)


SEARCH_MESSAGES = st.lists(
    st.one_of(*(messages(kind) for kind in protocol.SearchMessage.__args__ if kind is not protocol.Done)), max_size=12
)


@quick
@given(SEARCH_MESSAGES)
def test_whatever_comes_the_result_is_what_was_said(sent: list[protocol.SearchMessage]) -> None:
    answer = Answer("q", _image)
    for message in sent:
        answer.take(protocol.decode_search(protocol.encode_search(message)))
    assert answer.messages == sent
    result = answer.result()
    items = [item for message in sent if isinstance(message, protocol.ArticlesBatch) for item in message.items]
    assert [article.id for article in result.articles] == [item.id for item in items]
    assert [article.number for article in result.articles] == list(range(1, len(items) + 1))
    assert result.summary == "".join(each.text for each in sent if isinstance(each, protocol.SummaryChunk))
    assert len(result.images) == sum(isinstance(each, protocol.Image) for each in sent)
    refusals = [each for each in sent if isinstance(each, protocol.SearchError) and each.agent is None]
    assert (answer.refusal is not None) == bool(refusals)
    failures = [each for each in sent if isinstance(each, protocol.SearchError | protocol.ImageError)]
    assert len(result.errors) == len(failures) - len(refusals)
    assert len(repr(result)) < 200 and "\n" not in repr(result)
    shown = dataclasses.replace(result, search_entry_point=None)._repr_mimebundle_()["text/html"]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", shown)


@quick
@given(messages(protocol.Article), st.integers(20, 160))
def test_whatever_comes_a_row_fits_the_terminal(item: protocol.Article, width: int) -> None:
    found = read_article(12, item)
    rows = article_rows(found, width, datetime(2026, 11, 22, tzinfo=UTC))
    assert 1 <= len(rows) <= 2
    for row in rows:
        assert row.cell_len <= max(width, 45)
        assert without_controls(row.plain) == " ".join(row.plain.split())
    for line in plain_article(found):
        assert without_controls(line.plain) == " ".join(line.plain.split())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "now"), (59, "now"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86_400 * 6, "6 d"),
     (86_400 * 45, "1 mo"), (86_400 * 400, "1 y"), (86_400 * 366 * 500, "501 y")],
)  # fmt: skip
def test_ages(seconds: float, text: str) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now) == text
    assert age(None, now) == "-"


@pytest.mark.parametrize(
    ("count", "text"),
    [(-3, "-"), (0, "-"), (999, "999"), (1000, "1.0k"), (15_340, "15.3k"), (2_000_000, "2.0M"), (10**10, "10.0G")],
)
def test_counts(count: int, text: str) -> None:
    assert short_count(count) == text
