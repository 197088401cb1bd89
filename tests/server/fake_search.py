"""Agents whose steps a test controls, behind the real search service and the real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

from tornado.websocket import WebSocketClientConnection

from cutaway.protocol import Article, ArticlesBatch, Image, ImageText, SearchMessage, SummaryChunk, SummaryDone
from cutaway_server.search.articles.entry import Found
from cutaway_server.search.findings import Findings
from cutaway_server.search.question import Question

Step = SearchMessage | asyncio.Event | BaseException | Callable[[Question], SearchMessage]


def article(n: int, **fields: Any) -> Article:
    """An article with the number in every text."""
    plain: dict[str, Any] = {
        "id": str(n),
        "title": f"Title {n}",
        "author": "",
        "date": "2026-01-02T03:04:05Z",
        "type": "article",
        "description": f"Description {n}.",
        "image": "",
        "comments": n,
        "likes": n,
        "emojis": (),
        "has_video": False,
        "url": f"https://news.example/{n}",
    }
    return Article(**{**plain, **fields})


def found(n: int, text: str = "", **fields: Any) -> Found:
    """An article that was found."""
    return Found(article=article(n, **fields), text=text)


BATCH = ArticlesBatch(items=(article(1), article(2)))
CHUNK = SummaryChunk(text="All is well. [1]")
IMAGE = Image(path="/generated/x/image_0.png", mime_type="image/png", by="local")


class Scripted:
    """Any of the three agents: yields messages, waits for events and raises exceptions, in the order of its steps."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.questions: list[Question] = []
        self.running = 0
        self.most_running = 0
        self.yielded = 0
        self.started = asyncio.Event()
        self.closed = asyncio.Event()

    async def _run(self, question: Question, findings: Findings) -> AsyncGenerator[Any, None]:
        self.questions.append(question)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        self.closed.clear()
        self.started.set()
        try:
            for step in list(self.steps):
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, BaseException):
                    raise step
                else:
                    message = step(question) if callable(step) else step
                    if isinstance(message, ArticlesBatch):
                        findings.add(Found(article=each) for each in message.items)
                    self.yielded += 1
                    yield message
        finally:
            self.running -= 1
            self.closed.set()

    batches = chunks = images = _run


class Agents:
    """The three agents of a service."""

    def __init__(self) -> None:
        self.articles = Scripted(BATCH)
        self.summary = Scripted(CHUNK, SummaryDone(by="local"))
        self.images = Scripted(IMAGE, ImageText(text="A card.", by="local"))

    @property
    def all(self) -> tuple[Scripted, Scripted, Scripted]:
        return self.articles, self.summary, self.images


async def read_answer(client: WebSocketClientConnection) -> list[dict[str, Any]]:
    """The messages of one request up to its ``done``, which is left out."""
    messages = []
    while True:
        frame = await client.read_message()
        assert isinstance(frame, str), f"closed with {client.close_code} after {messages}"
        assert frame.endswith("\n")
        assert frame.count("\n") == 1
        message = json.loads(frame)
        if message == {"type": "done"}:
            return messages
        messages.append(message)


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    """The types of messages in their order."""
    return [each["type"] for each in messages]
