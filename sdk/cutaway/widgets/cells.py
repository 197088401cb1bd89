"""Views end with their cell: when a cell runs again or is deleted, what it made before is let go.

ipywidgets keeps every widget, and IPython every value that a cell ended with, until the kernel ends; a gallery holds
megabytes and a connection. So each view is noted under the id of the cell that made it. What comes in are views and
IPython's word that a cell is about to run; what goes out are calls of ``let_go``.
"""

from __future__ import annotations

import weakref
from typing import Any, Protocol

from cutaway.cell import request_metadata, shell


class Lettable(Protocol):
    """What a cell can have made."""

    def let_go(self) -> None:
        """Stop, vanish, and hold nothing any more."""


_made: dict[str, weakref.WeakSet[Any]] = {}
_listening: weakref.WeakSet[Any] = weakref.WeakSet()


def note(view: Lettable, cell: str | None) -> None:
    """Let a view go when its cell runs again or is deleted; without a cell it lives until it is closed."""
    running = shell()
    if cell is None or running is None:
        return
    _made.setdefault(cell, weakref.WeakSet()).add(view)
    if running not in _listening:
        _listening.add(running)
        running.events.register("pre_run_cell", _before)


def _before(info: Any) -> None:
    running = shell()
    deleted = request_metadata(running).get("deletedCells") if running is not None else None
    for cell in [getattr(info, "cell_id", None), *(deleted if isinstance(deleted, list) else [])]:
        for view in list(_made.pop(cell, ())):
            view.let_go()
