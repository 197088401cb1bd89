"""yt-dlp in its cage: run once, in a process that ends with the answer.

Comes in: a URL that was checked, and the pass of the job. Goes out: a :class:`~cutaway_server.fetch.sites.Site`. The
library may reach the door and nothing else, start the JavaScript engine and nothing else, and has neither
configuration, cookies, passwords, plugins nor the server's environment. What it raises becomes words in
:mod:`cutaway_server.fetch.complaints`.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yt_dlp
from yt_dlp.globals import all_plugins_loaded
from yt_dlp.networking.exceptions import HTTPError, ProxyError

from cutaway_server.fetch import formats
from cutaway_server.fetch.complaints import NO_SCRIPTS, UNEXPLAINED, explain_site
from cutaway_server.fetch.door import REFUSED_FIELD, Pass
from cutaway_server.fetch.sites import NoVideo, Site, SiteFailed
from cutaway_server.work import limits

ANY_PAGE = "Generic"
"""The extractor that looks at any page."""

_log = logging.getLogger(__name__)
_MAX_PAGE_BYTES = 16 << 20
_MAX_REQUESTS = 60
_READ_BYTES = 64 << 10
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
_FORBIDDEN = (
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.system",
    "pty.spawn",
    "socket.bind",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "socket.sendmsg",
    "socket.sendto",
)


@functools.cache
def _extractors() -> dict[str, Any]:
    return {each.ie_key(): each for each in yt_dlp.extractor.gen_extractor_classes()}


def extractor_of(url: str) -> str:
    """The name of the extractor for a URL; ``ANY_PAGE`` if no site claims it."""
    return next((name for name, each in _extractors().items() if each.suitable(url)), ANY_PAGE)


def extract(url: str, extractor: str, pass_: Pass, scratch: Path) -> Site:
    """Have yt-dlp find the video of a page. Only for a process of its own, which is of no other use afterwards.

    Raises
    ------
    SiteFailed
        There is none, or it cannot be had.
    """
    engine = javascript_engine()
    _confine(pass_, engine, scratch.absolute())
    with _Extracting(_options(pass_, engine)) as library:
        try:
            info = library.extract_info(url, download=False, ie_key=extractor)
            info = _first(info)
            return formats.describe(info, library.cookiejar.get_cookie_header)
        except SiteFailed:
            raise
        except _TooMuch as much:
            raise SiteFailed(str(much)) from None
        except Exception as error:
            if isinstance(error, MemoryError):
                raise
            _log.info("yt-dlp (%s): %s", extractor, type(error.__context__ or error).__name__)
            fault = explain_site(error, library.refused)
            if engine is None and extractor.startswith("Youtube") and fault.message in UNEXPLAINED:
                _log.warning("no JavaScript runtime, which YouTube needs: install yt-dlp[default,deno]")
                fault = SiteFailed(NO_SCRIPTS)
            raise fault from None


def javascript_engine() -> str | None:
    """Where deno is: in this Python environment, where the package ``deno`` puts it, or else on the path."""
    try:
        from deno import find_deno_bin

        return str(find_deno_bin())
    except (ImportError, FileNotFoundError):
        return shutil.which("deno")


def _options(pass_: Pass, engine: str | None) -> dict[str, Any]:
    return {
        "proxy": pass_.proxy_url,
        "logger": _Silent(),
        "quiet": True,
        "noprogress": True,
        "simulate": True,
        "cachedir": False,
        "enable_file_urls": False,
        "noplaylist": True,
        "playlist_items": "1",
        "lazy_playlist": True,
        "extract_flat": False,
        "format": "bestvideo*/bestaudio/best",
        "check_formats": False,
        "geo_bypass": False,
        "socket_timeout": 6.0,
        "retries": 1,
        "extractor_retries": 1,
        "js_runtimes": {"deno": {"path": engine}} if engine else {},
        "remote_components": (),
        "extractor_args": {"youtube": {"skip": ["translated_subs"]}},
        "external_downloader": {},
        "postprocessors": [],
    }


def _confine(pass_: Pass, engine: str | None, scratch: Path) -> None:
    """Leave this process one address to connect to and one program to start. There is no way back."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept, HOME=str(scratch), DENO_DIR=str(scratch / "deno"), DENO_NO_UPDATE_CHECK="1", NO_COLOR="1")
    os.chdir(scratch)
    all_plugins_loaded.value = True
    if engine:
        # yt-dlp starts it, and cannot be told how: under limits, and so that it dies with this process.
        confined = functools.partialmethod(subprocess.Popen.__init__, preexec_fn=limits.engine_setup)
        subprocess.Popen.__init__ = confined  # type: ignore[method-assign,assignment]
    door = (pass_.host, pass_.port)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if (
            (event == "socket.connect" and tuple(arguments[1][:2]) != door)
            or (event == "socket.getaddrinfo" and arguments[0] != pass_.host)
            or (event == "subprocess.Popen" and arguments[0] != engine)
            or event in _FORBIDDEN
        ):
            raise PermissionError(f"{event} is not allowed here")

    sys.addaudithook(watch)


def _first(info: Any) -> dict[str, Any]:
    """The video, or the first one of a list, which may be in a list itself."""
    for _ in range(4):
        if not isinstance(info, dict):
            raise NoVideo
        if info.get("_type", "video") == "video":
            return info
        info = next(iter(itertools.islice(info.get("entries") or (), 1)), None)
    raise NoVideo


class _TooMuch(BaseException):
    """A page wants more than any page needs. No Exception: yt-dlp would take it for the page's fault and go on."""


class _Silent:
    """A logger for what is of no use to anyone but yt-dlp's own users."""

    def _ignore(self, message: str) -> None:
        pass

    debug = info = warning = error = _ignore


class _Extracting(yt_dlp.YoutubeDL):  # type: ignore[misc]
    """yt-dlp with bounded answers. ``refused`` is why the door last refused a connection, "" if it did not."""

    refused = ""
    requests = 0

    def urlopen(self, req: Any) -> Any:
        """Open a URL, one of ``_MAX_REQUESTS``; the answer's body is at most ``_MAX_PAGE_BYTES``, unpacked."""
        self.requests += 1
        if self.requests > _MAX_REQUESTS:
            raise _TooMuch("This page leads from one to the next, and to no video.")
        try:
            return _bounded(super().urlopen(req))
        except HTTPError as error:
            self.refused = error.response.headers.get(REFUSED_FIELD) or self.refused
            _bounded(error.response)
            raise
        except ProxyError:
            self.refused = self.refused or "connect"
            raise


def _bounded(response: Any) -> Any:
    read, left = response.read, _MAX_PAGE_BYTES

    def read_bounded(amt: int | None = None) -> bytes:
        nonlocal left
        data = bytearray()
        while amt is None or len(data) < amt:
            part = read(_READ_BYTES if amt is None else min(amt - len(data), _READ_BYTES))
            if not part:
                break
            data += part
            left -= len(part)
            if left < 0:
                raise _TooMuch("This page is too large to find its video.")
        return bytes(data)

    response.read = read_bounded
    return response
