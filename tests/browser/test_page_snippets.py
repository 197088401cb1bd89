"""The tab of snippets before the real server: cards come in, clips play and are saved, stopping stops."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from urllib.parse import quote

import av
import pytest
from playwright.sync_api import Page, expect

from processes import wait_until
from servers import Resource
from snippets.watch import Watched

COUNT_OBJECT_URLS = """
window.objectUrls = {made: 0, live: new Set()};
const make = URL.createObjectURL, revoke = URL.revokeObjectURL;
URL.createObjectURL = (blob) => { const url = make(blob); objectUrls.made++; objectUrls.live.add(url); return url; };
URL.revokeObjectURL = (url) => { objectUrls.live.delete(url); revoke(url); };
"""
BRIGHTNESS = """video => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 32, 32);
  return Math.max(...context.getImageData(0, 0, 32, 32).data.filter((_, n) => n % 4 < 3));
}"""

PLAYED = """video => new Promise((done) => {
  const look = () => video.currentTime > 0.3 && done();
  video.ontimeupdate = look;
  look();
})"""


@pytest.fixture
def video(server: Watched, sample: Path) -> str:
    server.settle()
    return server.origin.serve("sample.mp4", sample)


def ask(page: Page, server: Watched, video: str) -> None:
    page.goto(server.server.url("/"))
    page.get_by_label("Address of a video").fill(video)
    page.get_by_role("button", name="Find moments").click()


def finished(page: Page) -> None:
    expect(page.locator("#panel-snippets .results")).to_have_attribute("aria-busy", "false")
    expect(page.get_by_role("button", name="Save all")).to_be_visible()


def test_snippets_come_in_and_play(page: Page, forgetful: Watched, sample: Path) -> None:
    server = forgetful
    page.add_init_script(COUNT_OBJECT_URLS)
    ask(page, server, server.origin.serve("sample.mp4", sample))
    expect(page.get_by_role("progressbar")).to_be_visible()
    cards = page.locator("button.card")
    expect(cards.first).to_be_visible()
    finished(page)
    assert cards.count() >= 4
    ranges = [each.split(" ")[0] for each in page.locator(".card .range").all_inner_texts()]
    seconds = [60 * int(minutes) + int(rest) for minutes, rest in (each.split(":") for each in ranges)]
    assert seconds == sorted(seconds)
    for image in page.locator(".card img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    player = page.locator("video")
    for n in (2, 0, 3):
        cards.nth(n).click()
        player.evaluate(PLAYED)
        assert player.evaluate(BRIGHTNESS) > 40
        assert player.evaluate("video => video.error") is None
        expect(cards.nth(n)).to_have_attribute("aria-current", "true")
        title = cards.nth(n).locator(".name").inner_text()
        expect(page.get_by_role("region", name="Player").get_by_role("heading")).to_have_text(title)
    assert page.locator("[aria-current=true]").count() == 1
    made, live = page.evaluate("[objectUrls.made, objectUrls.live.size]")
    assert made >= 4
    assert live == 1, "only that of the clip in the player"
    page.goto(server.server.url("/#snippets"))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.evaluate("objectUrls.live.size") == 0


def test_one_is_saved_or_all(page: Page, server: Watched, video: str) -> None:
    page.goto(server.server.url(f"/#snippets?url={quote(video, '')}&max_snippets=3"))
    finished(page)
    assert page.locator("button.card").count() == 3
    with page.expect_download() as one:
        page.get_by_role("button", name="Save", exact=True).click()
    assert re.fullmatch(r"[\w ,'’-]+\.mp4", one.value.suggested_filename)
    with av.open(str(one.value.path())) as container:
        assert {stream.codec_context.name for stream in container.streams} == {"h264", "aac"}
    with page.expect_download() as every:
        page.get_by_role("button", name="Save all").click()
    archive = zipfile.ZipFile(io.BytesIO(Path(every.value.path()).read_bytes()))
    assert archive.testzip() is None
    *clips, about = archive.namelist()
    assert about == "snippets.json"
    known = json.loads(archive.read(about))
    assert [each["file"] for each in known] == clips
    assert len(set(clips)) == 3
    assert known[0]["start"] < known[1]["start"] < known[2]["start"]
    assert known[0]["src_video_url"] == video
    with av.open(io.BytesIO(archive.read(clips[2]))) as container:
        assert container.duration / av.time_base == pytest.approx(known[2]["end"] - known[2]["start"], abs=0.2)


def test_stop_ends_the_servers_work(page: Page, server: Watched, sample: Path) -> None:
    server.settle()
    slow = server.origin.serve("slow.mp4", Resource(sample, latency=0.3))
    ask(page, server, slow)
    server.origin.wait_for(lambda: len(server.origin.asked("slow.mp4")) > 2)
    page.get_by_role("button", name="Stop").click()
    wait_until(lambda: not server.left(), 3)
    expect(page.get_by_text("Stopped.", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Find moments")).to_be_visible()
    server.settle()


def test_leaving_the_page_ends_the_servers_work(page: Page, server: Watched, sample: Path) -> None:
    server.settle()
    ask(page, server, server.origin.serve("left.mp4", Resource(sample, latency=0.3)))
    server.origin.wait_for(lambda: len(server.origin.asked("left.mp4")) > 2)
    page.goto("about:blank")
    wait_until(lambda: not server.left(), 3)
    server.settle()


def test_errors_are_told_and_can_be_tried_again(page: Page, server: Watched, sample: Path) -> None:
    server.settle()
    ask(page, server, server.origin.url("later.mp4"))
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("404")
    expect(page.locator("button.card")).to_have_count(0)
    server.origin.serve("later.mp4", sample)
    alert.get_by_role("button", name="Try again").click()
    expect(page.locator("button.card").first).to_be_visible()
    expect(alert).to_have_count(0)
    finished(page)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.2:1/a.mp4", ""),
        ("http://u:secret@video.example/a.mp4", "password"),
        ("ftp://a.example/b", "http"),
        ("https://a.example/" + "b" * 9000, "8192 characters"),
    ],
)
def test_what_cannot_be_fetched_is_told(page: Page, server: Watched, address: str, words: str) -> None:
    ask(page, server, address)
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_options_are_asked_for_and_kept_in_the_address(page: Page, server: Watched, video: str) -> None:
    page.goto(server.server.url("/"))
    page.get_by_text("Options").click()
    page.get_by_label("At most").fill("2")
    page.locator("[name=max_seconds]").fill("9")
    page.get_by_label("Address of a video").fill(video)
    page.keyboard.press("Enter")
    finished(page)
    assert page.locator("button.card").count() <= 2
    for badge in page.locator(".card .badge").all_inner_texts():
        assert int(badge.split()[0]) <= 9
    assert "max_snippets=2&max_seconds=9" in page.url
    page.reload()
    expect(page.get_by_label("At most")).to_have_value("2")
    finished(page)


def test_an_address_without_a_scheme_is_a_web_address(page: Page, server: Watched) -> None:
    ask(page, server, "nowhere.invalid/talk.mp4")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Address of a video")).to_have_value("https://nowhere.invalid/talk.mp4")
