"""Articles from the Hacker News search, hn.algolia.com/api. Comes in: what is wanted; goes out: stories, by relevance,
or the front page when no words are given.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec

from cutaway_server.fetch.door import Door
from cutaway_server.search.articles.canonical import web_url
from cutaway_server.search.articles.dates import plausible, read_date
from cutaway_server.search.articles.entry import Entry, Found, Wanted
from cutaway_server.search.articles.found import found
from cutaway_server.search.articles.hits import ask_service, each_of
from cutaway_server.search.articles.piece import count
from cutaway_server.search.articles.prose import is_player, plain, plain_line
from cutaway_server.search.articles.source import ArticleSource
from cutaway_server.work.pool import Workers

_ITEM = "https://news.ycombinator.com/item?id="
_QUERY_BYTES = 400
"""Algolia takes 512 bytes of a query."""
_DEEP = 4
"""Pages among which a surprise is drawn."""
_POPULAR = 150
"""Points of a story that may surprise anyone."""


class HackerNews(ArticleSource):
    """The search of Hacker News.

    Parameters
    ----------
    door, workers
        How it is reached, and where its answers are read.
    base_url
        Where it is: ``https://hn.algolia.com``.
    """

    name = "Hacker News"

    def __init__(self, door: Door, workers: Workers, base_url: str) -> None:
        self._door = door
        self._workers = workers
        self._base = base_url.rstrip("/")

    async def find(self, wanted: Wanted) -> Sequence[Found]:
        """Stories; see :class:`~.source.ArticleSource`."""
        url = f"{self._base}/api/v1/search?{urlencode(_question(wanted))}"
        stories = await ask_service(self._door, self._workers, url, read_stories, self.name)
        return stories[: wanted.limit]


def _question(wanted: Wanted) -> dict[str, str | int]:
    text = wanted.text.encode(errors="ignore")[:_QUERY_BYTES].decode(errors="ignore").strip()
    asked: dict[str, str | int] = {"hitsPerPage": wanted.limit, "tags": "story"}
    if text:
        asked["query"] = text
    elif wanted.source == "home":
        asked["tags"] = "front_page"
    else:
        asked["numericFilters"] = f"points>{_POPULAR}"
    if wanted.source == "stumber":
        asked["page"] = random.Random(wanted.seed).randrange(_DEEP if text else 10 * _DEEP)  # noqa: S311 - no secret
    return asked


class _Story(msgspec.Struct):
    objectID: str | int
    title: str | None = None
    story_title: str | None = None
    url: str | None = None
    story_url: str | None = None
    author: str | None = None
    points: int | None = None
    num_comments: int | None = None
    created_at_i: float | None = None
    created_at: str | None = None
    story_text: str | None = None


def read_stories(data: bytes) -> list[Found]:
    """The stories of an answer; those that make no sense are left out. Runs in a worker.

    Raises
    ------
    NoAnswer
        It is none.
    """
    stories: list[Found] = []
    for story in each_of(data, "hits", _Story, "The Hacker News search"):
        number = str(story.objectID)
        title = plain_line(story.title or story.story_title or "")
        if not title or not number.isalnum() or len(number) > 20:
            continue
        url = web_url(story.url or story.story_url or "") or f"{_ITEM}{number}"
        entry = Entry(
            key=url,
            title=title.removesuffix(" [video]"),
            author=plain_line(story.author or "", 120),
            published=plausible(story.created_at_i) or read_date(story.created_at),
            description=plain(story.story_text or ""),
            url=url,
            comments=count(story.num_comments),
            likes=count(story.points),
            has_video=title.endswith("[video]") or is_player(url),
        )
        stories.append(found(f"hn-{number}", entry))
    return stories
