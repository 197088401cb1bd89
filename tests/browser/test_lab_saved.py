"""Notebooks that are saved in JupyterLab, and opened again."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from browser.lab import Notebook
from browser.views import CLIENT, STREAM, cards_of, decoded, of_film, play, plays, with_words
from sdk.fake_server import FakeServer, complete, snippet


@pytest.fixture
def eight() -> Iterator[FakeServer]:
    """A server of eight snippets, with posters as large as a server may make them."""
    poster = io.BytesIO()
    Image.effect_noise((320, 180), 60).save(poster, "JPEG", quality=38)
    assert 15_000 < len(poster.getvalue()) <= 20_000
    messages = [with_words(snippet(number, size_bytes=1_000_000), poster=poster.getvalue()) for number in range(1, 9)]
    with FakeServer(*messages, complete()) as server:
        yield server


def test_a_saved_notebook_says_how_to_run_again(open_notebook: Callable[..., Notebook], eight: FakeServer) -> None:
    notebook = open_notebook("saved.ipynb", f"{CLIENT.format(url=eight.url)}\n{STREAM}")
    notebook.run(0)
    expect(cards_of(notebook.output(0))).to_have_count(8)
    again = notebook.cells.nth(0).get_by_text("Run the cell again")
    expect(again).to_be_hidden()
    assert notebook.save() < 10_000
    # The kernel lives: the gallery is there again.
    notebook.open()
    expect(cards_of(notebook.output(0))).to_have_count(8)
    expect(again).to_be_hidden()
    # Tomorrow.
    notebook.shut_down()
    notebook.open()
    expect(again).to_be_visible()
    notebook.run(0)
    expect(cards_of(notebook.output(0))).to_have_count(8)
    expect(again).to_be_hidden()


KEEP_WIDGETS = "@jupyter-widgets/jupyterlab-manager:saveWidgetState"
"""In the menu: Settings, Save Widget State Automatically."""


@contextmanager
def kept_widgets(notebook: Notebook) -> Iterator[None]:
    """Save Widget State Automatically."""

    def toggle(wanted: bool) -> None:
        notebook.do("await app.commands.execute(name)", name=KEEP_WIDGETS)
        notebook.page.wait_for_function(
            "([name, wanted]) => window.jupyterapp.commands.isToggled(name) === wanted", arg=[KEEP_WIDGETS, wanted]
        )

    toggle(True)
    yield
    toggle(False)


def test_a_notebook_that_keeps_its_widgets_is_small_and_shows_them(
    open_notebook: Callable[..., Notebook], eight: FakeServer
) -> None:
    notebook = open_notebook("kept.ipynb", f"{CLIENT.format(url=eight.url)}\n{STREAM}")
    notebook.run(0)
    expect(cards_of(notebook.output(0))).to_have_count(8)
    with kept_widgets(notebook):
        assert 8 * 20_000 < notebook.save() < 500_000
    notebook.shut_down()
    notebook.open()
    gallery = notebook.output(0)
    expect(cards_of(gallery)).to_have_count(8)
    decoded(cards_of(gallery).locator("img"))
    play(gallery)
    expect(gallery.get_by_text("The kernel does not answer")).to_be_visible()


def test_embedded_videos_play_without_a_kernel(open_notebook: Callable[..., Notebook], film: Path) -> None:
    with FakeServer(of_film(film), complete()) as server:
        notebook = open_notebook(
            "embedded.ipynb",
            f"{CLIENT.format(url=server.url)}\nfrom cutaway.widgets import SnippetGallery\n"
            f"SnippetGallery({STREAM}, embed=True)",
        )
        notebook.run(0)
        expect(cards_of(notebook.output(0))).to_have_count(1)
    with kept_widgets(notebook):
        notebook.save()
    notebook.shut_down()
    notebook.open()
    play(notebook.output(0))
    plays(notebook.output(0).locator("video"))
