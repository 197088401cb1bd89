"""Every notebook runs from top to bottom in a real kernel, and shows what it says it shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

# In a process of its own: a kernel's sockets, threads and resource tracker end with it.
EXECUTE = """
import json, sys
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

notebook, folder = sys.argv[1:]
document = nbformat.read(notebook, as_version=4)
manager = AsyncKernelManager()
# This very interpreter, whatever kernels are installed for the user.
manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
NotebookClient(document, km=manager, timeout=120, resources={"metadata": {"path": folder}}).execute()
print(json.dumps([output for cell in document.cells if cell.cell_type == "code" for output in cell.outputs]))
"""


def run(notebook: Path, folder: Path, **environment: str) -> list[dict[str, Any]]:
    """The outputs of all cells, in order."""
    command = [sys.executable, "-c", EXECUTE, str(notebook), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outputs: list[dict[str, Any]] = json.loads(done.stdout)
    return outputs


def test_first_steps(tmp_path: Path, sample: Path) -> None:
    outputs = run(NOTEBOOKS / "first_steps.ipynb", tmp_path, CUTAWAY_VIDEO=str(sample), HOME=str(tmp_path))
    printed = "".join(o["text"] for o in outputs if o["output_type"] == "stream" and o["name"] == "stdout")
    assert printed.count("<Snippet ") == 3
    shown = [o["data"] for o in outputs if o["output_type"] == "execute_result"]
    pictures = [data for data in shown if "image/jpeg" in data]
    assert len(pictures) == 1
    assert "<img" in pictures[0]["text/html"]
    assert "video/mp4" not in json.dumps(shown)
    assert len(list((tmp_path / "cutaway-demo").glob("*.mp4"))) == 2
    assert "\n1 Space telescopes that see what eyes cannot https://" in printed
    (found,) = [data["text/html"] for data in shown if "<SearchResult " in data["text/plain"]]
    assert ">[1]</a>" in found  # the summary, with its markers
    assert "data:image/png;base64," in found
    assert len(list((tmp_path / "cutaway-demo").glob("*.png"))) == 1
