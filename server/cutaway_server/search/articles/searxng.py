"""Web pages from a SearXNG instance, asked by its search API. Comes in: what is wanted; goes out: results by relevance.

Nothing is found without words: a search engine has no front page. Its operator must have enabled JSON.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlencode

import msgspec

from cutaway_server.fetch.door import Door
from cutaway_server.search.articles.canonical import canonical_url, short_hash, web_url
from cutaway_server.search.articles.dates import read_date
from cutaway_server.search.articles.entry import Entry, Found, Wanted
from cutaway_server.search.articles.found import found
from cutaway_server.search.articles.hits import ask_service, each_of
from cutaway_server.search.articles.prose import is_player, plain, plain_line
from cutaway_server.search.articles.source import ArticleSource
from cutaway_server.work.pool import Workers

_QUERY_CHARACTERS = 400
_DEEP = 3
"""Pages among which a surprise is drawn."""
_STATUSES: dict[int, str] = {
    HTTPStatus.FORBIDDEN: "The SearXNG instance does not answer in JSON: its operator has to add json to search.formats"
    " in its settings.yml.",
    HTTPStatus.TOO_MANY_REQUESTS: "The SearXNG instance takes this server for a robot, or was asked too often: its"
    " operator has to allow this server in its limiter.",
}


class SearXNG(ArticleSource):
    """A SearXNG instance.

    Parameters
    ----------
    door, workers
        How it is reached, and where its answers are read.
    base_url
        Where it is, such as ``https://searx.example`` or, below a path, ``https://example.org/searx``.
    """

    name = "SearXNG"

    def __init__(self, door: Door, workers: Workers, base_url: str) -> None:
        self._door = door
        self._workers = workers
        self._base = base_url.rstrip("/")

    async def find(self, wanted: Wanted) -> Sequence[Found]:
        """Web pages; see :class:`~.source.ArticleSource`."""
        text = wanted.text.encode(errors="ignore").decode()[:_QUERY_CHARACTERS].strip()
        if not text:
            return []
        asked: dict[str, str | int] = {"q": text, "format": "json"}
        if wanted.source == "stumber":
            asked["pageno"] = random.Random(wanted.seed).randint(1, _DEEP)  # noqa: S311 - no secret
        url = f"{self._base}/search?{urlencode(asked)}"
        results = await ask_service(self._door, self._workers, url, read_results, self.name, _STATUSES)
        return results[: wanted.limit]


class _Result(msgspec.Struct):
    url: str
    title: str | None = None
    content: str | None = None
    author: str | None = None
    publishedDate: str | None = None
    img_src: str | None = None
    thumbnail: str | None = None
    thumbnail_src: str | None = None
    template: str | None = None
    category: str | None = None
    iframe_src: str | None = None


def read_results(data: bytes) -> list[Found]:
    """The results of an answer; those that make no sense are left out, and none comes twice. Runs in a worker.

    Raises
    ------
    NoAnswer
        It is none.
    """
    results: dict[str, Found] = {}
    for result in each_of(data, "results", _Result, "The SearXNG instance"):
        url, title = web_url(result.url), plain_line(result.title or "")
        if not url or not title:
            continue
        key = canonical_url(url)
        images = (result.img_src, result.thumbnail_src, result.thumbnail)
        entry = Entry(
            key=key,
            title=title,
            author=plain_line(result.author or "", 120),
            published=read_date(result.publishedDate),
            description=plain(result.content or ""),
            image=next((image for each in images if (image := web_url(each or "", url))), ""),
            url=url,
            has_video=result.template == "videos.html"
            or result.category == "videos"
            or bool(result.iframe_src)
            or is_player(url),
        )
        results.setdefault(key, found(f"web-{short_hash(key)}", entry))
    return list(results.values())
