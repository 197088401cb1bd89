"""A real kernel of Jupyter, and what its front end would see: run as a program, because the sockets and threads of a
kernel's client live as long as their process.

What comes in are a script as the first argument, in which ``kernel`` is a :class:`Kernel`, and its further arguments;
what goes out is what the script prints.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VIEW = "application/vnd.jupyter.widget-view+json"


@dataclass
class Ran:
    """What a cell showed."""

    text: str = ""
    """What it printed."""
    data: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0


class Kernel:
    """A kernel of this interpreter."""

    def __init__(self, folder: str) -> None:
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager()
        self.manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self.manager.start_kernel(cwd=folder)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.states: dict[str, dict[str, Any]] = {}
        """Of the widgets that are open, by their id."""
        self.heard: list[tuple[dict[str, Any], int]] = []
        """Messages of widgets, with the size of their buffers."""

    def run(self, code: str, cell: str | None = None, deleted: tuple[str, ...] = (), *, interrupt: str = "") -> Ran:
        """Run a cell as JupyterLab does; with `interrupt`, interrupt it when it has printed that."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        metadata = {"cellId": cell, "deletedCells": list(deleted)}
        message = self.client.session.msg("execute_request", content, metadata=metadata if cell else None)
        started = time.monotonic()
        self.client.shell_channel.send(message)
        ran, idle, replied = Ran(), False, False
        while not (idle and replied):
            if not idle:
                seen = self._next(ran, message["header"]["msg_id"])
                idle = seen == "idle"
                if interrupt and interrupt in ran.text:
                    self.manager.interrupt_kernel()
                    interrupt = ""
            else:
                reply = self.client.get_shell_msg(timeout=60)
                replied = reply["parent_header"].get("msg_id") == message["header"]["msg_id"]
        ran.seconds = time.monotonic() - started
        return ran

    def say(self, model: str, content: dict[str, Any]) -> None:
        """Send what a widget's browser code sends."""
        data = {"comm_id": model, "data": {"method": "custom", "content": content}}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", data))

    def until(self, statement: Any) -> None:
        """Take what the kernel says until a statement is true."""
        while not statement():
            self._next(Ran(), "")

    def _next(self, ran: Ran, request: str) -> str:
        message = self.client.get_iopub_msg(timeout=60)
        content, own = message["content"], message["parent_header"].get("msg_id") == request
        match message["msg_type"]:
            case "status" if own:
                return str(content["execution_state"])
            case "stream" if own:
                ran.text += content["text"]
            case "execute_result" | "display_data" if own:
                ran.data.append(content["data"])
            case "error" if own:
                ran.error = content["ename"]
            case "comm_open":
                self.states[content["comm_id"]] = content["data"]["state"]
            case "comm_close":
                self.states.pop(content["comm_id"], None)
            case "comm_msg" if content["data"]["method"] == "update":
                self.states[content["comm_id"]].update(content["data"]["state"])
            case "comm_msg":
                self.heard.append((content["data"].get("content"), sum(map(len, message["buffers"]))))
        return ""

    def close(self) -> None:
        """End it."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def in_kernel(script: str, *arguments: str, folder: Path) -> str:
    """Run a script that talks to a kernel, in a process of its own; what it printed."""
    command = [sys.executable, str(Path(__file__)), script, str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    kernel = Kernel(sys.argv[2])
    try:
        exec(sys.argv[1], {"kernel": kernel, "arguments": sys.argv[3:], "VIEW": VIEW})
    finally:
        kernel.close()
