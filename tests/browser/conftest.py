"""A real browser for tests: Debian's Chromium, driven by Playwright. What comes in is the program that is found on this
machine; what goes out are pages that tell on what went wrong in them.

Playwright's sync API keeps an event loop running in the main thread for as long as it is open. So it is open for the
tests of this folder only, and they run servers in threads or processes of their own, never on a loop of the test's.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

from browser.lab import Lab, Notebook
from browser.site import make_clip
from processes import alive, wait_until
from snippets.film import ffmpeg
from snippets.watch import Watched, running

PATIENCE_SECONDS = 30.0
"""How long a test waits for what must come: for failures only."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser: ``CUTAWAY_CHROMIUM``, or the program ``chromium``; one for all tests of the folder."""
    program = os.environ.get("CUTAWAY_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium, or CUTAWAY_CHROMIUM=/path/of/the/program")
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    # Its sandbox needs rights that neither root nor a container has; only our own pages are opened.
    options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What pages complained of: uncaught errors, and errors in the console, such as violations of a page's
    Content-Security-Policy. The test fails for each that it has not taken out.
    """
    told: list[str] = []
    yield told
    assert not told, "\n".join(told)


@pytest.fixture
def new_page(chromium: Browser, complaints: list[str], request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Open a page with a profile of its own: ``new_page(color_scheme="dark")``, or any other option of Playwright's
    ``new_context``; with ``watched=False`` it may complain as it likes. What it looks like at the end of the test is
    kept in the folder ``CUTAWAY_SCREENSHOTS``, if there is such a variable.
    """
    contexts = []

    def open_page(*, watched: bool = True, **options: Any) -> Page:
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        if watched:
            context.on("console", lambda message: complaints.extend(_complaint(message)))
            context.on("weberror", lambda error: complaints.append(f"uncaught: {error.error}"))
        return context.new_page()

    yield open_page
    pages = [page for context in contexts for page in context.pages]
    if folder := os.environ.get("CUTAWAY_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        test = re.sub(r"\W+", "-", request.node.nodeid)[:200]
        for number, page in enumerate(pages):
            with suppress(Error):  # of a page that has crashed there is nothing to see
                Path(folder, f"{test}-{number}.png").write_bytes(page.screenshot(animations="disabled"))
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A page of the size of a laptop's."""
    return new_page(viewport={"width": 1280, "height": 800})


def _complaint(message: ConsoleMessage) -> list[str]:
    if message.type != "error":
        return []
    return [f"console: {message.text} ({message.location.get('url', '')})"]


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Watched]:
    """The real server, and an origin of videos."""
    with running(tmp_path_factory.mktemp("server")) as watched:
        yield watched


@pytest.fixture(scope="package")
def forgetful(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Watched]:
    """The real server, when it keeps no clips."""
    with running(tmp_path_factory.mktemp("forgetful"), "--clip-space", "0") as watched:
        yield watched


@pytest.fixture(scope="package")
def library(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Watched]:
    """The real server with its sample articles, to search in."""
    with running(tmp_path_factory.mktemp("library"), "--search-workers", "1", workers=1) as watched:
        yield watched


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A short MP4 with sound."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="package")
def lab(chromium: Browser, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab with our notebooks; one for all tests of the folder."""
    with Lab(tmp_path_factory.mktemp("lab"), sample) as lab:
        yield lab


@pytest.fixture
def open_notebook(lab: Lab, new_page: Callable[..., Page]) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook by its name, or make one of cells; its kernel, and what that started, ends with the test."""
    opened: list[Notebook] = []

    def open_one(name: str, *cells: str) -> Notebook:
        if cells:
            lab.write(name, *cells)
        page = new_page(viewport={"width": 1280, "height": 900}, watched=False)
        opened.append(Notebook(page, lab, name))
        return opened[-1]

    yield open_one
    processes = lab.processes()
    for notebook in opened:
        notebook.shut_down()
    wait_until(lambda: not any(map(alive, processes)), 20)


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds in which something moves, as a snippet is coded."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    coding = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart")
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=320x180:d=3", "-f", "lavfi", "-i", "sine=d=3", *coding, path)
    return path
