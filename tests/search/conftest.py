"""Fixtures of all tests of searches: an empty store, and a server whose model is a fake that is reached over HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClientConnection, websocket_connect

from cutaway.protocol import SEARCH_PATH
from cutaway_server.app import Services, make_app, make_http_server
from cutaway_server.fetch.door import Door
from cutaway_server.fetch.guard import Policy
from cutaway_server.gemini.client import open_gemini
from cutaway_server.search.articles import record
from cutaway_server.search.articles.entry import Entry
from cutaway_server.search.articles.record import Record
from cutaway_server.search.local import local_search
from cutaway_server.settings import Settings
from fakes.gemini import FakeGemini

KEY = "canary-key-77ab20"
SUMMARY, IMAGES = "gemini-3.8-flash", "gemini-3.1-flash-image"
"""The models that are asked unless a setting says otherwise."""
STORIES = (
    ("How jet engines start", "Before a jet engine starts in cold weather, its oil must be warmed by hand."),
    (
        "Ice on the wing of a jet",
        "Ice on the wings of a jet changes its shape. Crews spray warm glycol on it.",
    ),
    ("A red bridge over the river", "The steel bridge was painted red in 1932. It carries nine trains an hour today."),
)


@pytest.fixture
def no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new store is empty, and its first article has the id 1."""
    monkeypatch.setattr(record, "samples", list)


@pytest.fixture
def fake(googles_library: None) -> Iterator[FakeGemini]:
    """Fails when a test leaves a connection open, or was asked what nothing was queued for."""
    with FakeGemini() as server:
        yield server
        server.wait_for(lambda: server.open_connections == 0, 3)
        assert not server.unanswered, [each.text for each in server.unanswered]


@dataclass
class Asking:
    """A whole search in the test's loop: store, workers, door, model and socket."""

    app: Application
    port: int
    clients: list[WebSocketClientConnection] = field(default_factory=list)

    async def open(self) -> WebSocketClientConnection:
        """A new connection."""
        client = await websocket_connect(f"ws://127.0.0.1:{self.port}{SEARCH_PATH}", max_message_size=64 << 20)
        self.clients.append(client)
        return client

    async def begin(self, **request: Any) -> WebSocketClientConnection:
        """A new connection with a search on its way."""
        client = await self.open()
        await client.write_message(json.dumps(request))
        return client

    async def ask(self, **request: Any) -> Answered:
        """All messages of one search."""
        client = await self.begin(**request)
        try:
            return await rest(client)
        finally:
            await self.leave(client)

    async def leave(self, client: WebSocketClientConnection) -> None:
        """Close a connection, and take what is still on its way: Tornado's client sees no end behind it otherwise."""
        self.clients.remove(client)
        client.close()
        while await client.read_message() is not None:
            pass

    async def get(self, path: str) -> HTTPResponse:
        """Fetch something from the server."""
        return await AsyncHTTPClient().fetch(f"http://127.0.0.1:{self.port}{quote(path)}")


@dataclass(frozen=True)
class Answered:
    """The messages of a search."""

    messages: list[dict[str, Any]]

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """Those of some types, in their order."""
        return [each for each in self.messages if each["type"] in kinds]

    @property
    def kinds(self) -> list[str]:
        return [each["type"] for each in self.messages]

    @property
    def items(self) -> list[dict[str, Any]]:
        return [item for batch in self.of("articles_batch") for item in batch["items"]]

    @property
    def summary(self) -> str:
        return "".join(each["text"] for each in self.of("summary_chunk"))

    @property
    def done(self) -> dict[str, Any]:
        (done,) = self.of("summary_done")
        return done

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """All that the image agent says, in its order."""
        return self.of("image", "image_text", "image_error")


async def rest(client: WebSocketClientConnection, until: str = "done") -> Answered:
    """The messages up to the next one of a type, that one too."""
    messages: list[dict[str, Any]] = []
    while not messages or messages[-1]["type"] != until:
        frame = await asyncio.wait_for(client.read_message(), 15)
        assert isinstance(frame, str), f"closed with {client.close_code} after {messages}"
        assert frame.endswith("\n")
        messages.append(json.loads(frame))
    return Answered(messages)


Serve: TypeAlias = Callable[..., Awaitable[Asking]]


@pytest.fixture
def serve(io_loop: IOLoop, work_dir: Path, tmp_path: Path, fake: FakeGemini, no_samples: None) -> Iterator[Serve]:
    """Start one: ``await serve(stories, **settings)``; settings of the model without their ``gemini_``."""
    stack = AsyncExitStack()
    own = ("summary_model", "image_model", "search", "calls", "retries", "first_seconds", "gap_seconds", "wait_seconds")

    @asynccontextmanager
    async def running(stories: tuple[tuple[str, str], ...], **values: Any) -> AsyncIterator[Asking]:
        data_dir = tmp_path / "data"
        with Record.open(data_dir) as store:
            urls = [f"https://news.example/{n}" for n in range(len(stories))]
            store.put(
                [
                    Entry(key=url, url=url, title=title, description=text)
                    for url, (title, text) in zip(urls, stories, strict=True)
                ]
            )
        named = {f"gemini_{name}" if name in own else name: value for name, value in values.items()}
        plain = {"gemini_api_key": KEY, "gemini_base_url": fake.url, "gemini_retries": 0, "gemini_wait_seconds": 5}
        plain |= {"search_workers": 2, "feed_minutes": 0, "data_dir": data_dir, "work_dir": work_dir}
        settings = Settings(_env_file=None, **{**plain, **named})  # type: ignore[arg-type]
        door = Door(Policy(allow_networks=settings.allow_network, allow_addresses=settings.allow_address))
        await door.start()
        try:
            async with open_gemini(settings) as gemini, local_search(settings, door, gemini) as made:
                assert made is not None
                app = make_app(settings, Services(video=None, search=made[0], images=made[1]))  # type: ignore[arg-type]
                server = make_http_server(app)
                sockets = bind_sockets(0, "127.0.0.1", family=socket.AF_INET)
                server.add_sockets(sockets)
                asking = Asking(app, sockets[0].getsockname()[1])
                try:
                    yield asking
                finally:
                    for client in list(asking.clients):
                        await asking.leave(client)
                    server.stop()
                    live = dict(app.settings["live_sockets"])
                    for handler in live:
                        handler.cut()
                    await asyncio.gather(*live.values(), return_exceptions=True)
                    await server.close_all_connections()
        finally:
            await door.stop()

    async def start(stories: tuple[tuple[str, str], ...] = STORIES, **values: Any) -> Asking:
        return await stack.enter_async_context(running(stories, **values))

    yield start
    io_loop.run_sync(stack.aclose)
    for folder in work_dir.iterdir():  # the images' folder is the server's, which is none here
        assert folder.name == "generated"
        assert not list(folder.iterdir()), "images left"
        folder.rmdir()
