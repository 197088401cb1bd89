"""The application: every route in one table, and what its handlers share. Settings and a service come in, a
Tornado application goes out.
"""

from __future__ import annotations

import asyncio

from tornado.httpserver import HTTPServer
from tornado.web import Application

from cutaway.protocol import VIDEO_PATH
from cutaway_server import logs
from cutaway_server.pages.base import NotFound
from cutaway_server.pages.status import Health, Protocol
from cutaway_server.settings import Settings
from cutaway_server.sockets.turns import Turns
from cutaway_server.sockets.video import VideoService, VideoSnippets

ROUTES = [
    (VIDEO_PATH, VideoSnippets),
    ("/health", Health),
    ("/protocol.json", Protocol),
]

_PARSED_HEADER_BYTES = 1 << 20
"""Headers above 64 kB get an answer (431) instead of a dropped connection, so the parser must read them to
the end.
"""
_IDLE_SECONDS = 15.0
"""For half-sent requests and connections kept alive without one; sockets have left the HTTP server's hands.
"""


def make_app(settings: Settings, service: VideoService) -> Application:
    """The application that serves `service`."""
    return Application(
        list(ROUTES),
        default_handler_class=NotFound,
        log_function=logs.log_request,
        cutaway=settings,
        video_service=service,
        video_turns=Turns(settings.max_streams, settings.max_waiting),
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
