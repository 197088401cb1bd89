"""Clients that leave and workers that die, in every stage, with the real server and real jobs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from cutaway.protocol import Progress, Snippet, VideoMessage, decode_video
from processes import alive, wait_until
from servers import Resource
from snippets.films import Films
from snippets.test_sources import check_clips
from snippets.watch import Watched, running

GONE_SECONDS = 0.1
LATEST_SECONDS = 3.0
TRIES = 4
"""The limit is the design's. Another program may take the processor for so long, but not each time."""

SLOW = 0.15


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with running(tmp_path_factory.mktemp("one"), workers=1) as watched:
        yield watched


def is_stage(stage: str) -> Callable[[VideoMessage], bool]:
    """The message after which a request is in a stage."""
    return lambda m: isinstance(m, Progress) and m.stage == stage and m.fraction < 1


def is_surveyed(message: VideoMessage) -> bool:
    """The message after which the first snippet is being cut."""
    return isinstance(message, Progress) and message.stage == "resolve" and message.fraction == 1


def is_snippet(message: VideoMessage) -> bool:
    return isinstance(message, Snippet)


@dataclass(frozen=True)
class Client:
    """A client, and what it has received; None is the end."""

    connection: WebSocketClientConnection
    frames: asyncio.Queue[str | bytes | None]

    async def read_rest(self) -> list[VideoMessage]:
        messages = []
        while (frame := await self.frames.get()) is not None:
            messages.append(decode_video(frame))
        return messages

    async def read_until(self, condition: Callable[[VideoMessage], bool]) -> None:
        messages = []
        while (frame := await self.frames.get()) is not None:
            messages.append(decode_video(frame))
            if condition(messages[-1]):
                return
        raise AssertionError(f"the request ended before that: {messages[-3:]}")

    def close(self) -> None:
        self.connection.close()

    def reset(self) -> None:
        """Leave without a word, as a closed laptop does."""
        stream = self.connection.protocol.stream
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()


@asynccontextmanager
async def connected(watched: Watched, url: str, **parameters: object) -> AsyncIterator[Client]:
    """A client, whose connection is closed when the block is left."""
    frames: asyncio.Queue[str | bytes | None] = asyncio.Queue()
    closed = asyncio.Event()

    def receive(frame: str | bytes | None) -> None:
        frames.put_nowait(frame)
        if frame is None:
            closed.set()

    async with asyncio.timeout(40):
        connection = await websocket_connect(
            watched.url(url, progress=1, **parameters), on_message_callback=receive, max_message_size=100 << 20
        )
        try:
            yield Client(connection, frames)
        finally:
            connection.close()
            await closed.wait()


STAGES: dict[str, tuple[str, Callable[[VideoMessage], bool]]] = {
    "resolve": ("wide.mp4", is_stage("resolve")),
    "first_cut": ("wide.mp4", is_surveyed),
    "analyse": ("wide.mp4", is_stage("analyse")),
    "cut": ("wide.mp4", is_snippet),
    "download": ("no_cues.mkv", is_stage("resolve")),
}


async def wait_for_job(watched: Watched, client: Client, condition: Callable[[VideoMessage], bool]) -> None:
    """Return while a job of the stage is running: it has just asked the origin for something."""
    await client.read_until(condition)
    asked = len(watched.origin.requests)
    await asyncio.to_thread(watched.origin.wait_for, lambda: len(watched.origin.requests) > asked)


async def time_to_leave(watched: Watched, leave: Callable[[], None]) -> float:
    """Seconds from leaving until nothing is left; the worker that was at work is another one then."""
    before = watched.worker_pids()
    start = time.monotonic()
    leave()
    await asyncio.to_thread(wait_until, lambda: not watched.left() and not all(map(alive, before)), LATEST_SECONDS)
    return time.monotonic() - start


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("stage", STAGES)
def test_leaving_ends_everything(watched: Watched, films: Films, stage: str, how: str) -> None:
    name, condition = STAGES[stage]
    url = watched.origin.serve(f"{stage}-{how}", Resource(films[name], latency=SLOW))

    async def once() -> float:
        async with connected(watched, url, min_seconds=2, max_seconds=6) as client:
            await wait_for_job(watched, client, condition)
            return await time_to_leave(watched, client.close if how == "close" else client.reset)

    check_times(watched, once)


