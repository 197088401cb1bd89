"""A fake of Gemini's service, and the model's room that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import pytest

from cutaway_server.gemini.client import Gemini, open_gemini
from cutaway_server.settings import Settings
from fakes.gemini import FakeGemini

KEY = "canary-key-3b1f77"

Open: TypeAlias = "Callable[..., AbstractAsyncContextManager[Gemini]]"


@pytest.fixture
def fake(googles_library: None) -> Iterator[FakeGemini]:
    """Fails when a test leaves a connection open, or was asked what nothing was queued for."""
    with FakeGemini() as server:
        yield server
        server.wait_for(lambda: server.open_connections == 0, 3)
        assert not server.unanswered, [each.text for each in server.unanswered]


@pytest.fixture
def opened(fake: FakeGemini) -> Open:
    """Opens the model's room with a key and the fake's address; settings as named arguments, without ``gemini_``."""

    @asynccontextmanager
    async def open_(**values: object) -> AsyncIterator[Gemini]:
        named: dict[str, Any] = {"api_key": KEY, "base_url": fake.url, **values}
        settings = Settings(_env_file=None, **{f"gemini_{name}": value for name, value in named.items()})
        async with open_gemini(settings) as gemini:
            assert gemini is not None
            yield gemini

    return open_
