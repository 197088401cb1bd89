"""What the browser gets: code that makes no HTML of text, asks nobody but the kernel and the server, and is small."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cutaway.widgets import SearchView, SnippetGallery
from cutaway.widgets.view import View, browser_style

VIEWS = [SnippetGallery, SearchView]


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_becomes_markup_or_script(view: type[View]) -> None:
    code = str(view._esm)
    sinks = r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function|DOMParser|setHTML\w*|import)\b"
    assert not re.search(sinks, re.sub(r"//.*", "", code))
    # The one place for foreign HTML has neither scripts nor an origin.
    assert code.count("srcdoc") == (view is SearchView)
    assert "allow-scripts" not in code
    assert "allow-same-origin" not in code


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_loaded_from_elsewhere(view: type[View]) -> None:
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)\w", str(view._esm))
    assert "url(" not in browser_style()
    assert "@import" not in browser_style()
    assert len(str(view._esm)) + len(browser_style()) < 40_000, "it is saved with each view"


@pytest.mark.parametrize("view", VIEWS)
def test_the_code_is_a_module(view: type[View], tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    (tmp_path / "view.mjs").write_text(str(view._esm))
    run = "import('./view.mjs').then((module) => console.log(typeof module.default.render))"
    done = subprocess.run([node, "-e", run], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "function\n", done.stderr
