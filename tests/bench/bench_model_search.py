"""Searches with a model: how soon it is asked, and how soon what it says is with the client.

Run it: ``python tests/bench/bench_model_search.py [--quick] [--material DIR]``. A server in a process of its own
searches 100,000 invented articles (made at the first run, and kept) and asks a fake of Gemini's service in another; the
clients are here. A chunk has 100 characters, as those of recorded answers have, and tells when it was sent; what it
takes from the fake to a bare client, without the server, is measured too and taken off. Exits with 1 when a goal is
missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import invented
from google import genai
from google.genai.types import HttpOptions
from model import Model
from PIL import Image
from report import Options, Row, main

from cutaway.protocol import SEARCH_PATH
from fakes.gemini import FakeGemini
from fakes.replies import Pause, Step, picture

ARTICLES = 100_000
CLIENTS = 50
BETWEEN, BETWEEN_TOGETHER = 0.025, 0.15
"""Seconds from a chunk to the next. Models that are called fast have six in a second."""
_WARM, _ASKED = 30, 200
_SUMMARY, _IMAGES = "summary-model", "image-model"
_SENT = re.compile(rb"@(\d+\.\d{6})@")
_WORDS = "the engine is warmed by hand before the crew starts it, and then it runs on its own for hours "


def chunk() -> str:
    """A hundred characters, with the time at which they are sent."""
    return f"@{time.perf_counter():.6f}@ {_WORDS}"[:100]


def answer(fake: FakeGemini, *steps: Step) -> None:
    """What the model says from now on, to whoever asks."""
    fake.reset()
    fake.queue(*steps, model=_SUMMARY, times=None)
    small = io.BytesIO()
    Image.new("RGB", (64, 64)).save(small, "PNG")
    fake.queue(picture(small.getvalue()), model=_IMAGES, times=None)


def asked(fake: FakeGemini) -> list[tuple[float, bool]]:
    """When each summary was asked for, and whether it came with articles."""
    return [(each.at, '"articles"' in each.text) for each in fake.requests if each.model == _SUMMARY]


def model_search(options: Options) -> Iterator[Row]:
    """The way to the model, and back."""
    made = invented.store(options.material, ARTICLES)
    with tempfile.TemporaryDirectory(dir=options.material) as folder, Model() as model:
        copy = Path(folder, "data")
        shutil.copytree(made, copy)  # of the kept one nothing may change
        with _server(copy, model.url) as port:
            for part in (_asking, _alone, _together, _bytes):
                yield from asyncio.run(part(port, model, options))


async def _asking(port: int, model: Model, options: Options) -> list[Row]:
    """From the search message to the model's request."""
    model.do(answer, "It runs.")
    questions = invented.questions(_WARM + _ASKED)[: _WARM + options.count(_ASKED)]
    client = await _Client.connect(port)
    sent = [(await client.search(text)).sent_at for text in questions]
    client.close()
    found = model.do(asked)
    delays = [(at - start) * 1e3 for start, (at, _) in zip(sent, found, strict=True)][_WARM:]
    with_articles = sum(articles for _, articles in found[_WARM:])
    note = f"p50 {statistics.median(delays):.1f}; {with_articles} of {len(delays)} with articles"
    return [Row("request to the model after the search message, p95", _p95(delays), "ms", most=30, note=note)]


async def _alone(port: int, model: Model, options: Options) -> list[Row]:
    """One stream."""
    model.do(answer, *[chunk, Pause(BETWEEN)] * 80)
    client = await _Client.connect(port)
    ways: list[float] = []
    delays: list[list[float]] = []
    library: list[float] = []
    for _ in range(options.count(6)):
        # The machine's speed changes from one second to the next, so each search has its own way.
        ways.append(await _way(model))
        delays.append([delay - ways[-1] for delay in (await client.search("jet engine")).delays])
        library += [delay - ways[-1] for delay in await _by_library(model)]
    client.close()
    rounds = [statistics.median(each) for each in delays]
    every = list(itertools.chain(*delays))
    way = f"{min(ways):.2f} to {max(ways):.2f} ms from the fake to a bare client are taken off"
    note = f"searches {min(rounds):.2f} to {max(rounds):.2f}; {way}"
    return [
        Row(
            "chunk relay, alone, p50",
            statistics.median(every),
            "ms",
            baseline=statistics.median(library),
            against="google-genai reading alone",
            most=1,
            note=note,
        ),
        Row("chunk relay, alone, p95", _p95(every), "ms", most=10),
    ]


async def _way(model: Model) -> float:
    """Milliseconds of a chunk from the fake to a client that only looks for the time in it, median."""
    host, _, port = model.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = b'{"contents": [{"parts": [{"text": "?"}]}]}'
    writer.write(
        f"POST /v1/models/{_SUMMARY}:streamGenerateContent?alt=sse HTTP/1.1\r\nHost: {host}\r\nx-goog-api-key: none\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body
    )
    delays = []
    while data := await reader.read(1 << 16):
        now = time.perf_counter()
        delays += [(now - float(found[1])) * 1e3 for found in _SENT.finditer(data)]
    writer.close()
    return statistics.median(delays)


