"""A stream that ends a cell shows itself; and what is shown takes nothing away from whoever iterates over it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import cutaway
from cutaway import Client
from cutaway.widgets import SearchView, SnippetGallery
from sdk.fake_search import ANSWER, FakeSearch
from sdk.fake_server import URL, FakeServer, Wait, complete, error, progress, snippet

from .page import Page

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A shell that is a kernel's."""
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    yield


def gallery_of(stream: Any) -> SnippetGallery:
    gallery = stream._view
    assert isinstance(gallery, SnippetGallery)
    return gallery


def test_a_stream_shows_itself_as_one_gallery(page: Page, kernel: None) -> None:
    with FakeServer(snippet(1), snippet(2), complete()) as server, Client(server.url) as client:
        stream = client.snippets(URL)
        data, _ = stream._repr_mimebundle_()
        assert data[VIEW]["model_id"] == gallery_of(stream).model_id
        assert stream._repr_mimebundle_()[0][VIEW] == data[VIEW], "the second time it is the same one"
        page.wait_state(gallery_of(stream), "done")
        assert "<SnippetGallery" in data["text/plain"]
        assert "Run the cell again" in data["text/html"]
        assert "running" not in data["text/html"], "it is saved, and read when nothing runs"
        assert server.handshakes == 1


def test_gallery_and_loop_both_get_everything(page: Page, kernel: None) -> None:
    second, end = Wait(), Wait()
    script = [snippet(1), progress(), second, snippet(2), end, complete()]
    with FakeServer(*script) as server, Client(server.url) as client:
        seen: list[Any] = []
        stream = client.snippets(URL, on_progress=seen.append)
        stream._repr_mimebundle_()
        gallery = gallery_of(stream)
        page.wait_for(lambda: page.of(gallery).state["count"] == 1)
        steps = iter(stream)
        assert next(steps).title == "Moment 1"
        second.event.set()
        assert next(steps).title == "Moment 2"
        end.event.set()
        assert list(steps) == []
        assert len(seen) == 1
        assert [each.title for each in gallery.wait()] == ["Moment 1", "Moment 2"]
        assert stream.result() == []


def test_the_result_of_a_shown_stream_is_all_of_it(page: Page, kernel: None) -> None:
    with FakeServer(snippet(1), snippet(2), complete()) as server, Client(server.url) as client:
        stream = client.snippets(URL)
        stream._repr_mimebundle_()
        page.wait_state(gallery_of(stream), "done")
        assert [each.title for each in stream.result()] == ["Moment 1", "Moment 2"]


def test_a_failure_reaches_the_gallery_and_the_loop(page: Page, kernel: None) -> None:
    with FakeServer(snippet(1), error("no such video")) as server, Client(server.url) as client:
        stream = client.snippets(URL)
        stream._repr_mimebundle_()
        with pytest.raises(cutaway.ServerError, match="no such video") as caught:
            stream.result()
        assert len(caught.value.snippets) == 1
        page.wait_state(gallery_of(stream), "failed")


def test_a_stream_that_somebody_has_begun_is_left_to_them(page: Page, kernel: None) -> None:
    with FakeServer(snippet(1), snippet(2), complete()) as server, Client(server.url) as client:
        stream = client.snippets(URL)
        next(stream)
        data = stream._repr_mimebundle_()
        assert data["text/plain"] == f"<SnippetStream {URL!r}>"
        assert [each.title for each in stream] == ["Moment 2"]
        assert not page.shown


def test_a_gallery_of_a_begun_stream_shows_the_rest(page: Page) -> None:
    with FakeServer(snippet(1), snippet(2), complete()) as server, Client(server.url) as client:
        stream = client.snippets(URL)
        next(stream)
        assert [each.title for each in SnippetGallery(stream).wait()] == ["Moment 2"]
        assert [each.title for each in stream] == ["Moment 2"]


def test_a_search_shows_itself_as_a_view_of_its_answer(page: Page, kernel: None) -> None:
    with FakeSearch(*ANSWER) as server, Client(server.url) as client:
        stream = client.search("comets")
        data, _ = stream._repr_mimebundle_()
        view = stream._view
        assert isinstance(view, SearchView)
        assert data[VIEW]["model_id"] == view.model_id
        page.wait_state(view, "done")
        shown = page.of(view)
        assert not shown.state["asks"]
        assert shown.state["status"]["query"] == "comets"
        assert [article.number for article in stream.articles] == [1, 2, 3]
        assert stream.result().summary == "Comets have tails [1]. Some have two [3]."
        with pytest.raises(cutaway.InvalidRequest, match="text box"):
            view.search("else")
        assert len(server.requests) == 1


PLAIN = """
import sys
{before}
import cutaway
client = cutaway.Client("ws://localhost:1")
for stream in (client.snippets("https://example.com/<b>.mp4"), client.search("<b>bees</b>")):
    print(stream)
    bundle = stream._repr_mimebundle_()
    assert sorted(bundle) == ["text/html", "text/plain"], bundle
    print(bundle["text/html"])
widgets = ("ipywidgets", "anywidget", "IPython", "traitlets", "comm", "cutaway.widgets")
print([name for name in widgets if name in sys.modules])
"""
KERNEL = """
import types
sys.modules.update(dict.fromkeys(["ipywidgets", "anywidget"]))
shell = types.SimpleNamespace(kernel=object())
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: shell)
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("ipywidgets", "anywidget") else find(name, *rest)
"""


def run(before: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PLAIN.format(before=before)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_script_imports_nothing_of_widgets() -> None:
    *shown, imported = run("")
    assert imported == "[]"
    assert shown[0] == "<SnippetStream 'https://example.com/<b>.mp4'>"
    assert shown[1].startswith("<code>&lt;SnippetStream &#x27;https://example.com/&lt;b&gt;.mp4&#x27;&gt;</code>")
    assert shown[2] == "<SearchStream '<b>bees</b>'>"
    assert "&lt;b&gt;bees&lt;/b&gt;" in shown[3]
    assert "pip install" not in "".join(shown)


def test_a_kernel_without_the_extra_says_what_is_missing() -> None:
    shown = run(KERNEL)
    assert "pip install &#x27;cutaway[notebook]&#x27;" in shown[1]
    assert "pip install &#x27;cutaway[notebook]&#x27;" in shown[3]
