"""Fixtures of all tests of searches."""

from __future__ import annotations

import pytest

from cutaway_server.search.articles import record


@pytest.fixture
def no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new store is empty, and its first article has the id 1."""
    monkeypatch.setattr(record, "samples", list)
