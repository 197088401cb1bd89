"""The page in a browser: what it weighs, how soon a card can be seen, and the memory of a tab that holds many clips.

Run it: ``python tests/bench/bench_page.py [--quick] [--material DIR]``. The real server cuts eight snippets of 20 s out
of ten minutes of 1080p for the real page in Chromium, which then plays each. The memory is that of all renderer
processes (proportional set size), after all clips have been received and played. A card's time runs from the moment at
which its message is in the page, not yet parsed, until a frame with its poster has been painted. Exits with 1 when a
goal is missed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import material
from origin import Origin
from playwright.sync_api import Browser, Page, expect, sync_playwright
from report import Options, Row, main
from running import Cutaway

import cutaway_server

WEB = Path(cutaway_server.__file__).parent / "web"
SNIPPETS, SECONDS = 8, 20
RUNS = 6
_PATIENCE_MS = 120_000

_WATCH = """
const made = URL.createObjectURL, revoked = URL.revokeObjectURL;
window.objectUrls = new Set();
URL.createObjectURL = (blob) => { const url = made(blob); objectUrls.add(url); return url; };
URL.revokeObjectURL = (url) => { objectUrls.delete(url); revoked(url); };
let arrived;
window.WebSocket = class extends WebSocket {
  constructor(...all) {
    super(...all);
    this.addEventListener("message", ({ data }) => { if (data.length > 1e5) arrived ??= performance.now(); });
  }
};
window.firstCard = new Promise((resolve) => {
  const painted = () => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(performance.now() - arrived);
    requestAnimationFrame(() => channel.port2.postMessage(0));
  };
  new MutationObserver((_, observer) => {
    const poster = document.querySelector("button.card img");
    if (!poster) return;
    observer.disconnect();
    poster.decode().then(painted);
  }).observe(document, { childList: true, subtree: true });
});
"""
_PLAYED = """(video) => new Promise((done) => {
  video.playbackRate = 8;
  video.muted = true;
  video.onended = done;
  video.play();
})"""


def in_page(options: Options) -> Iterator[Row]:
    """Weight, first card, memory."""
    files = [path for path in WEB.iterdir() if path.suffix in (".html", ".css", ".js")]
    weight = sum(path.stat().st_size for path in files) / 1e3
    yield Row("page: its own HTML, CSS and JS", weight, "kB", most=60, note=f"{len(files)} files, not packed")
    program = os.environ.get("CUTAWAY_CHROMIUM") or shutil.which("chromium")
    if program is None:
        print("no Chromium: the page is not measured", file=sys.stderr)
        return
    path = material.long(options.material, "gop2", 10)
    with Origin(options.material) as origin, Cutaway() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        asked = f"url={quote(origin.url(path.name), '')}&min_seconds={SECONDS}&max_seconds={SECONDS}"
        address = f"http://127.0.0.1:{server.port}/#snippets?{asked}&max_snippets="
        first = []
        for _ in range(options.count(RUNS)):
            page = opened(browser, f"{address}1")
            first.append(float(page.evaluate("firstCard")))
            page.context.close()
        yield Row(
            "page: a card is painted after its message has arrived, median",
            statistics.median(first),
            "ms",
            most=300,
            note=f"of {len(first)}; worst {max(first):.0f}",
        )
        page = opened(browser, f"{address}{SNIPPETS}")
        received = tab_megabytes(browser)
        cards = page.locator("button.card")
        number = cards.count()
        for card in cards.all():
            card.click()
            page.locator("video").evaluate(_PLAYED)
        yield Row(
            f"page: memory of the tab, {number} snippets of {SECONDS} s of 1080p received and played",
            tab_megabytes(browser),
            "MB",
            most=300,
            note=f"received, not yet played: {received:.0f}",
        )
        yield Row("page: object URLs alive after that", page.evaluate("objectUrls.size"), "", most=1)
        browser.close()


def opened(browser: Browser, address: str) -> Page:
    """A page whose snippets have all come."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(_PATIENCE_MS)
    page.add_init_script(_WATCH)
    page.goto(address)
    expect(page.get_by_role("button", name="Save all")).to_be_visible(timeout=_PATIENCE_MS)
    return page


def tab_megabytes(browser: Browser) -> float:
    """Memory of all renderer processes; one of them is an empty spare."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    renderers = [Path(f"/proc/{each['id']}/smaps_rollup") for each in processes if each["type"] == "renderer"]
    lines = [line for path in renderers for line in path.read_text().splitlines() if line.startswith("Pss:")]
    return sum(int(line.split()[1]) for line in lines) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main(__doc__, in_page))
