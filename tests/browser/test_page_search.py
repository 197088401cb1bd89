"""The tab of searches before the real server: all parts fill, one search after the other, with words and pictures."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from playwright.sync_api import Page, expect

from snippets.watch import Watched


def png(words: str = "", size: tuple[int, int] = (64, 48)) -> bytes:
    """A picture that carries words."""
    about = PngImagePlugin.PngInfo()
    about.add_text("Description", words)
    made = io.BytesIO()
    Image.new("RGB", size, "teal").save(made, "PNG", pnginfo=about)
    return made.getvalue()


def ask(page: Page, words: str) -> None:
    page.get_by_label("Question").fill(words)
    page.keyboard.press("Enter")
    expect(page).to_have_title(f"{words.strip()} · Cutaway")
    answered(page)


def answered(page: Page) -> None:
    expect(page.locator("#panel-search .results")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#panel-search .skeleton")).to_have_count(0)


@pytest.fixture
def search(page: Page, library: Watched) -> Page:
    page.goto(library.server.url("/"))
    page.get_by_role("tab", name="Search").click()
    return page


def test_all_three_parts_fill(search: Page) -> None:
    ask(search, "how do bees find flowers?")
    summary = search.get_by_role("region", name="Summary")
    expect(summary).to_contain_text("bee")
    articles = search.get_by_role("region", name="Articles").locator("li.article")
    assert articles.count() == 8
    first = articles.first
    expect(first.get_by_role("heading")).to_have_text("The dance that tells bees where the flowers are")
    link = first.get_by_role("link")
    assert link.get_attribute("href") == "https://en.wikipedia.org/wiki/Waggle_dance"
    assert link.get_attribute("rel") == "noopener noreferrer"
    assert link.get_attribute("target") == "_blank"
    expect(first).to_contain_text("Almanac: Nature · ")
    expect(first.locator("time")).to_have_attribute("datetime", "2026-03-02T08:00:00Z")
    expect(first.get_by_title("likes")).to_be_visible()
    expect(first.get_by_title("comments")).to_be_visible()
    images = search.get_by_role("region", name="Images").get_by_role("img")
    assert images.count() >= 1
    for image in images.all():
        assert image.get_attribute("alt")
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    expect(search.get_by_text("not a generated picture")).to_be_visible()
    expect(search.locator("#said")).to_have_text("Finished: 8 articles, 3 images")


def test_marks_lead_to_their_articles(search: Page) -> None:
    ask(search, "space telescopes")
    mark = search.get_by_role("region", name="Summary").get_by_role("button").first
    number = int(mark.inner_text())
    mark.focus()
    search.keyboard.press("Enter")
    card = search.locator("li.article").nth(number - 1)
    expect(card).to_be_focused()
    assert card.get_by_role("heading").inner_text() == mark.get_attribute("title")
    expect(card).to_be_in_viewport()


def test_searches_in_a_row_and_back_again(search: Page, library: Watched) -> None:
    first = search.locator("li.article h3").first
    ask(search, "coffee")
    coffee = first.inner_text()
    ask(search, "bicycle")
    bicycle = first.inner_text()
    assert coffee != bicycle
    assert search.url == library.server.url("/#search?q=bicycle&source=home")
    search.go_back()
    expect(first).to_have_text(coffee)
    expect(search.get_by_label("Question")).to_have_value("coffee")
    search.go_back()
    expect(search.get_by_role("heading", level=1)).to_have_text("Ask once. Follow the sources.")
    search.go_forward()
    search.go_forward()
    expect(first).to_have_text(bicycle)
    assert search.title() == "bicycle · Cutaway"


def test_a_link_searches(page: Page, library: Watched) -> None:
    page.goto(library.server.url("/#search?q=how+do+bees+find+flowers%3F&source=stumber"))
    answered(page)
    expect(page.get_by_role("tab", name="Search")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("radio", name="Surprise me")).to_be_checked()
    assert page.locator("li.article").count() >= 1
    titles = page.locator("li.article h3").all_inner_texts()
    for _ in range(5):
        page.get_by_role("button", name="Search", exact=True).click()
        answered(page)
        if page.locator("li.article h3").all_inner_texts() != titles:
            break
    else:
        pytest.fail("six times the same")
    page.get_by_text("Best match").click()
    answered(page)
    assert "source=home" in page.url


def test_without_words_it_is_the_front_page(search: Page) -> None:
    search.get_by_role("link", name="The front page").click()
    answered(search)
    assert search.locator("li.article").count() >= 8


def test_nothing_found_is_told(search: Page) -> None:
    ask(search, "qwxzvkj")
    expect(search.get_by_text("No article matches.")).to_be_visible()


@pytest.mark.parametrize("how", ["choose", "drop", "paste"])
def test_a_pictures_words_are_searched_for(search: Page, how: str, tmp_path: Path) -> None:
    data = png("Espresso and coffee")
    if how == "choose":
        file = tmp_path / "cup.png"
        file.write_bytes(data)
        with search.expect_file_chooser() as chooser:
            search.get_by_role("button", name="Search with a picture").click()
        chooser.value.set_files(file)
    else:
        assert how == "paste" or put(search, "dragover", "#q", data)
        assert put(search, how, "#q", data)
    expect(search.get_by_text("cup.png", exact=True)).to_be_visible()
    search.get_by_role("button", name="Search", exact=True).click()
    answered(search)
    expect(search.locator("li.article h3").first).to_contain_text("Espresso")
    search.get_by_role("button", name="Remove the picture").click()
    expect(search.get_by_text("cup.png", exact=True)).to_have_count(0)


def test_a_picture_that_is_too_large_is_made_smaller(search: Page, tmp_path: Path) -> None:
    file = tmp_path / "wide.bmp"
    Image.new("RGB", (3000, 1500), "orange").save(file)
    search.locator("input[type=file]").set_input_files(file)
    expect(search.get_by_text("wide.bmp (made smaller)", exact=True)).to_be_visible()
    ask(search, "bees")
    expect(search.get_by_role("alert")).to_have_count(0)
    assert search.locator("li.article").count() >= 1


def test_what_is_no_picture_is_refused(search: Page, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"\x89PNG but no more")
    search.locator("input[type=file]").set_input_files(file)
    expect(search.get_by_role("alert")).to_contain_text("a.png is not a picture that this browser can read")


def test_a_fault_of_the_request_is_told(search: Page) -> None:
    ask(search, "bee " * 3000)
    expect(search.get_by_role("alert")).to_contain_text("at most 10,000")
    ask(search, "bees")
    assert search.locator("li.article").count() >= 1


def put(page: Page, how: str, where: str, data: bytes | None = None, **texts: str) -> bool:
    """Paste or drop a picture, and texts beside it; whether the page took it."""
    return page.evaluate(
        """([how, where, bytes, texts]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "cup.png", {type: "image/png"}));
          for (const [type, text] of Object.entries(texts)) transfer.setData(type, text);
          const about = {bubbles: true, cancelable: true, dataTransfer: transfer, clipboardData: transfer};
          const event = how === "paste" ? new ClipboardEvent(how, about) : new DragEvent(how, about);
          return !document.querySelector(where).dispatchEvent(event);
        }""",
        [how, where, list(data or png()), texts],
    )


def test_copied_words_are_pasted_as_words(search: Page) -> None:
    assert not put(search, "paste", "#q", text="a cell of a table")
    assert put(search, "paste", "#q")
    expect(search.locator(".picture")).to_have_text("cup.png")


def test_a_picture_dropped_beside_the_search_does_not_leave_the_page(search: Page) -> None:
    assert put(search, "dragover", "header")
    assert put(search, "drop", "header")
    expect(search.locator(".picture")).to_have_text("cup.png")
    search.get_by_role("button", name="Remove the picture").click()
    search.get_by_role("tab", name="Snippets").click()
    assert put(search, "dragover", "#panel-snippets")
    assert put(search, "drop", "#panel-snippets")
    search.get_by_role("tab", name="Search").click()
    expect(search.locator(".picture")).to_have_count(0)


def test_a_picture_is_shown_with_its_answers_only(search: Page, tmp_path: Path) -> None:
    picture = search.locator(".picture")
    (tmp_path / "cup.png").write_bytes(png("Espresso and coffee"))
    search.locator("input[type=file]").set_input_files(tmp_path / "cup.png")
    expect(picture).to_be_visible()
    search.get_by_role("button", name="Search", exact=True).click()
    expect(search.locator("li.article h3").first).to_contain_text("Espresso")
    expect(picture).to_be_visible()
    search.goto(search.url.partition("#")[0] + "#search?q=bees")
    expect(search).to_have_title("bees · Cutaway")
    expect(picture).to_be_hidden()
    ask(search, "bicycle")
    assert "picture" not in search.url
    search.go_back()
    search.go_back()
    expect(picture).to_be_visible()
    ask(search, "coffee cups")
    assert "picture=1" in search.url


@pytest.mark.parametrize("number", ["1", "undefined", "NaN", ""])
def test_a_link_with_a_picture_that_is_gone(page: Page, library: Watched, number: str) -> None:
    page.goto(library.server.url(f"/#search?q=bees&picture={number}"))
    expect(page.get_by_role("alert")).to_contain_text("is not here any more")
    answered(page)
    assert page.locator("li.article").count() >= 1


def test_long_words_are_not_cut_short(search: Page) -> None:
    box = search.get_by_label("Question")
    box.focus()
    search.keyboard.insert_text("bees " * 2500)
    assert len(box.input_value()) == 12_500
