"""A server in a process of its own, its client, and what has to be true of it when a request is over."""

from __future__ import annotations

import asyncio
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from tornado.websocket import websocket_connect

from cutaway.protocol import (
    MAX_URL_CHARACTERS,
    VIDEO_PATH,
    Progress,
    Snippet,
    SnippetComplete,
    SnippetMetadata,
    VideoError,
    VideoMessage,
    decode_video,
)
from cutaway_server.fetch.urls import mask_userinfo
from processes import ServerProcess, alive, children_of, command, descendants_of, wait_until
from servers import Origin, Resource

SETTLED_SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """All messages of one request."""

    messages: list[VideoMessage]
    seconds: float
    """From the request to its end."""

    @property
    def snippets(self) -> list[Snippet]:
        return [m for m in self.messages if isinstance(m, Snippet)]

    @property
    def clips(self) -> list[bytes]:
        return [m.data.video_data for m in self.snippets]

    @property
    def metadata(self) -> list[SnippetMetadata]:
        return [m.data.metadata for m in self.snippets]

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Start and end of each snippet, seconds in the source."""
        for m in self.metadata:
            assert m.start is not None and m.end is not None
        return [(m.start or 0.0, m.end or 0.0) for m in self.metadata]

    @property
    def progress(self) -> list[Progress]:
        return [m for m in self.messages if isinstance(m, Progress)]

    @property
    def complete(self) -> bool:
        return isinstance(self.messages[-1], SnippetComplete)

    @property
    def error(self) -> str:
        """What the client is told went wrong, "" if nothing."""
        last = self.messages[-1]
        return last.message if isinstance(last, VideoError) else ""


@dataclass
class Watched:
    """A real server, an origin that it may fetch from, and the folder of its temporary files."""

    server: ServerProcess
    origin: Origin
    work_dir: Path
    workers: int
    asked: dict[object, Answer] = field(default_factory=dict)

    def url(self, video_url: str | None, **parameters: object) -> str:
        query = {name: str(value) for name, value in parameters.items()}
        if video_url is not None:
            query["video_url"] = video_url
        return self.server.url(f"{VIDEO_PATH}?{urlencode(query)}", "ws")

    def ask(self, video: Path | Resource | bytes | str | None, **parameters: object) -> Answer:
        """Ask for a video (a resource is served first) and read to the end, which has to be an orderly one.

        The answer for a file is remembered: several tests look at the same one.
        """
        key = (video, *sorted(parameters.items())) if isinstance(video, Path) else None
        if key in self.asked:
            return self.asked[key]
        served = f"video-{len(self.origin.requests)}"
        url = video if isinstance(video, str | None) else self.origin.serve(served, video)
        before = self.clips()
        answer = asyncio.run(self.read_all(url, parameters))
        self.settle()
        told = {Path(m.video_path).name for m in answer.metadata if m.video_path}
        assert self.clips() - before == told, "a clip is kept that nobody was told of, or one is not"
        if key is not None:
            self.asked[key] = answer
        return answer

    @contextmanager
    def half_a_message(self, url: str, **parameters: object) -> Iterator[None]:
        """Ask, and read no more than the first bytes of a snippet; at the end the connection is reset."""
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.settimeout(30)
            sock.connect(("127.0.0.1", self.server.port))
            path = self.url(url, **parameters).partition(str(self.server.port))[2]
            sock.sendall(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            received = b""
            while len(received.partition(b"\r\n\r\n")[2]) < 50_000:
                received += sock.recv(10_000)
            assert b'"snippet"' in received
            yield
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def read_all(self, url: str | None, parameters: dict[str, object]) -> Answer:
        messages: list[VideoMessage] = []
        before = time.monotonic()
        async with asyncio.timeout(100):
            client = await websocket_connect(self.url(url, **parameters), max_message_size=100 << 20)
            try:
                while (frame := await client.read_message()) is not None:
                    messages.append(decode_video(frame))
            finally:
                client.close()
        seconds = time.monotonic() - before
        terminal = [isinstance(m, SnippetComplete | VideoError) for m in messages]
        assert terminal.count(True) == 1 and terminal[-1], f"not one terminal message at the end: {terminal}"
        assert client.close_code == 1000
        for message in messages:
            metadata = message.data.metadata if isinstance(message, Snippet) else message.metadata
            assert metadata.src_video_url == mask_userinfo(url or "")[:MAX_URL_CHARACTERS]
        answer = Answer(messages, seconds)
        assert "inside the server" not in answer.error, self.server.errors.read_text()[-4000:]
        return answer

    def clips(self) -> set[str]:
        """The files of clips that are kept."""
        folder = self.work_dir / "clips"
        return {path.name for path in folder.iterdir()} if folder.exists() else set()

    def left(self) -> list[str]:
        """What is still there of a request, but the clips that it has delivered."""
        # The lock says that the folder belongs to a living server.
        found = [f"file {path.name}" for path in self.work_dir.iterdir() if path.name not in ("lock", "clips")]
        if self.origin.open_connections:
            found.append(f"{self.origin.open_connections} upstream connections {self.origin.busy}")
        for worker in self.worker_pids():
            found += [f"child {command(pid)}" for pid in descendants_of(worker) if alive(pid)]
        return found

    def settle(self, seconds: float = SETTLED_SECONDS) -> None:
        """Wait until nothing is left of any request, and all workers are back."""
        deadline = time.monotonic() + seconds
        while (left := self.left()) or len(self.worker_pids()) != self.workers:
            assert time.monotonic() < deadline, f"left behind: {left}, workers {self.worker_pids()}"
            time.sleep(0.002)

    def worker_pids(self) -> set[int]:
        """The living workers: children of the server's one child."""
        return {pid for nursery in children_of(self.server.process.pid) for pid in children_of(nursery) if alive(pid)}

    def encoders(self) -> set[int]:
        """The living children of workers."""
        return {pid for worker in self.worker_pids() for pid in children_of(worker) if alive(pid)}


