"""``cutaway.js`` in pages of other origins: the document's examples as they stand, allowed and refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.site import Site, snippet
from processes import ServerProcess
from sdk.fake_search import ANSWER, batch, done, refused
from sdk.fake_server import Close, Hang, complete, error, progress
from servers import Origin, Resource

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "server" / "cutaway_server" / "web" / "cutaway.js"
ADDRESS = "http://localhost:8000"


def example(name: str) -> str:
    """A code block of the document, by the comment before it."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", (ROOT / "docs" / "web.md").read_text(), re.DOTALL)
    assert found is not None
    assert found[1].count("\n") <= 25
    return found[1]


@pytest.fixture
def elsewhere() -> Iterator[Origin]:
    """A static server with the module beside a page."""
    with Origin() as origin:
        origin.serve("cutaway.js", Resource(MODULE, content_type="text/javascript"))
        origin.serve("blank.html", Resource(b"<!doctype html>", content_type="text/html"))
        origin.serve("favicon.ico", Resource(b"", content_type="image/x-icon"))
        yield origin


def open_example(page: Page, elsewhere: Origin, server: str) -> None:
    html = example("example")
    assert ADDRESS in html
    body = html.replace(ADDRESS, server).encode()
    page.goto(elsewhere.serve("page.html", Resource(body, content_type="text/html")))


@pytest.fixture
def allowed(elsewhere: Origin, start_server: Callable[..., ServerProcess]) -> ServerProcess:
    return start_server("--allow-network", "127.0.0.0/8", "--allow-origin", elsewhere.url("").rstrip("/"))


def test_the_documents_example(page: Page, elsewhere: Origin, allowed: ServerProcess, sample: Path) -> None:
    open_example(page, elsewhere, allowed.url(""))
    page.get_by_label("Address of a video").fill(elsewhere.serve("sample.mp4", sample))
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("That was all.")
    videos = page.locator("video")
    assert videos.count() == 4
    playing = "video => video.play().then(() => new Promise((done) => { video.ontimeupdate = () => done(true); }))"
    assert videos.last.evaluate(playing)
    page.get_by_label("Address of a video").fill("nonsense")
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("http")


def test_the_documents_search(page: Page, elsewhere: Origin, allowed: ServerProcess) -> None:
    page.goto(elsewhere.url("blank.html"))
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.evaluate(
        f"""async () => {{
          const {{ Cutaway }} = await import("{allowed.url("/cutaway.js")}");
          const cutaway = new Cutaway();
          {example("search")}
          cutaway.close();
        }}"""
    )
    assert any("Space telescopes that see what eyes cannot" in each for each in told)
    assert any(each.startswith(allowed.url("/generated/")) for each in told)
    image = next(each for each in told if "/generated/" in each)
    assert page.evaluate("url => fetch(url).then((answer) => answer.blob()).then((blob) => blob.size)", image) > 1000


def test_an_origin_that_is_not_allowed_is_refused(
    page: Page, elsewhere: Origin, start_server: Callable[..., ServerProcess], complaints: list[str]
) -> None:
    server = start_server("--allow-origin", "https://app.example")
    open_example(page, elsewhere, server.url(""))
    page.get_by_label("Address of a video").fill("https://example.com/a.mp4")
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("The server cannot be reached, or does not let this page connect.")
    assert not page.evaluate("url => import(url).then(() => true, () => false)", server.url("/cutaway.js"))
    assert any("403" in each for each in complaints)
    assert any("CORS" in each for each in complaints)
    complaints.clear()


# --- the module by itself

RUN = """async ([server, code]) => {
  const { Cutaway, CutawayError, ConnectionLost } = await import("/cutaway.js");
  const run = Object.getPrototypeOf(async () => {}).constructor;
  const names = { cutaway: new Cutaway(server), CutawayError, ConnectionLost };
  return await run(...Object.keys(names), code)(...Object.values(names));
}"""
Run = Callable[[Site, str], Any]


@pytest.fixture
def run(page: Page) -> Run:
    """Run a script with a client in a page of a site."""

    def in_page(site: Site, code: str) -> Any:
        page.goto(f"http://127.0.0.1:{site.port}/blank")
        return page.evaluate(RUN, [site.url, code])

    return in_page


