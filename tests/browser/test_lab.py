"""The notebooks and their widgets in JupyterLab, used as a person uses them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from msgspec import structs
from PIL import Image, ImageStat
from playwright.sync_api import Locator, Page, expect
from tornado.web import StaticFileHandler

from browser.lab import Lab, Notebook
from cutaway import protocol
from processes import alive, wait_until
from sdk.fake_search import ANSWER, FakeSearch, article, chunk, done, summary_done
from sdk.fake_server import FakeServer, Hang, complete, error, progress, snippet
from servers import Origin, Resource


@pytest.fixture(scope="module")
def lab(chromium: object, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab."""
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


def cards_of(gallery: Locator) -> Locator:
    """The cards of a gallery."""
    return gallery.get_by_role("list", name="Snippets").get_by_role("listitem")


def button(view: Locator, name: str) -> Locator:
    """A button of a view."""
    return view.get_by_role("button", name=name, exact=True)


def with_words(message: protocol.Snippet, **metadata: object) -> protocol.Snippet:
    """The same snippet with other words or another poster."""
    data = structs.replace(message.data, metadata=structs.replace(message.data.metadata, **metadata))
    return structs.replace(message, data=data)


def decoded(images: Locator) -> list[int]:
    """The widths of images, once they are there; fails when one cannot be shown."""
    script = "images => Promise.all(images.map(image => image.decode().then(() => image.naturalWidth)))"
    widths: list[int] = images.evaluate_all(script)
    return widths