def check_times(watched: Watched, once: Callable[[], Coroutine[None, None, float]]) -> None:
    times: list[float] = []
    while len(times) < TRIES and (not times or min(times) >= GONE_SECONDS):
        watched.settle()
        times.append(asyncio.run(once()))
    watched.settle()
    assert min(times) < GONE_SECONDS, times


def test_leaving_while_a_child_encodes(watched: Watched, films: Films) -> None:
    url = watched.origin.serve("encoded", Resource(films["vp9_large.webm"]))

    async def once() -> float:
        async with connected(watched, url, min_seconds=8) as client:
            await asyncio.to_thread(wait_until, lambda: bool(watched.encoders()), 20.0)
            return await time_to_leave(watched, client.close)

    check_times(watched, once)


def test_leaving_while_a_page_is_searched(watched: Watched) -> None:
    """We have seen that it is a page, and yt-dlp reads it."""
    body = b"<html>" + b" " * 1000
    stalled = Resource(body, content_type="text/html", ranges=False, stall_after=100)

    async def once() -> float:
        url = watched.origin.serve("searched", replace(stalled, stall_after=None, then=stalled))
        asked = len(watched.origin.asked("searched"))
        async with connected(watched, url) as client:
            second = lambda: len(watched.origin.asked("searched")) == asked + 2  # noqa: E731
            await asyncio.to_thread(watched.origin.wait_for, second)
            return await time_to_leave(watched, client.close)

    check_times(watched, once)


def test_leaving_in_the_middle_of_a_message(watched: Watched, films: Films) -> None:
    """A message of megabytes, to a client that reads its first bytes and goes."""
    url = watched.origin.serve("large", Resource(films["heavy.mp4"], latency=0.05))

    def once() -> float:
        with watched.half_a_message(url, min_seconds=20):
            start = time.monotonic()
        wait_until(lambda: not watched.left(), LATEST_SECONDS)
        return time.monotonic() - start

    times = [once()]
    while len(times) < TRIES and min(times) >= GONE_SECONDS:
        times.append(once())
    watched.settle()
    assert min(times) < GONE_SECONDS, times


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_worker_fails_one_request(one_worker: Watched, films: Films, stage: str) -> None:
    watched = one_worker
    watched.settle()
    name, condition = STAGES[stage]
    url = watched.origin.serve(f"killed-{stage}", Resource(films[name], latency=SLOW))

    async def ask() -> list[VideoMessage]:
        async with connected(watched, url, min_seconds=2, max_seconds=6) as client:
            await wait_for_job(watched, client, condition)
            (worker,) = watched.worker_pids()
            os.kill(worker, signal.SIGKILL)
            return await client.read_rest()

    messages = asyncio.run(ask())
    errors = [m.message for m in messages if type(m).__name__ == "VideoError"]
    assert len(errors) == 1
    assert "crashed" in errors[0]
    assert type(messages[-1]).__name__ == "VideoError"
    watched.settle()
    path: Path = films["silent.mp4"]
    watched.asked.clear()
    check_clips(watched.ask(path, min_seconds=2, max_seconds=6), path)


def test_a_killed_worker_fails_no_other_request(watched: Watched, films: Films) -> None:
    url = watched.origin.serve("two", Resource(films["film.mp4"], latency=SLOW))

    async def both() -> list[list[VideoMessage]]:
        async with (
            connected(watched, url, min_seconds=2, max_seconds=6) as one,
            connected(watched, url, min_seconds=2, max_seconds=6) as other,
        ):
            # Two workers, two jobs: whichever dies, it is in the middle of one.
            await asyncio.to_thread(watched.origin.wait_for, lambda: watched.origin.open_connections == 2)
            os.kill(min(watched.worker_pids()), signal.SIGKILL)
            return [await one.read_rest(), await other.read_rest()]

    ends = sorted(type(messages[-1]).__name__ for messages in asyncio.run(both()))
    watched.settle()
    assert ends == ["SnippetComplete", "VideoError"]
