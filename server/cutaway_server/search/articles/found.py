"""An article as a client gets it: comes in as it is kept or as a service names it, goes out as the wire has it."""

from __future__ import annotations

from collections.abc import Sequence

from cutaway.protocol import Article
from cutaway_server.search.articles.dates import iso_date
from cutaway_server.search.articles.entry import Entry, Found
from cutaway_server.search.articles.prose import cut

MAX_SENT = 1000
"""Characters of a description that are sent to a client."""


def found(id_: str, entry: Entry, phrases: Sequence[str] = ()) -> Found:
    """What a source gives for an article; the `id_` is unique among all sources."""
    article = Article(
        id=id_,
        title=entry.title,
        author=entry.author,
        date=iso_date(entry.published),
        type="article" if entry.description or entry.image else "simple",
        description=cut(entry.description, MAX_SENT),
        image=entry.image,
        comments=entry.comments,
        likes=entry.likes,
        emojis=entry.emojis,
        has_video=entry.has_video,
        url=entry.url or None,
    )
    return Found(article=article, text=entry.description, phrases=tuple(phrases))
