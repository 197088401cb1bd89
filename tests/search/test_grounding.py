"""Summaries that rest on the web: their sources join the articles, whatever stands behind the addresses."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Iterator

import pytest

from cutaway_server.search.articles import web
from cutaway_server.search.articles.canonical import canonical_url
from fakes.gemini import FakeGemini
from fakes.replies import (
    DROP,
    HANG_UP,
    STALL,
    UNFINISHED,
    Failure,
    Gate,
    Pause,
    Step,
    finish,
    grounding,
    overloaded,
    picture,
    thought,
)
from servers import Canary, Origin, Resource

from .conftest import IMAGES, STORIES, SUMMARY, Serve, rest
from .pictures import b64
from .pictures import picture as drawn

ENTRY = '<style>.chip{}</style><div class="chip"><a href="https://www.google.com/search?q=jets">jets</a></div>'
HTML = "text/html; charset=utf-8"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


def page(title: str, date: str = "2026-03-01T09:30:00Z") -> Resource:
    head = f'<title>{title}</title><meta property="article:published_time" content="{date}">'
    return Resource(f'<html><head>{head}<meta name="description" content="About {title}.">'.encode(), content_type=HTML)


def answered(fake: FakeGemini, pages: list[tuple[str, str]], entry_point: str = ENTRY) -> None:
    fake.queue("Jets are cold", " today.", grounding(pages, entry_point), model=SUMMARY)
    fake.queue(picture(drawn("PNG")), model=IMAGES)


@pytest.mark.gen_test(timeout=30)
async def test_the_pages_join_the_articles(serve: Serve, fake: FakeGemini, origin: Origin) -> None:
    real = origin.serve("a/real.html", page("Real &amp; whole")) + "?id=3"
    answered(
        fake,
        [
            (origin.serve("r/1", Resource(redirect=real)), "news.example"),
            (origin.serve("r/2", Resource(redirect="/a/real.html?utm_campaign=x&id=3")), "news.example"),
            ("http://www.news.example/0/?utm_source=google", "news.example"),
            (origin.serve("r/4", Resource(redirect=origin.serve("shut", Resource(status=403)))), "shut.example"),
            (origin.serve("r/5", Resource(b"%PDF-", content_type="application/pdf")), "paper.example\x1b[31m"),
        ],
    )
    server = await serve(search=True, allow_network="127.0.0.0/8")
    answer = await server.ask(text="jet")
    assert answer.summary == "Jets are cold today."
    assert answer.done == {"type": "summary_done", "by": "gemini", "search_entry_point": ENTRY}
    assert fake.requests[0].searches or fake.requests[1].searches
    joined = [each for each in answer.items if each["id"].startswith("web-")]
    assert [each["title"] for each in joined] == ["Real & whole", "shut.example", "paper.example [31m"]
    assert [each["date"] for each in joined] == ["2026-03-01T09:30:00Z", "", ""]
    assert joined[0]["description"] == "About Real & whole."
    assert (joined[0]["type"], joined[1]["type"]) == ("article", "simple")
    assert joined[0]["url"] == real
    assert joined[1]["url"].endswith("/shut")
    assert answer.items.index(joined[0]) == len(STORIES[:2])
    ids = [each["id"] for each in answer.items]
    assert len(set(ids)) == len(ids)
    assert answer.kinds[-1] == "done"
    assert "error" not in answer.kinds


@pytest.mark.gen_test(timeout=30)
async def test_at_most_24_and_the_storys_own_places_are_filled(serve: Serve, fake: FakeGemini, origin: Origin) -> None:
    stories = tuple((f"Jet number {n}", f"The jet with the number {n} has {n} engines.") for n in range(40))
    pages = [(origin.serve(f"p/{n}", page(f"Page {n}")), "x") for n in range(20)]
    answered(fake, pages)
    server = await serve(stories, search=True, allow_network="127.0.0.0/8")
    answer = await server.ask(text="jet")
    assert [len(each["items"]) for each in answer.of("articles_batch")] == [8, 8, 8]
    assert [each["title"] for each in answer.items[16:]] == [f"Page {n}" for n in range(8)]
    assert len([each for each in origin.requests if each.name.startswith("p/")]) == 8
    fake.queue("Jets.", model=SUMMARY)
    fake.queue(picture(drawn("PNG")), model=IMAGES)
    answer = await server.ask(text="jet")
    assert len(answer.items) == 24
    assert "search_entry_point" not in answer.done


@pytest.mark.gen_test(timeout=30)
async def test_no_page_leads_inside(serve: Serve, fake: FakeGemini, origin: Origin, caplog) -> None:
    with Canary() as canary, Canary("127.0.0.2") as other:
        inside = f"http://127.0.0.1:{canary.port}/admin"
        answered(
            fake,
            [
                (inside, "inside.example"),
                (origin.serve("r/1", Resource(redirect=f"http://127.0.0.2:{other.port}/")), "redirected.example"),
                ("http://169.254.169.254/latest", "cloud.example"),
                ("file:///etc/passwd", "file.example"),
                ("https://user:password@news.example/", "password.example"),
            ],
        )
        server = await serve(search=True, allow_address=f"127.0.0.1:{origin.port}")
        answer = await server.ask(text="jet")
        assert not [each for each in answer.items if each["id"].startswith("web-")]
        assert len(answer.items) == 2
        assert (canary.contacts, other.contacts) == (0, 0)
        assert "left out" in caplog.text


@pytest.mark.gen_test(timeout=30)
async def test_pages_that_dawdle_join_with_the_title_that_was_given(
    serve: Serve, fake: FakeGemini, origin: Origin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(web, "SECONDS", 0.3)
    answered(
        fake,
        [
            (origin.serve("slow", Resource(b"<html>", content_type=HTML, latency=30)), "slow.example"),
            (origin.serve("endless", Resource(b"<html>" * 9999, content_type=HTML, endless=True)), "endless.example"),
            (origin.serve("cut", Resource(b"<html>" * 9999, content_type=HTML, reset_after=100)), "cut.example"),
            (origin.serve("loop", Resource(redirect="/loop")), "loop.example"),
            (origin.serve("good", page("Good")), "good.example"),
        ],
    )
    server = await serve(search=True, allow_network="127.0.0.0/8")
    before = time.monotonic()
    answer = await server.ask(text="jet")
    assert time.monotonic() - before < 3
    joined = [each["title"] for each in answer.items if each["id"].startswith("web-")]
    assert joined == ["slow.example", "endless.example", "cut.example", "loop.example", "Good"]
    assert "cannot be read: too slow" in caplog.text


@pytest.mark.gen_test(timeout=30)
async def test_articles_stay_open_for_a_summary_and_no_longer(serve: Serve, fake: FakeGemini, origin: Origin) -> None:
    server = await serve(search=True, allow_network="127.0.0.0/8", search_seconds=3, gap_seconds=0.3)
    # A model that fails before its first word: the local summary needs the articles that would wait for it.
    fake.queue(overloaded(), model=SUMMARY)
    fake.queue(picture(drawn("PNG")), model=IMAGES, times=None)
    before = time.monotonic()
    answer = await server.ask(text="jet")
    assert answer.done == {"type": "summary_done", "by": "local"}
    assert time.monotonic() - before < 2
    # One that fails after it.
    for steps in (("Cold ", UNFINISHED), ("Cold ", STALL)):
        fake.queue(*steps, model=SUMMARY)
        answer = await server.ask(text="jet")
        assert [each["agent"] for each in answer.of("error")] == ["summary"]
        assert len(answer.items) == 2
    # One that goes on until the end of the search.
    fake.queue(*[step for n in range(40) for step in (f"word {n} ", Pause(0.1))], model=SUMMARY)
    answer = await server.ask(text="jet")
    assert [each["agent"] for each in answer.of("error")] == ["summary"]
    assert len(answer.items) == 2


@pytest.mark.gen_test(timeout=30)
async def test_articles_that_began_late_wait_for_a_summary_no_longer(
    serve: Serve, fake: FakeGemini, origin: Origin
) -> None:
    pages = [(origin.serve("slow", Resource(b"<html>", content_type=HTML, latency=30)), "slow.example")]
    server = await serve(search=True, allow_network="127.0.0.0/8", search_seconds=4)
    # Nobody says what the image shows; the summary goes on until the end, or names a page late that never comes.
    fake.queue(STALL, when=lambda asked: "words to search" in asked.instruction, times=None)
    fake.queue(picture(drawn("PNG")), model=IMAGES, times=None)
    words = [step for n in range(50) for step in (f"word {n} ", Pause(0.1))]
    for steps in (words, [*words[:50], grounding(pages)]):
        fake.queue(*steps, model=SUMMARY)
        answer = await server.ask(text="jet", image=b64(drawn("PNG")))
        assert "articles" not in [each["agent"] for each in answer.of("error")]
        assert len([each for each in answer.items if not each["id"].startswith("web-")]) == 2
        assert answer.summary.startswith("word 0 word 1")


@pytest.mark.gen_test(timeout=30)
async def test_who_leaves_while_pages_are_fetched_leaves_nothing_behind(
    serve: Serve, fake: FakeGemini, origin: Origin
) -> None:
    gate = Gate()
    pages = [(origin.serve(f"slow/{n}", Resource(b"<html>", latency=30)), "x") for n in range(4)]
    fake.queue("Cold.", gate, grounding(pages), model=SUMMARY)
    fake.queue(picture(drawn("PNG")), model=IMAGES)
    server = await serve(search=True, allow_network="127.0.0.0/8")
    client = await server.begin(text="jet")
    await rest(client, "summary_chunk")
    gate.open()
    await rest(client, "summary_done")
    await asyncio.to_thread(origin.wait_for, lambda: len(origin.requests) == 4)
    client.close()
    await asyncio.to_thread(origin.wait_for, lambda: not origin.busy, 1)


@pytest.mark.gen_test(timeout=90)
async def test_whatever_the_model_does_the_answer_is_lawful(serve: Serve, fake: FakeGemini, origin: Origin) -> None:
    chance = random.Random(5)
    stories = tuple((f"Jet number {n}", f"The jet with the number {n} has {n} engines.") for n in range(30))
    pages = [(origin.serve(f"p/{n}", page(f"Page {n}")), f"site {n}") for n in range(6)]
    pages += [("http://169.254.1.1/", "inside"), ("https://news.example/3", "double"), ("nonsense", "")]
    ends: list[Step] = [DROP, HANG_UP, STALL, UNFINISHED, finish("SAFETY"), finish(), b"data: {\r\n\r\n", overloaded()]
    good: list[Step] = [
        "Some words [1]. ",
        "\x1b[31m",
        thought("hm"),
        picture(drawn("PNG")),
        picture(b"no"),
        Pause(0.01),
    ]
    server = await serve(stories, search=True, allow_network="127.0.0.0/8", first_seconds=0.5, gap_seconds=0.2)
    fake.queue("jet engine", when=lambda asked: "words to search" in asked.instruction, times=None)
    for _ in range(200):
        steps = chance.choices(good, k=chance.randrange(4))
        if chance.random() < 0.4:
            steps.append(grounding(chance.sample(pages, 4)))
        end = chance.choice(ends)
        fake.queue(*([end] if isinstance(end, Failure) else [*steps, end]))

    async def client(number: int) -> None:
        for _ in range(5):
            asked = {"text": f"jet {number}"} | ({"image": b64(drawn("PNG"))} if chance.random() < 0.3 else {})
            if chance.random() < 0.2:
                left = await server.begin(**asked)
                await asyncio.sleep(chance.random() / 10)
                await server.leave(left)
                continue
            answer = await server.ask(**asked)
            kinds = answer.kinds
            assert kinds.count("summary_done") == kinds.count("done") == 1
            assert kinds[-1] == "done"
            assert "summary_chunk" not in kinds[kinds.index("summary_done") :]
            assert kinds.count("image_error") <= 1
            assert kinds.count("image") or kinds.count("image_error")
            assert {each["agent"] for each in answer.of("error")} <= {"summary"}
            assert answer.summary
            if answer.done["by"] == "local":
                assert not answer.of("error")
                assert "Some words" not in answer.summary
            assert {each["by"] for each in answer.of("image", "image_text")} in ({"local"}, {"gemini"})
            assert 16 <= len(answer.items) <= 24
            assert len({each["id"] for each in answer.items}) == len(answer.items)
            assert len({canonical_url(each["url"]) for each in answer.items}) == len(answer.items)

    await asyncio.gather(*map(client, range(8)))


@pytest.mark.gen_test(timeout=30)
async def test_what_an_answer_rests_on_stays_when_it_breaks_off(serve: Serve, fake: FakeGemini, origin: Origin) -> None:
    found = grounding([(origin.serve("a", page("A page")), "a.example")], ENTRY)
    fake.queue("Jets are", found, UNFINISHED, model=SUMMARY)
    fake.queue(picture(drawn("PNG")), model=IMAGES)
    answer = await (await serve(search=True, allow_network="127.0.0.0/8")).ask(text="jet")
    assert answer.summary == "Jets are"
    assert answer.done == {"type": "summary_done", "by": "gemini", "search_entry_point": ENTRY}
    assert [each["agent"] for each in answer.of("error")] == ["summary"]
    assert answer.items[-1]["title"] == "A page"


@pytest.mark.gen_test(timeout=30)
async def test_what_must_be_shown_with_an_answer_stays_when_it_is_cut_off(serve: Serve, fake: FakeGemini) -> None:
    fake.queue("Jets are", grounding([], ENTRY), " cold", STALL, model=SUMMARY)
    fake.queue(picture(drawn("PNG")), model=IMAGES)
    server = await serve(search=True)
    client = await server.begin(text="jet")
    said = ""
    while said != "Jets are cold":
        message = json.loads(str(await client.read_message()))
        said += message["text"] if message["type"] == "summary_chunk" else ""
    for handler in list(server.app.settings["live_sockets"]):
        handler.stop()
    assert (await rest(client)).done == {"type": "summary_done", "by": "gemini", "search_entry_point": ENTRY}
