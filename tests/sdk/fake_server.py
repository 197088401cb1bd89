"""A real Tornado server that answers ``/ws/video-snippets`` from a script, on a thread of its own.

A script is a list of steps: a message (sent), text or bytes (sent as a raw frame), or one of the step classes below.
What the clients did is recorded: their queries, and when the server saw them leave.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from cutaway import protocol

URL = "https://example.com/talk.mp4"


@dataclass
class Hang:
    """Send nothing more, until the client leaves."""


@dataclass
class Abort:
    """Close the TCP connection without a word."""


@dataclass
class Close:
    """Close the WebSocket properly, but too early."""

    code: int = 1011
    reason: str = "out of memory"


@dataclass
class Wait:
    """Go on when the test says so."""

    event: threading.Event = field(default_factory=threading.Event)


@dataclass
class Fragments:
    """One message in several frames, with its last bytes in the last one."""

    message: protocol.VideoMessage


def snippet(number: int = 1, *, size_bytes: int = 1000, url: str = URL) -> protocol.Snippet:
    """A snippet message with a few distinguishable bytes."""
    return protocol.Snippet(
        data=protocol.SnippetData(
            video_data=bytes([number]) * size_bytes,
            metadata=protocol.SnippetMetadata(
                src_video_url=url,
                title=f"Moment {number}",
                description=f"What happens in moment {number}",
                start=number * 60.0,
                end=number * 60.0 + 12.5,
                poster=b"\xff\xd8poster\xff\xd9",
                by="local",
            ),
        )
    )


def progress(stage: Any = "analyse", fraction: float = 0.5, url: str = URL) -> protocol.Progress:
    return protocol.Progress(stage=stage, fraction=fraction, metadata=protocol.SourceMetadata(src_video_url=url))


def complete(url: str = URL) -> protocol.SnippetComplete:
    return protocol.SnippetComplete(metadata=protocol.SourceMetadata(src_video_url=url))


def error(message: str = "the video is private", url: str = URL) -> protocol.VideoError:
    return protocol.VideoError(message=message, metadata=protocol.SourceMetadata(src_video_url=url))


class FakeServer:
    """Use as a ``with`` block; ``url`` is its address."""

    def __init__(self, *script: Any, refusals: list[int] | None = None) -> None:
        self.script = script
        self.refusals = refusals or []
        """HTTP statuses with which the first handshakes are refused."""
        self.handshakes = 0
        self.queries: list[dict[str, str]] = []
        self.sent = 0
        self.pinged = threading.Event()
        self.blocked = threading.Event()
        """Set while a message is being written and the client does not read it."""
        self.left = threading.Event()
        self.left_at = 0.0

    def routes(self) -> list[Any]:
        """What is served."""
        return [(protocol.VIDEO_PATH, VideoPlayer, {"fake": self})]

    def encode(self, message: Any) -> bytes:
        """The frame of a message."""
        return protocol.encode_video(message)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def __enter__(self) -> FakeServer:
        started = threading.Event()

        async def main() -> None:
            self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
            settings = {"websocket_max_message_size": 2**20}
            http = HTTPServer(Application(self.routes(), log_function=lambda _: None, **settings))
            sockets = bind_sockets(0, "127.0.0.1")
            http.add_sockets(sockets)
            self.port = sockets[0].getsockname()[1]
            started.set()
            await self._stop.wait()
            http.stop()
            await http.close_all_connections()

        self._thread = threading.Thread(target=lambda: asyncio.run(main()), name="fake-server")
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()


class Player(WebSocketHandler):
    """Plays a script to one client."""

    def initialize(self, fake: FakeServer) -> None:
        self.fake = fake

    async def get(self, *args: Any, **kwargs: Any) -> None:
        self.fake.handshakes += 1
        if self.fake.refusals:
            self.set_status(self.fake.refusals.pop(0))
            self.finish("no")
            return
        await super().get(*args, **kwargs)

    def open(self) -> None:
        self.fake.queries.append({name: self.get_query_argument(name) for name in self.request.query_arguments})
        self.task = asyncio.ensure_future(self.play(self.fake.script))

    async def play(self, script: Iterable[Any]) -> bool:
        """Whether the script was played to its end."""
        for step in script:
            match step:
                case Hang():
                    return False
                case Abort():
                    self.ws_connection.stream.close()
                    return False
                case Close(code=code, reason=reason):
                    self.close(code, reason)
                    return False
                case Wait(event=event):
                    await asyncio.get_running_loop().run_in_executor(None, event.wait, 10)
                case Fragments(message=message):
                    frame = self.fake.encode(message)
                    await self.ws_connection._write_frame(False, 0x1, frame[:10])
                    await self.ws_connection._write_frame(True, 0x0, frame[10:])
                case bytes() | str():
                    await self.send(step)
                case _:
                    await self.send(self.fake.encode(step).decode())
            self.fake.sent += 1
        return True

    async def send(self, frame: str | bytes) -> None:
        writing = asyncio.ensure_future(self.write_message(frame, binary=isinstance(frame, bytes)))
        timer = asyncio.get_running_loop().call_later(0.2, self.fake.blocked.set)
        try:
            await writing
        except WebSocketClosedError:
            raise asyncio.CancelledError from None
        finally:
            timer.cancel()

    def on_ping(self, data: bytes) -> None:
        self.fake.pinged.set()

    def on_close(self) -> None:
        self.fake.left_at = time.monotonic()
        self.fake.left.set()
        self.task.cancel()


class VideoPlayer(Player):
    """Plays the server's script, then says goodbye."""

    async def play(self, script: Iterable[Any]) -> bool:
        if played := await super().play(script):
            self.close(1000)
        return played
