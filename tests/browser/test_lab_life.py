"""Views in JupyterLab: what they do while a kernel lives, when it is interrupted, and when it is gone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Route, expect
from tornado.web import StaticFileHandler

from browser.lab import Notebook
from browser.views import CLIENT, STREAM, button, cards_of, of_film, play, plays, with_words
from sdk.fake_search import ANSWER, FakeSearch
from sdk.fake_server import FakeServer, Hang, complete, error, progress, snippet
from servers import Origin, Resource


def test_stop_ends_the_work_of_the_server(open_notebook: Callable[..., Notebook], sample: Path) -> None:
    with Origin() as origin:
        film = origin.serve("film.mp4", Resource(sample, stall_after=300_000))
        notebook = open_notebook(
            "stop.ipynb",
            f"import cutaway\nserver = cutaway.embedded(allow_address='127.0.0.1:{origin.port}')\n"
            f"stream = cutaway.Client(server).snippets({film!r})\nstream",
            "stream.result()",
            "server.close()",
        )
        notebook.run(0)
        gallery = notebook.output(0)
        origin.wait_for(lambda: bool(origin.busy), 30)
        button(gallery, "Stop").click()
        origin.wait_for(lambda: not origin.busy, 30)
        expect(gallery.get_by_role("status").filter(has_text="Stopped")).to_be_visible()
        expect(button(gallery, "Stop")).to_be_hidden()
        notebook.run(1)
        assert notebook.output(1).inner_text().startswith("[")
        notebook.run(2)


def test_two_galleries_at_once_leave_the_kernel_free(open_notebook: Callable[..., Notebook]) -> None:
    with FakeServer(progress(), snippet(1), Hang()) as one, FakeServer(snippet(1), snippet(2), complete()) as two:
        notebook = open_notebook(
            "two.ipynb",
            CLIENT.format(url=one.url) + f"\nslow = {STREAM}\nslow",
            f"quick = cutaway.Client({two.url!r}).snippets('https://example.com/2.mp4')\nquick",
            "len(quick.result())",
        )
        notebook.run(0)
        notebook.run(1)
        expect(cards_of(notebook.output(1))).to_have_count(2)
        expect(cards_of(notebook.output(0))).to_have_count(1)
        notebook.run(2)
        assert notebook.output(2).inner_text() == "2"
        expect(button(notebook.output(0), "Stop")).to_be_visible()
        assert not one.left.is_set()


def test_a_cell_that_runs_again_leaves_nothing_of_before(open_notebook: Callable[..., Notebook]) -> None:
    count = "import gc; gc.collect()\nlen(ipywidgets.widgets.widget._instances), threading.active_count()"
    with FakeServer(snippet(1), snippet(2), Hang()) as server:
        notebook = open_notebook("again.ipynb", CLIENT.format(url=server.url), f"stream = {STREAM}\nstream", count)
        notebook.run(0)
        counts = []
        for times in (1, 2, 3):
            server.left.clear()
            notebook.run(1)
            expect(cards_of(notebook.output(1))).to_have_count(2)
            if times > 1:
                assert server.left.wait(30)  # the stream of the time before
            notebook.run(2)
            counts.append(notebook.output(2).inner_text())
        assert len(set(counts)) == 1, counts
        assert len(server.queries) == 3


def test_a_cell_that_waits_can_be_interrupted(open_notebook: Callable[..., Notebook]) -> None:
    with FakeServer(snippet(1), Hang()) as server:
        notebook = open_notebook(
            "interrupt.ipynb",
            CLIENT.format(url=server.url)
            + f"\ngallery = cutaway.widgets.SnippetGallery({STREAM})\ngallery".replace(
                "gallery = cutaway", "from cutaway.widgets import SnippetGallery\ngallery = "
            ).replace(".widgets.SnippetGallery", "SnippetGallery"),
            "print('waiting')\ngallery.wait()",
            "len(gallery.snippets)",
        )
        notebook.run(0)
        expect(cards_of(notebook.output(0))).to_have_count(1)
        notebook.start(1)
        expect(notebook.output(1).first).to_contain_text("waiting")
        notebook.interrupt()
        expect(notebook.output(1).last).to_contain_text("KeyboardInterrupt")
        notebook.run(2)
        assert notebook.output(2).inner_text() == "1"
        expect(button(notebook.output(0), "Stop")).to_be_visible()  # the gallery goes on


class Clips(FakeServer):
    """Also serves clips, out of a folder."""

    def __init__(self, folder: Path, *script: Any) -> None:
        super().__init__(*script)
        self.folder = folder

    def routes(self) -> list[Any]:
        return [*super().routes(), ("/clips/(.*)", StaticFileHandler, {"path": str(self.folder)})]


def test_a_clip_comes_from_the_server_where_the_browser_reaches_it(
    open_notebook: Callable[..., Notebook], film: Path
) -> None:
    served = with_words(snippet(1), video_path="/clips/film.mp4")  # of which the bytes are none that play
    with Clips(film.parent, served, of_film(film, "/clips/lost.mp4"), complete()) as server:
        notebook = open_notebook("served.ipynb", f"{CLIENT.format(url=server.url)}\n{STREAM}")
        notebook.run(0)
        gallery = notebook.output(0)
        video = gallery.locator("video")
        for number, scheme in enumerate(("http:", "blob:")):
            play(gallery, number)
            plays(video)
            assert video.evaluate("video => video.currentSrc").startswith(scheme)


@pytest.mark.parametrize("trouble", ["none", "refused", "silent", "forgotten"])
def test_a_kept_clip_is_played_from_the_server_or_from_the_kernel(
    open_notebook: Callable[..., Notebook], sample: Path, trouble: str
) -> None:
    notebook = open_notebook("kept.ipynb", _EMBEDDED.format(sample=str(sample)), "stream.result()[0].url")
    asked: list[Route] = []

    def meddle(route: Route) -> None:
        asked.append(route)
        if trouble == "refused":
            route.abort("connectionrefused")
        elif trouble == "forgotten":
            route.fulfill(status=404)
        elif trouble == "none":
            route.continue_()

    notebook.page.route("**/clips/*", meddle)
    received: list[int] = []
    notebook.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    notebook.page.reload()
    notebook.open()
    notebook.run_all()
    assert "/clips/" in notebook.output(1).inner_text()
    gallery = notebook.output(0)
    video = gallery.locator("video")
    video.evaluate("video => { window.begun = 0; video.addEventListener('playing', () => window.begun++) }")
    play(gallery)
    plays(video)
    assert video.evaluate("video => video.currentSrc").startswith("http:" if trouble == "none" else "blob:")
    assert asked
    assert (max(received) < 100_000) == (trouble == "none"), "a clip comes through the kernel only if it must"
    assert notebook.page.evaluate("window.begun") == 1
    if trouble != "none":
        asked.clear()
        play(gallery, 1)
        plays(video)
        assert not asked, "once is enough"


_EMBEDDED = """
import cutaway
server = cutaway.embedded()
stream = cutaway.Client(server).snippets({sample!r}, max_snippets=2)
stream
"""


def test_a_gallery_whose_kernel_was_restarted_says_so(open_notebook: Callable[..., Notebook]) -> None:
    with FakeServer(snippet(1), Hang()) as server:
        notebook = open_notebook("restart.ipynb", f"{CLIENT.format(url=server.url)}\n{STREAM}")
        notebook.run(0)
        gallery = notebook.output(0)
        expect(cards_of(gallery)).to_have_count(1)
        notebook.restart()
        assert server.left.wait(30)
        notebook.page.set_viewport_size({"width": 640, "height": 560})
        play(gallery)
        expect(gallery.get_by_text("The kernel does not answer")).to_be_in_viewport()
        notebook.run(0)
        expect(cards_of(notebook.output(0))).to_have_count(1)
        expect(notebook.output(0).get_by_text("The kernel does not answer")).to_be_hidden()


def test_a_failure_is_told_in_the_gallery(open_notebook: Callable[..., Notebook]) -> None:
    with FakeServer(snippet(1), error("the video <b>ended</b> too early")) as server:
        notebook = open_notebook("failure.ipynb", CLIENT.format(url=server.url) + f"\n{STREAM}")
        notebook.run(0)
        expect(notebook.output(0).get_by_role("alert")).to_have_text(re.compile("the video <b>ended</b> too early"))
        expect(cards_of(notebook.output(0))).to_have_count(1)


def test_the_views_are_for_everybody(open_notebook: Callable[..., Notebook]) -> None:
    with FakeServer(*map(snippet, range(1, 4)), complete()) as clips, FakeSearch(*ANSWER) as answers:
        notebook = open_notebook(
            "everybody.ipynb",
            f"{CLIENT.format(url=clips.url)}\n{STREAM}",
            f"from cutaway.widgets import SearchView\n"
            f"view = SearchView(cutaway.Client({answers.url!r}), text='comets')\nview",
        )
        notebook.run_all()
        gallery, view = notebook.output(0), notebook.output(1)
        expect(cards_of(gallery)).to_have_count(3)
        play(gallery)
        expect(view.get_by_role("region", name="Articles").get_by_role("listitem")).to_have_count(3)
        expect(button(view, "Stop")).to_be_hidden()
        for theme in ("JupyterLab Dark", "JupyterLab Light"):
            notebook.do("await app.commands.execute('apputils:change-theme', { theme })", theme=theme)
            expect(notebook.page.locator("#jupyterlab-splash")).to_have_count(0)
            response = Axe().run(notebook.page, context={"include": [[".cutaway"]]}).response
            assert {each["id"] for each in response["passes"]} >= {"color-contrast", "button-name", "label"}
            serious = [each for each in response["violations"] if each["impact"] in ("serious", "critical")]
            assert serious == [], theme
