"""A file of this machine, used like a URL: a tiny HTTP server that shows one server exactly the files in use.

What comes in is what the user gave as a video; what goes out is a source: the text to show, and a URL that is
valid while it is entered. Files are served on 127.0.0.1 only, with byte ranges, under a path that cannot be
guessed, and only as long as a stream needs them. There is one file server per process, on the background
loop; an embedded server is told its address, the only private one that it may read from. With a playlist go the files
of its folder, which it names.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, StaticFileHandler

from .errors import InvalidRequest
from .loop import LoopThread, background

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ROUTE = r"/([\w-]{43}/.+)"
_PLAYLISTS = {".m3u8", ".m3u", ".mpd"}
_shared: dict[str, Path] = {}
"""The files that may be read, by the unguessable part of their path."""


def find_local_file(video: str | os.PathLike[str]) -> Path | None:
    """The local file that is meant, or None for a URL.

    Raises
    ------
    InvalidRequest
        Neither a URL nor a file that is there and readable.
    """
    text = os.fspath(video)
    if isinstance(video, str) and _URL.match(text):
        parts = urlsplit(text)
        if parts.scheme.lower() != "file":
            return None
        text = url2pathname(parts.path)
    if not text:
        raise InvalidRequest("no video: give a URL (https://...) or the path of a file")
    try:
        path = Path(text).expanduser()
        with path.open("rb"):
            return path.resolve()
    except IsADirectoryError:
        raise InvalidRequest(f"{text!r} is a directory: give the path of a video file") from None
    except FileNotFoundError:
        hint = "" if isinstance(video, os.PathLike) else " (a URL starts with https:// or http://)"
        raise InvalidRequest(f"no such file: {text!r}{hint}") from None
    except (OSError, ValueError, RuntimeError) as error:  # not readable; a NUL in the name; no such ~user
        raise InvalidRequest(f"cannot read {text!r}: {error}") from error


class _SharedFileHandler(StaticFileHandler):
    """Tornado's ranges and conditional requests, for the files of ``_shared`` instead of a directory."""

    @classmethod
    def get_absolute_path(cls, root: str, path: str) -> str:
        token, _, name = path.partition("/")
        shared = _shared.get(token)
        if shared is None:
            return ""
        if shared.suffix.lower() not in _PLAYLISTS:
            return str(shared)
        found = (shared.parent / name).resolve()
        return str(found) if found.is_relative_to(shared.parent) else ""

    def validate_absolute_path(self, root: str, absolute_path: str) -> str:
        if not absolute_path or not Path(absolute_path).is_file():
            raise HTTPError(404)
        return absolute_path

    def compute_etag(self) -> str | None:
        # Tornado's would read and hash the whole video first.
        stat = Path(self.absolute_path or "").stat()
        return f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'

    def check_xsrf_cookie(self) -> None:
        """Nothing here changes anything."""


class FileServer:
    """The file server of this process; ``address`` is its ``127.0.0.1:port``."""

    def __init__(self, loop: LoopThread) -> None:
        self.address = loop.call(self._listen)

    def _listen(self) -> str:
        application = Application([(_ROUTE, _SharedFileHandler, {"path": "/"})], log_function=lambda _: None)
        sockets = bind_sockets(0, "127.0.0.1")
        self._server = HTTPServer(application)
        self._server.add_sockets(sockets)
        return f"127.0.0.1:{sockets[0].getsockname()[1]}"


_lock = threading.Lock()
_server: tuple[LoopThread, FileServer] | None = None


def file_server() -> FileServer:
    """The file server of this process, started if it is not running yet."""
    global _server
    loop = background()
    with _lock:
        if _server is None or _server[0] is not loop:  # another loop: this process is a fork
            _server = loop, FileServer(loop)
        return _server[1]


@contextlib.contextmanager
def shared(path: Path) -> Iterator[str]:
    """A URL of a file, for this machine only, valid inside the ``with`` block."""
    token = secrets.token_urlsafe(32)
    _shared[token] = path
    try:
        yield f"http://{file_server().address}/{token}/{quote(path.name)}"
    finally:
        del _shared[token]
