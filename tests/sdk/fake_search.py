"""The fake server's other half: ``/ws/search`` from scripts, one for each request, and the images of its answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tornado.web import RequestHandler

from cutaway import protocol

from .fake_server import FakeServer, Player

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
PATH = "/generated/u-nguess-able/image_0.png"


@dataclass
class File:
    """What a path of the server answers with."""

    body: bytes = PNG
    mime_type: str = "image/png"
    status: int = 200
    length: int | None = None
    """Content-Length to claim; the body stops earlier, and the connection ends."""
    chunked: bool = False
    hang: bool = False
    """Say nothing after the head."""


def article(number: int, **values: Any) -> protocol.Article:
    """An item with a few distinguishable fields."""
    plain: dict[str, Any] = {
        "id": f"{number}",
        "title": f"Article {number}",
        "author": f"Author {number}",
        "date": f"2026-03-{number:02}T09:30:00Z",
        "type": "article",
        "description": f"What article {number} says.",
        "image": f"https://www.example.com/{number}.jpg",
        "comments": number,
        "likes": number * 10,
        "emojis": ("🔬",),
        "has_video": False,
        "url": f"https://www.example.com/{number}",
    }
    return protocol.Article(**{**plain, **values})


def batch(*numbers: int) -> protocol.ArticlesBatch:
    return protocol.ArticlesBatch(items=tuple(article(number) for number in numbers))


def chunk(text: str) -> protocol.SummaryChunk:
    return protocol.SummaryChunk(text=text)


def summary_done(**values: Any) -> protocol.SummaryDone:
    return protocol.SummaryDone(**{"by": "local", **values})


def image(path: str = PATH, mime_type: str = "image/png") -> protocol.Image:
    return protocol.Image(path=path, mime_type=mime_type, by="local")


def caption(text: str = "A drawn card.") -> protocol.ImageText:
    return protocol.ImageText(text=text, by="local")


def image_error(message: str | None = None) -> protocol.ImageError:
    return protocol.ImageError(message=message)


def failed(agent: Any, message: str = "no luck") -> protocol.SearchError:
    return protocol.SearchError(message=message, agent=agent)


def refused(message: str = "unknown source", field: str | None = "source") -> protocol.SearchError:
    return protocol.SearchError(message=message, metadata=protocol.SearchErrorMetadata(field=field))


def done() -> protocol.Done:
    return protocol.Done()


ANSWER = [
    batch(1, 2),
    chunk("Comets have tails [1]. "),
    image(),
    batch(3),
    chunk("Some have two [3]."),
    caption(),
    summary_done(),
    done(),
]
"""A whole answer in a mixed order."""


class FakeSearch(FakeServer):
    """Answers each request with the script, or the n-th request with the n-th of ``answers`` while there are any."""

    def __init__(
        self,
        *script: Any,
        answers: list[list[Any]] | None = None,
        files: dict[str, File] | None = None,
        prefix: str = "",
        refusals: list[int] | None = None,
    ) -> None:
        super().__init__(*script, refusals=refusals)
        self.answers = list(answers or [])
        self.files = {PATH: File()} if files is None else files
        self.prefix = prefix
        self.requests: list[protocol.SearchRequest] = []
        self.fetched: list[dict[str, str]] = []
        """The headers with which files were asked for."""

    @property
    def url(self) -> str:
        return super().url + self.prefix

    def routes(self) -> list[Any]:
        fake = {"fake": self}
        return [(self.prefix + protocol.SEARCH_PATH, _Handler, fake), (f"{self.prefix}(/generated/.*)", _File, fake)]

    def encode(self, message: Any) -> bytes:
        return protocol.encode_search(message)


class _Handler(Player):
    fake: FakeSearch

    @property
    def max_message_size(self) -> int:
        return 16 * 2**20

    def open(self) -> None:
        self.waiting: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.task = asyncio.ensure_future(self.serve())

    def on_message(self, message: str | bytes) -> None:
        self.waiting.put_nowait(message)

    async def serve(self) -> None:
        while True:
            frame = await self.waiting.get()
            self.fake.requests.append(protocol.decode_request(frame))
            if not await self.play(self.fake.answers.pop(0) if self.fake.answers else self.fake.script):
                return


class _File(RequestHandler):
    def initialize(self, fake: FakeSearch) -> None:
        self.fake = fake

    def compute_etag(self) -> None:
        return None

    def on_connection_close(self) -> None:
        self.fake.left.set()

    async def get(self, path: str) -> None:
        self.fake.fetched.append(dict(self.request.headers))
        file = self.fake.files.get(path, File(b"{}", "application/json", 404))
        self.set_status(file.status)
        self.set_header("Content-Type", file.mime_type)
        if file.length is not None:
            self.set_header("Content-Length", file.length)
        if file.hang or file.length is not None or file.chunked:
            self.write(file.body)
            await self.flush()
            if file.hang:
                await asyncio.Event().wait()
            elif file.length is not None:
                self.request.connection.stream.close()
        else:
            self.write(file.body)
