"""Galleries in a real kernel: other cells run meanwhile, may be interrupted, and a cell that runs again leaves nothing
behind.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec

from sdk.fake_server import URL, FakeServer, Hang, complete, snippet

from .kernel import in_kernel

BEGIN = f"""
import cutaway, json
kernel.run("import cutaway, os, threading, asyncio\\nclient = cutaway.Client('" + arguments[0] + "')")
SHOW = "client.snippets({URL!r})"
"""

FREE = (
    BEGIN
    + """
shown = kernel.run(SHOW, "one").data[0]
model = shown[VIEW]["model_id"]
kernel.until(lambda: kernel.states[model].get("count") == 1)
print(kernel.run("6 * 7", "two").data[0]["text/plain"], kernel.states[model]["status"]["state"])
ran = kernel.run("print('now', flush=True)\\nwhile True: pass", "two", interrupt="now")
print(ran.error, kernel.states[model]["status"]["state"])
kernel.say(model, {"do": "play", "card": 0})
kernel.until(lambda: kernel.heard)
print(json.dumps(kernel.heard))
waiting = kernel.run("import cutaway.widgets as w\\ng = w.SnippetGallery(_1 if '_1' in dir() else Out[2])"
    "\\nprint('waiting', flush=True)\\ng.wait()", "three", interrupt="waiting")
print(waiting.error, kernel.states[model]["status"]["state"])
kernel.say(model, {"do": "stop"})
kernel.until(lambda: kernel.states[model]["status"]["state"] == "stopped")
print(kernel.run("[each.title for each in g.result]").data[0]["text/plain"])
"""
)


def test_the_kernel_is_free_and_cells_are_interrupted_while_a_gallery_runs(tmp_path: Path) -> None:
    with FakeServer(snippet(1, size_bytes=3_000_000), Hang()) as server:
        free, interrupted, played, waited, result = in_kernel(FREE, server.url, folder=tmp_path).splitlines()
        assert free == "42 running"
        assert interrupted == "KeyboardInterrupt running"
        assert json.loads(played) == [[{"clip": 0, "type": "video/mp4"}, 3_000_000]]
        assert waited == "KeyboardInterrupt running"
        assert result == "['Moment 1']"
        assert server.left.wait(5)


AGAIN = (
    BEGIN
    + """
COUNT = '''
from ipywidgets.widgets.widget import _instances
from cutaway.loop import background
tasks = background().call(lambda: len(asyncio.all_tasks()))
files = [f'/proc/self/fd/{fd}' for fd in os.listdir('/proc/self/fd')]
sockets = sum(os.readlink(file).startswith('socket:') for file in files if os.path.lexists(file))
print(len(_instances), tasks, threading.active_count(), sockets)
'''
GONE = '''
import gc, time
from cutaway.widgets import SnippetGallery
def held():
    gc.collect()
    return sum(len(g.snippets) for g in gc.get_objects() if isinstance(g, SnippetGallery))
until = time.monotonic() + 20
while held() > 1 and time.monotonic() < until: time.sleep(0.01)
print(held())
'''
counts = []
for time in range(5):
    model = kernel.run(SHOW, "one").data[0][VIEW]["model_id"]
    kernel.until(lambda: kernel.states[model].get("count") == 1)
    kernel.run(GONE, "count")
    counts.append(kernel.run(COUNT, "count").text.split())
print(json.dumps(counts))
print(kernel.run(GONE, "count").text.strip())
kernel.run("1", "two", deleted=("one",))
kernel.run(GONE.replace("> 1", "> 0"), "count")
print(json.dumps(kernel.run(COUNT, "count").text.split()), len(kernel.states))
"""
)


def test_a_cell_that_runs_again_or_is_deleted_leaves_nothing_behind(tmp_path: Path) -> None:
    with FakeServer(snippet(1, size_bytes=3_000_000), Hang()) as server:
        counts, held, end = in_kernel(AGAIN, server.url, folder=tmp_path).splitlines()
        # The first run starts threads that stay; from the second on nothing is added.
        rounds = [list(map(int, each)) for each in json.loads(counts)]
        assert [each[0] for each in rounds] == [2] * 5, "a gallery and its layout"
        assert all(each == rounds[1] for each in rounds[1:]), rounds
        assert held == "1", "the snippets of the last gallery"
        widgets, states = end.rsplit(" ", 1)
        assert json.loads(widgets)[0] == "0"
        assert states == "0"
        assert server.handshakes == 5
        assert server.left.wait(5)


SAVED = """
import json, sys
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

url, folder = sys.argv[1:]
cells = [
    f"import cutaway\\nclient = cutaway.Client({url!r})",
    "from cutaway.widgets import SnippetGallery\\n"
    "gallery = SnippetGallery('https://example.com/talk.mp4', client=client)\\ngallery",
    "len(gallery.wait())",
    "other = SnippetGallery(client.snippets('https://example.com/talk.mp4'))\\nother",
    "len(other.wait())",
]
document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
manager = AsyncKernelManager()
manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
NotebookClient(document, km=manager, timeout=120, resources={"metadata": {"path": folder}}).execute()
nbformat.write(document, f"{folder}/saved.ipynb")
"""


def test_a_saved_notebook_of_eight_snippets_is_small_and_says_how_to_run_again(tmp_path: Path) -> None:
    film = []
    for number in range(1, 9):
        message = snippet(number, size_bytes=2_000_000)
        metadata = msgspec.structs.replace(message.data.metadata, poster=b"\xff\xd8" + bytes(19_996) + b"\xff\xd9")
        film.append(msgspec.structs.replace(message, data=msgspec.structs.replace(message.data, metadata=metadata)))
    with FakeServer(*film, complete()) as server:
        command = [sys.executable, "-c", SAVED, server.url, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
    saved = (tmp_path / "saved.ipynb").read_text()
    document = json.loads(saved)
    states = document["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    galleries = [each["state"] for each in states.values() if each["model_module"] == "anywidget"]
    assert [each["count"] for each in galleries] == [8, 8]
    assert all(each["status"]["state"] == "done" for each in galleries)
    assert all(f"card_{n}" in each for each in galleries for n in range(8)), "the cards are there without a kernel"
    assert len(saved) / len(galleries) < 500_000
    for cell in (1, 3):
        (output,) = document["cells"][cell]["outputs"]
        assert "Run the cell again" in "".join(output["data"]["text/html"])
    assert document["cells"][2]["outputs"][0]["data"]["text/plain"] == ["8"]
