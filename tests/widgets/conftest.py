"""A page to look at: the browser's end of every widget that a test makes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdk.conftest import process_wide  # noqa: F401 (the background thread is there before leaks are looked for)

from .page import Page


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """What a front end would have; no widget is open after the test."""
    page = Page()
    monkeypatch.setattr("comm.create_comm", page.open_comm)
    yield page
    page.close()
