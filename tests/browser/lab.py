"""A real JupyterLab for tests: a server in a child process, and notebooks that are used in a browser.

What comes in are notebooks; what goes out are pages in which cells are run, outputs found, kernels interrupted and
files saved. Nothing of whoever runs the tests is read or changed: home, configuration and kernels are in one folder,
and no news or extensions are asked for. Every wait is for a promise of JupyterLab or for an element, none for a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from playwright.sync_api import Locator, Page

from cutaway_server.work.limits import die_with_parent
from processes import alive, descendants_of, wait_until

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_FLAGS = (
    "--no-browser",
    "--allow-root",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port=0",
    "--ServerApp.terminals_enabled=False",
    "--ServerApp.log_level=WARN",
    "--LabApp.expose_app_in_browser=True",
    "--JupyterNotebookApp.expose_app_in_browser=True",
    "--LabApp.extension_manager=readonly",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LanguageServerManager.autodetect=False",
)


class Lab:
    """JupyterLab in a child process; at the end of the block it is gone, with its kernels and all that they started.

    Parameters
    ----------
    folder : Path
        For the notebooks and for everything that Jupyter writes.
    sample : Path
        The sample video, which the notebooks find made already.
    application : str
        ``"lab"``, or ``"notebook"`` for Notebook 7.
    """

    def __init__(self, folder: Path, sample: Path, application: str = "lab") -> None:
        self.folder = folder
        self.notebooks = folder / "notebooks"
        self._sample = sample
        self._application = application

    def __enter__(self) -> Self:
        # Not what somebody's own runs have left beside them.
        shutil.copytree(NOTEBOOKS, self.notebooks, ignore=shutil.ignore_patterns("cutaway-demo", "snippets", ".*"))
        (self.notebooks / "cutaway-demo").mkdir()
        shutil.copy(self._sample, self.notebooks / "cutaway-demo" / "sample.mp4")
        home = self.folder / "home"
        _write(
            home / "path" / "kernels" / "python3" / "kernel.json",
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )
        settings = home / "config" / "lab" / "user-settings" / "@jupyterlab"
        _write(
            settings / "apputils-extension" / "notification.jupyterlab-settings",
            fetchNews="false",
            checkForUpdates=False,
        )
        # Saving is a test's own step.
        _write(settings / "docmanager-extension" / "plugin.jupyterlab-settings", autosave=False)
        environment = {
            **os.environ,
            "HOME": str(home),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "JUPYTER_PATH": str(home / "path"),
            "JUPYTER_NO_CONFIG": "",
            "IPYTHONDIR": str(home / "ipython"),
            "CUTAWAY_DATA_DIR": str(home / "articles"),
        }
        command = [sys.executable, "-m", "jupyter", self._application, *_FLAGS]
        with (self.folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [*command, f"--ServerApp.root_dir={self.notebooks}"],
                cwd=self.notebooks,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # Tests that are killed leave it behind otherwise; its kernels look for it themselves.
                preexec_fn=partial(die_with_parent, os.getpid()),
            )
        try:
            wait_until(self._listens, _START_SECONDS)
        except BaseException:
            self._stop()
            raise
        return self

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log
        for path in (self.folder / "home" / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(json.JSONDecodeError):  # it is being written
                told = json.loads(path.read_text())
                self._base, self._token = told["url"], told["token"]
                return True
        return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        family = self.processes()
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
        wait_until(lambda: not any(map(alive, family)), _STOP_SECONDS)

    @property
    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "log").read_text()

    def processes(self) -> set[int]:
        """What runs below the server: kernels, and what they have started."""
        return descendants_of(self._process.pid)

    def url(self, name: str) -> str:
        """Where a notebook opens, with nothing else beside it."""
        place = f"lab/tree/{quote(name)}?reset&" if self._application == "lab" else f"notebooks/{quote(name)}?"
        return f"{self._base}{place}token={self._token}"

    def write(self, name: str, *cells: str) -> None:
        """Make a notebook of code cells."""
        _write(
            self.notebooks / name,
            cells=[
                {"cell_type": "code", "id": f"cell-{n}", "metadata": {}, "execution_count": None, "outputs": []}
                | {"source": source}
                for n, source in enumerate(cells)
            ],
            metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
            nbformat=4,
            nbformat_minor=5,
        )


class Notebook:
    """A notebook in a browser's page, used as JupyterLab's menus use it.

    Parameters
    ----------
    page : Page
        A page of its own.
    lab : Lab
        Where it is.
    name : str
        The file.
    """

    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        self.page = page
        self.name = name
        self._lab = lab
        self.open()

    def open(self) -> None:
        """Open it, or open it anew as somebody who comes back tomorrow."""
        self.page.goto(self._lab.url(self.name))
        self.page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext")
        self.do(_READY)

    def do(self, script: str, **arguments: object) -> Any:
        """Run statements of JavaScript beside the application; what they await is awaited."""
        return self.page.evaluate(f"async ({{{', '.join(arguments)}}}) => {{{_PANEL}{script}}}", arguments)

    # --- cells -------------------------------------------------------------------------------------------------------

    @property
    def cells(self) -> Locator:
        """The code cells, in order."""
        return self.page.locator(".jp-Notebook .jp-CodeCell")

    def output(self, number: int) -> Locator:
        """What a code cell shows, by its number from 0."""
        return self.cells.nth(number).locator(".jp-OutputArea-output")

    def run_all(self) -> None:
        """Run all cells and wait until the last one is done; fails with the words of the first error."""
        self.do("await app.commands.execute('notebook:run-all-cells')")
        self._no_error()

    def clear(self, number: int) -> None:
        """Take away what a code cell shows."""
        self.do(f"{_CHOOSE}; await app.commands.execute('notebook:clear-cell-output')", number=number)

    def start(self, number: int) -> None:
        """Run a code cell without waiting for its end."""
        self.do(f"{_CHOOSE}; void app.commands.execute('notebook:run-cell')", number=number)

    def run(self, number: int) -> None:
        """Run a code cell and wait for its end; fails with the words of its error."""
        self.do(f"{_CHOOSE}; await app.commands.execute('notebook:run-cell')", number=number)
        self._no_error(number)

    def _no_error(self, number: int | None = None) -> None:
        errors = self.do(_ERRORS, number=number)
        assert not errors, errors[0]

    # --- kernel and file ---------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Interrupt the cell that runs."""
        self.do("await panel.sessionContext.session.kernel.interrupt()")

    def restart(self) -> None:
        """Restart the kernel; returns when it is ready."""
        self.do("await panel.sessionContext.session.kernel.restart(); await panel.sessionContext.session.kernel.info")

    def shut_down(self) -> None:
        """End the kernel."""
        self.do("await panel.sessionContext.shutdown()")

    def save(self) -> int:
        """Save it and return the file's size in bytes."""
        self.do("await app.commands.execute('docmanager:save')")
        return (self._lab.notebooks / self.name).stat().st_size


_PANEL = "const app = window.jupyterapp; const panel = app.shell.currentWidget;"
_READY = """
await panel.context.ready;
await panel.revealed;
await panel.sessionContext.ready;
await panel.sessionContext.session.kernel.info;
"""
_CHOOSE = """
const code = panel.content.widgets.filter((cell) => cell.model.type === 'code');
panel.content.activeCellIndex = panel.content.widgets.indexOf(code[number]);
panel.content.deselectAll()
"""
_ERRORS = """
const code = panel.content.widgets.filter((cell) => cell.model.type === 'code');
return (number === null ? code : [code[number]])
  .flatMap((cell) => cell.model.outputs.toJSON())
  .filter((output) => output.output_type === 'error')
  .map((output) => `${output.ename}: ${output.evalue}`);
"""


def _write(path: Path, **content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
