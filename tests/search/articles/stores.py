"""Data folders for tests: articles put into them, brought into index and vectors, and searched."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import NoReturn

from cutaway_server.search.articles.entry import Entry, Found, Wanted
from cutaway_server.search.articles.index import IndexBroken
from cutaway_server.search.articles.keeper import keeping
from cutaway_server.search.articles.kept import Put
from cutaway_server.search.articles.library import Library
from cutaway_server.search.articles.record import Record


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


def hang(report: Path, _: Wanted) -> NoReturn:
    """In the place of a job that finds: write the process id to a file, whole, and wait for ever."""
    part = report.with_suffix(".part")
    part.write_text(str(os.getpid()))
    part.rename(report)
    time.sleep(1000)
    raise AssertionError("awake")


def die(_folder: Path, _: Wanted) -> NoReturn:
    """In the place of a job that finds."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def find_broken(_folder: Path, _: Wanted) -> NoReturn:
    """In the place of a job that finds."""
    raise IndexBroken("as tantivy says it")
