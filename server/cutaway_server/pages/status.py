"""``/health`` for load balancers and ``/protocol.json`` for client developers."""

from __future__ import annotations

from cutaway.protocol import json_schema
from cutaway_server.pages.base import Guarded


class Health(Guarded):
    """The server's loop turns."""

    # Load balancers ask by whatever address they know; the answer is no secret.
    checks_host = False

    def get(self) -> None:
        """Say so."""
        self.write_json({"status": "healthy"})

    head = get


class Protocol(Guarded):
    """The JSON Schema of every message."""

    def get(self) -> None:
        """The schema; pages of any origin may read it."""
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.write_json(json_schema())

    head = get
