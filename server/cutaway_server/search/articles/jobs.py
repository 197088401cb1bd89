"""What the pool's workers do for searches of articles: top-level functions. A library stays open between jobs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cutaway_server.search.articles.entry import Found, Wanted
from cutaway_server.search.articles.library import Library


@cache
def _library(data_dir: Path) -> Library:
    return Library(data_dir)


def find(data_dir: Path, wanted: Wanted) -> list[Found]:
    """The articles of a folder that are wanted.

    Raises
    ------
    StoreUnusable, StoreBusy
        The articles cannot be read.
    IndexBroken
        The index cannot.
    """
    library = _library(data_dir)
    if library.replaced:
        library.close()
        _library.cache_clear()
        library = _library(data_dir)
    return library.find(wanted)
