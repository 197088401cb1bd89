"""The application: every route in one table, and what its handlers share. Settings and services come in, a
Tornado application goes out.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.web import Application

from cutaway.protocol import SEARCH_PATH, VIDEO_PATH
from cutaway_server import logs
from cutaway_server.pages.base import NotFound
from cutaway_server.pages.clips import ClipFile
from cutaway_server.pages.generated import Generated
from cutaway_server.pages.status import Health, Protocol
from cutaway_server.pages.web import WEB_PATH, Web
from cutaway_server.search.generated import GENERATED_PATH, GeneratedImages
from cutaway_server.settings import Settings
from cutaway_server.snippets.clips import CLIP_PATH, Clips
from cutaway_server.sockets.framing import MOST_LARGE
from cutaway_server.sockets.search import Search, SearchAnswers
from cutaway_server.sockets.spool import Spool
from cutaway_server.sockets.turns import Turns
from cutaway_server.sockets.video import VideoService, VideoSnippets

ROUTES = [
    (VIDEO_PATH, VideoSnippets),
    (SEARCH_PATH, Search),
    (GENERATED_PATH, Generated),
    (CLIP_PATH, ClipFile),
    ("/health", Health),
    ("/protocol.json", Protocol),
    (WEB_PATH, Web),
]

_PARSED_HEADER_BYTES = 1 << 20
"""Headers above 64 kB get an answer (431) instead of a dropped connection, so the parser must read them to
the end.
"""
_IDLE_SECONDS = 15.0
"""For half-sent requests and connections kept alive without one; sockets have left the HTTP server's hands.
"""
_MOST_SEARCHES_WAITING = 4096
"""Sockets whose search waits for a place; each has its own line behind it."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What serves the requests; without `search`, searches are told that it is off."""

    video: VideoService
    clips: Clips | None = None
    search: SearchAnswers | None = None
    images: GeneratedImages | None = None


def make_app(settings: Settings, services: Services) -> Application:
    """The application that serves `services`."""
    return Application(
        list(ROUTES),
        default_handler_class=NotFound,
        log_function=logs.log_request,
        cutaway=settings,
        video_service=services.video,
        clips=services.clips,
        video_turns=Turns(settings.max_streams, settings.max_waiting),
        search_service=services.search,
        search_turns=Turns(settings.max_searches, _MOST_SEARCHES_WAITING, "searches"),
        search_spool=Spool(settings.work_dir or Path(tempfile.gettempdir())),
        large_messages=asyncio.Semaphore(MOST_LARGE),
        generated_images=services.images,
        live_sockets={},
        stopping=asyncio.Event(),
    )


def make_http_server(app: Application) -> HTTPServer:
    """An HTTP server for `app`, with its limits; not listening yet."""
    return HTTPServer(
        app,
        max_header_size=_PARSED_HEADER_BYTES,
        max_body_size=0,
        idle_connection_timeout=_IDLE_SECONDS,
        body_timeout=_IDLE_SECONDS,
        no_keep_alive=False,
    )
