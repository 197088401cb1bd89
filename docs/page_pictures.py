"""The page's pictures for the README: ``python docs/page_pictures.py``.

What goes in are the sample video and the sample articles, in the real page in Chromium; what comes out are PNGs with
few colours in ``docs/images``. Look at them before they are committed.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright

import cutaway
from cutaway_server.sample import make_sample

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the origin of the video is the tests' own

from servers import Origin  # noqa: E402

FOLDER = ROOT / "docs" / "images"
MOST_BYTES = 150_000
_COLOURS = (256, 192, 128, 96, 64)
_QUESTION = "how does video compression work?"
_ADDRESS = "https://videos.example/simple-rules.mp4"
"""Shown instead of the address on this machine."""


def main() -> None:
    """Make all pictures."""
    program = os.environ.get("CUTAWAY_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as name, Origin() as origin, sync_playwright() as playwright:
        make_sample(Path(name) / "sample.mp4")
        video = origin.serve("sample.mp4", Path(name) / "sample.mp4")
        settings = {"allow_network": "127.0.0.0/8", "data_dir": name}
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        with cutaway.embedded(**settings) as server:
            page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
            page.goto(f"{server.url}/#snippets?url={quote(video, '')}")
            expect(page.get_by_role("button", name="Save all")).to_be_visible(timeout=60_000)
            page.get_by_label("Address of a video").fill(_ADDRESS)
            page.get_by_role("button", name="Mandelbrot").click()
            stopped_at(page.locator("video"), 7.0)
            keep(page, "page-snippets.png")
            page.set_viewport_size({"width": 1280, "height": 940})
            page.goto(f"{server.url}/#search?q={quote(_QUESTION)}")
            expect(page.locator("#panel-search .results")).to_have_attribute("aria-busy", "false")
            for image in page.locator("figure img").all():
                image.evaluate("image => image.decode()")
            keep(page, "page-search.png")
            page.close()
        browser.close()


def stopped_at(video: Locator, seconds: float) -> None:
    """Show one frame, without controls."""
    video.evaluate(
        """(video, seconds) => new Promise((resolve) => {
          video.pause();
          video.controls = false;
          video.addEventListener("seeked", () => requestAnimationFrame(() => requestAnimationFrame(resolve)));
          video.currentTime = seconds;
        })""",
        seconds,
    )


def keep(page: Page, name: str) -> None:
    """Save what the page shows, with as many colours as fit."""
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for colours in _COLOURS:
        small = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
        if small.tell() <= MOST_BYTES:
            break
    else:
        sys.exit(f"{name} cannot be made small: {small.tell()} bytes")
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / name).write_bytes(small.getvalue())
    print(f"{name}: {picture.width}x{picture.height}, {colours} colours, {small.tell():,} bytes")


if __name__ == "__main__":
    main()
