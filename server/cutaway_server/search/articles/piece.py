"""An article as a feed or a file gives it, before it has a name: what all formats have in common.

Comes in: fields that were read, their texts plain already. Goes out: an :class:`~.entry.Entry` with its key, or nothing
when there is nothing to show.
"""

from __future__ import annotations

from dataclasses import dataclass

from cutaway_server.errors import Fault
from cutaway_server.search.articles.canonical import canonical_url, short_hash
from cutaway_server.search.articles.entry import Entry
from cutaway_server.search.articles.prose import cut, is_player, one_line

_LEAD_CHARACTERS = 80
"""Of a text without a title, what stands in for it."""
_MOST = 2**31 - 1


class NotAFeed(Fault):
    """What was fetched is no feed; the message says what it is instead, as far as one can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Fields as in :class:`~.entry.Entry`; ``id`` is what its feed calls it, unique there alone."""

    id: str = ""
    title: str = ""
    author: str = ""
    published: int | None = None
    description: str = ""
    image: str = ""
    url: str = ""
    comments: int = 0
    likes: int = 0
    emojis: tuple[str, ...] = ()
    has_video: bool = False
    key: str = ""

    @property
    def lead(self) -> str:
        """Its title, or what stands in for one."""
        return self.title or one_line(cut(self.description, _LEAD_CHARACTERS))

    def name(self, origin: str) -> str:
        """The key of an article whose URL does not tell it from others; `origin` as for :meth:`entry`."""
        named = self.id or f"{self.lead}\0{self.author}\0{self.published}"
        return f"id:{short_hash(canonical_url(origin) or origin, named)}"

    def entry(self, origin: str) -> Entry | None:
        """The article; None without a title and a text.

        Parameters
        ----------
        origin
            The feed or file that it is from, without which an id means nothing.
        """
        title = self.lead
        if not title:
            return None
        return Entry(
            key=self.key or canonical_url(self.url) or self.name(origin),
            title=title,
            author=self.author,
            published=self.published,
            description="" if self.description == title else self.description,
            image=self.image,
            url=self.url,
            comments=self.comments,
            likes=self.likes,
            emojis=self.emojis,
            has_video=self.has_video or is_player(self.url),
        )


def count(value: object) -> int:
    """A number of comments or likes; 0 for what is none."""
    if isinstance(value, str):
        value = value.strip().replace(",", "")
        try:
            value = float(value)
        except ValueError:
            return 0
    if not isinstance(value, int | float) or not 0 <= value < float("inf"):
        return 0
    return min(int(value), _MOST)
