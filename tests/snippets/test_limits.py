"""Clips that would be too large are made shorter, then smaller, and never left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snippets import film
from snippets.films import Films
from snippets.watch import Watched, running

MIB = 1 << 20


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A server that sends no more than one MiB at a time."""
    with running(tmp_path_factory.mktemp("small"), "--message-limit", "1MiB") as watched:
        yield watched


def is_copied(clip: bytes, source: Path) -> bool:
    packets = set(film.packets(source.read_bytes(), "video"))
    return all(packet in packets for packet in film.packets(clip, "video"))


def test_without_the_limit_they_are_larger(watched: Watched, films: Films) -> None:
    answer = watched.ask(films["heavy.mp4"], min_seconds=1, max_seconds=6)
    assert answer.snippets
    assert all(len(clip) > 1.5 * MIB for clip in answer.clips)
    assert all(is_copied(clip, films["heavy.mp4"]) for clip in answer.clips)


def test_shorter_if_that_is_allowed(small: Watched, films: Films) -> None:
    answer = small.ask(films["heavy.mp4"], min_seconds=1, max_seconds=6)
    assert answer.complete, answer.error
    assert answer.snippets
    for clip, (start, end) in zip(answer.clips, answer.spans, strict=True):
        assert len(clip) <= MIB
        assert 1 <= end - start < 3
        assert is_copied(clip, films["heavy.mp4"])
        numbers = [f.number for f in film.read_frames(clip)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert abs(end * film.RATE - numbers[-1] - 1) <= 1


@pytest.mark.parametrize("shortest", [5, 20])
def test_else_encoded_smaller(small: Watched, films: Films, shortest: int) -> None:
    answer = small.ask(films["heavy.mp4"], min_seconds=shortest, max_seconds=max(6, shortest))
    assert answer.complete, answer.error
    assert answer.snippets
    for clip, (start, end) in zip(answer.clips, answer.spans, strict=True):
        assert len(clip) <= MIB
        assert end - start >= shortest - 0.001
        assert not is_copied(clip, films["heavy.mp4"])
        assert len(film.read_frames(clip)) == round((end - start) * film.RATE)
