"""What every answer of this server has in common, sockets included: a request id, security headers, JSON
errors, and the refusal of requests that are too large or came through a name that is not ours.
"""

from __future__ import annotations

import http
import ipaddress
from typing import Any

import msgspec
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError, RequestHandler

from cutaway_server import logs
from cutaway_server.settings import Settings

MAX_HEADER_BYTES = 64 << 10
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Guarded(RequestHandler):
    """Base of all handlers. The application's ``cutaway`` setting holds the :class:`Settings`."""

    checks_host = True
    request_id: str

    @property
    def cutaway(self) -> Settings:
        """The server's settings."""
        settings: Settings = self.settings["cutaway"]
        return settings

    def set_default_headers(self) -> None:
        """Headers for pages that are data: not to be sniffed, framed, or told about to others."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")

    def prepare(self) -> None:
        """Give the request its id and refuse it when its headers or its host are wrong."""
        self.request_id = logs.new_request_id()
        logs.request_id.set(self.request_id)
        if header_bytes(self.request.headers) > MAX_HEADER_BYTES:
            raise HTTPError(431, reason="Request Header Fields Too Large")
        # A page of an attacker whose name is made to resolve to this machine (DNS rebinding) is of the same
        # origin in the browser's eyes; only the Host header still has the attacker's name.
        if self.checks_host and not is_own_host(self.request.headers.get("Host", ""), self.cutaway):
            raise HTTPError(403, reason="Unknown Host")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a JSON object instead of a page."""
        self.write_json({"error": self._reason or http.HTTPStatus(status_code).phrase})

    def let_allowed_origins_read(self) -> None:
        """Let scripts of the origins that the operator named read the answer, not only show it."""
        origin = self.request.headers.get("Origin", "").rstrip("/").lower()
        if self.cutaway.allow_origin:
            self.set_header("Vary", "Origin")
        if origin in self.cutaway.allow_origin:
            self.set_header("Access-Control-Allow-Origin", self.request.headers["Origin"])

    def keep_for_who_knows_the_path(self, seconds: float) -> None:
        """Let browsers keep what never changes, and whose path is a secret of who asked for it."""
        self.set_header("Cache-Control", f"private, max-age={int(seconds)}, immutable")  # in nobody else's cache
        # Pages of other origins may show it, as a notebook does: they must know its name.
        self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.let_allowed_origins_read()

    def write_json(self, value: object) -> None:
        """Finish with `value` as JSON."""
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(value))


class NotFound(Guarded):
    """Every path that has no handler."""

    def prepare(self) -> None:
        """Refuse as always, then say that there is nothing."""
        super().prepare()
        raise HTTPError(404)


def header_bytes(headers: HTTPHeaders) -> int:
    """Size of the header fields as they were sent."""
    return sum(len(name) + len(value) + 4 for name, value in headers.get_all())


def is_own_host(header: str, settings: Settings) -> bool:
    """Whether a ``Host`` header names this server.

    A literal address is accepted when the server listens on all addresses: whoever uses one has asked no DNS.
    """
    name = header.strip().lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if name in _LOOPBACK_NAMES or name == settings.host.lower() or name in settings.allowed_host:
        return True
    return _is_address(name) and _is_address(settings.host) and ipaddress.ip_address(settings.host).is_unspecified


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
