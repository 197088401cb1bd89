"""What the command line shows: one line per snippet on stdout, and how far the work is, live.

Two places: on a terminal everything goes to one rich console, lines above a live bar; in a pipe the lines go
to stdout and the bar, if anybody sees it, to stderr. Titles and messages were written by strangers: nothing
here prints them but as plain text, without control characters and without markup.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from .filenames import without_controls
from .values import Progress as SnippetProgress
from .values import Snippet, clock, size_of

_STAGES = {
    "resolve": "looking at the video",
    "analyse": "finding the moments",
    "cut": "cutting",
}


class Display:
    """A ``with`` block around the work of one command.

    Parameters
    ----------
    lines : bool
        Whether stdout gets a line for each snippet; otherwise it is left alone, for other output.
    """

    def __init__(self, *, lines: bool = True) -> None:
        self._lines = lines
        shared = lines and sys.stdout.isatty()
        self._console = Console(stderr=not shared, highlight=False)
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._live.add_task("", total=None)
        self._count = 0

    def stage(self, text: str) -> None:
        """Say what is being waited for."""
        self._live.update(self._task, description=text, completed=0, total=None)

    def progress(self, progress: SnippetProgress) -> None:
        """Show how far the server is."""
        text = _STAGES.get(progress.stage, without_controls(progress.stage))
        if self._count:
            text += f" ({self._count} so far)"
        # A stage that is complete is not the end: rich would stop the spinner and the clock for good.
        self._live.update(self._task, description=text, completed=min(progress.fraction, 0.999), total=1)

    def snippet(self, snippet: Snippet, file: Path | None) -> None:
        """Print the line of a snippet: where, how long, how large, title, file."""
        self._count += 1
        if not self._lines:
            return
        line = Text(no_wrap=True, overflow="ignore")
        if snippet.start is not None and snippet.end is not None:
            line.append(f"{clock(snippet.start):>7}–{clock(snippet.end):<7} ", style="cyan")
            line.append(f"{snippet.end - snippet.start:5.1f} s ")
        line.append(f"{size_of(snippet):>7}  ", style="dim")
        line.append(without_controls(snippet.title), style="bold")
        if file is not None:
            line.append(f"  {without_controls(str(file))}", style="green")
        self._print(line)

    def note(self, text: str, *, style: str = "") -> None:
        """Print a line of the program's own words, beside the results."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def _print(self, line: Text) -> None:
        if self._console.stderr:
            print(line.plain, flush=True)  # noqa: T201 (a pipe: no colours, no wrapping)
        else:
            self._console.print(line, soft_wrap=True)

    def __enter__(self) -> Display:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()
