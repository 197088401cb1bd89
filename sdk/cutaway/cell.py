"""Where a value is shown: which cell of a notebook runs now, and whether widgets can be shown there.

Nothing of Jupyter is imported here: what a kernel has imported already is asked, and scripts, terminals and marimo,
which have no kernel of IPython, cost nothing. What goes out are ids of cells and MIME bundles.
"""

from __future__ import annotations

import html
import importlib.util
import sys
from typing import Any

from .filenames import without_controls


def shell() -> Any:
    """The IPython shell of this process if it is a kernel's, otherwise None."""
    ipython = sys.modules.get("IPython")
    running = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return running if getattr(running, "kernel", None) is not None else None


def current_cell() -> str | None:
    """The id of the cell that runs now; None where there is none, or nobody tells."""
    return None if (running := shell()) is None else request_metadata(running).get("cellId")


def request_metadata(running: Any) -> dict[str, Any]:
    """What the front end said beside the code of the cell that runs now."""
    parent = running.get_parent() if hasattr(running, "get_parent") else None
    found = parent.get("metadata") if isinstance(parent, dict) else None
    return found if isinstance(found, dict) else {}


def shows_widgets() -> bool:
    """Whether this is a kernel that has what the extra ``notebook`` brings."""
    return shell() is not None and all(map(importlib.util.find_spec, ("anywidget", "ipywidgets", "markdown_it")))


def described(value: object, hint: str) -> dict[str, Any]:
    """A value by its ``repr``, with a word on what to do with it."""
    text = repr(value)
    hint = hint if shell() is None or shows_widgets() else f"{hint}; pip install 'cutaway[notebook]' to watch it here"
    shown = html.escape(without_controls(text))
    return {"text/plain": text, "text/html": f"<code>{shown}</code> <small>{html.escape(hint)}</small>"}
