"""The notebooks in JupyterLab, used as a stranger uses them; the first one in Notebook 7, too."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from browser.lab import Lab, Notebook
from browser.views import button, cards_of, decoded, play, plays


def test_the_first_notebook_shows_a_gallery_that_plays_and_saves(
    lab: Lab, open_notebook: Callable[..., Notebook]
) -> None:
    notebook = open_notebook("01-snippets.ipynb")
    notebook.run_all()
    assert decoded(notebook.page.locator(".jp-MarkdownOutput img"))  # what to expect
    gallery = notebook.output(1)
    cards = cards_of(gallery)
    titles = [line.split(" s  ")[1] for line in notebook.output(2).inner_text().splitlines()]
    assert len(titles) >= 4
    expect(gallery.get_by_role("status").filter(has_text=re.compile(f"^{len(titles)} snippets$"))).to_be_visible()
    expect(button(gallery, "Stop")).to_be_hidden()
    assert min(decoded(cards.locator("img"))) >= 160
    assert [title.inner_text() for title in cards.locator(".cutaway-card-title").all()] == titles

    video = gallery.locator("video")
    button_of = cards.get_by_role("button", name=re.compile("^Play "))
    button_of.first.click()
    plays(video)
    assert not video.evaluate("video => video.currentSrc").startswith("data:")
    button_of.first.press("ArrowRight")
    expect(button_of.nth(1)).to_be_focused()
    button_of.nth(1).press("Enter")
    expect(video).to_have_attribute("aria-label", titles[1])
    video.evaluate("video => { video.controls = true }")
    plays(video)

    cards.nth(2).get_by_role("button", name=re.compile("^Save ")).click()
    expect(gallery.get_by_text("Saved: ")).to_be_in_viewport()
    expect(button(cards.nth(2), f"Saved “{titles[2]}”")).to_be_visible()
    button(gallery, "Save all").click()
    expect(gallery.get_by_text(f"Saved: {len(titles)} files")).to_be_visible()
    saved = list((lab.notebooks / "snippets").glob("*.mp4"))
    assert len(saved) == len(titles) + 1  # the third cell saved the first one
    assert all(path.read_bytes()[4:8] == b"ftyp" for path in saved)


def test_the_second_notebook_searches(open_notebook: Callable[..., Notebook], tmp_path: Path) -> None:
    notebook = open_notebook("02-search.ipynb")
    notebook.run_all()
    view = notebook.output(1)
    articles = view.get_by_role("region", name="Articles").get_by_role("listitem")
    expect(articles.first).to_contain_text("Space telescopes that see what eyes cannot")
    summary = view.get_by_role("region", name="Summary")
    expect(summary.get_by_role("link", name="1").first).to_have_attribute("href", re.compile("^https://"))
    images = view.get_by_role("region", name="Images").locator("img")
    expect(images.first).to_be_visible()
    assert min(decoded(images)) >= 256
    assert "1 Space telescopes that see" in notebook.output(2).inner_text()
    alone = notebook.output(3)
    expect(alone.get_by_role("region", name="Articles")).to_contain_text("What happens in a beehive in winter")
    expect(alone.get_by_role("searchbox")).to_have_count(0)

    view.get_by_role("searchbox").fill("bees in winter")
    view.get_by_role("searchbox").press("Enter")
    expect(articles.first).to_contain_text("What happens in a beehive in winter")
    expect(button(view, "Stop")).to_be_hidden()
    notebook.run(2)
    assert "1 What happens in a beehive in winter" in notebook.output(2).inner_text()

    (tmp_path / "broken.png").write_bytes(b"no image")
    view.locator("input[type=file]").set_input_files(tmp_path / "broken.png")
    expect(view.get_by_text("no image that can be read")).to_be_visible()
    expect(view.get_by_alt_text("The image to search for")).to_be_hidden()
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "teal.png")
    view.locator("input[type=file]").set_input_files(tmp_path / "teal.png")
    expect(view.get_by_alt_text("The image to search for")).to_be_visible()
    view.get_by_role("searchbox").fill("")
    view.get_by_text("Surprise me").click()
    button(view, "Search").click()
    expect(articles.first).not_to_contain_text("What happens in a beehive in winter")
    expect(articles.first).to_be_visible()


def test_the_third_notebook_needs_no_widgets(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook("03-from-scripts-and-async.ipynb")
    notebook.run_all()
    assert decoded(notebook.output(3).locator("img"))
    expect(notebook.page.locator(".jp-Notebook .cutaway")).to_have_count(0)


def test_notebook_7_shows_the_gallery(new_page: Callable[..., Page], sample: Path, tmp_path: Path) -> None:
    with Lab(tmp_path, sample, "notebook") as classic:
        notebook = Notebook(new_page(watched=False), classic, "01-snippets.ipynb")
        notebook.run_all()
        gallery = notebook.output(1)
        play(gallery)
        plays(gallery.locator("video"))
        notebook.page.close()
