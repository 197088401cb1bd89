"""The sample articles of the package, for a store that has no others yet. Goes out: entries."""

from __future__ import annotations

from importlib import resources
from io import BytesIO
from typing import NoReturn

from cutaway_server.search.articles.entry import Entry
from cutaway_server.search.articles.rows import Rows


def samples() -> list[Entry]:
    """The articles of ``samples.jsonl``."""
    file = resources.files("cutaway_server.search.articles") / "samples.jsonl"
    return list(Rows(BytesIO(file.read_bytes()), _refuse))


def _refuse(line: int, why: str) -> NoReturn:
    raise ValueError(f"samples.jsonl, line {line}: {why}")
