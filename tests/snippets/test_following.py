"""What takes the places of picked moments that cannot be shown, and when. The real server, its real client of the
model's service, and a fake of that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cutaway.protocol import Snippet, SnippetComplete, SnippetMetadata, decode_video
from fakes.gemini import FakeGemini
from fakes.questions import Asked
from fakes.replies import Gate
from servers import Resource
from snippets import film
from snippets.films import Films
from snippets.test_leaving import connected
from snippets.test_picked import KEY, item, of_window
from snippets.watch import Watched, running

NIGHT = item(20, 32, "Night")
"""It is black and silent there."""


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeGemini]:
    with FakeGemini() as fake:
        yield fake


@pytest.fixture(scope="module")
def patient(fake: FakeGemini, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A server that waits for the model for longer than any test."""
    flags = ("--gemini-base-url", fake.url, "--gemini-gap-seconds", "120", "--gemini-first-seconds", "120")
    with running(tmp_path_factory.mktemp("patient"), *flags, variables={"GEMINI_API_KEY": KEY}) as watched:
        yield watched


@pytest.fixture(scope="module")
def nights(films: Films) -> Path:
    """Twelve minutes in two windows, of 0 to 370 and of 350 to 720 s; the first minute is black, and others."""
    path = films.folder / "nights.mp4"
    if not path.exists():
        film.ffmpeg("-stream_loop", "3", "-i", films["half_black.mp4"], "-c", "copy", "-movflags", "+faststart", path)
    return path


def ask(server: Watched, fake: FakeGemini, path: Path, first: list[dict[str, Any]]) -> list[SnippetMetadata]:
    """What comes of the first window while the model is stuck in the second, and then the rest; four are wanted."""
    server.settle()
    fake.reset()
    gate = Gate()
    later = [item(430, 442, "Third"), item(450, 462, "Fourth"), item(600, 612, "Fifth")]
    fake.queue(json.dumps(first), when=of_window(0))
    stuck = fake.queue(gate, json.dumps(later), when=of_window(350))
    url = server.origin.serve("nights", Resource(path))

    async def talk() -> list[SnippetMetadata]:
        async with asyncio.timeout(60), connected(server, url, max_snippets=4) as client:
            found: list[SnippetMetadata] = []
            while len(found) < 2:
                frame = await client.frames.get()
                assert frame is not None, "the request ended before that"
                if isinstance(message := decode_video(frame), Snippet):
                    found.append(message.data.metadata)
            assert is_waiting(stuck.given)
            gate.open()
            rest = await client.read_rest()
            assert isinstance(rest[-1], SnippetComplete)
            return found + [m.data.metadata for m in rest if isinstance(m, Snippet)]

    return asyncio.run(talk())


def is_waiting(given: list[Asked]) -> bool:
    return len(given) == 1 and not given[0].sent and given[0].closed_at is None


def test_what_is_spare_waits_for_no_other_window(patient: Watched, fake: FakeGemini, nights: Path) -> None:
    """In its order, and no more of it than has places."""
    first = [NIGHT, item(70, 82, "Day"), item(90, 102, "First to spare"), item(250, 262, "Next to spare")]
    found = ask(patient, fake, nights, first)
    assert [m.title for m in found[:2]] == ["Day", "First to spare"]
    assert sorted(m.title for m in found[2:]) == ["Fourth", "Third"]
    assert {m.by for m in found} == {"gemini"}


def test_spare_moments_that_cannot_be_shown_are_replaced_too(patient: Watched, fake: FakeGemini, nights: Path) -> None:
    first = [NIGHT, item(70, 82, "Day"), item(130, 142, "Night again"), item(250, 262, "Next to spare")]
    found = ask(patient, fake, nights, first)
    assert [m.title for m in found[:2]] == ["Day", "Next to spare"]
    assert sorted(m.title for m in found[2:]) == ["Fourth", "Third"]


def test_without_any_ours_stand_in(patient: Watched, fake: FakeGemini, nights: Path) -> None:
    found = ask(patient, fake, nights, [NIGHT, item(70, 82, "Day")])
    assert [m.by for m in found] == ["gemini", "local", "gemini", "gemini"]
    assert 0 <= (found[1].start or 0.0) < 370
    assert sorted(m.title for m in found[2:]) == ["Fourth", "Third"]