def plays(video: Locator) -> None:
    """Wait until it plays; fails when what is painted then is one colour."""
    video.page.wait_for_function(
        "video => video.currentTime > 0.5 && video.getVideoPlaybackQuality().totalVideoFrames > 5",
        arg=video.element_handle(),
    )
    video.evaluate("video => { video.pause(); video.controls = false }")
    picture = Image.open(io.BytesIO(video.screenshot())).convert("L")
    middle = picture.crop((picture.width // 4, picture.height // 4, picture.width * 3 // 4, picture.height * 3 // 4))
    assert ImageStat.Stat(middle).stddev[0] > 8


# --- the notebooks -----------------------------------------------------------------------------------------------


def test_the_first_notebook_shows_a_gallery_that_plays_and_saves(
    lab: Lab, open_notebook: Callable[..., Notebook]
) -> None:
    notebook = open_notebook("01-snippets.ipynb")
    notebook.run_all()
    assert decoded(notebook.page.locator(".jp-MarkdownOutput img"))  # what to expect
    gallery = notebook.output(1)
    cards = cards_of(gallery)
    titles = [line.split(" s  ")[1] for line in notebook.output(2).inner_text().splitlines()]
    assert len(titles) >= 4
    expect(gallery.get_by_role("status").filter(has_text=re.compile(f"^{len(titles)} snippets$"))).to_be_visible()
    expect(button(gallery, "Stop")).to_be_hidden()
    assert min(decoded(cards.locator("img"))) >= 160
    assert [title.inner_text() for title in cards.locator(".cutaway-card-title").all()] == titles

    video = gallery.locator("video")
    button_of = cards.get_by_role("button", name=re.compile("^Play "))
    button_of.first.click()
    plays(video)
    assert not video.evaluate("video => video.currentSrc").startswith("data:")
    button_of.first.press("ArrowRight")
    expect(button_of.nth(1)).to_be_focused()
    button_of.nth(1).press("Enter")
    expect(video).to_have_attribute("aria-label", titles[1])
    video.evaluate("video => { video.controls = true }")
    plays(video)

    cards.nth(2).get_by_role("button", name=re.compile("^Save ")).click()
    expect(gallery.get_by_text("Saved: ")).to_be_visible()
    button(gallery, "Save all").click()
    expect(gallery.get_by_text(f"Saved: {len(titles)} files")).to_be_visible()
    saved = list((lab.notebooks / "snippets").glob("*.mp4"))
    assert len(saved) == len(titles) + 1  # the third cell saved the first one
    assert all(path.read_bytes()[4:8] == b"ftyp" for path in saved)


def test_the_second_notebook_searches(open_notebook: Callable[..., Notebook], tmp_path: Path) -> None:
    notebook = open_notebook("02-search.ipynb")
    notebook.run_all()
    view = notebook.output(1)
    articles = view.get_by_role("region", name="Articles").get_by_role("listitem")
    expect(articles.first).to_contain_text("Space telescopes that see what eyes cannot")
    summary = view.get_by_role("region", name="Summary")
    expect(summary.get_by_role("link", name="1").first).to_have_attribute("href", re.compile("^https://"))
    images = view.get_by_role("region", name="Images").locator("img")
    expect(images.first).to_be_visible()
    assert min(decoded(images)) >= 256
    assert "1 Space telescopes that see" in notebook.output(2).inner_text()
    alone = notebook.output(3)
    expect(alone.get_by_role("region", name="Articles")).to_contain_text("What happens in a beehive in winter")
    expect(alone.get_by_role("searchbox")).to_have_count(0)

    view.get_by_role("searchbox").fill("bees in winter")
    view.get_by_role("searchbox").press("Enter")
    expect(articles.first).to_contain_text("What happens in a beehive in winter")
    expect(button(view, "Stop")).to_be_hidden()
    notebook.run(2)
    assert "1 What happens in a beehive in winter" in notebook.output(2).inner_text()

    Image.new("RGB", (64, 64), "teal").save(tmp_path / "teal.png")
    view.locator("input[type=file]").set_input_files(tmp_path / "teal.png")
    expect(view.get_by_alt_text("The image to search for")).to_be_visible()
    view.get_by_role("searchbox").fill("")
    view.get_by_text("Stumber").click()
    button(view, "Search").click()
    expect(articles.first).not_to_contain_text("What happens in a beehive in winter")
    expect(articles.first).to_be_visible()


def test_the_third_notebook_needs_no_widgets(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook("03-from-scripts-and-async.ipynb")
    notebook.run_all()
    assert decoded(notebook.output(3).locator("img"))
    expect(notebook.page.locator(".jp-Notebook .cutaway")).to_have_count(0)


# --- life --------------------------------------------------------------------------------------------------------

CLIENT = "import cutaway, ipywidgets, threading\nclient = cutaway.Client({url!r})"
STREAM = "client.snippets('https://example.com/talk.mp4')"


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
    open_notebook: Callable[..., Notebook], sample: Path
) -> None:
    film = sample.read_bytes()
    served, lost = (with_words(snippet(1), video_path=f"/clips/{name}") for name in (sample.name, "lost.mp4"))
    lost = structs.replace(lost, data=structs.replace(lost.data, video_data=film))
    with Clips(sample.parent, served, lost, complete()) as server:
        notebook = open_notebook("served.ipynb", f"{CLIENT.format(url=server.url)}\n{STREAM}")
        notebook.run(0)
        gallery = notebook.output(0)
        video = gallery.locator("video")
        for number, scheme in enumerate(("http:", "blob:")):
            cards_of(gallery).nth(number).get_by_role("button", name=re.compile("^Play ")).click()
            plays(video)
            assert video.evaluate("video => video.currentSrc").startswith(scheme)


def test_a_gallery_whose_kernel_was_restarted_says_so(open_notebook: Callable[..., Notebook]) -> None:
    with FakeServer(snippet(1), Hang()) as server:
        notebook = open_notebook("restart.ipynb", f"{CLIENT.format(url=server.url)}\n{STREAM}")
        notebook.run(0)
        gallery = notebook.output(0)
        expect(cards_of(gallery)).to_have_count(1)
        notebook.restart()
        assert server.left.wait(30)
        cards_of(gallery).get_by_role("button", name=re.compile("^Play ")).click()
        expect(gallery.get_by_text("run the cell again")).to_be_visible()
        notebook.run(0)
        expect(cards_of(notebook.output(0))).to_have_count(1)
        expect(notebook.output(0).get_by_text("run the cell again")).to_be_hidden()


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
        cards_of(gallery).get_by_role("button", name=re.compile("^Play ")).first.click()
        expect(view.get_by_role("region", name="Articles").get_by_role("listitem")).to_have_count(3)
        expect(button(view, "Stop")).to_be_hidden()
        for theme in ("JupyterLab Dark", "JupyterLab Light"):
            notebook.do("await app.commands.execute('apputils:change-theme', { theme })", theme=theme)
            response = Axe().run(notebook.page, context={"include": [[".cutaway"]]}).response
            assert {each["id"] for each in response["passes"]} >= {"color-contrast", "button-name", "label"}
            serious = [each for each in response["violations"] if each["impact"] in ("serious", "critical")]
            assert serious == [], theme


# --- the file ----------------------------------------------------------------------------------------------------


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


def test_a_notebook_that_keeps_its_widgets_is_small_and_shows_them(
    open_notebook: Callable[..., Notebook], eight: FakeServer
) -> None:
    notebook = open_notebook("kept.ipynb", f"{CLIENT.format(url=eight.url)}\n{STREAM}")

    def keep_widgets(wanted: bool) -> None:
        notebook.do("await app.commands.execute(name)", name=KEEP_WIDGETS)
        notebook.page.wait_for_function(
            "([name, wanted]) => window.jupyterapp.commands.isToggled(name) === wanted", arg=[KEEP_WIDGETS, wanted]
        )

    notebook.run(0)
    expect(cards_of(notebook.output(0))).to_have_count(8)
    keep_widgets(True)
    try:
        assert 8 * 20_000 < notebook.save() < 500_000
    finally:
        keep_widgets(False)
    notebook.shut_down()
    notebook.open()
    gallery = notebook.output(0).first
    expect(cards_of(gallery)).to_have_count(8)
    decoded(cards_of(gallery).locator("img"))
    cards_of(gallery).get_by_role("button", name=re.compile("^Play ")).first.click()
    expect(gallery.get_by_text("run the cell again")).to_be_visible()


# --- strangers' words --------------------------------------------------------------------------------------------

HOSTILE = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>\x1b[31m"
SHOWN = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>"


def test_hostile_words_of_a_snippet_are_only_text(open_notebook: Callable[..., Notebook]) -> None:
    with FakeServer(with_words(snippet(1), title=HOSTILE, description=HOSTILE), complete()) as server:
        source = (
            f"{CLIENT.format(url=server.url)}\nstream = client.snippets({'https://example.com/' + SHOWN!r})\nstream"
        )
        notebook = open_notebook("hostile.ipynb", source, "stream.result()[0]")
        notebook.run_all()
        gallery = notebook.output(0)
        expect(cards_of(gallery)).to_contain_text(SHOWN)
        cards_of(gallery).get_by_role("button", name=re.compile("^Play ")).click()
        expect(gallery.locator(".cutaway-playing-title")).to_have_text(re.compile(re.escape(SHOWN)))
        expect(notebook.output(1)).to_contain_text(SHOWN)
        assert notebook.page.evaluate("window.pwned") is None


def test_hostile_words_of_an_answer_are_only_text(open_notebook: Callable[..., Notebook]) -> None:
    bad = article(1, title=HOSTILE, author=HOSTILE, description=HOSTILE, url="javascript:window.pwned=1")
    markdown = f"# Bees\n\n{SHOWN} [click](javascript:window.pwned=1) **bold** [1] [good](https://example.com/good)"
    answer = [protocol.ArticlesBatch(items=(bad,)), chunk(markdown), summary_done(), done()]
    with FakeSearch(*answer) as server:
        notebook = open_notebook("answer.ipynb", CLIENT.format(url=server.url) + "\nclient.search('bees')")
        notebook.run_all()
        view = notebook.output(0)
        expect(view.get_by_role("region", name="Articles")).to_contain_text(SHOWN)
        summary = view.get_by_role("region", name="Summary")
        expect(summary).to_contain_text(SHOWN)
        expect(summary.get_by_role("link", name="good")).to_have_attribute("href", "https://example.com/good")
        expect(summary.locator("strong")).to_have_text("bold")
        expect(view.locator("a[href^='javascript']")).to_have_count(0)
        assert notebook.page.evaluate("window.pwned") is None


# --- Notebook 7 --------------------------------------------------------------------------------------------------


def test_notebook_7_shows_the_gallery(new_page: Callable[..., Page], sample: Path, tmp_path: Path) -> None:
    with Lab(tmp_path, sample, "notebook") as classic:
        notebook = Notebook(new_page(watched=False), classic, "01-snippets.ipynb")
        notebook.run_all()
        gallery = notebook.output(1)
        cards_of(gallery).get_by_role("button", name=re.compile("^Play ")).first.click()
        plays(gallery.locator("video"))
        notebook.page.close()
