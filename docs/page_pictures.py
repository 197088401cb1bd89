"""The page's pictures for the README: ``python docs/page_pictures.py``.

What goes in are the sample video and the sample articles, in the real page in Chromium; what comes out are PNGs with
few colours in ``docs/images``. Look at them before they are committed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from pictures import ROOT, keep, launched, stopped_at
from playwright.sync_api import Page, expect, sync_playwright

import cutaway
from cutaway_server.sample import make_sample

sys.path.insert(0, str(ROOT / "tests"))  # the origin of the video is the tests' own

from servers import Origin

_QUESTION = "how do machines learn?"
_ADDRESS = "https://videos.example/simple-rules.mp4"
"""Shown instead of the address on this machine."""


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as name, Origin() as origin, sync_playwright() as playwright:
        make_sample(Path(name) / "sample.mp4")
        video = origin.serve("sample.mp4", Path(name) / "sample.mp4")
        settings = {"allow_network": "127.0.0.0/8", "data_dir": name}
        browser = launched(playwright.chromium)
        with cutaway.embedded(**settings) as server:
            page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
            page.goto(f"{server.url}/#snippets?url={quote(video, '')}")
            expect(page.get_by_role("button", name="Save all")).to_be_visible(timeout=60_000)
            page.get_by_label("Address of a video").fill(_ADDRESS)
            page.get_by_role("button", name="Mandelbrot").click()
            stopped_at(page.locator("video"), 7.0)
            keep(shown(page), "docs/images/page-snippets.png")
            page.set_viewport_size({"width": 1280, "height": 940})
            page.goto(f"{server.url}/#search?q={quote(_QUESTION)}")
            expect(page.locator("#panel-search .results")).to_have_attribute("aria-busy", "false")
            for image in page.locator("figure img").all():
                image.evaluate("image => image.decode()")
            keep(shown(page), "docs/images/page-search.png")
            page.close()
        browser.close()


def shown(page: Page) -> bytes:
    """What the page shows, with the mouse and the keyboard elsewhere."""
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    return page.screenshot()


if __name__ == "__main__":
    main()
