"""What a running gallery costs a notebook: how soon a card is on its way to the browser, and how long cells wait.

Run it: ``python tests/bench/bench_widgets.py [--quick]``. A real kernel with a gallery, whose snippets a server in this
process sends one by one. The first figure runs from the frame's arrival in the SDK, not yet decoded, until the kernel
has handed the widget's message to its socket. For the second a running cell looks at the clock all the time: the
longest gap is how long it was kept from running. For the third, cells that do nothing run one after the other, and the
front end looks at its clock. The same without a gallery is the baseline. Of the longest waits the least of three rounds
counts, each with all snippets: what else goes on on a machine only adds. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from report import Options, Row, main

sys.path.insert(0, str(Path(__file__).parents[1]))  # the fake server and the kernel's client are the tests' own

from sdk.fake_server import URL, FakeServer, Wait, complete, snippet
from widgets.kernel import Kernel

SNIPPETS = 8
ROUNDS = 3
MEGABYTES = (1, 8)
PAUSE_SECONDS = 0.4
MOST_WAIT_MS = 50
MOST_CARD_MS = 100
"""Of the 300 that a card may take until it is seen; the rest is the browser's."""

_BEGIN = """
import time, cutaway, cutaway.connection
from cutaway.widgets import SnippetGallery
from ipykernel.comm.comm import BaseComm
client = cutaway.Client({url!r})
arrived, left = [], []
decode, publish = cutaway.connection._decode, BaseComm.publish_msg
def noted(frame, decoder):
    if len(frame) > 500_000:
        arrived.append(time.perf_counter())
    return decode(frame, decoder)
def published(self, msg_type, data=None, *rest, **named):
    publish(self, msg_type, data, *rest, **named)
    if data and "count" in data.get("state", ()):
        left.append(time.perf_counter())
cutaway.connection._decode, BaseComm.publish_msg = noted, published
"""
_SHOW = f"left.clear(); arrived.clear(); gallery = SnippetGallery({URL!r}, client=client)"
# The first message opens the widget, the last repeats its state for who waited.
_LATER = "print([1e3 * (b - a) for a, b in zip(arrived, left[1:-1], strict=True)], len(arrived))"
_WATCH = """
longest, until, last = 0, time.perf_counter() + {seconds}, time.perf_counter()
while last < until:
    now = time.perf_counter()
    longest, last = max(longest, now - last), now
print(1e3 * longest)
"""


def _release(waits: Iterable[Wait]) -> threading.Thread:
    def release() -> None:
        for wait in waits:
            wait.event.set()
            time.sleep(PAUSE_SECONDS)

    thread = threading.Thread(target=release)
    thread.start()
    return thread


def _empty_cells(kernel: Kernel, seconds: float) -> list[float]:
    """Milliseconds of cells that do nothing, as the front end sees them."""
    until, times = time.monotonic() + seconds, []
    while time.monotonic() < until:
        times.append(1e3 * kernel.run("pass").seconds)
    return times


def _gallery(size_mb: int, kernel_folder: str, given: Options) -> Iterator[Row]:
    count, seconds = given.count(SNIPPETS), given.count(SNIPPETS) * PAUSE_SECONDS
    about = f"snippets of {size_mb} MB"
    cards: list[float] = []

    def script() -> list[Wait]:
        waits = [Wait() for _ in range(count)]
        messages = [snippet(number, size_bytes=size_mb * 1_000_000) for number in range(1, count + 1)]
        server.script = (*(step for pair in zip(waits, messages, strict=True) for step in pair), complete())
        return waits

    with FakeServer() as server:
        kernel = Kernel(kernel_folder)
        try:
            kernel.run(_BEGIN.format(url=server.url))
            alone, idle, longest, busy = [], [], [], []
            for _ in range(ROUNDS):
                alone.append(float(kernel.run(_WATCH.format(seconds=seconds)).text))
                idle.append(_empty_cells(kernel, seconds))

                waits = script()
                kernel.run(_SHOW)
                releasing = _release(waits)
                longest.append(float(kernel.run(_WATCH.format(seconds=seconds)).text))
                releasing.join()
                cards += _times(kernel, count)

                waits = script()
                kernel.run(_SHOW)
                releasing = _release(waits)
                busy.append(_empty_cells(kernel, seconds))
                releasing.join()
                cards += _times(kernel, count)
        finally:
            kernel.close()
    yield Row(f"{about}: frame in the SDK to card on its way, p50", statistics.median(cards), "ms", most=MOST_CARD_MS)
    yield Row(f"{about}: the same, slowest", max(cards), "ms", note="half of them beside a cell that takes all it can")
    wait, alone_wait = min(longest), min(alone)
    yield Row(f"{about}: a running cell is kept waiting, at most", wait, "ms", alone_wait, "alone", most=MOST_WAIT_MS)
    typical = statistics.median(itertools.chain(*idle))
    yield Row(f"{about}: an empty cell, p50", statistics.median(itertools.chain(*busy)), "ms", typical, "alone")
    wait, alone_wait = (min(map(max, times)) - typical for times in (busy, idle))
    note = f"{len(busy[0])} cells in a round"
    name = f"{about}: an empty cell waits, at most"
    yield Row(name, wait, "ms", alone_wait, "alone", most=MOST_WAIT_MS, note=note)


def _times(kernel: Kernel, count: int) -> list[float]:
    kernel.run("gallery.wait()")
    times, arrived = kernel.run(_LATER).text.rsplit(" ", 1)
    assert int(arrived) == count, "every snippet was seen to arrive"
    found: list[float] = json.loads(times)
    return found


def widgets(given: Options) -> Iterator[Row]:
    """Both sizes."""
    with tempfile.TemporaryDirectory() as folder:
        for size_mb in MEGABYTES:
            yield from _gallery(size_mb, folder, given)


if __name__ == "__main__":
    sys.exit(main(__doc__, widgets))
