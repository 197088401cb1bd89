"""Snippets as values: on disk, on the screen, in a notebook."""

from __future__ import annotations

import base64
import dataclasses
import os
import pickle
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway import Snippet
from cutaway.filenames import safe_stem, without_controls
from cutaway.values import clock

SNIPPET = Snippet(
    "The rocket lifts off", "Fire and steam.", "https://e.com/v", b"mp4" * 500, 61.5, 80.25, b"jpeg", "local"
)


def test_a_snippet_is_an_immutable_value() -> None:
    assert dataclasses.replace(SNIPPET) == SNIPPET
    assert pickle.loads(pickle.dumps(SNIPPET)) == SNIPPET
    assert SNIPPET.duration == 18.75
    assert dataclasses.replace(SNIPPET, start=None).duration is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        SNIPPET.title = "x"  # type: ignore[misc]


def test_repr_is_one_short_line() -> None:
    assert repr(SNIPPET) == "<Snippet 'The rocket lifts off' 1:02–1:20 (18.8 s, 2 kB)>"
    hostile = dataclasses.replace(SNIPPET, title="a\n\x1b[31m\u202e" + "x" * 1000, start=None)
    assert len(repr(hostile)) < 120
    assert repr(hostile).isprintable()


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1.0, "0:00"), (7.49, "0:07"), (7.5, "0:08"), (59.5, "1:00"), (3599.5, "1:00:00")]
)
def test_clocks_round_as_the_titles_of_the_server_do(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_in_a_notebook_it_is_its_poster_and_escaped_words_but_no_video() -> None:
    hostile = dataclasses.replace(SNIPPET, title="<script>alert(1)</script>", description='"><img src=x>')
    bundle = hostile._repr_mimebundle_()
    assert bundle["text/plain"] == repr(hostile)
    assert "<script" not in bundle["text/html"] and "<img src=x" not in bundle["text/html"]
    assert "data:image/jpeg;base64," + base64.b64encode(b"jpeg").decode() in bundle["text/html"]
    assert base64.b64decode(bundle["image/jpeg"]) == b"jpeg"
    assert base64.b64encode(SNIPPET.video).decode() not in str(bundle)
    plain = dataclasses.replace(SNIPPET, poster=None)._repr_mimebundle_(include=None, exclude=None)
    assert "image/jpeg" not in plain and "<img" not in plain["text/html"]


def test_save_into_a_directory_never_overwrites(tmp_path: Path) -> None:
    names = [SNIPPET.save(tmp_path).name for _ in range(3)]
    assert names == ["The rocket lifts off.mp4", "The rocket lifts off (2).mp4", "The rocket lifts off (3).mp4"]
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert all(path.read_bytes() == SNIPPET.video for path in tmp_path.iterdir())


def test_save_at_a_path_is_exactly_there_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(b"old")
    assert SNIPPET.save(str(target)) == target
    assert target.read_bytes() == SNIPPET.video
    umask = os.umask(0)
    os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_trailing_slash_makes_the_directory(tmp_path: Path) -> None:
    assert SNIPPET.save(f"{tmp_path}/a/b/") == tmp_path / "a" / "b" / "The rocket lifts off.mp4"


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SNIPPET.save(tmp_path / "missing" / "clip.mp4")
    (tmp_path / "clip.mp4").mkdir()
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "x").touch()
    broken = dataclasses.replace(SNIPPET, video="not bytes")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        broken.save(taken)
    assert [path.name for path in taken.iterdir()] == ["x"]


def test_without_hard_links_nothing_is_overwritten_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links on this file system")

    monkeypatch.setattr(os, "link", refuse)
    assert [SNIPPET.save(tmp_path).name for _ in range(2)] == [
        "The rocket lifts off.mp4",
        "The rocket lifts off (2).mp4",
    ]
    assert len(list(tmp_path.iterdir())) == 2


def test_threads_that_save_the_same_title_get_a_file_each(tmp_path: Path) -> None:
    threads = [threading.Thread(target=SNIPPET.save, args=(tmp_path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(tmp_path.iterdir())) == 8


@pytest.mark.parametrize(
    ("title", "stem"),
    [
        ("Goal: 2/1!", "Goal - 2 - 1!"),
        ("../../etc/passwd", "etc - passwd"),
        ("..", "snippet"),
        ("-rf *", "rf"),
        (" .hidden. ", "hidden"),
        ("con", "_con"),
        ("COM1.tar", "_COM1.tar"),
        ("console", "console"),
        ("a\x00b\nc\x1b[31md\u202ee", "ab c[31mde"),
        ("Übung — 日本語 👩‍🚀", "Übung — 日本語 👩‍🚀"),
        ("e\u0301", "é"),
        ("", "snippet"),
        ("C:\\temp\\x", "C - temp - x"),
        ('what? "yes" <no> *', "what yes no"),
    ],
)
def test_safe_stems(title: str, stem: str) -> None:
    assert safe_stem(title) == stem


@given(st.text(max_size=400))
def test_any_title_is_a_safe_name(title: str) -> None:
    stem = safe_stem(title)
    assert stem and stem == stem.strip(" .") and stem[0] not in ".-"
    assert not set(stem) & set('/\\:|<>"?*\x00')
    assert len(stem.encode()) <= 190
    assert without_controls(stem) == stem
