"""The answer to a search: what is said while it comes in, and :class:`SearchResult`, all of it.

What comes in are the messages of one search, what goes out are events (articles, pieces of the summary, images,
what failed) and the result made of them. :class:`Answer` is the pure step between them, the same for both clients.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from . import protocol
from .articles import Article, Articles, articles_html, counted, escaped, link_html, read_article, safe_link
from .errors import ServerError
from .images import AsyncGeneratedImage, GeneratedImage, image_html

if TYPE_CHECKING:
    import pandas

__all__ = ["AgentFailed", "ImageCaption", "SearchResult", "SummaryChunk", "SummaryDone"]

T = TypeVar("T")
ImageT = TypeVar("ImageT", AsyncGeneratedImage, GeneratedImage)

_MARKER = re.compile(r"\[(\d{1,3})\]")


@dataclass(frozen=True, slots=True)
class SummaryChunk:
    """The next piece of the summary.

    Attributes
    ----------
    text : str
        Only the piece; pieces are joined without anything between them.
    so_far : str
        The summary up to here, this piece included.
    """

    text: str
    _pieces: Sequence[str] = field(repr=False, compare=False)
    """All pieces of the answer, those to come included: a copy of the beginning in each would be quadratic."""
    _count: int = field(repr=False)

    @property
    def so_far(self) -> str:
        """The summary up to here, this piece included."""
        return "".join(self._pieces[: self._count])


@dataclass(frozen=True, slots=True)
class SummaryDone:
    """The summary is complete, or its agent has failed (see :class:`AgentFailed`).

    Attributes
    ----------
    text : str
        The whole summary.
    by : str or None
        Who wrote it: ``"gemini"`` or ``"local"``.
    search_entry_point : str or None
        HTML that must be shown beside a summary grounded in Google Search; sanitise or sandbox it.
    """

    text: str
    by: str | None = None
    search_entry_point: str | None = None


@dataclass(frozen=True, slots=True)
class ImageCaption:
    """What the generated images show.

    Attributes
    ----------
    text : str
        Plain text.
    by : str or None
        Who wrote it: ``"gemini"`` or ``"local"``.
    """

    text: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class AgentFailed:
    """One part of the answer will not come; the others go on.

    Attributes
    ----------
    agent : str
        ``"articles"``, ``"summary"`` or ``"images"``.
    message : str
        What happened, in the server's words.
    """

    agent: Literal["articles", "summary", "images"]
    message: str


SearchEvent: TypeAlias = Article | SummaryChunk | SummaryDone | ImageT | ImageCaption | AgentFailed
"""What a search stream yields, in the order in which it arrived."""


@dataclass(frozen=True, slots=True, repr=False)
class SearchResult(Generic[ImageT]):
    """All three parts of the answer to a search.

    In a notebook it shows the summary, whose ``[1]`` are links, the articles and the images.

    Attributes
    ----------
    query : str
        The text that was asked for.
    articles : Articles
        What was found, best first.
    summary : str
        Plain text; ``[1]`` in it refers to the first article. ``""`` when there is none.
    images : tuple of GeneratedImage or AsyncGeneratedImage
        Their bytes are fetched when they are asked for.
    captions : tuple of str
        What the images show.
    errors : tuple of AgentFailed
        The parts that failed.
    by : str or None
        Who wrote the summary: ``"gemini"`` or ``"local"``.
    search_entry_point : str or None
        HTML that must be shown beside a summary grounded in Google Search; sanitise or sandbox it.
    """

    query: str
    articles: Articles
    summary: str
    images: tuple[ImageT, ...]
    captions: tuple[str, ...]
    errors: tuple[AgentFailed, ...]
    by: str | None = None
    search_entry_point: str | None = None

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary for each article, with the names of its attributes."""
        return self.articles.to_records()

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each article, one column for each attribute; ``number`` is the index.

        Raises
        ------
        ModuleNotFoundError
            pandas is not installed.
        """
        return self.articles.to_dataframe()

    def __repr__(self) -> str:
        query = self.query if len(self.query) <= 60 else f"{self.query[:59]}…"
        facts = [counted(len(self.articles), "article") or "no articles"]
        facts += [f"a summary of {counted(len(self.summary.split()), 'word')}"] if self.summary.strip() else []
        facts += [counted(len(self.images), "image"), counted(len(self.errors), "error")]
        return f"<SearchResult {query!r}: {', '.join(filter(None, facts))}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": _html(self)}


class Answer:
    """What has come of an answer: its messages, and the events that they stand for.

    Parameters
    ----------
    query : str
        The text that was asked for.
    make_image : callable
        Makes the image of a message.
    """

    def __init__(self, query: str, make_image: Callable[[protocol.Image], AsyncGeneratedImage]) -> None:
        self.query = query
        self._make_image = make_image
        self._articles = 0
        self._pieces: list[str] = []
        self.messages: list[protocol.SearchMessage] = []
        self.events: list[SearchEvent[AsyncGeneratedImage]] = []
        self.refusal: ServerError | None = None
        """The request as a whole has failed; ``done`` still follows."""

    def take(self, message: protocol.SearchMessage) -> None:
        """Take in the next message."""
        self.messages.append(message)
        match message:
            case protocol.ArticlesBatch(items=items):
                self.events += [read_article(number, item) for number, item in enumerate(items, self._articles + 1)]
                self._articles += len(items)
            case protocol.SummaryChunk(text=text):
                self._pieces.append(text)
                self.events.append(SummaryChunk(text, self._pieces, len(self._pieces)))
            case protocol.SummaryDone(by=by, search_entry_point=entry_point):
                self.events.append(SummaryDone("".join(self._pieces), by, entry_point))
            case protocol.Image():
                self.events.append(self._make_image(message))
            case protocol.ImageText(text=text, by=by):
                self.events.append(ImageCaption(text, by))
            case protocol.ImageError(message=reason):
                self.events.append(AgentFailed("images", reason or "no image could be made"))
            case protocol.SearchError(message=reason, agent=None, metadata=metadata):
                self.refusal = self.refusal or ServerError(reason, field=metadata.field if metadata else None)
            case protocol.SearchError(message=reason, agent=agent) if agent is not None:
                self.events.append(AgentFailed(agent, reason))

    def result(self) -> SearchResult[AsyncGeneratedImage]:
        """All that has come so far."""

        def of(kind: type[T]) -> Iterator[T]:
            return (event for event in self.events if isinstance(event, kind))

        summary = "".join(self._pieces)
        done = next(of(SummaryDone), SummaryDone(summary))
        return SearchResult(
            query=self.query,
            articles=Articles(of(Article)),
            summary=summary,
            images=tuple(of(AsyncGeneratedImage)),
            captions=tuple(caption.text for caption in of(ImageCaption)),
            errors=tuple(of(AgentFailed)),
            by=done.by,
            search_entry_point=done.search_entry_point,
        )


def _html(result: SearchResult[Any]) -> str:
    parts = [_summary_html(result)]
    if result.by == "gemini" and result.summary.strip():
        parts.append('<small style="opacity:.7">Summary by Gemini</small>')
    if result.search_entry_point:
        # Foreign HTML: in a frame without scripts and without an origin, whose links open outside of it.
        allowed = "allow-popups allow-popups-to-escape-sandbox"
        source = html.escape(result.search_entry_point)
        parts.append(f'<iframe sandbox="{allowed}" srcdoc="{source}" style="border:0;width:100%;height:4em"></iframe>')
    parts.append(articles_html(result.articles))
    images = "".join(map(image_html, result.images))
    parts.append(f'<div style="display:flex;flex-wrap:wrap;gap:.6em;margin:.6em 0;max-width:60em">{images}</div>')
    parts += [f'<small style="opacity:.7">{escaped(caption)}</small><br>' for caption in result.captions]
    parts += [f"<div>⚠ {each.agent}: {escaped(each.message)}</div>" for each in result.errors]
    return "".join(parts)


def _summary_html(result: SearchResult[Any]) -> str:
    links = {f"{article.number}": safe_link(article.url) for article in result.articles}

    def linked(marker: re.Match[str]) -> str:
        link = links.get(marker[1])
        return link_html(link, marker[0]) if link else marker[0]

    paragraphs = (_MARKER.sub(linked, escaped(line)) for line in result.summary.splitlines() if line.strip())
    return "".join(f'<p style="max-width:50em">{paragraph}</p>' for paragraph in paragraphs)
