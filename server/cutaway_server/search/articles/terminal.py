"""What ``cutaway articles`` shows: lines and tables on stdout, a live bar, notes and complaints beside them.

On a terminal everything goes to one rich console; in a pipe, stdout gets plain lines with tabs, and the bar goes to
stderr if somebody sees that. Titles were written by strangers: nothing is printed but as plain text, without control
characters and without markup.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cutaway.filenames import without_controls

_GAP = 3
"""Cells between two columns."""
_LEAST = 16
"""To which a column may be cut."""


class Bar:
    """A live bar; calls come cheap, it draws itself ten times a second."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def at(self, done: int, total: int | None = None) -> None:
        """How far it is; of how many, when that has become known."""
        self._progress.update(self._task, completed=done, total=total)

    def add(self, count: int = 1) -> None:
        """So much more is done."""
        self._progress.advance(self._task, count)


class Terminal:
    """Where one command writes.

    Parameters
    ----------
    as_json
        Whether stdout gets JSON lines, and nothing else.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._shared = sys.stdout.isatty() and not as_json
        self._console = Console(stderr=not self._shared, highlight=False)
        # Beside a live bar on the same terminal only its own console can write.
        own = self._console.is_terminal and sys.stderr.isatty()
        self._errors = self._console if own else Console(stderr=True, highlight=False)

    @contextmanager
    def bar(self, text: str, total: int | None, *, count: bool = True) -> Iterator[Bar]:
        """A bar for the time of the block, gone afterwards; without a total it only shows that something happens.

        Parameters
        ----------
        count
            Whether it says how many of how many.
        """
        columns = [
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            *([MofNCompleteColumn()] if count else []),
            TimeElapsedColumn(),
        ]
        console = self._console
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            yield Bar(progress, progress.add_task(text, total=total))

    def line(self, *parts: tuple[str, str]) -> None:
        """A result, as (text, style) parts."""
        text = Text(no_wrap=True, overflow="ignore")
        for words, style in parts:
            text.append(without_spaces_lost(words), style=style)
        if self._shared:
            self._console.print(text, soft_wrap=True)
        else:
            print(text.plain, flush=True)  # noqa: T201 (a pipe: no colours, no wrapping)

    def table(self, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> None:
        """A table, or in a pipe lines with tabs.

        Parameters
        ----------
        columns
            Names and styles; one whose style begins with ``>`` is set to the right, one with ``=`` may be cut, one with
            ``~`` may be broken into lines. Those without any value are left out.
        """
        if not self._shared:
            for row in rows:
                print("\t".join(map(without_controls, row)))  # noqa: T201
            return
        if not rows:
            return
        shown = [n for n in range(len(columns)) if any(row[n] for row in rows)]
        widths = [max(cell_len(columns[n][0]), *(cell_len(row[n]) for row in rows)) for n in shown]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for n, width in zip(shown, widths, strict=True):
            name, style = columns[n]
            left = self._console.width - sum(widths) - _GAP * len(widths) + width
            table.add_column(
                name,
                style=style.lstrip(">=~"),
                justify="right" if style.startswith(">") else "left",
                no_wrap=not style.startswith("~"),
                overflow="fold" if style.startswith("~") else "ellipsis",
                min_width=None if style.startswith(("=", "~")) else width,
                max_width=max(_LEAST, left) if style.startswith("=") else None,
            )
        for row in rows:
            table.add_row(*(Text(without_controls(row[n])) for n in shown))
        self._console.print(table)

    def json(self, value: object) -> None:
        """A JSON line on stdout."""
        self.raw(msgspec.json.encode(value))

    def raw(self, line: bytes) -> None:
        """A line of bytes on stdout, as it is."""
        sys.stdout.buffer.write(line + b"\n")

    def note(self, text: str, *, style: str = "dim") -> None:
        """A line of the program's own words, beside the results."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def complain(self, text: str) -> None:
        """A line about something that failed, while the rest goes on."""
        self._errors.print(Text(f"cutaway: {without_controls(text)}", style="red"), soft_wrap=True)


def without_spaces_lost(text: str) -> str:
    """As :func:`~cutaway.filenames.without_controls`, but keeps the spaces that align columns."""
    inner = without_controls(text)
    return (
        " " * (len(text) - len(text.lstrip(" "))) + inner + " " * (len(text) - len(text.rstrip(" "))) if inner else text
    )
