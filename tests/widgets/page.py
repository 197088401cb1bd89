"""The browser's end of widgets: what a front end would know of each, message by message, and what it says.

It stands at the wire: everything passes through JSON, bytes travel as buffers beside it, and states are put together
from what was sent, as JupyterLab does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from comm.base_comm import BaseComm
from ipywidgets import Widget


@dataclass
class Shown:
    """What the front end has of one widget."""

    state: dict[str, Any] = field(default_factory=dict)
    heard: list[tuple[dict[str, Any], list[bytes]]] = field(default_factory=list)
    """Messages with their buffers."""
    sent_bytes: int = 0
    """Of states, and of nothing else."""
    closed: bool = False

    def cards(self) -> list[dict[str, Any]]:
        return [self.state[f"card_{number}"] for number in range(self.state["count"])]


class Page:
    """All widgets of a test."""

    def __init__(self) -> None:
        self.shown: dict[str, Shown] = {}
        self._changed = threading.Condition()

    def open_comm(self, **values: Any) -> BaseComm:
        return _Comm(self, **values)

    def of(self, widget: Widget) -> Shown:
        """What is shown of a widget."""
        return self.shown[widget.model_id]

    def say(self, widget: Widget, content: dict[str, Any], *buffers: bytes) -> None:
        """What the widget's browser code sends."""
        message = {"content": {"data": {"method": "custom", "content": json.loads(json.dumps(content))}}}
        widget.comm.handle_msg({**message, "buffers": [memoryview(buffer) for buffer in buffers]})

    def wait_for(self, statement: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until a statement about the page is true."""
        with self._changed:
            assert self._changed.wait_for(statement, seconds), f"waited in vain: {self.shown}"

    def wait_state(self, widget: Widget, state: str) -> None:
        """Wait until the widget says so."""
        self.wait_for(lambda: self.of(widget).state["status"]["state"] == state)

    def take(self, comm_id: str, kind: str, data: dict[str, Any] | None, buffers: list[Any] | None) -> None:
        with self._changed:
            shown = self.shown.setdefault(comm_id, Shown())
            text = json.dumps(data or {})
            data = json.loads(text)
            assert not shown.closed, "nothing is sent to what is gone"
            if kind == "comm_close":
                shown.closed = True
            elif kind == "comm_open" or data["method"] == "update":
                assert not data["buffer_paths"], "no bytes in states: they would be saved with the notebook"
                shown.state.update(data["state"])
                shown.sent_bytes += len(text)
            elif data["method"] == "custom":
                shown.heard.append((data["content"], [bytes(buffer) for buffer in buffers or []]))
            self._changed.notify_all()

    def close(self) -> None:
        from ipywidgets.widgets.widget import _instances

        for widget in [_instances[key] for key in self.shown if key in _instances]:
            widget.close()


class _Comm(BaseComm):
    def __init__(self, page: Page, **values: Any) -> None:
        self._page = page
        super().__init__(**values)

    def publish_msg(self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any) -> None:
        self._page.take(self.comm_id, msg_type, data, buffers)