@contextmanager
def running(
    folder: Path,
    *arguments: str,
    workers: int = 2,
    network: str = "127.0.0.0/8",
    strict: bool = False,
    launcher: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> Iterator[Watched]:
    """Start a server and an origin.

    The server may fetch from a network of loopback addresses, a strict one from the origin's address only. The
    launcher is a command that starts the one that follows it. The variables are added to the environment.
    """
    folder.mkdir(exist_ok=True)
    work_dir = folder / "work"
    work_dir.mkdir()
    errors = folder / "stderr"
    command_line = [*launcher, sys.executable, "-m", "cutaway_server", "--port", "0", "--work-dir", str(work_dir)]
    # Watched closely: every worker is one for videos.
    command_line += ["--workers", str(workers), "--search-workers", "0", "--clip-space", "128MiB", *arguments]
    with errors.open("w") as stderr, Origin() as origin:
        allowed = ("--allow-address", f"127.0.0.1:{origin.port}") if strict else ("--allow-network", network)
        command_line += allowed
        environment = {**os.environ, **(variables or {})}
        process = subprocess.Popen(
            command_line, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=folder, env=environment
        )
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 30)[0], "the server says nothing"
            match = re.fullmatch(r"Listening on http://127\.0\.0\.1:(\d+)\n", process.stdout.readline())
            assert match, errors.read_text()
            server = ServerProcess(process, int(match[1]), errors, descendants_of(process.pid))
            seen = Path(f"/proc/{process.pid}/root{work_dir}")  # The launcher may have mounted something there.
            (own,) = seen.iterdir()  # each server has a folder of its own in it
            watched = Watched(server, origin, own, workers)
            yield watched
            assert process.poll() is None, f"the server died: {errors.read_text()[-2000:]}"
            assert "Traceback" not in errors.read_text(), errors.read_text()[-4000:]
        finally:
            family = descendants_of(process.pid)
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
            wait_until(lambda: not any(map(alive, family)))
