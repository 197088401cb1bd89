"""Views in JupyterLab: what strangers wrote is only text."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from browser.lab import Notebook
from browser.views import CLIENT, cards_of, play, with_words
from cutaway import protocol
from sdk.fake_search import FakeSearch, article, chunk, done, summary_done
from sdk.fake_server import FakeServer, complete, snippet

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
        play(gallery)
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