async def _by_library(model: Model) -> list[float]:
    """Milliseconds of each chunk from the fake to whoever reads it by google-genai, which the server does too."""
    delays = []
    async with httpx2.AsyncClient() as http:
        options = HttpOptions(base_url=model.url, httpx_async_client=http)
        client = genai.Client(enterprise=False, api_key="none", http_options=options)
        async for each in await client.aio.models.generate_content_stream(model=_SUMMARY, contents="?"):
            now = time.perf_counter()
            delays += [(now - float(found[1])) * 1e3 for found in _SENT.finditer((each.text or "").encode())]
    return delays


async def _together(port: int, model: Model, options: Options) -> list[Row]:
    """Many streams, none in step with another."""
    model.do(answer, *[chunk, Pause(BETWEEN_TOGETHER)] * 60)
    clients = [await _Client.connect(port) for _ in range(CLIENTS)]
    chance = random.Random(1)

    async def keep_asking(client: _Client) -> list[float]:
        await asyncio.sleep(chance.uniform(0, 8))
        found = await client.search(f"jet engine {chance.randrange(1000)}")
        return found.delays

    delays = list(itertools.chain(*await asyncio.gather(*map(keep_asking, clients))))
    for client in clients:
        client.close()
    note = f"p50 {statistics.median(delays):.1f}; {len(delays)} chunks"
    return [Row(f"chunk relay, {CLIENTS} searches at once, p95", _p95(delays), "ms", most=25, note=note)]


async def _bytes(port: int, model: Model, options: Options) -> list[Row]:
    """Frames of a summary against its text."""
    client = await _Client.connect(port)
    rows = []
    kinds = {"chunks of 100 characters, 25 ms apart": (100, 40, BETWEEN), "chunks of 4 characters at once": (4, 400, 0)}
    for name, (size, count, pause) in kinds.items():
        words = (_WORDS * 60)[: size * count]
        pieces: Sequence[Step] = [words[start : start + size] for start in range(0, len(words), size)]
        model.do(answer, *itertools.chain(*((each, Pause(pause)) for each in pieces)) if pause else pieces)
        search = await client.search("jet engine")
        chunks = search.frames(b'{"type":"summary_chunk"')
        text = sum(len(json.loads(each.payload)["text"].encode()) for each in chunks)
        assert text == len(words)
        wire = sum(each.wire_bytes for each in chunks)
        rows.append(Row(f"bytes of a summary, {name}", wire / text, "x", most=2, note=f"{len(chunks)} frames"))
    client.close()
    return rows


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


@dataclass(frozen=True)
class _Frame:
    payload: bytes
    wire_bytes: int


@dataclass
class _Search:
    """What came for one search."""

    sent_at: float
    received: bytearray = field(default_factory=bytearray)
    delays: list[float] = field(default_factory=list)
    """Milliseconds from handing each chunk to the network until it was there."""

    def frames(self, start: bytes) -> list[_Frame]:
        """The frames that begin with something."""
        found, position = [], 0
        while position < len(self.received):
            length, head = self.received[position + 1], 2
            if length >= 126:
                head = 4 if length == 126 else 10
                length = int.from_bytes(self.received[position + 2 : position + head])
            payload = bytes(self.received[position + head : position + head + length])
            if payload.startswith(start):
                found.append(_Frame(payload, head + length))
            position += head + length
        return found


class _Client:
    """One socket; a search after the other. Looks for numbers in the bytes that it receives, and parses nothing."""

    @classmethod
    async def connect(cls, port: int) -> _Client:
        self = cls()
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        self._writer.write(
            f"GET {SEARCH_PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert (await self._reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        return self

    async def search(self, text: str) -> _Search:
        body = json.dumps({"text": text}).encode()
        head = bytes([0x81, 0x80 | len(body)]) if len(body) < 126 else b"\x81\xfe" + len(body).to_bytes(2, "big")
        search = _Search(time.perf_counter())
        self._writer.write(head + b"\0\0\0\0" + body)
        seen = 0
        while not search.received.endswith(b'{"type":"done"}\n'):
            more = await self._reader.read(1 << 20)
            now = time.perf_counter()
            assert more, "the server closed the connection"
            search.received += more
            for found in _SENT.finditer(search.received, seen):
                search.delays.append((now - float(found[1])) * 1e3)
                seen = found.end()
        assert b'"type":"error"' not in search.received, bytes(search.received)
        assert b'"by":"local"' not in search.received, "the model was not asked"
        return search

    def close(self) -> None:
        self._writer.close()


@contextlib.contextmanager
def _server(data_dir: Path, base_url: str) -> Iterator[int]:
    command = [
        *(sys.executable, "-m", "cutaway_server", "--port", "0", "--log-level", "warning", "--exit-with-parent"),
        *("--data-dir", str(data_dir), "--feed-minutes", "0", "--workers", "1"),
        *("--gemini-base-url", base_url, "--gemini-calls", str(2 * CLIENTS), "--gemini-retries", "0"),
        *("--gemini-summary-model", _SUMMARY, "--gemini-image-model", _IMAGES),
    ]
    environment = {**os.environ, "GEMINI_API_KEY": "no-secret"}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"the server ended with code {process.wait()}"
        yield int(line.rpartition(":")[2])
    finally:
        process.stdin.close()
        process.wait(30)


if __name__ == "__main__":
    sys.exit(main(__doc__, model_search))
