"""The notebooks' pictures, for the README and for the notebooks themselves: ``python docs/notebook_pictures.py``.

What goes in are the notebooks, run in a real JupyterLab in Chromium; what comes out are PNGs with few colours, in
``docs/images`` the window and in ``notebooks/images`` what to expect of each notebook. Look at them before they are
committed.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pictures import ROOT, keep, launched, stopped_at
from playwright.sync_api import Browser, expect, sync_playwright

sys.path.insert(0, str(ROOT / "tests"))  # JupyterLab is the tests' own

from browser.lab import Lab, Notebook
from cutaway import sample_video

MOST_HEIGHT = 1040
WIDTH, HEIGHT = 1080, 2400


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launched(playwright.chromium)
        with Lab(Path(folder) / "lab", sample_video(Path(folder) / "sample.mp4")) as lab:
            with opened(browser, lab, "01-snippets.ipynb") as notebook:
                gallery = notebook.output(1)
                gallery.get_by_role("button", name=re.compile("^Play .*Simple rules")).click()
                stopped_at(gallery.locator("video"), 4.0)
                notebook.do("panel.content.activeCellIndex = panel.content.widgets.length - 1")
                keep(gallery.locator(".cutaway").screenshot(), "notebooks/images/snippets.png")
                keep(window(notebook, 1), "docs/images/notebook-snippets.png")
            with opened(browser, lab, "02-search.ipynb") as notebook:
                view = notebook.output(1)
                expect(view.get_by_role("region", name="Images").locator("img").first).to_be_visible()
                expect(view.locator("[aria-busy=true]")).to_have_count(0)
                keep(view.locator(".cutaway").screenshot(), "notebooks/images/search.png")
                keep(window(notebook, 1), "docs/images/notebook-search.png")
            with opened(browser, lab, "03-from-scripts-and-async.ipynb") as notebook:
                keep(together(notebook, 1, 2), "notebooks/images/scripts.png")
        browser.close()


@contextmanager
def opened(browser: Browser, lab: Lab, name: str) -> Iterator[Notebook]:
    """A notebook that has run, in a window that holds it whole, with nothing beside it."""
    notebook = Notebook(browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), lab, name)
    notebook.do("await app.commands.execute('application:toggle-left-area')")
    notebook.run_all()
    expect(notebook.page.get_by_role("button", name="Stop", exact=True).locator("visible=true")).to_have_count(0)
    yield notebook
    notebook.shut_down()
    notebook.page.close()


def window(notebook: Notebook, number: int) -> bytes:
    """The window, scrolled to a cell and as high as that cell, up to a limit."""
    page = notebook.page
    frame, cell = page.locator(".jp-WindowedPanel-outer").bounding_box(), notebook.cells.nth(number).bounding_box()
    assert frame is not None
    assert cell is not None
    around = HEIGHT - frame["height"]
    page.set_viewport_size({"width": WIDTH, "height": min(MOST_HEIGHT, round(around + cell["height"]))})
    notebook.cells.nth(number).evaluate("cell => cell.scrollIntoView({ block: 'start' })")
    return page.screenshot()


def together(notebook: Notebook, first: int, last: int) -> bytes:
    """Some cells, with the words between them."""
    top, bottom = (notebook.cells.nth(number).bounding_box() for number in (first, last))
    assert top is not None
    assert bottom is not None
    height = bottom["y"] + bottom["height"] - top["y"]
    return notebook.page.screenshot(clip={**top, "height": height})


if __name__ == "__main__":
    main()
