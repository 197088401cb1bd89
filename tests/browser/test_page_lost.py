"""A server that goes away and comes back: told in words, found again, and what was lost can be asked for again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.site import Site, snippet
from processes import ServerProcess
from sdk.fake_search import ANSWER, batch
from sdk.fake_server import Abort, Hang, Wait, complete

VIDEO = "snippets?url=https://example.com/talk.mp4"


@pytest.fixture(autouse=True)
def expected(complaints: list[str]) -> Iterator[None]:
    """The browser itself tells of each connection that fails."""
    yield
    assert all("ERR_" in each or "WebSocket" in each for each in complaints), complaints
    complaints.clear()


def banner(page: Page) -> Locator:
    return page.get_by_text("The server does not answer.")


def test_a_server_that_comes_back_is_found_again(page: Page, start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    page.goto(server.url("/"))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(banner(page)).to_be_hidden()
    server.stop()
    expect(banner(page)).to_be_visible()
    page.get_by_label("Address of a video").fill("https://example.com/a.mp4")
    page.get_by_role("button", name="Find moments").click()
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    start_server("--port", str(server.port))
    expect(banner(page)).to_be_hidden()
    page.get_by_role("tab", name="Search").click()
    page.get_by_role("link", name="Space telescopes").click()
    expect(page.locator("li.article").first).to_be_visible()


def test_try_now_does_not_wait(page: Page, start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    page.clock.install(time=datetime(2030, 1, 1, tzinfo=UTC))
    page.goto(server.url("/"))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.clock.pause_at(datetime(2030, 1, 2, tzinfo=UTC))  # nothing happens by itself
    server.stop()
    expect(banner(page)).to_be_visible()
    start_server("--port", str(server.port))
    expect(banner(page)).to_be_visible()
    page.get_by_role("button", name="Try now").click()
    expect(banner(page)).to_be_hidden()


def test_a_lost_request_keeps_what_came_and_can_be_run_again(page: Page, clip: bytes) -> None:
    with Site(snippet(1, clip), Abort()) as site:
        page.goto(site.page(VIDEO))
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("The connection to the server was lost before the end.")
        expect(page.locator("button.card")).to_have_count(1)
        site.script = (snippet(1, clip), snippet(2, clip), complete())
        alert.get_by_role("button", name="Try again").click()
        expect(page.locator("button.card")).to_have_count(2)
        expect(alert).to_have_count(0)
        assert [each["video_url"] for each in site.queries if each] == ["https://example.com/talk.mp4"] * 2
        page.goto("about:blank")


def test_a_lost_search_keeps_what_came_and_can_be_run_again(page: Page) -> None:
    page.route("https://www.example.com/**", lambda route: route.abort())
    page.route("**/generated/**", lambda route: route.abort())
    with Site(answers=[[batch(1), Abort()], ANSWER]) as site:
        page.goto(site.page("search?q=comets&source=home"))
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("was lost before the end")
        expect(page.locator("li.article")).to_have_count(1)
        expect(page.locator(".skeleton")).to_have_count(0)
        alert.get_by_role("button", name="Try again").click()
        expect(page.locator("li.article")).to_have_count(3)
        assert [each.text for each in site.requests] == ["comets", "comets"]
        page.goto("about:blank")


def test_a_search_that_is_stopped_closes_its_connection(page: Page) -> None:
    page.route("https://www.example.com/**", lambda route: route.abort())
    with Site(answers=[[batch(1), Hang()]]) as site:
        page.goto(site.page("search?q=comets&source=home"))
        expect(page.locator("li.article")).to_have_count(1)
        assert not site.left.is_set()
        page.get_by_role("button", name="Stop").click()
        assert site.left.wait(3)
        expect(page.get_by_text("Stopped.")).to_be_visible()
        expect(page.get_by_role("button", name="Search", exact=True)).to_be_visible()
        page.goto("about:blank")


def test_another_search_takes_the_place_of_a_running_one(page: Page) -> None:
    page.route("https://www.example.com/**", lambda route: route.abort())
    with Site(answers=[[batch(1), Hang()], [batch(2, 3), *ANSWER[-1:]]]) as site:
        page.goto(site.page("search?q=comets&source=home"))
        expect(page.locator("li.article")).to_have_count(1)
        page.get_by_label("Question").fill("stars")
        page.keyboard.press("Enter")
        expect(page.locator("li.article")).to_have_count(2)
        assert site.left.wait(3)
        assert [each.text for each in site.requests] == ["comets", "stars"]
        page.goto("about:blank")


def test_a_late_failure_does_not_hide_that_the_server_is_there(page: Page) -> None:
    page.add_init_script(
        """const Real = WebSocket, late = (window.late = { readyState: 0 });
        window.WebSocket = function (url) {
          window.WebSocket = Real;
          return late;
        };"""
    )
    page.route("https://www.example.com/**", lambda route: route.abort())
    page.route("**/generated/**", lambda route: route.abort())
    with Site(answers=[ANSWER]) as site:
        page.goto(site.page())
        page.goto(site.page("search?q=comets"))
        expect(page.locator("li.article")).to_have_count(3)
        page.evaluate("late.onclose()")
        expect(banner(page)).to_be_visible()
        expect(banner(page)).to_be_hidden()
        page.goto("about:blank")


def test_the_keyboard_stays_where_it_tried_again(page: Page, clip: bytes) -> None:
    waiting = Wait()
    with Site(Abort()) as site:
        page.goto(site.page(VIDEO))
        again = page.get_by_role("alert").get_by_role("button", name="Try again")
        again.focus()
        site.script = (snippet(1, clip), waiting, complete())
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Stop")).to_be_focused()
        waiting.event.set()
        expect(page.get_by_role("button", name="Find moments")).to_be_focused()
        site.script = (snippet(1, clip), later := Wait(), complete())
        page.keyboard.press("Enter")
        card = page.locator("button.card")
        card.focus()
        later.event.set()
        expect(page.get_by_role("button", name="Save all")).to_be_visible()
        expect(card).to_be_focused()
        page.goto("about:blank")
