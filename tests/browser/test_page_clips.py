"""Clips that the server keeps: the page plays them by URL, and so does everybody who has been told it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Response, expect

from browser.test_page_snippets import BRIGHTNESS, COUNT_OBJECT_URLS, PLAYED, ask, finished
from processes import wait_until
from servers import Resource
from snippets.watch import Watched, running

PLAYED_NEAR_THE_END = """video => new Promise((done) => {
  video.ontimeupdate = () => video.currentTime > video.duration - 1 && done();
  video.currentTime = video.duration - 1.5;
})"""


@pytest.fixture
def video(server: Watched, sample: Path) -> str:
    server.settle()
    return server.origin.serve("sample.mp4", sample)


def test_a_kept_clip_is_played_by_its_url(page: Page, server: Watched, video: str) -> None:
    page.add_init_script(COUNT_OBJECT_URLS)
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer) if "/clips/" in answer.url else None)
    ask(page, server, video)
    finished(page)
    cards = page.locator("button.card")
    assert cards.count() >= 4
    assert not answers, "nothing is fetched twice before somebody wants to see it"
    player = page.locator("video")
    for n in (1, 0):
        cards.nth(n).click()
        player.evaluate(PLAYED)
        assert player.evaluate(BRIGHTNESS) > 40
        assert player.evaluate("video => video.currentSrc").startswith(server.server.url("/clips/"))
    player.evaluate(PLAYED_NEAR_THE_END)
    assert {answer.status for answer in answers} == {206}
    assert len({answer.url for answer in answers}) == 2
    assert page.evaluate("objectUrls.made") == 0


def test_a_clip_that_is_kept_no_longer_is_played_from_its_bytes(
    page: Page, sample: Path, tmp_path: Path, complaints: list[str]
) -> None:
    with running(tmp_path / "short", "--clip-minutes", "0.02") as server:
        ask(page, server, server.origin.serve("sample.mp4", sample))
        finished(page)
        wait_until(lambda: not server.clips(), 20)
        page.locator("button.card").nth(2).click()
        player = page.locator("video")
        player.evaluate(PLAYED)
        assert player.evaluate(BRIGHTNESS) > 40
        assert player.evaluate("video => video.currentSrc").startswith("blob:")
        expect(page.get_by_role("alert")).to_have_count(0)
        page.goto("about:blank")  # the server goes before the page does
    assert complaints
    assert all("404" in each for each in complaints)
    complaints.clear()


def test_a_clip_that_goes_while_it_plays_plays_on_from_there(
    page: Page, sample: Path, tmp_path: Path, complaints: list[str]
) -> None:
    with running(tmp_path / "gone") as server:
        video = quote(server.origin.serve("sample.mp4", sample), "")
        page.goto(server.server.url(f"/#snippets?url={video}&max_snippets=1&min_seconds=120&max_seconds=150"))
        finished(page)
        page.locator("button.card").click()
        player = page.locator("video")
        player.evaluate(PLAYED)
        assert player.evaluate("video => video.currentSrc").startswith(server.server.url("/clips/"))
        for name in server.clips():
            (server.work_dir / "clips" / name).unlink()
        player.evaluate("video => { video.currentTime = video.duration - 10; }")
        expect(player).to_have_attribute("src", re.compile("^blob:"))
        assert player.evaluate(
            """video => new Promise((done) => {
              video.ontimeupdate = () => video.currentTime > video.duration - 9.8 && done(!video.paused);
            })"""
        )
        page.goto("about:blank")  # the server goes before the page does
    assert complaints
    assert all("404" in each for each in complaints)
    complaints.clear()


def test_the_url_of_a_clip_can_be_opened_and_shown_elsewhere(page: Page, server: Watched, video: str) -> None:
    """As a page of its own, and in a page of another origin, which may not connect."""
    ask(page, server, video)
    finished(page)
    page.locator("button.card").first.click()
    url = page.locator("video").evaluate("video => video.currentSrc")
    page.goto(url)
    page.locator("video").evaluate("video => video.play()")
    page.locator("video").evaluate(PLAYED)
    blank = Resource(b"<!doctype html><link rel=icon href=data:,><video muted></video>", content_type="text/html")
    page.goto(server.origin.serve("elsewhere.html", blank))
    page.locator("video").evaluate("(video, url) => { video.src = url; return video.play(); }", url)
    page.locator("video").evaluate(PLAYED)
