"""The page for everybody: axe finds nothing serious, the keyboard reaches everything, and it fits every screen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from browser.site import Site, snippet
from browser.test_page_search import png
from cutaway.protocol import ArticlesBatch
from sdk.fake_search import article, batch, caption, chunk, done, failed, image, image_error, summary_done
from sdk.fake_server import Wait, complete, error, progress

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="4"/>'
WORDS = (
    "## Head\n\nSome **words** [1] with [a link](https://a.example), and `code`.\n\n- one\n\n> quoted\n\n```\na\n```"
)
LONG = article(3, title="Unbreakable" * 30, author="x" * 300, description="y" * 900, image="", has_video=True)
ANSWER = [batch(1, 2), ArticlesBatch(items=(LONG,)), chunk(WORDS), caption("z" * 300), image(), caption("A card.")]
VIDEO = "snippets?url=https://example.com/talk.mp4"


def findings(page: Page) -> list[str]:
    """What axe calls serious or critical."""
    response = Axe().run(page).response
    assert {each["id"] for each in response["passes"]} >= {"color-contrast", "label", "aria-required-children"}
    found = [each for each in response["violations"] if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {node['html'][:200]} {node['failureSummary']}" for each in found for node in each["nodes"]]


@pytest.fixture
def pictures() -> Callable[[Page], None]:
    def serve(page: Page) -> None:
        for pattern in ("https://www.example.com/**", "**/generated/**"):
            page.route(pattern, lambda route: route.fulfill(body=SVG, content_type="image/svg+xml"))

    return serve


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_axe_and_width(new_page: Callable[..., Page], pictures, clip: bytes, scheme: str, width: int) -> None:
    page = new_page(color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce")
    pictures(page)
    waiting, searching = Wait(), Wait()
    long = {"title": "Unbreakable" * 20, "description": "d" * 900}
    script = [progress(), snippet(1, clip), waiting, snippet(2, clip, **long), complete()]
    faults = [failed("articles", "f" * 300), failed("summary"), summary_done(), image_error("No."), done()]
    with Site(*script, answers=[[searching, *ANSWER, summary_done(), done()], faults]) as site:

        def check(what: str) -> None:
            assert findings(page) == [], what
            overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert overflow <= 0, f"{what} is {overflow} pixels too wide"
            assert "[object" not in page.locator("body").inner_text()

        page.goto(site.page())
        page.get_by_text("Options").click()
        check("the beginning")
        assert page.locator("header.top").evaluate("header => header.offsetHeight") < 90, "its words are broken"
        page.goto(site.page(VIDEO))
        expect(page.locator("button.card")).to_have_count(1)
        check("a request that runs")
        waiting.event.set()
        expect(page.get_by_role("button", name="Save all")).to_be_visible()
        page.locator("button.card").nth(1).click()
        check("snippets")
        site.script = (error("e" * 300),)
        page.get_by_role("button", name="Find moments").click()
        expect(page.get_by_role("alert")).to_be_visible()
        check("an error")
        page.get_by_role("tab", name="Search").click()
        check("the beginning of a search")
        page.locator("input[type=file]").set_input_files([{"name": "a.txt", "mimeType": "text/plain", "buffer": b"a"}])
        expect(page.get_by_text("a.txt is not a picture")).to_be_visible()
        check("what is no picture")
        page.locator("input[type=file]").set_input_files([{"name": "p" * 99, "mimeType": "image/png", "buffer": png()}])
        expect(page.locator(".picture")).to_be_visible()
        check("a picture")
        page.get_by_label("Question").fill("x")
        page.keyboard.press("Enter")
        expect(page.locator("#panel-search .skeleton").first).to_be_visible()
        check("a search that runs")
        searching.event.set()
        expect(page.locator("figure img")).to_be_visible()
        expect(page.locator("#panel-search .results")).to_have_attribute("aria-busy", "false")
        check("an answer")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_count(3)
        check("a failed answer")
        page.goto("about:blank")


def test_the_keyboard_reaches_everything(page: Page, pictures, clip: bytes) -> None:
    pictures(page)
    with Site(snippet(1, clip), snippet(2, clip), complete(), answers=[[*ANSWER, summary_done(), done()]]) as site:
        page.goto(site.page())
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        tab = page.get_by_role("tab", name="Snippets")
        expect(tab).to_be_focused()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Search")).to_be_focused()
        expect(page.get_by_role("tabpanel", name="Search")).to_be_visible()
        page.keyboard.press("Home")
        expect(tab).to_be_focused()
        assert tab.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        page.keyboard.press("End")
        page.keyboard.press("ArrowRight")
        expect(tab).to_have_attribute("aria-selected", "true")
        page.keyboard.press("Tab")
        expect(page.get_by_label("Address of a video")).to_be_focused()
        page.keyboard.type("https://example.com/talk.mp4")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Save all")).to_be_visible()
        expect(page.get_by_role("button", name="Find moments")).to_be_focused()
        expect(page.get_by_role("status").first).to_have_text("Finished: 2 snippets, 0:06 together")
        reached = []
        while not reached or reached[-1] != "Moment 2 2:00":
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate("document.activeElement.innerText.split('\\n').slice(-2).join(' ').slice(0, 13)")
            )
            assert len(reached) < 30, reached
        page.keyboard.press("Enter")
        expect(page.locator("button.card").nth(1)).to_have_attribute("aria-current", "true")
        page.goto("about:blank")


def test_tabs_have_their_names_and_panels(page: Page) -> None:
    with Site() as site:
        page.goto(site.page())
        for tab in page.get_by_role("tab").all():
            tab.click()
            panel = page.locator(f"#{tab.get_attribute('aria-controls')}")
            expect(panel).to_be_visible()
            assert panel.get_attribute("aria-labelledby") == tab.get_attribute("id")
            expect(tab).to_have_attribute("tabindex", "0")
        assert page.get_by_role("tab", selected=False).get_attribute("tabindex") == "-1"
        page.go_back()
        expect(page.get_by_role("tab", name="Snippets")).to_have_attribute("aria-selected", "true")
        page.goto("about:blank")


def test_who_wants_no_movement_gets_none(new_page: Callable[..., Page]) -> None:
    page = new_page(reduced_motion="reduce")
    with Site(Wait()) as site:
        page.goto(site.page(VIDEO))
        expect(page.locator(".skeleton").first).to_be_visible()
        assert page.evaluate("document.getAnimations().length") == 0
        site.script[0].event.set()
        page.goto("about:blank")


def test_what_is_chosen_is_seen_in_forced_colours(new_page: Callable[..., Page], clip: bytes) -> None:
    page = new_page(forced_colors="active")
    waiting = Wait()
    with Site(progress(), snippet(1, clip), snippet(2, clip), waiting, complete()) as site:

        def style(what: str, name: str, pseudo: str | None = None) -> str:
            return page.evaluate(
                "([what, name, pseudo]) => getComputedStyle(document.querySelector(what), pseudo)[name]",
                [what, name, pseudo],
            )

        def edge(what: str) -> str:
            return style(what, "borderTopWidth")

        page.goto(site.page(VIDEO))
        expect(page.locator("button.card")).to_have_count(2)
        assert edge("[role=tab][aria-selected=true]") != edge("[role=tab][aria-selected=false]")
        assert edge(".card[aria-current]") != edge(".card:not([aria-current])")
        assert edge(".switch :checked + span") != edge(".switch :not(:checked) + span")
        assert style(".progress", "backgroundColor", "::before") != style(".progress", "backgroundColor")
        page.get_by_label("Address of a video").focus()
        assert style(".ask", "outlineStyle") == "solid"
        page.get_by_role("button", name="Stop").focus()
        page.locator("video").focus()
        assert style(".frame", "outlineStyle") == "solid"
        waiting.event.set()
        page.goto("about:blank")


def test_without_javascript_it_says_what_is_missing_first(new_page: Callable[..., Page]) -> None:
    page = new_page(java_script_enabled=False, viewport={"width": 390, "height": 700})
    with Site() as site:
        page.goto(site.page())
        word, heading = (
            page.locator("noscript p").bounding_box(),
            page.get_by_role("heading", level=1).bounding_box(),
        )
        assert word is not None and heading is not None
        assert word["y"] < heading["y"]


def test_saving_leaves_the_keyboard_where_it_is(page: Page, clip: bytes) -> None:
    with Site(snippet(1, clip), complete()) as site:
        page.goto(site.page(VIDEO))
        every = page.get_by_role("button", name="Save all")
        every.focus()
        with page.expect_download():
            page.keyboard.press("Enter")
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        expect(every).to_be_focused()
        page.goto("about:blank")