def test_messages_are_as_in_the_protocol(run: Run, clip: bytes) -> None:
    script = [progress(), snippet(1, clip, poster=b"\xff\xd8", video_path="/clips/a.mp4", by="local"), complete()]
    with Site(*script, prefix="/under") as site:
        got = run(
            site,
            """const got = [];
            for await (const each of cutaway.snippets("https://a.example/b?c=d&e", {max_snippets: 3, progress: true})) {
              got.push({...each, video: each.video && [each.video.type, each.video.size]});
            }
            return got;""",
        )
    assert site.queries == [{"video_url": "https://a.example/b?c=d&e", "max_snippets": "3", "progress": "1"}]
    assert got[0]["type"] == "progress"
    assert got[0]["fraction"] == 0.5
    assert got[1] == {
        "type": "snippet",
        "video": ["video/mp4", len(clip)],
        "src_video_url": "https://example.com/talk.mp4",
        "title": "Moment 1",
        "description": "What happens in moment 1.",
        "start": 60,
        "end": 63,
        "by": "local",
        "poster": "data:image/jpeg;base64,/9g=",
        "url": f"http://127.0.0.1:{site.port}/under/clips/a.mp4",
    }


def test_faults_are_thrown(run: Run, clip: bytes) -> None:
    code = """try { for await (const _ of cutaway.snippets("x")); } catch (error) {
      return [error instanceof CutawayError, error instanceof ConnectionLost, error.name, error.message];
    }"""
    with Site(snippet(1, clip), error("The video is private.")) as site:
        assert run(site, code) == [True, False, "CutawayError", "The video is private."]
        site.script = (snippet(1, clip),)
        assert run(site, code) == [
            *(False, True, "ConnectionLost"),
            "The connection to the server was lost before the end.",
        ]


def test_leaving_and_aborting_close_the_connection(run: Run, clip: bytes) -> None:
    with Site(snippet(1, clip), Hang()) as site:
        assert run(site, 'for await (const each of cutaway.snippets("x")) return each.title;') == "Moment 1"
        assert site.left.wait(3)
        site.left.clear()
        code = """const stop = new AbortController();
        try {
          for await (const _ of cutaway.snippets("x", {signal: stop.signal})) setTimeout(() => stop.abort(), 0);
        } catch (error) { return [error.name, stop.signal.reason === error]; }"""
        assert run(site, code) == ["AbortError", True]
        assert site.left.wait(3)
        aborted = 'return cutaway.search({}, {signal: AbortSignal.abort("why")}).next().catch((reason) => reason);'
        assert run(site, aborted) == "why"


@pytest.mark.parametrize("ask", ['snippets("x", ', 'search({text: "a"}, '])
def test_aborting_does_not_wait_for_the_loop(run: Run, clip: bytes, ask: str) -> None:
    """The one who asked may be busy with what came."""
    with Site(snippet(1, clip), Hang(), answers=[[batch(1), Hang()]]) as site:
        code = f"""const stop = new AbortController();
        window.stream = cutaway.{ask}{{signal: stop.signal}});
        await stream.next();
        stop.abort();"""
        run(site, code)
        assert site.left.wait(3)


def test_searches_use_a_connection_again(run: Run) -> None:
    code = """const got = [], search = async () => {
      let number = 0;
      for await (const _ of cutaway.search({text: "a"})) number++;
      return number;
    };
    await cutaway.connect();
    got.push(await search(), await search());
    got.push(...await Promise.all([search(), search()]));
    try { await search(); } catch (error) { got.push([error instanceof CutawayError, error.message, error.field]); }
    got.push(await search());
    cutaway.close();
    return got;"""
    answers = [ANSWER, [batch(1), done()], ANSWER, ANSWER, [refused("bad", "source"), done()], ANSWER]
    with Site(answers=answers) as site:
        assert run(site, code) == [7, 1, 7, 7, [True, "bad", "source"], 7]
        assert len(site.requests) == 6
        assert site.handshakes == 2, "one for two searches side by side, one for all others"


def test_a_connection_that_died_while_it_waited_is_replaced(run: Run) -> None:
    code = """const lost = new Promise((done) => cutaway.addEventListener("lost", done));
    await cutaway.connect();
    const got = [];
    for await (const {type} of cutaway.search({text: "a"})) got.push(type);
    await lost;
    for await (const {type} of cutaway.search({text: "b"})) got.push(type);
    return got;"""
    with Site(answers=[[batch(1), done(), Close(1001)], [batch(2), done()]]) as site:
        assert run(site, code) == ["articles_batch", "articles_batch"]
        assert [each.text for each in site.requests] == ["a", "b"]
