"""Data folders for tests: articles put into them, brought into index and vectors, and searched."""

from __future__ import annotations

from pathlib import Path

from cutaway_server.search.articles.entry import Entry, Found, Wanted
from cutaway_server.search.articles.keeper import keeping
from cutaway_server.search.articles.library import Library
from cutaway_server.search.articles.record import Put, Record


def entry(key: str, title: str = "", description: str = "", **others: object) -> Entry:
    return Entry(key=key, title=title or key, description=description, **others)  # type: ignore[arg-type]


def put(folder: Path, *entries: Entry, feed: int | None = None) -> Put:
    with Record.open(folder) as record:
        return record.put(entries, feed)


def index(folder: Path) -> None:
    """Bring index, vectors and phrases up to the record."""
    with keeping(folder) as keeper:
        assert keeper is not None
        keeper.follow()
        while keeper.embed_some() or keeper.phrase_some():
            pass


def search(folder: Path, text: str = "", **wanted: object) -> list[Found]:
    library = Library(folder)
    try:
        return library.find(Wanted(text=text, **wanted))  # type: ignore[arg-type]
    finally:
        library.close()


def titles(found: list[Found]) -> list[str]:
    return [each.article.title for each in found]
