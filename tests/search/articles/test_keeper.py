"""Index and vectors follow the record, whatever is lost, damaged or killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tantivy
from numpy.typing import NDArray

from cutaway_server.search.articles import index as index_room
from cutaway_server.search.articles import keeper as keeper_room
from cutaway_server.search.articles.database import FILE as DATABASE
from cutaway_server.search.articles.index import FOLDER, Index, IndexBroken
from cutaway_server.search.articles.keeper import IndexNotWritten, catch_up, keeping, reindex
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.vectors import FILE, Vectors
from processes import wait_until
from search.articles.killing import KEEP, check_after_kill, consistent, found, kill_while_it_grows, running
from search.articles.stores import entry, index, put, search, titles

pytestmark = pytest.mark.usefixtures("no_samples")

KILLS = 3


def rows(folder: Path, *ids: int) -> NDArray[np.float32]:
    """The vectors as they are now."""
    vectors = Vectors(folder)
    vectors.refresh()
    try:
        return vectors.rows(np.array(ids))
    finally:
        vectors.close()


def test_the_index_follows_every_kind_of_change(tmp_path: Path) -> None:
    put(tmp_path, entry("a", "zebra one"), entry("b", "zebra two"), entry("c", "zebra three"))
    assert catch_up(tmp_path)
    assert found(tmp_path, "zebras") == [1, 2, 3]
    with Record.open(tmp_path) as record:
        record.put([entry("b", "giraffe"), entry("d", "zebra four", likes=3)])
        record.put([entry("b", "giraffe again")])
        record.remove([1])
    assert catch_up(tmp_path)
    assert sorted(found(tmp_path, "zebra")) == [3, 4]
    assert found(tmp_path, "giraffe") == [2]
    assert catch_up(tmp_path)
    assert consistent(tmp_path)


def test_an_open_reader_sees_commits(tmp_path: Path) -> None:
    reader = Index(tmp_path)
    reader.refresh()
    assert not reader.ready
    put(tmp_path, entry("a", "zebra"))
    with keeping(tmp_path) as keeper:
        assert keeper is not None
        reader.refresh()
        assert reader.ready
        assert reader.count == 1
        put(tmp_path, entry("b", "zebra"))
        assert keeper.follow()
        assert not keeper.follow()
        assert reader.count == 1
        reader.refresh()
        assert reader.count == 2


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_room, "_TEXTS_AT_ONCE", 2)
    put(tmp_path, *(entry(str(number)) for number in range(5)))
    told: list[tuple[int, int]] = []
    catch_up(tmp_path, lambda done, of: told.append((done, of)))
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_many_commits_make_one_consistent_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_room, "_TEXTS_AT_ONCE", 7)
    monkeypatch.setattr(keeper_room, "COMMIT_SECONDS", 0.0)
    chance = random.Random(1)
    with Record.open(tmp_path) as record:
        for _ in range(5):
            record.put([entry(str(chance.randrange(60)), f"word{chance.randrange(10**9)}") for _ in range(40)])
            record.remove([chance.randrange(1, 60) for _ in range(5)])
            catch_up(tmp_path)
    assert consistent(tmp_path)


@pytest.mark.parametrize("damage", ["lost", "emptied", "cut short", "garbage", "no meta", "older format"])
def test_a_broken_index_is_built_anew(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, *(entry(str(number), f"zebra number{number}") for number in range(100)))
    if damage == "older format":
        monkeypatch.setattr(index_room, "FORMAT", 0)
        index(tmp_path)
        monkeypatch.undo()
    else:
        index(tmp_path)
    folder = tmp_path / FOLDER
    files = [path for path in folder.iterdir() if path.suffix not in (".json", ".lock")]
    if damage == "lost":
        shutil.rmtree(folder)
    for path in files if damage in ("emptied", "cut short", "garbage") else []:
        content = path.read_bytes()
        path.write_bytes(
            {"emptied": b"", "cut short": content[: len(content) // 2], "garbage": os.urandom(len(content))}[damage]
        )
    if damage == "no meta":
        (folder / "meta.json").unlink()
    put(tmp_path, entry("new", "zebra unicorn"))
    assert catch_up(tmp_path)
    assert consistent(tmp_path)
    assert len(found(tmp_path, "zebra")) == 101
    assert not list(tmp_path.glob("index.*/")), "nothing is left of the building"


def test_flipped_bytes_are_rebuilt_or_told(tmp_path: Path) -> None:
    """tantivy panics over some of them."""
    chance = random.Random(1)
    put(tmp_path / "whole", *(entry(str(number), f"zebra number{number}") for number in range(100)))
    index(tmp_path / "whole")
    for turn in range(12):
        folder = tmp_path / str(turn)
        shutil.copytree(tmp_path / "whole", folder)
        path = chance.choice(sorted(path for path in (folder / FOLDER).iterdir() if path.stat().st_size))
        content = bytearray(path.read_bytes())
        for _ in range(chance.choice((1, 4, 40))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        put(folder, entry("new", "unicorn"))
        assert catch_up(folder)
        try:
            assert len(found(folder, "zebra unicorn")) == 101
        except IndexBroken:
            # What is damaged in the middle of a list shows only when that is read.
            assert reindex(folder)
            assert consistent(folder)


def test_an_index_of_other_articles_is_built_anew(tmp_path: Path) -> None:
    for name in ("one", "two"):
        put(tmp_path / name, entry(name, f"zebra {name}"))
        index(tmp_path / name)
    shutil.rmtree(tmp_path / "one" / FOLDER)
    shutil.copytree(tmp_path / "two" / FOLDER, tmp_path / "one" / FOLDER)
    shutil.copy(tmp_path / "two" / FILE, tmp_path / "one" / FILE)
    index(tmp_path / "one")
    assert titles(search(tmp_path / "one", "zebra")) == ["zebra one"]
    assert consistent(tmp_path / "one")


def test_an_index_with_too_few_articles_is_built_anew(tmp_path: Path) -> None:
    """As far as it says, it is complete: a copy of the record was restored that had gone another way."""
    put(tmp_path, entry("a", "zebra"), entry("b", "giraffe"))
    index(tmp_path)
    with Record.open(tmp_path) as record:
        record.connection.execute("DELETE FROM articles WHERE id = 1")
    assert catch_up(tmp_path)
    assert consistent(tmp_path)
    assert found(tmp_path, "zebra") == []


def test_an_index_that_is_ahead_of_a_restored_record_is_built_anew(tmp_path: Path) -> None:
    put(tmp_path, entry("a", "zebra"))
    shutil.copy(tmp_path / DATABASE, tmp_path / "copy")
    put(tmp_path, entry("a", "giraffe"), entry("b", "unicorn"))
    index(tmp_path)
    (tmp_path / "copy").replace(tmp_path / DATABASE)
    put(tmp_path, entry("c", "phoenix"))
    index(tmp_path)
    assert consistent(tmp_path)
    assert [found(tmp_path, text) for text in ("zebra", "giraffe", "unicorn", "phoenix")] == [[1], [], [], [2]]
    assert titles(search(tmp_path, "zebra")) == ["zebra"]


def test_reindex_serves_the_old_index_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_room, "_TEXTS_AT_ONCE", 10)
    put(tmp_path, *(entry(str(number), f"zebra number{number}") for number in range(30)))
    index(tmp_path)
    reader = Index(tmp_path)
    seen = []

    def look(_done: int, _of: int) -> None:
        reader.refresh()
        seen.append(reader.count)

    assert reindex(tmp_path, look)
    assert seen == [30, 30, 30]
    reader.refresh()
    assert reader.count == 30
    assert consistent(tmp_path)
    assert not rows(tmp_path, 1).any()
    index(tmp_path)
    assert rows(tmp_path, 1).any()


def test_only_one_keeps(tmp_path: Path) -> None:
    put(tmp_path, entry("a", "zebra"))
    with keeping(tmp_path) as first:
        assert first is not None
        put(tmp_path, entry("b", "giraffe"))
        assert not catch_up(tmp_path), "somebody else is at it"
        first.follow()
        assert found(tmp_path, "giraffe") == [2]
    assert catch_up(tmp_path)


def test_an_index_that_another_program_writes_to_is_not_touched(tmp_path: Path) -> None:
    put(tmp_path, entry("a", "zebra"))
    index(tmp_path)
    other = tantivy.Index.open(str(tmp_path / FOLDER)).writer(num_threads=1)
    put(tmp_path, entry("b", "giraffe"))
    with pytest.raises(IndexNotWritten, match="articles are kept"):
        catch_up(tmp_path)
    assert found(tmp_path, "zebra") == [1]
    del other
    assert catch_up(tmp_path)
    assert consistent(tmp_path)


def test_a_running_keeper_follows_and_another_takes_over(tmp_path: Path) -> None:
    def appears(text: str) -> None:
        wait_until(lambda: bool(found(tmp_path, text)), 20)

    with running(KEEP, tmp_path) as first:
        put(tmp_path, entry("a", "zebra"))
        appears("zebra")
        put(tmp_path, entry("a", "giraffe"))
        appears("giraffe")
        assert not found(tmp_path, "zebra")
        with running(KEEP, tmp_path):
            time.sleep(0.1)
            first.send_signal(signal.SIGKILL)
            first.wait()
            put(tmp_path, entry("b", "unicorn"))
            appears("unicorn")
            assert not reindex(tmp_path), "the keeper does it"
            put(tmp_path, entry("c", "phoenix"))
            appears("phoenix")
            with Record.open(tmp_path) as record:
                wait_until(lambda: not record.stats().without_phrases, 20)
    assert catch_up(tmp_path)
    assert consistent(tmp_path)


def test_files_that_are_removed_under_a_keeper_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running(KEEP, folder):
        put(folder, entry("a", "zebra"))
        wait_until(lambda: rows(folder, 1).any(), 20)
        shutil.rmtree(folder / FOLDER)
        wait_until(lambda: found(folder, "zebra") == [1], 20)
        (folder / FILE).unlink()
        wait_until(lambda: rows(folder, 1).any(), 20)
        # Somebody begins anew.
        folder.rename(tmp_path / "old")
        put(folder, entry("a", "giraffe"))
        wait_until(lambda: found(folder, "giraffe") == [1] and rows(folder, 1).any(), 20)
        assert not found(folder, "zebra")


def test_kill_at_any_moment(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(5)
    for turn in range(KILLS):
        last = kill_while_it_grows(tmp_path, turn, chance)
        assert last > 0
        assert check_after_kill(tmp_path, turn, last) == 0, "nothing acknowledged is lost"
        assert consistent(tmp_path)
    assert "built anew" not in caplog.text, "the index was never broken"


def test_vectors_follow(tmp_path: Path) -> None:
    put(tmp_path, entry("a", "a zebra at the zoo"), entry("b", "interest rates of banks"), entry("c", "\ud800 ..."))
    index(tmp_path)
    before = rows(tmp_path, 1, 2, 3, 4, 10**9)
    assert np.allclose(np.linalg.norm(before[:2], axis=1), 1, atol=1e-3)
    assert not before[3:].any()
    put(tmp_path, entry("b", "another zebra at the zoo"))
    with Record.open(tmp_path) as record:
        record.remove([3])
    index(tmp_path)
    after = rows(tmp_path, 1, 2, 3)
    assert np.linalg.norm(after[1] - before[0]) < np.linalg.norm(before[1] - before[0])
    assert not after[2].any()
    with Record.open(tmp_path) as record:
        assert record.connection.execute("SELECT count(*) FROM removed").fetchone() == (0,), "it is not needed any more"


@pytest.mark.parametrize("damage", [b"", b"short", bytes(4096), None])
def test_damaged_vectors_are_made_anew(tmp_path: Path, damage: bytes | None) -> None:
    put(tmp_path, entry("a", "a zebra at the zoo"))
    index(tmp_path)
    if damage is None:
        (tmp_path / FILE).unlink()
    else:
        (tmp_path / FILE).write_bytes(damage)
    index(tmp_path)
    assert rows(tmp_path, 1).any()


def test_key_phrases_that_cannot_be_found_hold_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(title: str, _: str) -> tuple[str, ...]:
        if title == "zebra":
            raise ZeroDivisionError
        return ("phrase",)

    monkeypatch.setattr(keeper_room, "key_phrases", fail)
    put(tmp_path, entry("a", "zebra"), entry("b", "giraffe"))
    index(tmp_path)
    with Record.open(tmp_path) as record:
        assert [each.phrases for each in record.latest(2)] == [("phrase",), ()]
