"""The search view: an answer that fills part by part, one question after the other, and what may go wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

import cutaway
from cutaway import Client, protocol
from cutaway.widgets import SearchView
from processes import wait_until
from sdk.fake_search import (
    ANSWER,
    PATH,
    PNG,
    FakeSearch,
    File,
    article,
    batch,
    caption,
    chunk,
    done,
    failed,
    image,
    refused,
    summary_done,
)
from sdk.fake_server import Hang, Wait

from .page import Page

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u202e"
TEXT = "<script>alert(1)</script><img src=x onerror=alert(2)>[31m"


def ask(page: Page, view: SearchView, text: str, *image: bytes, source: str = "home") -> None:
    page.say(view, {"do": "search", "text": text, "source": source}, *image)


def test_the_parts_of_an_answer_come_one_by_one(page: Page) -> None:
    more, rest = Wait(), Wait()
    script = [batch(1, 2), more, chunk("Comets *have* "), batch(3), image(), rest, chunk("tails [1]."), caption()]
    with FakeSearch(*script, summary_done(), done()) as server, Client(server.url) as client:
        view = SearchView(client)
        shown = page.of(view)
        assert (view.state, view.result, shown.state["asks"]) == ("idle", None, True)
        ask(page, view, " comets ")
        page.wait_for(lambda: len(shown.state["articles"]) == 2)
        assert shown.state["articles"][0] == {
            "number": 1,
            "title": "Article 1",
            "link": "https://www.example.com/1",
            "image": "https://www.example.com/1.jpg",
            "author": "Author 1",
            "site": "example.com",
            "date": "2026-03-01T09:30:00+00:00",
            "description": "What article 1 says.",
            "likes": 10,
            "comments": 1,
            "emojis": "🔬",
            "video": False,
        }
        assert shown.state["status"]["query"] == "comets"
        assert view.result is not None
        assert len(view.result.articles) == 2, "it can be had while the rest is to come"
        more.event.set()
        page.wait_for(lambda: len(shown.state["articles"]) == 3 and len(shown.state["images"]) == 1)
        page.wait_for(lambda: shown.state["summary"] == [["p", None, ["Comets ", ["em", None, ["have"]]]]])
        rest.event.set()
        page.wait_state(view, "done")
        assert ["a", "https://www.example.com/1", ["[1]"]] in shown.state["summary"][0][2]
        assert shown.state["about"]["captions"] == ["A drawn card."]
        assert view.wait().summary == "Comets *have* tails [1]."
        assert server.requests == [protocol.SearchRequest(text="comets")]


def test_an_image_is_sent_when_it_is_wanted_and_is_in_no_state(page: Page) -> None:
    with FakeSearch(*ANSWER) as server, Client(server.url) as client:
        view = SearchView(client, text="comets")
        view.wait()
        shown = page.of(view)
        assert not server.fetched
        page.say(view, {"do": "image", "turn": 1, "image": 0})
        page.wait_for(lambda: bool(shown.heard))
        assert shown.heard == [({"turn": 1, "image": 0, "type": "image/png"}, [PNG])]
        for nonsense in ({"turn": 1, "image": 1}, {"turn": 0, "image": 0}, {"image": 0}, {"turn": 1, "image": -1}):
            page.say(view, {"do": "image", **nonsense})
        page.say(view, {"do": "image", "turn": 1, "image": 0})
        page.wait_for(lambda: len(shown.heard) == 2)


def test_an_image_that_cannot_be_had_is_told(page: Page) -> None:
    with FakeSearch(*ANSWER, files={PATH: File(status=404)}) as server, Client(server.url) as client:
        view = SearchView(client, text="comets")
        view.wait()
        page.say(view, {"do": "image", "turn": 1, "image": 0})
        page.wait_for(lambda: bool(page.of(view).heard))
        assert "search again" in page.of(view).heard[0][0]["error"]


def test_searches_in_a_row_replace_each_other(page: Page) -> None:
    other = [batch(5), chunk("Else."), summary_done(), done()]
    with FakeSearch(answers=[ANSWER, other, [done()]]) as server, Client(server.url) as client:
        view = SearchView(client)
        shown = page.of(view)
        ask(page, view, "comets")
        page.wait_state(view, "done")
        ask(page, view, "else", PNG, source="stumber")
        page.wait_for(lambda: [each["title"] for each in shown.state["articles"]] == ["Article 5"])
        page.wait_state(view, "done")
        assert shown.state["summary"] == [["p", None, ["Else."]]]
        assert shown.state["images"] == []
        status = shown.state["status"]
        assert (status["turn"], status["source"], status["picture"]) == (2, "stumber", True)
        assert view.result is not None
        assert view.result.query == "else"
        view.search()
        assert view.wait().articles == ()
        assert shown.state["articles"] == []
        second = server.requests[1]
        assert (second.text, second.source) == ("else", "stumber")
        assert second.image
        assert server.requests[2] == protocol.SearchRequest()


def test_another_question_stops_the_one_before(page: Page) -> None:
    with FakeSearch(answers=[[batch(1), Hang()], ANSWER]) as server, Client(server.url) as client:
        view = SearchView(client, text="slow")
        page.wait_for(lambda: len(page.of(view).state["articles"]) == 1)
        view.search("comets")
        assert server.left.wait(5)
        assert len(view.wait().articles) == 3
        assert view.state == "done"


@pytest.mark.parametrize("how", ["button", "method", "close", "client"])
def test_stopping_stops_the_server_and_keeps_what_came(page: Page, how: str) -> None:
    with FakeSearch(batch(1, 2), chunk("Comets"), Hang()) as server, Client(server.url) as client:
        view = SearchView(client, text="comets")
        shown = page.of(view)
        page.wait_for(lambda: len(shown.state["articles"]) == 2)
        if how == "button":
            page.say(view, {"do": "stop"})
        else:
            {"method": view.stop, "close": view.close, "client": client.close}[how]()
        assert server.left.wait(5)
        assert len(view.wait(5).articles) == 2
        assert view.state == "stopped"
        assert shown.closed == (how == "close")


def test_parts_that_fail_are_told_beside_those_that_came(page: Page) -> None:
    script = [failed("summary", "no luck"), batch(1), summary_done(), failed("images", HOSTILE), done()]
    with FakeSearch(*script) as server, Client(server.url) as client:
        view = SearchView(client, text="comets")
        view.wait()
        assert page.of(view).state["about"]["failures"] == ["summary: no luck", f"images: {TEXT}"]
        assert view.state == "done"


def test_a_refusal_and_a_missing_server_are_told_in_words(page: Page) -> None:
    with FakeSearch(refused(HOSTILE), done()) as server, Client(server.url) as client:
        view = SearchView(client, text="comets")
        page.wait_state(view, "failed")
        assert page.of(view).state["status"]["error"] == TEXT
        with pytest.raises(cutaway.ServerError):
            view.wait()
    nobody = SearchView(Client(server.url, connect_retries=0))
    ask(page, nobody, "comets")
    page.wait_state(nobody, "failed")
    assert "nothing listens" in page.of(nobody).state["status"]["error"]
    with FakeSearch(*ANSWER) as again:
        nobody._client = Client(again.url)
        ask(page, nobody, "comets")
        page.wait_state(nobody, "done")
        assert (nobody.error, page.of(nobody).state["status"]["error"]) == (None, "")


def test_what_cannot_be_asked_is_told_and_costs_nothing(page: Page) -> None:
    with FakeSearch(*ANSWER) as server, Client(server.url) as client:
        view = SearchView(client, text="comets")
        view.wait()
        ask(page, view, "", b"not an image")
        page.wait_for(lambda: "PNG, JPEG, GIF or WebP" in page.of(view).state["status"]["note"])
        assert view.state == "done"
        assert len(view.wait().articles) == 3
        with pytest.raises(cutaway.InvalidRequest, match="characters"):
            view.search("x" * 10_001)
        ask(page, view, "comets", source="elsewhere")
        page.say(view, {"do": "search", "text": ["comets"], "source": "home"})
        ask(page, view, "comets")
        page.wait_for(lambda: page.of(view).state["status"]["turn"] == 2)
        page.wait_state(view, "done")
        assert len(server.requests) == 2


def test_what_nobody_can_be_asked_is_refused_at_once(page: Page) -> None:
    wrong: Any = "bees"
    with pytest.raises(TypeError, match=r"asks a client, or shows a stream of Client\.search: not a str"):
        SearchView(wrong)
    source: Any = "moon"
    with FakeSearch() as server, Client(server.url) as client, pytest.raises(cutaway.InvalidRequest, match="moon"):
        SearchView(client, source=source)
    assert not page.shown


def test_a_closed_client_is_told(page: Page) -> None:
    with Client("ws://127.0.0.1:1") as client:
        view = SearchView(client)
    ask(page, view, "comets")
    page.wait_for(lambda: "this client is closed" in page.of(view).state["status"]["note"])
    assert view.state == "idle"


def test_what_strangers_wrote_is_text_and_links_are_of_the_web(page: Page) -> None:
    values: dict[str, Any] = dict.fromkeys(("title", "author", "description"), HOSTILE)
    hostile = article(1, **values, url="javascript:alert(1)", image="data:text/html,x", emojis=(HOSTILE,))
    script = [protocol.ArticlesBatch(items=(hostile,)), chunk(f"{HOSTILE} [1] [x](javascript:alert(1))")]
    with FakeSearch(*script, summary_done(), caption(HOSTILE), done()) as server, Client(server.url) as client:
        view = SearchView(client, text=HOSTILE)
        view.wait()
        state = page.of(view).state
        (item,) = state["articles"]
        assert (item["title"], item["author"], item["description"], item["emojis"]) == (TEXT,) * 4
        assert (item["link"], item["image"]) == ("", "")
        assert state["about"]["captions"] == [TEXT]
        ((name, _, words),) = state["summary"]
        assert name == "p"
        assert all(isinstance(word, str) for word in words)
        assert "".join(words).startswith(TEXT)
        assert state["status"]["query"] == TEXT
        assert "<script" not in view._repr_mimebundle_()[0]["text/html"]


def test_the_state_of_an_answer_is_small(page: Page) -> None:
    whole = [batch(*range(start, start + 8)) for start in (1, 9, 17)]
    pieces = [chunk(f"Sentence number {n} says something [{n % 24 + 1}]. ") for n in range(200)]
    with FakeSearch(*whole, *pieces, image(), summary_done(), done()) as server, Client(server.url) as client:
        view = SearchView(client, text="comets")
        view.wait()
        assert len(json.dumps(view._get_embed_state())) < 100_000
        assert page.of(view).sent_bytes < 1_000_000, "a growing summary is not sent with every piece"


def test_letting_go_forgets_the_answer(page: Page) -> None:
    with FakeSearch(batch(1), Hang()) as server, Client(server.url) as client:
        view = SearchView(client, text="comets")
        page.wait_for(lambda: len(page.of(view).state["articles"]) == 1)
        view.let_go()
        assert server.left.wait(5)
        wait_until(lambda: view.result is None)
        assert view.state == "stopped"
