"""Articles as values: :class:`Article`, and :class:`Articles`, several of them as a table.

They are made from the messages of :mod:`cutaway.protocol`. Text in them was written by strangers: it is escaped where
it is shown, links are http and https only, and nothing is loaded from anywhere just because it is shown.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, overload
from urllib.parse import urlsplit

from . import protocol
from .filenames import without_controls

if TYPE_CHECKING:
    import pandas

__all__ = ["Article", "Articles"]

_LINK = re.compile(r"(?i)https?://[^\s/?#\"'<>\\]+[^\s\"'<>\\]*")


@dataclass(frozen=True, slots=True, repr=False)
class Article:
    """One article that a search found.

    Attributes
    ----------
    number : int
        Its place in the answer, from 1: what ``[1]`` in the summary refers to.
    id : str
        The server's name for it.
    title, author, description : str
        Plain text; ``""`` when there is none.
    published : datetime or None
        When it came out, in UTC.
    url : str
        Where it is; ``""`` when nobody knows.
    image_url : str
        A picture; ``""`` when there is none.
    likes, comments : int
        How many.
    emojis : tuple of str
        Reactions.
    has_video : bool
        Whether it has a video.
    type : str
        ``"article"`` with a description or an image, otherwise ``"simple"``.
    """

    number: int
    id: str
    title: str
    author: str = ""
    published: datetime | None = None
    description: str = ""
    url: str = ""
    image_url: str = ""
    likes: int = 0
    comments: int = 0
    emojis: tuple[str, ...] = ()
    has_video: bool = False
    type: Literal["article", "simple"] = "simple"

    @property
    def site(self) -> str:
        """The host of its URL, without ``www.``; ``""`` without a URL."""
        try:
            return (urlsplit(self.url).hostname or "").removeprefix("www.")
        except ValueError:
            return ""

    def to_record(self) -> dict[str, Any]:
        """Its attributes as a dictionary."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __repr__(self) -> str:
        title = self.title if len(self.title) <= 60 else f"{self.title[:59]}…"
        facts = [f"{self.number}", repr(title), without_controls(self.site)[:40]]
        facts += [] if self.published is None else [f"{self.published:%Y-%m-%d}"]
        return f"<Article {' '.join(filter(None, facts))}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": article_html(self)}


class Articles(tuple[Article, ...]):
    """Articles in order, best first: a tuple that is a table in a notebook and becomes records or a data frame.

    Examples
    --------
    >>> found = cutaway.Articles(client.search("solar sails").articles)  # doctest: +SKIP
    >>> found.to_dataframe().sort_values("likes")  # doctest: +SKIP
    """

    __slots__ = ()

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary for each article, with the names of its attributes."""
        return [article.to_record() for article in self]

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each article, one column for each attribute; ``number`` is the index.

        Raises
        ------
        ModuleNotFoundError
            pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "to_dataframe() needs pandas: pip install pandas (to_records() needs nothing)", name=error.name
            ) from error
        columns = [each.name for each in fields(Article)]
        frame = pandas.DataFrame.from_records(self.to_records(), columns=columns, index="number")
        # Years that a nanosecond timestamp cannot hold become NaT.
        frame["published"] = pandas.to_datetime(frame["published"], utc=True, errors="coerce")
        return frame

    @overload
    def __getitem__(self, index: SupportsIndex) -> Article: ...

    @overload
    def __getitem__(self, index: slice) -> Articles: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Article | Articles:
        found = super().__getitem__(index)
        return found if isinstance(found, Article) else Articles(found)

    def __repr__(self) -> str:
        return f"<Articles: {len(self)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": articles_html(self)}


def read_article(number: int, item: protocol.Article) -> Article:
    """The value of an item on the wire."""
    return Article(
        number=number,
        id=item.id,
        title=item.title,
        author=item.author,
        published=_read_date(item.date),
        description=item.description,
        url=item.url or "",
        image_url=item.image,
        likes=item.likes,
        comments=item.comments,
        emojis=item.emojis,
        has_video=item.has_video,
        type=item.type,
    )


def _read_date(text: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):  # none, or one that UTC moves out of the calendar
        return None


def safe_link(url: str) -> str | None:
    """The URL if it may be made a link: http or https, without anything that ends or hides an address."""
    return url if _LINK.fullmatch(url) and without_controls(url) == url else None


def link_html(url: str, text: str) -> str:
    """A link from `text`, which is HTML, to a URL of :func:`safe_link`."""
    return f'<a href="{html.escape(url)}" target="_blank" rel="noopener noreferrer">{text}</a>'


_TWO_LINES = ' style="display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden"'


def article_html(article: Article, *, brief: bool = False) -> str:
    """A paragraph: number, title with its link, the description (or two lines of it), who and when."""
    title = escaped(article.title) or "(without a title)"
    if (link := safe_link(article.url)) is not None:
        title = link_html(link, title)
    facts = [article.author, article.site, "" if article.published is None else f"{article.published:%Y-%m-%d}"]
    facts += [counted(article.likes, "like"), counted(article.comments, "comment"), "".join(article.emojis)]
    facts += ["video"] if article.has_video else []
    about = " · ".join(escaped(fact) for fact in facts if fact)
    description = f"<div{_TWO_LINES * brief}>{escaped(article.description)}</div>" if article.description else ""
    return (
        f'<div style="margin:.6em 0;max-width:50em"><small style="opacity:.6">[{article.number}]</small> '
        f'<b>{title}</b>{description}<small style="opacity:.7">{about}</small></div>'
    )


def articles_html(articles: Sequence[Article]) -> str:
    """Paragraphs, one below the other."""
    return "".join(article_html(article, brief=True) for article in articles) or "<i>no articles</i>"


def counted(number: int, noun: str) -> str:
    """``1 like``, ``2,000 likes``; nothing for none."""
    return "" if number == 0 else f"{number:,} {noun}{'' if number == 1 else 's'}"


def escaped(text: str) -> str:
    """Text of strangers as HTML: one line without control characters."""
    return html.escape(without_controls(text))
