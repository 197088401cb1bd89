"""Clips by URL, with the real server and real jobs: the message tells where the same MP4 is, and nothing stays of what
nobody got.
"""

from __future__ import annotations

import asyncio
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from cutaway.protocol import Snippet
from processes import ServerProcess, wait_until
from servers import Origin, Resource
from snippets.films import Films
from snippets.test_leaving import connected, is_snippet
from snippets.watch import Watched, running

SMALL = {"min_seconds": 2, "max_seconds": 6}


def get(watched: Watched, path: str | None, **headers: str) -> tuple[int, bytes]:
    """Status and body of what is at a path."""
    assert path is not None
    request = urllib.request.Request(watched.server.url(path), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_message_tells_where_the_same_clip_is(watched: Watched, films: Films) -> None:
    answer = watched.ask(films["film.mp4"], **SMALL)
    assert len(answer.snippets) >= 2
    assert len({m.video_path for m in answer.metadata}) == len(answer.snippets)
    for data, metadata in zip(answer.clips, answer.metadata, strict=True):
        assert get(watched, metadata.video_path) == (200, data)
        assert get(watched, metadata.video_path, Range="bytes=100-299") == (206, data[100:300])
        assert get(watched, metadata.video_path, Range="bytes=-50") == (206, data[-50:])


@pytest.mark.parametrize("name", ["vp9.webm", "heavy.mp4"])
def test_whether_it_was_copied_or_encoded(watched: Watched, films: Films, name: str) -> None:
    answer = watched.ask(films[name], max_snippets=2, **SMALL)
    assert answer.snippets
    for data, metadata in zip(answer.clips, answer.metadata, strict=True):
        assert get(watched, metadata.video_path) == (200, data)


def test_a_clip_is_there_with_its_message_and_outlives_the_socket(watched: Watched, films: Films) -> None:
    url = watched.origin.serve("outlive", Resource(films["wide.mp4"], latency=0.15))

    async def leave_after_the_first() -> Snippet:
        messages: list[Snippet] = []

        def take(message: object) -> bool:
            if isinstance(message, Snippet):
                messages.append(message)
            return is_snippet(message)  # type: ignore[arg-type]

        async with connected(watched, url, **SMALL) as client:
            await client.read_until(take)
            path = messages[0].data.metadata.video_path
            found = await asyncio.to_thread(get, watched, path)
            assert found == (200, messages[0].data.video_data)
        return messages[0]

    before = watched.clips()
    message = asyncio.run(leave_after_the_first())
    watched.settle()
    path = message.data.metadata.video_path
    assert path is not None
    assert get(watched, path) == (200, message.data.video_data)
    assert watched.clips() - before == {Path(path).name}, "what was in work when the client left is gone"


def test_who_leaves_in_the_middle_of_a_message_leaves_no_clip(watched: Watched, films: Films) -> None:
    url = watched.origin.serve("half", Resource(films["heavy.mp4"]))
    before = watched.clips()
    with watched.half_a_message(url, min_seconds=20):
        assert len(watched.clips() - before) == 1
    watched.settle()
    assert watched.clips() - before == set()


def test_none_is_kept_where_that_is_turned_off(tmp_path: Path, films: Films) -> None:
    with running(tmp_path / "off", "--clip-space", "0") as watched:
        answer = watched.ask(films["film.mp4"], max_snippets=2, **SMALL)
        assert len(answer.snippets) == 2
        assert [m.video_path for m in answer.metadata] == [None, None]
        assert not (watched.work_dir / "clips").exists()


def test_a_snippet_comes_also_when_its_clip_cannot_be_kept(tmp_path: Path, films: Films) -> None:
    with running(tmp_path / "full") as watched:
        (watched.work_dir / "clips").write_bytes(b"")  # no folder can be made there
        answer = asyncio.run(
            watched.read_all(watched.origin.serve("a", films["film.mp4"]), SMALL | {"max_snippets": 2})
        )
        assert answer.complete
        assert [m.video_path for m in answer.metadata] == [None, None]
        assert "A clip cannot be kept: " in watched.server.errors.read_text()
        (watched.work_dir / "clips").unlink()
        assert watched.ask(films["film.mp4"], max_snippets=1, **SMALL).metadata[0].video_path


def test_one_that_is_larger_than_all_the_space_costs_the_others_nothing(tmp_path: Path, films: Films) -> None:
    with running(tmp_path / "small", "--clip-space", "2MiB") as watched:
        (small,) = watched.ask(films["film.mp4"], max_snippets=1, **SMALL).metadata
        (large,) = watched.ask(films["heavy.mp4"], max_snippets=1, min_seconds=20).metadata
        assert large.video_path is None
        assert get(watched, small.video_path)[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_all_are_gone_with_the_server(
    start_server: Callable[..., ServerProcess], work_dir: Path, films: Films, number: int
) -> None:
    flags = ("--work-dir", str(work_dir), "--search-workers", "0", "--allow-network", "127.0.0.0/8", "--workers", "2")
    server = start_server(*flags)
    with Origin() as origin:
        (own,) = work_dir.iterdir()
        watched = Watched(server, origin, own, 2)
        assert watched.ask(films["film.mp4"], max_snippets=2, **SMALL).complete
        assert len(watched.clips()) == 2
    server.stop(number)
    if number == signal.SIGKILL:
        wait_until(own.exists)
        start_server(*flags).stop()
    assert list(work_dir.iterdir()) == []
