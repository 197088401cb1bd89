"""What the command line shows: results as lines on stdout, and how far the work is, live.

Two places: on a terminal everything goes to one rich console, lines above a live bar; in a pipe the lines go
to stdout and the bar, if anybody sees it, to stderr. Titles and messages were written by strangers: nothing
here prints them but as plain text, without control characters and without markup.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from rich.console import Console, RenderableType
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


class _Live(Progress):
    """A progress bar, with words above it that are not final yet."""

    words: Text | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.words is not None:
            # What does not fit scrolls away: rich would show the beginning.
            lines = self.words.wrap(self.console, self.console.width)
            yield Text("\n").join(lines[-max(1, self.console.height - 4) :])
        yield from super().get_renderables()


class Display:
    """A ``with`` block around the work of one command.

    Parameters
    ----------
    lines : bool
        Whether stdout gets lines for people; otherwise it is left alone, for other output.
    """

    def __init__(self, *, lines: bool = True) -> None:
        self._lines = lines
        shared = lines and sys.stdout.isatty()
        self.console = Console(stderr=not shared, highlight=False)
        self._live = _Live(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._live.add_task("", total=None)
        self._count = 0

    @property
    def width(self) -> int | None:
        """Columns of the terminal that the lines go to; None for a pipe, which has none."""
        return None if self.console.stderr else self.console.width

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
        line = Text(no_wrap=True, overflow="ignore")
        if snippet.start is not None and snippet.end is not None:
            line.append(f"{clock(snippet.start):>7}–{clock(snippet.end):<7} ", style="cyan")
            line.append(f"{snippet.end - snippet.start:5.1f} s ")
        line.append(f"{size_of(snippet):>7}  ", style="dim")
        line.append(without_controls(snippet.title), style="bold")
        if file is not None:
            line.append(f"  {without_controls(str(file))}", style="green")
        self.line(line)

    def pending(self, words: Text | None) -> None:
        """Show words above the bar as long as they are not final."""
        self._live.words = words
        self._live.refresh()

    def note(self, text: str, *, style: str = "") -> None:
        """Print a line of the program's own words, beside the results."""
        self.console.print(Text(text, style=style), soft_wrap=not self.console.is_terminal)

    def line(self, line: Text) -> None:
        """Print a line of results."""
        if not self._lines:
            return
        if self.console.stderr:
            print(line.plain, flush=True)  # noqa: T201 (a pipe: no colours, no wrapping)
        else:
            self.console.print(line, soft_wrap=True)

    def __enter__(self) -> Display:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()
