"""A server with a fake service in the test's own loop."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from fake_search import Agents, read_answer
from fake_service import FakeService
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClientConnection, websocket_connect

from cutaway.protocol import SEARCH_PATH, VIDEO_PATH, VideoMessage, decode_video
from cutaway_server.app import Services, make_app, make_http_server
from cutaway_server.search.generated import GeneratedImages
from cutaway_server.search.service import SearchService
from cutaway_server.settings import Settings
from cutaway_server.snippets.clips import Clips
from cutaway_server.sockets.base import Socket
from cutaway_server.work.pool import Workers

VIDEO = "https://video.example/a.mp4"


@dataclass
class Running:
    """A server that runs, and its fake service."""

    app: Application
    service: FakeService
    port: int
    clients: list[WebSocketClientConnection] = field(default_factory=list)

    def url(self, path: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    @property
    def live(self) -> dict[Socket, asyncio.Task[None]]:
        live: dict[Socket, asyncio.Task[None]] = self.app.settings["live_sockets"]
        return live

    async def connect(
        self, query: str | None = None, headers: dict[str, str] | None = None, **parameters: str
    ) -> WebSocketClientConnection:
        query = urlencode({"video_url": VIDEO, **parameters}) if query is None else query
        request = HTTPRequest(self.url(f"{VIDEO_PATH}?{query}", "ws"), headers=headers or {})
        client = await websocket_connect(request, max_message_size=100 << 20)
        self.clients.append(client)
        return client

    async def ask(self, query: str | None = None, **parameters: str) -> list[VideoMessage]:
        """All messages of one request; asserts the orderly end."""
        return await read_all(await self.connect(query, **parameters))


async def read_all(client: WebSocketClientConnection) -> list[VideoMessage]:
    """Read to the end: exactly one terminal message, nothing after it, close code 1000."""
    messages = []
    while (frame := await client.read_message()) is not None:
        assert isinstance(frame, str), "a text frame"
        messages.append(decode_video(frame))
    kinds = [type(message).__name__ for message in messages]
    assert kinds[-1] in ("SnippetComplete", "VideoError")
    assert not {"SnippetComplete", "VideoError"} & set(kinds[:-1])
    assert client.close_code == 1000
    return messages


@pytest.fixture
def serve_fake(io_loop: IOLoop) -> Iterator[Callable[..., Running]]:
    """Start the application in the test's loop: ``serve_fake(*steps, **settings)``."""
    started: list[tuple[Running, object]] = []

    def start(*steps: bytes | asyncio.Event | BaseException, **settings: object) -> Running:
        service = FakeService(*steps)
        app = make_app(Settings(_env_file=None, **settings), Services(video=service))  # type: ignore[arg-type,call-arg]
        server = make_http_server(app)
        sockets = bind_sockets(0, "127.0.0.1", family=socket.AF_INET)
        server.add_sockets(sockets)
        running = Running(app, service, sockets[0].getsockname()[1])
        started.append((running, server))
        return running

    yield start

    async def stop() -> None:
        for running, server in started:
            for client in running.clients:
                client.close()
            server.stop()  # type: ignore[attr-defined]
            for handler in list(running.live):
                handler.cut()
            await server.close_all_connections()  # type: ignore[attr-defined]

    io_loop.run_sync(stop)


@dataclass
class Searching(Running):
    """A server that runs, with scripted agents behind the real search service."""

    agents: Agents = field(default_factory=Agents)

    async def open(self, **options: Any) -> WebSocketClientConnection:
        request = HTTPRequest(self.url(SEARCH_PATH, "ws"), **options)
        client = await websocket_connect(request, max_message_size=100 << 20)
        self.clients.append(client)
        return client

    async def search(self, client: WebSocketClientConnection | None = None, **request: Any) -> list[dict[str, Any]]:
        """All messages of one search but its ``done``."""
        client = client or await self.open()
        await client.write_message(json.dumps(request))
        return await read_answer(client)


@pytest.fixture
def serve_search(io_loop: IOLoop, work_dir: Path) -> Iterator[Callable[..., Searching]]:
    """Start the application in the test's loop: ``serve_search(agents, **settings)``."""
    started: list[tuple[Searching, Any, Workers, asyncio.Future[None] | None]] = []

    def start(agents: Agents | None = None, *, workers: int = 0, on: bool = True, **values: object) -> Searching:
        agents = agents or Agents()
        settings = Settings(_env_file=None, work_dir=work_dir, **values)  # type: ignore[arg-type,call-arg]
        pool = Workers(max(workers, 1), preload=("cutaway_server.search.question",))
        starting = asyncio.ensure_future(pool.start()) if workers else None
        service = SearchService(*agents.all, workers=pool, seconds=settings.search_seconds) if on else None
        app = make_app(settings, Services(video=FakeService(), search=service))
        server = make_http_server(app)
        sockets = bind_sockets(0, "127.0.0.1", family=socket.AF_INET)
        server.add_sockets(sockets)
        running = Searching(app, FakeService(), sockets[0].getsockname()[1], agents=agents)
        started.append((running, server, pool, starting))
        return running

    yield start

    async def stop() -> None:
        for running, server, pool, starting in started:
            if starting is not None:
                await starting
            for client in running.clients:
                client.close()
            server.stop()
            for handler in list(running.live):
                handler.cut()
            await server.close_all_connections()
            await pool.close()

    io_loop.run_sync(stop)


@pytest.fixture
def serve(io_loop: IOLoop) -> Iterator[Callable[..., Callable[..., Any]]]:
    """Start a server of files: ``serve(images, clips=clips, **settings)`` is a function that gets a path."""
    servers: list[Any] = []

    def start(
        images: GeneratedImages | None = None, *, clips: Clips | None = None, **settings: Any
    ) -> Callable[..., Any]:
        services = Services(video=FakeService(), images=images, clips=clips)
        app = make_app(Settings(_env_file=None, **settings), services)
        server = make_http_server(app)
        (sock,) = bind_sockets(0, "127.0.0.1")
        server.add_sockets([sock])
        servers.append(server)
        port = sock.getsockname()[1]

        async def get(path: str, *, address: str, **options: Any) -> HTTPResponse:
            return await AsyncHTTPClient().fetch(f"{address}{path}", raise_error=False, **options)

        return partial(get, address=f"http://127.0.0.1:{port}")

    yield start

    async def stop() -> None:
        for server in servers:
            server.stop()
            await server.close_all_connections()

    io_loop.run_sync(stop)
