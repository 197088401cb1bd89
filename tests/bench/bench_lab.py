"""A gallery in JupyterLab, seen from the browser: how soon a card can be seen, and how long a cell waits meanwhile.

Run it: ``python tests/bench/bench_lab.py [--quick]``. A real JupyterLab in Chromium; an embedded server cuts the sample
video beside it on the same cores. The first figure runs from the arrival of the first snippet's frame in the SDK, not
yet decoded, until a frame with its card, poster decoded, has been painted: one clock, read in the kernel and in the
page. For the second the page runs cells that do nothing, one after the other, from the gallery's start to its end; the
same without a gallery is the baseline. (How long the kernel itself keeps a cell waiting is bench_widgets' figure; here
the server's work and the browser's are in it.) Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright
from report import Options, Row, main

sys.path.insert(0, str(Path(__file__).parents[1]))  # JupyterLab is the tests' own

from browser.lab import Lab, Notebook
from cutaway_server.sample import make_sample

RUNS = 8
MOST_CARD_MS = 300

_BEGIN = """
import time
import cutaway, cutaway.connection
server = cutaway.embedded()
client = cutaway.Client(server)
video = cutaway.sample_video()
arrived = []
decode = cutaway.connection._decode
def noted(frame, decoder):
    if len(frame) > 100_000:
        arrived.append(time.time() * 1e3)
    return decode(frame, decoder)
cutaway.connection._decode = noted
"""
_SHOW = "arrived.clear(); stream = client.snippets(video); stream"
_FIRST = "stream.result(); print(arrived[0])"

_WATCH = """() => {
window.seen = new Promise((resolve) => {
  const painted = () => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(Date.now());
    requestAnimationFrame(() => channel.port2.postMessage(0));
  };
  const observer = new MutationObserver(() => {
    const poster = document.querySelector(".cutaway-card img");
    if (!poster) return;
    observer.disconnect();
    poster.decode().then(painted);
  });
  observer.observe(document.body, { childList: true, subtree: true });
});
}"""
_CELLS = """
const kernel = panel.sessionContext.session.kernel;
const times = [];
const stop = [...document.querySelectorAll(".cutaway-buttons button")].find((each) => each.textContent === "Stop");
const until = count ? () => times.length < count : () => !stop.hidden;
while (until()) {
  const begin = performance.now();
  await kernel.requestExecute({ code: "None", store_history: false }).done;
  times.push(performance.now() - begin);
}
return times;
"""


def in_lab(options: Options) -> Iterator[Row]:
    """How soon a card is seen, and how long a cell waits."""
    program = os.environ.get("CUTAWAY_CHROMIUM") or shutil.which("chromium")
    if program is None:
        print("bench_lab: needs Chromium", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(dir=options.material) as name:
        sample = Path(name) / "sample.mp4"
        make_sample(sample)
        with sync_playwright() as playwright, Lab(Path(name), sample) as lab:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            lab.write("bench.ipynb", _BEGIN, _SHOW, _FIRST)
            notebook = Notebook(browser.new_page(viewport={"width": 1280, "height": 900}), lab, "bench.ipynb")
            notebook.run(0)
            yield from _measured(notebook, options)
            browser.close()


def _measured(notebook: Notebook, options: Options) -> Iterator[Row]:
    alone = notebook.do(_CELLS, count=300)
    cards, waits = [], []
    for _ in range(options.count(RUNS)):
        notebook.clear(1)
        notebook.page.evaluate(_WATCH)
        notebook.run(1)
        waits += notebook.do(_CELLS, count=0)
        seen = notebook.page.evaluate("window.seen")
        notebook.run(2)
        cards.append(seen - float(notebook.output(2).inner_text()))
    about = f"p50 {statistics.median(cards):.0f}; the first in a page {cards[0]:.0f}; {len(cards)} galleries"
    yield Row(
        "JupyterLab: first card seen after its frame reached the SDK, longest",
        max(cards),
        "ms",
        most=MOST_CARD_MS,
        note=about,
    )
    yield Row(
        "JupyterLab: a cell while a gallery fills, p50",
        statistics.median(waits),
        "ms",
        statistics.median(alone),
        "without a gallery",
        note=f"longest {max(waits):.0f}, without {max(alone):.0f}; {len(waits)} cells, cutting on the same cores",
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, in_lab))
