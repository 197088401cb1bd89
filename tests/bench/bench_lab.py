"""A gallery in JupyterLab, seen from the browser: how soon a card can be seen, and how long a cell waits meanwhile.

Run it: ``python tests/bench/bench_lab.py [--quick]``. A real JupyterLab in Chromium; an embedded server cuts the sample
video beside it on the same cores. The first figure runs from the arrival of the first snippet's frame in the SDK, not
yet decoded, until a frame with its card, poster decoded, has been painted: one clock, read in the kernel and in the
page. For the second the page runs cells that do nothing, one after the other, from a stream's start to its end: beside
a gallery, and in the same round beside a loop alone, for which the server cuts on the same cores. (Without a stream a
cell takes some 50 ms. Nearly all of them pass between the kernel's last word and the page, and are not ours.) What a
cell waits is the longest of a round less that; of the rounds the median counts. The kernel alone: bench_widgets.
Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from playwright.sync_api import sync_playwright
from report import Options, Row, main

sys.path.insert(0, str(Path(__file__).parents[1]))  # JupyterLab is the tests' own

from browser.lab import Lab, Notebook
from cutaway_server.sample import make_sample

RUNS = 6
MOST_CARD_MS = 300
MOST_WAIT_MS = 50
"""More than the same cells wait beside a loop over the same stream."""

_BEGIN = """
import threading, time
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
_FOLLOW = "loop = threading.Thread(target=stream.result); loop.start()"
_LOOP = f"stream = client.snippets(video); {_FOLLOW}"
_SHOW = f"arrived.clear(); stream = client.snippets(video); display(stream); {_FOLLOW}"
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
let runs = true;
while (count ? times.length < count : runs) {
  const begin = performance.now();
  const asked = { code: "None", store_history: false, user_expressions: count ? {} : { runs: "loop.is_alive()" } };
  const { content } = await kernel.requestExecute(asked).done;
  times.push(performance.now() - begin);
  runs = content.user_expressions.runs?.data["text/plain"] === "True";
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
            lab.write("bench.ipynb", _BEGIN, _SHOW, _FIRST, _LOOP)
            notebook = Notebook(browser.new_page(viewport={"width": 1280, "height": 900}), lab, "bench.ipynb")
            notebook.run(0)
            yield from _measured(notebook, options)
            browser.close()


def _measured(notebook: Notebook, options: Options) -> Iterator[Row]:
    cards, alone, looped, shown = [], [], [], []
    for _ in range(options.count(RUNS)):
        alone.append(notebook.do(_CELLS, count=40))
        notebook.run(3)
        looped.append(notebook.do(_CELLS, count=0))
        notebook.clear(1)
        notebook.page.evaluate(_WATCH)
        notebook.run(1)
        shown.append(notebook.do(_CELLS, count=0))
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
    typical = statistics.median(chain(*alone))
    yield Row(
        "JupyterLab: a cell while a gallery fills, p50",
        statistics.median(chain(*shown)),
        "ms",
        statistics.median(chain(*looped)),
        "a loop over the stream",
        note=f"{typical:.0f} without a stream; {sum(map(len, shown))} cells, cutting on the same cores",
    )
    longest, beside = ([max(times) - typical for times in rounds] for rounds in (shown, looped))
    told = (
        f"{max(longest):.0f} in the worst round, a loop {max(beside):.0f}, no stream {max(chain(*alone)) - typical:.0f}"
    )
    yield Row(
        "JupyterLab: a cell waits for a gallery, longest of a round, more than beside a loop",
        statistics.median(longest) - statistics.median(beside),
        "ms",
        most=MOST_WAIT_MS,
        note=f"{statistics.median(longest):.0f}, beside a loop {statistics.median(beside):.0f}; {told}",
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, in_lab))
