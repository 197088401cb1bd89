"""One server for nearly all tests of snippets, and films that are made when they are first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snippets.films import Films
from snippets.watch import Watched, running


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    """Films by name: ``films["vp9.webm"]`` is a path."""
    return Films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="session")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with running(tmp_path_factory.mktemp("server")) as watched:
        yield watched


@pytest.fixture
def watched(running_server: Watched) -> Watched:
    """The server that all tests share; nothing of an earlier request is left in it."""
    running_server.settle()
    return running_server


@pytest.fixture(scope="session")
def media() -> Path:
    """A folder of real films, which is not part of the project: ``shared/media`` beside it."""
    folder = Path(__file__).parents[3] / "shared" / "media"
    if not folder.is_dir():
        pytest.skip("the folder shared/media beside the project is absent")
    return folder
