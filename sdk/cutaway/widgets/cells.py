"""Views end with their cell: when a cell runs again or is deleted, what it made before is let go.

ipywidgets keeps every widget, and IPython every value that a cell ended with, until the kernel ends; a gallery holds
megabytes and a connection. So each view is noted under the id of the cell that made it. What comes in are views and
IPython's word that a cell is about to run, or has; what goes out are calls of ``let_go``, and words below a view for
those who open the notebook without its kernel.
"""

from __future__ import annotations

import weakref
from typing import Any, Protocol

from cutaway.cell import current_cell, request_metadata, shell


class Lettable(Protocol):
    """What a cell can have made."""

    def let_go(self) -> None:
        """Stop, vanish, and hold nothing any more."""


_made: dict[str, weakref.WeakSet[Any]] = {}
_below: list[dict[str, str]] = []
_listening: weakref.WeakSet[Any] = weakref.WeakSet()


def note(view: Lettable, cell: str | None) -> None:
    """Let a view go when its cell runs again or is deleted; without a cell it lives until it is closed."""
    if cell is not None and _listens():
        _made.setdefault(cell, weakref.WeakSet()).add(view)


def show_below(words: dict[str, str]) -> None:
    """Show words, by MIME type, below what the cell that runs now ends with: an output of their own.

    Of an output that is a widget, JupyterLab shows nothing else, even where the widget is lost.
    """
    if current_cell() is not None and _listens():
        _below.append(words)


def _listens() -> bool:
    """Listen to the shell of this process, if it is a kernel's."""
    running = shell()
    if running is not None and running not in _listening:
        _listening.add(running)
        running.events.register("pre_run_cell", _before)
        running.events.register("post_run_cell", _after)
    return running is not None


def _after(_: object) -> None:
    words, running = [*_below], shell()
    _below.clear()
    for each in words if running is not None else ():
        running.display_pub.publish(each)


def _before(info: Any) -> None:
    running = shell()
    deleted = request_metadata(running).get("deletedCells") if running is not None else None
    for cell in [getattr(info, "cell_id", None), *(deleted if isinstance(deleted, list) else [])]:
        for view in list(_made.pop(cell, ())):
            view.let_go()
