"""The sample articles of the package, for a store that has no others yet. Goes out: entries."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources

import msgspec

from cutaway_server.search.articles.entry import Entry


class _Sample(msgspec.Struct, frozen=True, rename={"has_video": "hasVideo"}):
    """One line of the file: an item of a batch without what the store gives it."""

    title: str
    author: str = ""
    date: datetime | None = None
    description: str = ""
    image: str = ""
    url: str = ""
    comments: int = 0
    likes: int = 0
    emojis: tuple[str, ...] = ()
    has_video: bool = False


def samples() -> list[Entry]:
    """The articles of ``samples.jsonl``."""
    file = resources.files("cutaway_server.search.articles") / "samples.jsonl"
    if not file.is_file():
        return []
    found = msgspec.json.decode(b"[" + b",".join(file.read_bytes().splitlines()) + b"]", type=list[_Sample])
    return [
        Entry(
            key=f"sample {number}",
            title=each.title,
            author=each.author,
            published=int(each.date.replace(tzinfo=each.date.tzinfo or UTC).timestamp()) if each.date else None,
            description=each.description,
            image=each.image,
            url=each.url,
            comments=each.comments,
            likes=each.likes,
            emojis=each.emojis,
            has_video=each.has_video,
        )
        for number, each in enumerate(found, 1)
    ]
