"""Strangers' texts on the page: what a message holds is shown as text, leads to http(s) only, and breaks nothing."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from browser.site import Site, snippet
from cutaway.protocol import ArticlesBatch
from sdk.fake_search import article, batch, caption, chunk, done, failed, image, image_error, summary_done
from sdk.fake_server import complete

SCRIPT = "<script>hurt()</script><img src=x onerror=hurt()><svg/onload=hurt()>"
LINKS = [
    "javascript:hurt()",
    "data:text/html,<script>hurt()</script>",
    "JaVaScRiPt:hurt()",
    "file:///etc/passwd",
    "//a",
]
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="4"/>'
VIDEO = "snippets?url=https://example.com/talk.mp4"

Play = Callable[..., Site]


@pytest.fixture(autouse=True)
def play() -> Iterator[Play]:
    """Start a site. It stays for longer than the page, which would complain of its loss."""
    with ExitStack() as stack:
        yield lambda *script, **options: stack.enter_context(Site(*script, **options))


@pytest.fixture(autouse=True)
def unhurt(play: Play, page: Page, complaints: list[str]) -> None:
    """No stranger's script runs."""
    page.context.expose_function("hurt", lambda: complaints.append("a stranger's script ran"))


@pytest.fixture
def answer(play: Play, page: Page) -> Callable[..., Locator]:
    """Show an answer of these messages."""

    page.route("https://www.example.com/*.jpg", lambda route: route.fulfill(body=SVG, content_type="image/svg+xml"))

    def show(*messages: Any) -> Locator:
        page.goto(play(answers=[[*messages, done()]]).page("search?q=x"))
        expect(page.locator("#panel-search .results")).to_have_attribute("aria-busy", "false")
        return page.locator("#panel-search .results")

    return show


@pytest.fixture
def prose(answer: Callable[..., Locator]) -> Callable[[str], Locator]:
    """Show a summary."""
    return lambda text: answer(chunk(text), summary_done()).locator(".prose")


def test_an_article_is_text(page: Page, answer: Callable[..., Locator]) -> None:
    hostile = dict.fromkeys(("title", "author", "description", "date", "id"), SCRIPT)
    items = [article(1, **hostile, emojis=(SCRIPT,), image="", url=SCRIPT)]
    items += [article(n, url=each, image=each) for n, each in enumerate(LINKS, 2)]
    shown = answer(ArticlesBatch(items=tuple(items)), summary_done())
    first = page.locator("li.article").first
    expect(first.get_by_role("heading")).to_have_text(SCRIPT)
    expect(first.locator(".text")).to_have_text(SCRIPT)
    assert shown.locator("li.article").count() == 6
    assert shown.locator("li.article a, li.article img, script, svg[onload]").count() == 0


def test_a_snippet_is_text(play: Play, page: Page, clip: bytes) -> None:
    page.goto(play(snippet(1, clip, title=SCRIPT, description=SCRIPT), complete()).page(VIDEO))
    expect(page.get_by_role("region", name="Player").get_by_role("heading")).to_have_text(SCRIPT)
    expect(page.get_by_role("button", name="Save all")).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save", exact=True).click()
    assert saved.value.suggested_filename == "script hurt() script img src=x onerror=hurt() svg onload=hurt().mp4"
    assert page.locator("#panel-snippets .results script, #panel-snippets .words *").count() == 0


def test_what_failed_is_told_where_it_failed(page: Page, answer: Callable[..., Locator]) -> None:
    articles, pictures = failed("articles", f"No index. {SCRIPT}"), image_error(f"No picture. {SCRIPT}")
    answer(articles, failed("summary", "The summary failed."), summary_done(), pictures)
    for name, words in (("Articles", "No index."), ("Summary", "The summary failed."), ("Images", "No picture.")):
        expect(page.get_by_role("region", name=name).get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_role("region", name="Articles").get_by_role("alert")).to_have_text(f"No index. {SCRIPT}")


def test_images_have_their_captions(page: Page, answer: Callable[..., Locator], complaints: list[str]) -> None:
    page.route("**/image_0.png", lambda route: route.fulfill(body=SVG, content_type="image/svg+xml"))
    answer(image(), caption(SCRIPT), image("/generated/gone/image_1.png"), caption("All of them."))
    figures = page.locator("figure")
    assert figures.count() == 2
    expect(figures.nth(0).get_by_role("img")).to_have_attribute("alt", "An image made for this question")
    expect(figures.nth(0).locator("figcaption")).to_have_count(0)
    expect(figures.nth(1).locator("figcaption")).to_have_text(SCRIPT)
    expect(figures.nth(1)).to_contain_text("This image cannot be loaded.")
    expect(page.locator(".caption")).to_have_text("All of them.")
    assert "404" in complaints.pop()


