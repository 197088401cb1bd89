"""What both views share: their life, and their two ways to the browser.

What is in the traits is small and lands in a saved notebook. Bytes of videos and images do not: a browser asks for
those that somebody wants to see, by a message, and gets them in one. All work is done on the SDK's own loop, messages
of the browser included, so that no cell waits for it and a running cell stops nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import logging
import secrets
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from importlib.resources import files
from typing import Any

import anywidget
import traitlets

from cutaway.cell import current_cell
from cutaway.errors import CutawayError
from cutaway.filenames import without_controls
from cutaway.loop import background

from .cells import note, show_below

_log = logging.getLogger(__name__)
_LOST = "This view lives as long as its kernel. Run the cell again to see it."


def browser_code(name: str) -> str:
    """The module of a view: what both share, then its own."""
    folder = files(__package__)
    return "\n".join((folder / each).read_text("utf-8") for each in ("shared.js", name))


def browser_style() -> str:
    """The style sheet of both."""
    return (files(__package__) / "style.css").read_text("utf-8")


class View(anywidget.AnyWidget):
    """Base of the views.

    Parameters
    ----------
    cell
        The cell that it ends with, if that is another one than the one that runs now.
    """

    _css = browser_style()
    status = traitlets.Dict().tag(sync=True)
    """What goes on, for people: ``state`` and more."""
    mark = traitlets.Unicode().tag(sync=True)
    """Of the words below this view, which it hides as long as it is there."""

    def __init__(self, *, cell: str | None = None, **traits: Any) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: Exception | None = None
        self._finished = asyncio.Event()
        super().__init__(mark=secrets.token_hex(8), **traits)
        self.on_msg(_heard)
        note(self, current_cell() if cell is None else cell)

    # --- what goes on

    @property
    def state(self) -> str:
        """``"idle"``, ``"running"``, ``"done"``, ``"stopped"`` or ``"failed"``."""
        return str(self.status.get("state", "idle"))

    @property
    def error(self) -> Exception | None:
        """Why it failed; None when it has not."""
        return self._error

    @property
    def result(self) -> Any:
        """What has come so far."""
        raise NotImplementedError

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for the end of what runs, and return :attr:`result`. Ctrl-C ends the waiting, not the work.

        Parameters
        ----------
        timeout : float or None
            Seconds.

        Raises
        ------
        CutawayError
            It failed.
        TimeoutError
            It has not ended in time; it goes on.
        """

        async def waited() -> None:
            async with asyncio.timeout(timeout):
                await self._finished.wait()

        if self.state == "running":
            background().run(waited())
        if self.comm is not None:
            # Programs that run notebooks pass over what comes between two cells; now they get all of it.
            self.send_state()
        if self._error is not None:
            raise self._error
        return self.result

    def stop(self) -> None:
        """Stop the work on the server; what has come stays. Harmless when nothing runs."""
        background().run(self._stop())

    async def _stop(self) -> None:
        raise NotImplementedError

    def _say(self, **changes: Any) -> None:
        """Change the status. Only on the loop: all who change it take turns there."""
        self.status = {**self.status, **changes}

    def _end(self, state: str, error: Exception | None = None) -> None:
        """Say how it ended."""
        self._error = error
        self._say(state=state, error="" if error is None else in_words(error))
        self._finished.set()

    # --- the browser

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something on the loop, from any thread."""

        async def kept() -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await work()
            except Exception as error:
                self._say(note=in_words(error))
            finally:
                self._tasks.discard(task)

        # In no cell's context: a kernel would say that all that is sent is of the cell that began it, and programs that
        # run notebooks pass over what is not of the cell that runs.
        Context().run(background().start, kept())

    async def _asked(self, content: dict[str, Any], buffers: list[Any]) -> None:
        """Do what somebody pressed a button for."""
        raise NotImplementedError

    # --- life

    def close(self) -> None:
        """Stop the work and take the view away from the notebook. What has come stays with this object."""
        if self.comm is not None:
            super().close()
            self.layout.close()  # a widget of its own, which nobody else would
            self.__dict__.pop("_repr_mimebundle_", None)  # ipywidgets makes it None; ours says that it is closed
            with contextlib.suppress(RuntimeError):  # the process ends, and all work with it
                self._start(self._stop)

    def let_go(self) -> None:
        """Close, and forget what came: the cell that made it runs again, or is gone."""
        self.close()
        self._start(self._drop)

    async def _drop(self) -> None:
        await self._stop()
        self._forget()

    def _forget(self) -> None:
        raise NotImplementedError

    @property
    def _subject(self) -> str:
        """What it is about, for people: said once and saved, so nothing that changes."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        words = {"text/plain": repr(self), "text/html": self._words()}
        shown = super()._repr_mimebundle_(**kwargs) if self.comm is not None else None
        if shown is None:
            return words
        data, metadata = shown if isinstance(shown, tuple) else (shown, {})
        show_below({"text/plain": _LOST, "text/html": f'<div data-cutaway="{self.mark}">{_LOST}</div>'})
        return {**data, **words}, metadata

    def _words(self) -> str:
        """What is shown where no widget can be: a saved notebook without its kernel."""
        about = html.escape(without_controls(self._subject))
        how = "This view was closed. Run the cell again to see it." if self.comm is None else _LOST
        return f"<b>{about}</b> <small>{how}</small>"


def _heard(view: View, content: Any, buffers: list[Any]) -> None:
    if content == {"do": "hello"}:
        view.send({"hello": True})
    elif isinstance(content, dict):
        view._start(partial(view._asked, content, buffers))


def in_words(error: Exception) -> str:
    """An error as one line for people."""
    if isinstance(error, CutawayError):
        return without_controls(str(error))
    if isinstance(error, OSError):
        return without_controls(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    _log.error("a view failed", exc_info=error)
    return f"Something failed in the kernel ({type(error).__name__}); its log has more."
