"""A small fast HTTP origin with byte ranges, in a process of its own, so that it shares no interpreter with a client.

As a program (``python origin.py FOLDER``) it serves the files of a folder on one loopback port, and counts and a
latency knob on another; it prints both ports and ends with its standard input. As a module it offers
:class:`Origin`, which runs that program.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

_CHUNK_BYTES = 1 << 20
_HEAD_BYTES = 65536


@dataclass(frozen=True)
class Counts:
    """What went through since the last reset; ``open`` is of now."""

    requests: int
    bytes: int
    connections: int
    open: int


class Origin:
    """The origin as a child process.

    Parameters
    ----------
    folder
        Whose files it serves.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        command = [sys.executable, __file__, str(self._folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port, control = (int(word) for word in self._process.stdout.readline().split())
        self._control = http.client.HTTPConnection("127.0.0.1", control)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def url(self, name: str) -> str:
        """The URL of a file."""
        return f"http://127.0.0.1:{self.port}/{quote(name)}"

    def counts(self) -> Counts:
        """What was sent so far."""
        return self._ask("/")

    def reset(self, *, latency_seconds: float = 0.0) -> None:
        """Count from zero, and let every answer wait for so long."""
        self._ask(f"/?latency={latency_seconds}")

    def _ask(self, target: str) -> Counts:
        self._control.request("GET", target)
        return Counts(**json.loads(self._control.getresponse().read()))


class _Server:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._latency = 0.0
        self._requests = self._bytes = self._connections = self._open = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        listeners = [socket.create_server(("127.0.0.1", 0), backlog=256) for _ in range(2)]
        for listener in listeners:
            listener.setblocking(False)
        tasks = [
            asyncio.create_task(self._accept(listener, answer))
            for listener, answer in zip(listeners, (self._file, self._control), strict=True)
        ]
        print(*(listener.getsockname()[1] for listener in listeners), flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
        for task in tasks:
            task.cancel()
        os._exit(0)  # whatever is being sent

    async def _accept(self, listener: socket.socket, answer) -> None:
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()
        while True:
            sock, _ = await loop.sock_accept(listener)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.create_task(self._serve(sock, answer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _serve(self, sock: socket.socket, answer) -> None:
        loop = asyncio.get_running_loop()
        counted = answer == self._file
        self._open += counted
        self._connections += counted
        try:
            while head := await self._head(sock):
                gone = loop.create_future()

                def look(gone: asyncio.Future[None] = gone) -> None:
                    # A client that leaves is noticed while it is being answered.
                    try:
                        left = not sock.recv(1, socket.MSG_PEEK)
                    except BlockingIOError:
                        return
                    except OSError:
                        left = True
                    loop.remove_reader(sock)
                    if left and not gone.done():
                        gone.set_result(None)

                loop.add_reader(sock, look)
                answering = asyncio.create_task(answer(sock, head))
                try:
                    await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    loop.remove_reader(sock)
                if not answering.done():
                    answering.cancel()
                    await asyncio.wait([answering])
                    return
                answering.result()
        except OSError:
            pass
        finally:
            sock.close()
            self._open -= counted

    async def _head(self, sock: socket.socket) -> str:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            part = await asyncio.get_running_loop().sock_recv(sock, _HEAD_BYTES)
            if not part:
                return ""
            head += part
        return head.decode("latin-1")

    async def _control(self, sock: socket.socket, head: str) -> None:
        query = parse_qs(urlsplit(head.split(" ")[1]).query)
        if "latency" in query:
            self._latency = float(query["latency"][0])
            self._requests = self._bytes = self._connections = 0
        counts = Counts(self._requests, self._bytes, self._connections, self._open)
        body = json.dumps(vars(counts)).encode()
        answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        await asyncio.get_running_loop().sock_sendall(sock, answer)

    async def _file(self, sock: socket.socket, head: str) -> None:
        loop = asyncio.get_running_loop()
        self._requests += 1
        if self._latency:
            await asyncio.sleep(self._latency)
        path = self._folder / Path(unquote(urlsplit(head.split(" ")[1]).path)).name
        try:
            file = path.open("rb", buffering=0)
        except OSError:
            await loop.sock_sendall(sock, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            asked = re.search(r"\r\nrange: *bytes=(\d+)-(\d*)", head, re.IGNORECASE)
            start = int(asked[1]) if asked else 0
            stop = min(int(asked[2]) + 1 if asked and asked[2] else size, size)
            fields = [
                "HTTP/1.1 206 Partial Content" if asked else "HTTP/1.1 200 OK",
                "Content-Type: video/mp4",
                "Accept-Ranges: bytes",
                f'ETag: "{size}"',
                f"Content-Length: {stop - start}",
                *([f"Content-Range: bytes {start}-{stop - 1}/{size}"] if asked else []),
            ]
            await loop.sock_sendall(sock, ("\r\n".join(fields) + "\r\n\r\n").encode())
            while start < stop:
                try:
                    sent = os.sendfile(sock.fileno(), file.fileno(), start, min(stop - start, _CHUNK_BYTES))
                except BlockingIOError:
                    await _writable(sock)
                    continue
                start += sent
                self._bytes += sent


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(sock, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(sock)


if __name__ == "__main__":
    asyncio.run(_Server(Path(sys.argv[1])).run())
