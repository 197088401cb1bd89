"""Every notebook is committed clean, runs from top to bottom in a real kernel, and shows what it says it shows."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

# In a process of its own: a kernel's sockets, threads and resource tracker end with it.
EXECUTE = """
import sys
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

notebook, folder = sys.argv[1:]
document = nbformat.read(notebook, as_version=4)
manager = AsyncKernelManager()
# This very interpreter, whatever kernels are installed for the user.
manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
NotebookClient(document, km=manager, timeout=120, resources={"metadata": {"path": folder}}).execute()
print(nbformat.writes(document))
"""


class Ran:
    """A notebook that has run."""

    def __init__(self, notebook: dict[str, Any]) -> None:
        self.outputs: dict[str, list[dict[str, Any]]] = {
            cell["id"]: cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"
        }
        self._widgets = notebook["metadata"].get("widgets", {})

    def printed(self, cell: str) -> str:
        """What a cell printed."""
        return "".join("".join(o["text"]) for o in self.outputs[cell] if o["output_type"] == "stream")

    def shown(self, cell: str) -> dict[str, Any]:
        """The value of a cell, by MIME type."""
        (value,) = [o["data"] for o in self.outputs[cell] if o["output_type"] == "execute_result"]
        return {kind: data if isinstance(data, str) else "".join(data) for kind, data in value.items()}

    def view(self, cell: str) -> dict[str, Any]:
        """The state of the widget that a cell shows, as a browser would have it in the end."""
        (value,) = [o["data"] for o in self.outputs[cell] if o["output_type"] == "execute_result"]
        states = self._widgets["application/vnd.jupyter.widget-state+json"]["state"]
        state: dict[str, Any] = states[value["application/vnd.jupyter.widget-view+json"]["model_id"]]["state"]
        return state


def run(name: str, folder: Path, sample: Path) -> Ran:
    """Run a notebook in a folder that has the sample video already."""
    (folder / "cutaway-demo").mkdir()
    shutil.copy(sample, folder / "cutaway-demo" / "sample.mp4")
    command = [sys.executable, "-c", EXECUTE, str(FOLDER / name), str(folder)]
    done = subprocess.run(command, env={**os.environ, "HOME": str(folder)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Ran(json.loads(done.stdout))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_clean_and_illustrated(path: Path) -> None:
    document = nbformat.read(path, as_version=4)
    nbformat.validate(document)
    code = [cell for cell in document.cells if cell.cell_type == "code"]
    assert code
    for cell in code:
        assert cell.outputs == []
        assert cell.execution_count is None
    assert all(cell.metadata == {} for cell in document.cells)
    assert set(document.metadata) == {"kernelspec", "language_info"}
    assert document.cells[0].cell_type == "markdown"
    pictures = re.findall(r"!\[([^\]]{20,})\]\(([^)]+)\)", document.cells[0].source)
    assert pictures, "no picture of what to expect, with words for those who cannot see it"
    for _, place in pictures:
        picture = path.parent / place
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size <= 150_000


def test_they_are_numbered() -> None:
    assert [path.name.partition("-")[0] for path in NOTEBOOKS] == ["01", "02", "03"]


def test_snippets(tmp_path: Path, sample: Path) -> None:
    ran = run("01-snippets.ipynb", tmp_path, sample)
    assert "Run the cell again" in ran.shown("gallery")["text/html"]
    lines = ran.printed("values").splitlines()
    assert len(lines) >= 4
    gallery = ran.view("gallery")
    assert gallery["count"] == len(lines)
    for number, line in enumerate(lines):
        card = gallery[f"card_{number}"]
        assert line.endswith(f" s  {card['title']}")
        assert base64.b64decode(card["poster"]).startswith(b"\xff\xd8")
        assert "video" not in card
    (saved,) = (tmp_path / "snippets").glob("*.mp4")
    assert saved.name in ran.shown("save")["text/plain"]
    assert "image/jpeg" in ran.shown("snippet")


def test_search(tmp_path: Path, sample: Path) -> None:
    ran = run("02-search.ipynb", tmp_path, sample)
    found = ran.printed("result").splitlines()
    assert found[0].startswith("1 Space telescopes that see what eyes cannot https://")
    view = ran.view("view")
    assert [f"{each['number']} {each['title']} {each['link']}" for each in view["articles"]] == found
    assert view["status"]["state"] == "done"
    assert view["asks"]
    assert view["summary"]
    assert view["images"]
    assert not ran.view("stream")["asks"]


def test_scripts_and_async(tmp_path: Path, sample: Path) -> None:
    ran = run("03-from-scripts-and-async.ipynb", tmp_path, sample)
    saved = sorted(path.name for path in (tmp_path / "cutaway-demo").glob("*.mp4") if path.name != "sample.mp4")
    assert len(saved) == 3
    loop = ran.printed("loop")
    assert loop.count(" s  ") == 3
    assert all(name in loop for name in saved)
    search = ran.printed("search")
    assert search.startswith("1 Space telescopes that see what eyes cannot\n")
    assert "[1]" in search
    assert 1 <= len(list((tmp_path / "cutaway-demo").glob("*.png"))) == search.count(".png")
    assert ran.printed("async").startswith("What happens in a beehive in winter - https://")
    snippet = ran.shown("async")
    assert "<img" in snippet["text/html"]
    assert "image/jpeg" in snippet
    assert "video/mp4" not in json.dumps(snippet)
