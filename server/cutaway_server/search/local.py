"""Search on this machine: the agents that need no model, and all of it put together, with a model where there is one.
What comes in are the settings, the door to the outside and the model; what goes out is a service that answers, and the
images that it made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cutaway.protocol import Image, ImageText, SummaryChunk, SummaryDone
from cutaway_server.fetch.door import Door
from cutaway_server.gemini.client import Gemini
from cutaway_server.gemini.images import GeminiImages
from cutaway_server.gemini.summary import GeminiSummary
from cutaway_server.gemini.words import GeminiWords
from cutaway_server.search import cards, summary
from cutaway_server.search.articles import local
from cutaway_server.search.articles.hackernews import HackerNews
from cutaway_server.search.articles.refresh import Looker, Refresher
from cutaway_server.search.articles.searxng import SearXNG
from cutaway_server.search.articles.source import ArticleSource
from cutaway_server.search.articles.web import WebPages
from cutaway_server.search.composed import ComposedImages, ComposedSummary
from cutaway_server.search.findings import Findings
from cutaway_server.search.gathering import Gathering
from cutaway_server.search.generated import GeneratedImages
from cutaway_server.search.question import Question
from cutaway_server.search.service import ArticlesAgent, ImageAgent, SearchService, SummaryAgent
from cutaway_server.search.sight import Sight
from cutaway_server.settings import Settings
from cutaway_server.work.children import NurseryFailed
from cutaway_server.work.limits import Limits
from cutaway_server.work.pool import Workers

_log = logging.getLogger(__name__)

PRELOAD = (
    *local.PRELOAD,
    "cutaway_server.search.articles.refresh",
    "cutaway_server.search.articles.page",
    "cutaway_server.search.question",
    "cutaway_server.search.pixels",
    "cutaway_server.search.cards",
)
"""Imported before any worker is forked: the jobs, and the word vectors."""
JOB_SECONDS = 10.0
PATIENCE_SECONDS = 0.3
"""How long a summary waits for more than the first few articles."""
_OF_SEARCH = 0.7
"""The part of a search's time in which a model's first result has to be there, whatever patience there is with the
model itself; what is made here instead needs little of the rest.
"""
_OF_SEARCH_FOR_PAGES = 0.2
"""The part in which the pages that a summary names are read, after that."""
_FILE_BYTES = 64 << 30
"""Of the largest file that a worker writes: a part of an index."""
_PLAIN_SCRIPTS = 0x250
"""Signs from here on may be missing from the fonts of a machine: below are Latin letters."""
_QUOTED_CHARACTERS = 80

_ABOUT_CARDS = "This is a card drawn from the words of the search, not a generated picture."
NO_MODEL = "Generated pictures need a server with a Gemini API key."
MODEL_FAILED = "The model that makes pictures failed this time."
_LEFT_OUT = " Some signs are left out, because no font on the server has them."
_ALL_LEFT_OUT = " No font on the server can show these words, so it has colours and shapes only."
_NO_WORDS = "The picture carries no words that can be read here: no title, caption or keywords."


@dataclass(frozen=True)
class LocalSummary:
    """Sums up the articles found in sentences of their own."""

    workers: Workers

    async def chunks(self, question: Question, findings: Findings) -> AsyncGenerator[SummaryChunk | SummaryDone, None]:
        """Yield what the picture said, then the summary sentence by sentence."""
        found = await findings.some(summary.MAX_ARTICLES, PATIENCE_SECONDS)
        findings.written = SummaryDone(by="local")
        before = _about_picture(question, findings.seen)
        if before:
            yield SummaryChunk(text=before)
        sources = [
            summary.Source(n, each.article.title, each.text[: summary.MAX_ARTICLE_CHARACTERS], each.phrases)
            for n, each in enumerate(found[: summary.MAX_ARTICLES], 1)
        ]
        pieces = [_nothing(question, findings)]
        if sources:
            words = question.words or findings.seen
            pieces = await self.workers.run(summary.summarise, words, sources, seconds=JOB_SECONDS, light=True)
            pieces = pieces or ["The articles that were found have no text to sum up."]
        for n, piece in enumerate(pieces):
            yield SummaryChunk(text=f"\n\n{piece}" if before and n == 0 else piece)
        yield findings.written


@dataclass(frozen=True)
class LocalImages:
    """Promises cards, which are drawn when somebody looks at them."""

    workers: Workers
    generated: GeneratedImages
    why: str = NO_MODEL
    """Why there are cards and no pictures, where something was asked for."""
    drawing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """One card at a time: searches need the other workers."""

    async def images(self, question: Question, findings: Findings) -> AsyncGenerator[Image | ImageText, None]:
        """Yield the paths of all variants, then what they are."""
        card = cards.Card(*_face(question))
        for path in self.generated.promise(partial(self._draw, card), cards.VARIANTS, "image/png"):
            yield Image(path=path, mime_type="image/png", by="local")
        caption = f"{_shortened(card.text)}: {_ABOUT_CARDS[0].lower()}{_ABOUT_CARDS[1:]}"
        if question.words or question.has_picture:
            caption += f" {self.why}"
        if any(ord(character) >= _PLAIN_SCRIPTS for character in card.text):
            share = await self.workers.run(cards.left_out, card.text, seconds=JOB_SECONDS, light=True)
            caption += _ALL_LEFT_OUT if share > 0.9 else _LEFT_OUT if share else ""
        yield ImageText(text=caption, by="local")

    async def _draw(self, card: cards.Card, variant: int) -> bytes:
        async with self.drawing:
            return await self.workers.run(cards.draw, card, variant, seconds=JOB_SECONDS, light=True)


def _face(question: Question) -> tuple[str, str]:
    """What a card says, large and small."""
    lucky = question.source == "stumber"
    if question.words:
        return question.words, "Lucky dip" if lucky else "Search"
    return ("Lucky dip", "Something else") if lucky else ("The front page", "Newest and most popular")


def _about_picture(question: Question, seen: str) -> str:
    if not question.has_picture:
        return ""
    if question.picture:
        return f"The picture says: “{question.picture}”."
    if seen:
        return f"The picture seems to show: {seen}."
    if question.text:
        return f"{_NO_WORDS} What follows is about the text alone."
    what = "a lucky dip" if question.source == "stumber" else "the front page"
    return f"{_NO_WORDS} What follows is {what}."


def _nothing(question: Question, findings: Findings) -> str:
    if findings.failed:
        return "The articles could not be searched, so there is nothing to sum up."
    if words := question.words or findings.seen:
        return f"No articles were found for “{_shortened(words)}”. Try fewer or more general words."
    return "There are no articles yet. Add some with: cutaway articles add FEED_URL"


def _shortened(text: str) -> str:
    if len(text) <= _QUOTED_CHARACTERS:
        return text
    return (text[:_QUOTED_CHARACTERS].rpartition(" ")[0] or text[:_QUOTED_CHARACTERS]) + "…"


@asynccontextmanager
async def local_search(
    settings: Settings, door: Door, gemini: Gemini | None = None
) -> AsyncIterator[tuple[SearchService, GeneratedImages] | None]:
    """The search service of the product; None when it is switched off. ``settings.work_dir`` is set and exists.

    Without `gemini` everything is made on this machine. Its workers start in the background: nobody waits for them
    but the first request.
    """
    if not settings.search_workers:
        yield None
        return
    assert settings.work_dir is not None, "serve() has made one"
    bounds = Limits(memory_bytes=settings.worker_memory, file_bytes=_FILE_BYTES)
    # More, for the job that keeps the index, and for feeds.
    count = settings.search_workers + 1 + bool(settings.feed_minutes)
    workers = Workers(count, preload=PRELOAD, bounds=bounds, log_level=settings.log_level)
    generated = GeneratedImages(
        Path(settings.work_dir, "generated"), seconds=3600 * settings.image_hours, space_bytes=settings.image_space
    )
    articles = local.LocalArticles(workers, settings.data_dir)
    sources: list[ArticleSource] = [articles]
    if settings.hacker_news:
        sources.append(HackerNews(door, workers, settings.hacker_news_url))
    if settings.searxng_url:
        sources.append(SearXNG(door, workers, settings.searxng_url))
    service = SearchService(
        *_agents(settings, sources, door, workers, generated, gemini),
        workers=workers,
        seconds=settings.search_seconds,
        sees=gemini is not None,
    )
    background = [
        asyncio.create_task(_start(workers), name="start search workers"),
        asyncio.create_task(articles.keep(), name="keep the index"),
    ]
    if settings.feed_minutes:
        looker = Looker(door, workers, settings.data_dir, minutes=settings.feed_minutes, readers=1)
        background.append(asyncio.create_task(Refresher(looker).run(), name="refresh feeds"))
    try:
        yield service, generated
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await generated.close()
        await workers.close()


def _agents(
    settings: Settings,
    sources: Sequence[ArticleSource],
    door: Door,
    workers: Workers,
    generated: GeneratedImages,
    gemini: Gemini | None,
) -> tuple[ArticlesAgent, SummaryAgent, ImageAgent]:
    if gemini is None:
        return Gathering(sources), LocalSummary(workers), LocalImages(workers, generated)
    in_time = _OF_SEARCH * settings.search_seconds
    page_seconds = _OF_SEARCH_FOR_PAGES * settings.search_seconds
    web = WebPages(door, workers, seconds=page_seconds) if settings.gemini_search else None
    model = settings.gemini_summary_model
    summaries = GeminiSummary(gemini, model, settings.gemini_wait_seconds, search=settings.gemini_search)
    images = GeminiImages(gemini, settings.gemini_image_model, generated, workers)
    return (
        Gathering(sources, web, web_seconds=in_time, sight=Sight(GeminiWords(gemini, model))),
        ComposedSummary(summaries, LocalSummary(workers), in_time),
        ComposedImages(images, LocalImages(workers, generated, MODEL_FAILED), in_time),
    )


async def _start(workers: Workers) -> None:
    try:
        await workers.start()
    except NurseryFailed as error:
        _log.error("search is not available: %s", error)