def test_pictures_of_articles_tell_nobody_who_looks(
    page: Page, answer: Callable[..., Locator], complaints: list[str]
) -> None:
    asked: list[dict[str, str]] = []

    def serve(route: Route) -> None:
        asked.append(route.request.headers)
        if "1.jpg" in route.request.url:
            route.fulfill(body=SVG, content_type="image/svg+xml")
        else:
            route.abort()

    page.route("https://www.example.com/**", serve)
    answer(batch(1, 2), ArticlesBatch(items=(article(3, image="http://www.example.com/3.jpg"),)))
    cards = page.locator("li.article")
    expect(cards.nth(1).locator(".tile")).to_be_visible()
    expect(cards.nth(2).locator(".tile")).to_be_visible()
    picture = cards.nth(0).locator("img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 8
    assert len(asked) == 2
    assert not any("referer" in headers for headers in asked)
    assert "ERR_FAILED" in complaints.pop()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Plain & <b>raw</b>", "<p>Plain &amp; &lt;b&gt;raw&lt;/b&gt;</p>"),
        (
            "**bold** and *it* and _it_ and `a*b*`",
            "<p><strong>bold</strong> and <em>it</em> and <em>it</em> and <code>a*b*</code></p>",
        ),
        ("a_b_c 2*3*4 \\*not\\*", "<p>a_b_c 2<em>3</em>4 *not*</p>"),
        ("one\n\ntwo\nlines", "<p>one</p><p>two\nlines</p>"),
        ("## Head **x**\nbelow", "<h4>Head <strong>x</strong></h4><p>below</p>"),
        (
            "- a\n- b\n  - c\n\n1. d\n2. e",
            '<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul><ol start="1"><li>d</li><li>e</li></ol>',
        ),
        ("3. c\n4. d", '<ol start="3"><li>c</li><li>d</li></ol>'),
        ("> quoted\n> **more**", "<blockquote><p>quoted\n<strong>more</strong></p></blockquote>"),
        ("```js\n**x** <script>\n```\nafter", '<pre tabindex="0"><code>**x** &lt;script&gt;</code></pre><p>after</p>'),
        ("```\nnot closed <i>", '<pre tabindex="0"><code>not closed &lt;i&gt;</code></pre>'),
        ("[x](javascript:hurt())", "<p>[x](javascript:hurt())</p>"),
        ("[x](data:text/html,hi) ![i](javascript:hurt())", "<p>[x](data:text/html,hi) ![i](javascript:hurt())</p>"),
        ("<a href='javascript:hurt()'>x</a>", "<p>&lt;a href='javascript:hurt()'&gt;x&lt;/a&gt;</p>"),
        ("[9] stays", "<p>[9] stays</p>"),
        ("---", "<hr>"),
    ],
)
def test_markdown(prose: Callable[[str], Locator], text: str, shown: str) -> None:
    made = prose(text).evaluate("element => element.innerHTML")
    assert made.replace(' dir="auto"', "") == shown


def test_links_of_a_summary(prose: Callable[[str], Locator]) -> None:
    found = prose('[**a** page](https://a.example/x_(y)?q=1 "t") or https://b.example/z_z. <https://c.example>')
    links = found.get_by_role("link")
    assert [each.get_attribute("href") for each in links.all()] == [
        "https://a.example/x_(y)?q=1",
        "https://b.example/z_z",
        "https://c.example/",
    ]
    for each in links.all():
        assert each.get_attribute("rel") == "noopener noreferrer"
        assert each.get_attribute("target") == "_blank"
    expect(found).to_have_text("a page or https://b.example/z_z. <https://c.example>")


def test_marks_of_articles_that_come_later_than_the_words(answer: Callable[..., Locator]) -> None:
    found = answer(chunk("A [1] and both [1, 2]; [3] "), chunk("is none."), summary_done(), batch(1), batch(2))
    marks = found.locator(".prose .mark")
    assert marks.all_inner_texts() == ["1", "1", "2"]
    assert marks.last.get_attribute("title") == "Article 2"
    expect(found.locator(".prose")).to_contain_text("[3] is none.")


