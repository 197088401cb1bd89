"""``/``: the page for browsers, and the files that it is made of. They are read once; what goes out says what it is,
may be kept but has to be asked about again, and allows nothing but itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePath

from tornado.web import HTTPError

from cutaway_server.pages.base import Guarded

WEB_PATH = r"/([\w.-]*)"

_MIME_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_ENTRY = "entry."
"""Files that show the HTML which comes with a summary: in a frame that is of no origin."""
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        # Pictures of articles are on hosts of all kinds, posters in messages.
        "img-src 'self' https: data:",
        "media-src 'self' blob:",
        "frame-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_ENTRY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'unsafe-inline'",
        "img-src https: data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
        "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox",
    )
)


@dataclass(frozen=True)
class _File:
    data: bytes
    mime_type: str
    etag: str


@cache
def _files() -> dict[str, _File]:
    """The files by name."""
    found = {}
    for entry in resources.files("cutaway_server").joinpath("web").iterdir():
        mime_type = _MIME_TYPES.get(PurePath(entry.name).suffix)
        if mime_type is not None:
            data = entry.read_bytes()
            found[entry.name] = _File(data, mime_type, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
    return found


class Web(Guarded):
    """One file of the page; ``/`` is ``index.html``."""

    _etag: str | None = None

    def get(self, name: str) -> None:
        """The file."""
        file = _files().get(name or "index.html")
        if file is None:
            raise HTTPError(404)
        self._etag = file.etag
        self.set_header("Content-Type", file.mime_type)
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Content-Security-Policy", _POLICY)
        if name.startswith(_ENTRY):
            self.set_header("Content-Security-Policy", _ENTRY_POLICY)
            # To a page of no origin, its own script is another's.
            self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.let_allowed_origins_read()
        self.finish(file.data)

    head = get

    def compute_etag(self) -> str | None:
        """Known since the file was read; Tornado compares it with ``If-None-Match``."""
        return self._etag
