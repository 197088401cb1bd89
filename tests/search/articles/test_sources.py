"""What every source of articles must do, for all of them; and what the services behind some do to them."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tornado.ioloop import IOLoop

from cutaway_server.errors import Fault
from cutaway_server.search.articles import hits, keeper
from cutaway_server.search.articles.entry import Entry, Found, Wanted
from cutaway_server.search.articles.hackernews import HackerNews
from cutaway_server.search.articles.hits import NoAnswer
from cutaway_server.search.articles.local import PRELOAD as LOCAL_PRELOAD
from cutaway_server.search.articles.local import LocalArticles
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.searxng import SearXNG
from cutaway_server.search.articles.source import ArticleSource
from cutaway_server.work.pool import Workers
from servers import Canary, Origin, Resource

from .conftest import Desk

STORY = "api/v1/search"
RESULT = "search"


def stories(count: int = 30) -> bytes:
    """As hn.algolia.com answers; fields as documented at hn.algolia.com/api."""
    found = [
        {
            "objectID": str(4000 + number),
            "title": f"Show HN: Bread machine {number} &amp; more",
            "url": f"https://bread.example/{number}?utm_source=hn" if number % 3 else None,
            "author": f"baker{number}",
            "points": 100 - number,
            "num_comments": number,
            "created_at": "2026-03-02T10:00:00Z",
            "created_at_i": 1772445600,
            "story_text": "<p>I built a <b>bread</b> machine.<p>It works&#x2F;bakes." if number % 3 == 0 else None,
            "_tags": ["story", f"author_baker{number}"],
            "_highlightResult": {"title": {"value": "<em>Bread</em>", "matchLevel": "full"}},
            "children": [1, 2],
        }
        for number in range(count)
    ]
    return json.dumps({"hits": found, "nbHits": count, "page": 0, "hitsPerPage": 24, "query": "bread"}).encode()


def results(count: int = 30) -> bytes:
    """As SearXNG answers to format=json."""
    found = [
        {
            "url": f"https://bread.example/{number}",
            "title": f"Bread <{number}>",
            "content": "How to bake &amp; eat bread \u202eat home.",
            "publishedDate": "2026-03-02T10:00:00" if number % 2 else None,
            "img_src": "https://bread.example/loaf.jpg" if number % 2 else "",
            "thumbnail": None,
            "engine": "duckduckgo",
            "engines": ["duckduckgo"],
            "template": "videos.html" if number == 3 else "default.html",
            "category": "general",
            "score": 1.0,
            "parsed_url": ["https", "bread.example", f"/{number}", "", "", ""],
        }
        for number in range(count)
    ]
    answer = {"query": "bread", "number_of_results": 0, "results": found, "suggestions": [], "unresponsive_engines": []}
    return json.dumps(answer).encode()


@dataclass
class Case:
    """A source that is ready to be asked, and how to make it find nothing."""

    source: ArticleSource
    make_empty: Callable[[], None]


def entries() -> list[Entry]:
    return [
        Entry(
            key=f"bread.example/{number}",
            title=f"{first} bread with {second}",
            description=f"How to bake {first.lower()} bread with {second} at home, in about {number + 2} hours.",
            url=f"https://bread.example/{number}",
            published=1772445600 + number,
            likes=number,
        )
        for number, (first, second) in enumerate(
            (first, second)
            for first in ("White", "Rye", "Corn", "Potato", "Garlic", "Flat")
            for second in ("seeds", "olives", "walnuts", "cheese", "raisins", "onions")
        )
    ]


@pytest.fixture(params=["local", "hackernews", "searxng"])
def case(request: pytest.FixtureRequest, io_loop: IOLoop, tmp_path: Path) -> Iterator[Case]:
    if request.param == "local":
        data_dir = tmp_path / "data"
        with Record.open(data_dir) as record:
            record.put(entries())
        assert keeper.catch_up(data_dir)
        workers = Workers(2, preload=LOCAL_PRELOAD)
        io_loop.run_sync(workers.start)

        def forget() -> None:
            with Record.open(data_dir) as record:
                record.remove(range(1, 1000))
            keeper.catch_up(data_dir)

        yield Case(LocalArticles(workers, data_dir), forget)
        io_loop.run_sync(workers.close)
        return
    origin: Origin = request.getfixturevalue("origin")
    desk: Desk = request.getfixturevalue("desk")
    name, answer, kind = (STORY, stories, HackerNews) if request.param == "hackernews" else (RESULT, results, SearXNG)
    origin.serve(name, Resource(answer(), content_type="application/json"))
    source = kind(desk.door, desk.workers, origin.url(""))
    yield Case(source, lambda: void(origin.serve(name, Resource(answer(0), content_type="application/json"))))


def void(_: object) -> None:
    """For lambdas."""


def check(found: Sequence[Found], limit: int) -> None:
    """What holds for every answer of every source."""
    assert len(found) <= limit
    assert len({each.article.id for each in found}) == len(found)
    for each in found:
        article = each.article
        assert re.fullmatch(r"\d+|[a-z]+-[0-9a-z]+", article.id)
        assert article.title == " ".join(article.title.split())
        assert article.title
        assert not article.date or datetime.fromisoformat(article.date).tzinfo
        assert article.type == ("article" if article.description or article.image else "simple")
        assert len(article.description) <= 1000
        assert each.text.startswith(article.description.removesuffix("…"))
        assert urlsplit(article.url or "https://a").scheme in ("http", "https")
        assert urlsplit(article.image or "https://a").scheme in ("http", "https")
        assert article.comments >= 0
        assert article.likes >= 0
        for text in (article.title, article.description, article.author, each.text):
            assert not re.search("<[a-z]+>|&[a-z]+;|[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", text)


@pytest.mark.gen_test
async def test_it_finds_articles(case: Case) -> None:
    assert case.source.name
    for wanted in (Wanted(text="bread"), Wanted(), Wanted(text="bread", source="stumber"), Wanted(source="stumber")):
        found = await case.source.find(wanted)
        check(found, 24)
        assert found or (not wanted.text and isinstance(case.source, SearXNG))
        few = await case.source.find(replace(wanted, limit=3))
        check(few, 3)
        assert len(few) == min(3, len(found))


@pytest.mark.gen_test
async def test_the_same_question_has_the_same_answer(case: Case) -> None:
    for wanted in (Wanted(text="bread"), Wanted(text="bread", source="stumber", seed=7)):
        found = await asyncio.gather(*(case.source.find(wanted) for _ in range(10)))
        assert all(each == found[0] for each in found)


@pytest.mark.gen_test
async def test_it_may_find_nothing(case: Case) -> None:
    case.make_empty()
    assert list(await case.source.find(Wanted(text="bread"))) == []
    assert list(await case.source.find(Wanted())) == []


@pytest.mark.gen_test
async def test_any_text_may_be_asked(case: Case) -> None:
    for text in ("x" * 100_000, "\0", "\ud800 bread", 'AND OR NOT "(*:', "🥖 пшеница 麦", " \n\t ", "%s&q=&format="):
        check(await case.source.find(Wanted(text=text)), 24)


@pytest.mark.gen_test
async def test_cancelling_ends_it(case: Case) -> None:
    task = asyncio.create_task(asyncio.wait_for(case.source.find(Wanted(text="bread")), 30))
    await asyncio.sleep(0)
    began = time.monotonic()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert time.monotonic() - began < 0.1
    check(await case.source.find(Wanted(text="bread")), 24)  # the next one is none the worse


# --- the services -------------------------------------------------------------------------------------------


@pytest.fixture
def hacker_news(desk: Desk, origin: Origin) -> HackerNews:
    return HackerNews(desk.door, desk.workers, origin.url(""))


@pytest.fixture
def searxng(desk: Desk, origin: Origin) -> SearXNG:
    return SearXNG(desk.door, desk.workers, origin.url("").rstrip("/"))


def asked(origin: Origin) -> dict[str, str]:
    """The parameters of the last question."""
    return {name: values[0] for name, values in parse_qs(urlsplit(origin.requests[-1].target).query).items()}


@pytest.mark.gen_test
async def test_a_story_of_hacker_news(hacker_news: HackerNews, origin: Origin) -> None:
    origin.serve(STORY, Resource(stories()))
    first, second, *_ = await hacker_news.find(Wanted(text="bread machine"))
    assert asked(origin) == {"query": "bread machine", "tags": "story", "hitsPerPage": "24"}
    article = first.article
    assert (article.id, article.title) == ("hn-4000", "Show HN: Bread machine 0 & more")
    assert (article.author, article.date) == ("baker0", "2026-03-02T10:00:00Z")
    assert (article.likes, article.comments) == (100, 0)
    assert article.url == "https://news.ycombinator.com/item?id=4000"
    assert first.text == "I built a bread machine.\nIt works/bakes."
    assert second.article.url == "https://bread.example/1?utm_source=hn"
    assert second.article.type == "simple"


@pytest.mark.gen_test
async def test_numbers_that_cannot_be_are_bounded(hacker_news: HackerNews, origin: Origin) -> None:
    answer = {"hits": [{"objectID": "1", "title": "A", "points": 10**30, "num_comments": -5}]}
    origin.serve(STORY, Resource(json.dumps(answer).encode()))
    (found,) = await hacker_news.find(Wanted(text="a"))
    assert (found.article.likes, found.article.comments) == (2**31 - 1, 0)


@pytest.mark.gen_test
async def test_what_hacker_news_is_asked(hacker_news: HackerNews, origin: Origin) -> None:
    origin.serve(STORY, Resource(stories()))
    await hacker_news.find(Wanted(limit=5))
    assert asked(origin) == {"tags": "front_page", "hitsPerPage": "5"}
    pages = set()
    for seed in range(6):
        await hacker_news.find(Wanted(source="stumber", seed=seed))
        pages.add(asked(origin)["page"])
        assert asked(origin)["numericFilters"] == "points>150"
    assert len(pages) > 2
    await hacker_news.find(Wanted(text="ü" * 10_000))
    assert 300 < len(asked(origin)["query"].encode()) <= 400


@pytest.mark.gen_test
async def test_a_result_of_searxng(searxng: SearXNG, origin: Origin) -> None:
    origin.serve(RESULT, Resource(results()))
    found = await searxng.find(Wanted(text="bread & butter"))
    assert asked(origin) == {"q": "bread & butter", "format": "json"}
    article = found[1].article
    assert re.fullmatch(r"web-[0-9a-f]{16}", article.id)
    assert (article.title, article.description) == ("Bread <1>", "How to bake & eat bread at home.")
    assert (article.date, article.image) == ("2026-03-02T10:00:00Z", "https://bread.example/loaf.jpg")
    assert [each.article.has_video for each in found[2:5]] == [False, True, False]
    assert list(await searxng.find(Wanted())) == []
    await searxng.find(Wanted(text="bread", source="stumber", seed=2))
    assert asked(origin)["pageno"] in "123"


@pytest.mark.gen_test
async def test_the_same_page_from_two_engines_comes_once(searxng: SearXNG, origin: Origin) -> None:
    twice = [{"url": f"http{s}://www.bread.example/a/", "title": "A"} for s in ("", "s")]
    origin.serve(RESULT, Resource(json.dumps({"results": twice}).encode()))
    assert len(await searxng.find(Wanted(text="a"))) == 1


@pytest.mark.gen_test
async def test_searxng_without_json_says_what_to_do(searxng: SearXNG, origin: Origin) -> None:
    origin.serve(RESULT, Resource(b"<!doctype html>", status=403))
    with pytest.raises(NoAnswer, match="its operator has to add json"):
        await searxng.find(Wanted(text="bread"))


NONSENSE = [
    {"objectID": "../x", "title": "a"},
    {"objectID": {"a": 1}, "title": "a"},
    {"objectID": "1", "title": ["a"]},
    {"objectID": "2", "title": "\u202e\x00"},
    {"url": "javascript:alert(1)", "title": "a"},
    {"url": 5, "title": "a"},
    {"url": "https://a.example/", "title": None},
    {"url": "https://a.example/1", "title": "<script>alert(1)</script>"},
    None,
    5,
]
HOSTILE = [
    (Resource(b""), "not its JSON"),
    (Resource(b"<html>"), "not its JSON"),
    (Resource(b'{"hits": 5, "results": 5}'), "not its JSON"),
    (Resource(b'{"hits": ' + b"[" * 100_000), "not its JSON"),
    (Resource(b'{"hits": ["\xff"], "results": ["\xff"]}'), ""),
    (Resource(b" " * 100_000, endless=True, content_length=False), "more than the 2 MiB"),
    (Resource(gzip.compress(bytes(100 << 20)), headers={"Content-Encoding": "gzip"}), "more than the 2 MiB"),
    (Resource(b"{}", status=500), "500"),
    (Resource(b"{}", status=404), "404"),
    (Resource(b"{}", reset_after=1), "cannot be asked"),
    (Resource(raw=b"nonsense"), "not proper HTTP"),
    (Resource(b"{}", latency=60), "too long"),
    (Resource(b"{}" * 99, drip=(1, 0.05)), "too long"),
    (Resource(json.dumps({"hits": NONSENSE, "results": NONSENSE}).encode()), ""),
]


@pytest.mark.gen_test
@pytest.mark.parametrize("name", [STORY, RESULT])
async def test_hostile_answers_are_told_in_words(
    desk: Desk, origin: Origin, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hits, "SECONDS", 0.5)
    source = (HackerNews if name == STORY else SearXNG)(desk.door, desk.workers, origin.url(""))
    for resource, said in HOSTILE:
        origin.serve(name, resource)
        began = time.monotonic()
        try:
            found = await source.find(Wanted(text="bread"))
        except Fault as fault:
            assert said, fault.message
            assert re.search(said, fault.message), fault.message
            assert "127.0.0.1" not in fault.message
        else:
            assert not said
            check(found, 24)
            assert not found
        assert time.monotonic() - began < 1.5


@pytest.mark.gen_test
@pytest.mark.parametrize("name", [STORY, RESULT])
async def test_leaving_a_slow_service_takes_no_time(desk: Desk, origin: Origin, name: str) -> None:
    source = (HackerNews if name == STORY else SearXNG)(desk.door, desk.workers, origin.url(""))
    origin.serve(name, Resource(b"{", stall_after=1, content_length=False))
    task = asyncio.ensure_future(source.find(Wanted(text="bread")))
    await asyncio.to_thread(origin.wait_for, lambda: bool(origin.requests))
    began = time.monotonic()
    task.cancel()
    await asyncio.wait([task])
    assert time.monotonic() - began < 0.1
    await asyncio.to_thread(origin.wait_for, lambda: not origin.open_connections)


def test_no_service_has_more_than_five_seconds() -> None:
    assert hits.SECONDS <= 5


@pytest.mark.gen_test
async def test_a_service_may_not_lead_inside(sealed: Desk, desk: Desk, origin: Origin) -> None:
    with pytest.raises(NoAnswer, match="--allow-address"):
        await SearXNG(sealed.door, sealed.workers, origin.url("")).find(Wanted(text="bread"))
    assert not origin.requests
    with Canary() as canary:
        origin.serve(RESULT, Resource(redirect=f"http://127.0.0.1:{canary.port}/"))
        with pytest.raises(NoAnswer, match="not at a public address"):
            await SearXNG(desk.door, desk.workers, origin.url("")).find(Wanted(text="bread"))
        assert not canary.contacts