@pytest.mark.parametrize(
    "piece", ["[", "**a", "`", "> ", "- ", "_a_ ", "[a](https://a", "1. x\n  ", "#", "\\", "(", "* "]
)
def test_much_of_a_mark_takes_no_time(page: Page, answer: Callable[..., Locator], piece: str) -> None:
    text = piece * (100_000 // len(piece))
    answer(chunk(text[:19_000]), chunk("\n\nThe end."), summary_done())
    expect(page.locator(".prose")).to_contain_text("The end.")
    milliseconds = page.evaluate(
        """async (text) => {
          const { Markdown } = await import("/markdown.js");
          const before = performance.now();
          for (const each of [text, text.slice(0, 19000)]) {
            new Markdown(document.createElement("div"), () => null).show(each);
          }
          return performance.now() - before;
        }""",
        text,
    )
    assert milliseconds < 5000, "a mistake in a pattern takes minutes"


def test_googles_entry_point_is_shown_in_a_frame_of_no_origin(page: Page, answer: Callable[..., Locator]) -> None:
    entry = (
        "<style>.chip {color: rgb(1, 2, 3)}</style><script>parent.hurt()</script><a href=javascript:hurt()>no</a>"
        "<a class=chip href='https://www.google.com/search?q=bees'>bees</a>"
    )
    answer(batch(1), chunk("Bees."), summary_done(search_entry_point=entry))
    frame = page.frame_locator("iframe.entry")
    link = frame.get_by_role("link", name="bees")
    expect(link).to_be_visible()
    expect(link).to_have_css("color", "rgb(1, 2, 3)")
    assert frame.locator("body").evaluate("() => self.origin") == "null"
    expect(page.get_by_title("Google Search suggestions")).to_have_attribute("sandbox", re.compile("^allow-scripts "))


def test_a_message_that_is_no_json_ends_the_request_with_words(play: Play, page: Page, clip: bytes) -> None:
    page.goto(play(snippet(1, clip), "{not json").page(VIDEO))
    expect(page.get_by_role("alert")).to_contain_text("The server said something that is no message.")
    expect(page.locator("button.card")).to_have_count(1)


def test_unknown_messages_are_passed_over(play: Play, page: Page, clip: bytes) -> None:
    unknown = json.dumps({"type": "fanfare", "metadata": {}})
    stages = (json.dumps({"type": "progress", "stage": each, "fraction": 1}) for each in ("dance", "constructor"))
    site = play(
        unknown, *stages, snippet(1, clip), complete(), answers=[[unknown, chunk("Yes."), summary_done(), done()]]
    )
    page.goto(site.page(VIDEO))
    expect(page.get_by_role("button", name="Save all")).to_be_visible()
    page.goto(site.page("search?q=x"))
    expect(page.locator(".prose")).to_have_text("Yes.")


def test_a_clip_is_played_from_the_server_while_it_keeps_it(
    play: Play, page: Page, clip: bytes, complaints: list[str]
) -> None:
    def serve(route: Route) -> None:
        if "kept" in route.request.url:
            route.fulfill(body=clip, content_type="video/mp4")
        else:
            route.fulfill(status=404)

    page.route("**/clips/*", serve)
    messages = [snippet(n, clip, video_path=f"/clips/{name}.mp4") for n, name in enumerate(("kept", "gone"))]
    site = play(*messages, complete())
    page.goto(site.page(VIDEO))
    expect(page.get_by_role("button", name="Save all")).to_be_visible()
    player = page.locator("video")
    expect(player).to_have_attribute("src", f"http://127.0.0.1:{site.port}/clips/kept.mp4")
    page.locator("button.card").nth(1).click()
    expect(player).to_have_attribute("src", re.compile("^blob:"))
    player.evaluate("video => new Promise((done) => { video.oncanplay = done; if (video.readyState > 2) done(); })")
    assert all("404" in each for each in complaints)
    complaints.clear()


@pytest.mark.parametrize("text", ["null", "[1]", '{"type": "snippet", "data": {"video_data": "%", "metadata": {}}}'])
def test_a_message_that_is_none_is_told_in_words(play: Play, page: Page, text: str) -> None:
    page.goto(play(text, complete()).page(VIDEO))
    expect(page.get_by_role("progressbar")).to_have_count(0)
    for alert in page.get_by_role("alert").all():
        expect(alert).to_contain_text("The server said something that is no message.")
    assert page.get_by_role("alert").count() == (text != "[1]")


def test_names_of_files_are_not_too_long(play: Play, page: Page, clip: bytes) -> None:
    titles = ["\N{GRINNING FACE}" * 300, "\u6f22" * 300, "../../etc/passwd", "\u202egnp.exe", "..."]
    page.goto(play(*(snippet(n, clip, title=title) for n, title in enumerate(titles)), complete()).page(VIDEO))
    with page.expect_download() as every:
        page.get_by_role("button", name="Save all").click()
    with zipfile.ZipFile(every.value.path()) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert max(len(name.encode()) for name in names) <= 255
    assert [name[3:] for name in names[2:]] == ["etc passwd.mp4", "gnp.exe.mp4", "snippet.mp4", "ppets.json"]


def test_snippets_without_times(play: Play, page: Page, clip: bytes) -> None:
    page.goto(play(snippet(1, clip, start=None, end=None), complete()).page(VIDEO))
    expect(page.locator(".bar b")).to_have_text("1 snippet")
    expect(page.locator(".badge")).to_have_count(0)


def test_long_texts_of_an_article_are_cut(page: Page, answer: Callable[..., Locator]) -> None:
    long = dict.fromkeys(("title", "author", "description"), "word " * 300)
    shown = answer(ArticlesBatch(items=(article(1, **long, emojis=("\N{ROCKET}",) * 60), article(2, image=""))))
    first, second = shown.locator("li.article").all()
    assert first.evaluate("card => card.offsetHeight") < 600
    likes = first.get_by_title("likes").bounding_box()
    assert likes is not None and likes["height"] < 30
    covers = [card.locator(".cover").evaluate("cover => cover.offsetHeight") for card in (first, second)]
    assert covers[0] == covers[1], "titles of a row begin at one height"
