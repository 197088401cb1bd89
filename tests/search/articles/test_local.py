"""The articles of a folder as a source: searches in workers, one of which keeps the index."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from cutaway_server.search.articles import jobs, local
from cutaway_server.search.articles.database import FILE, StoreUnusable
from cutaway_server.search.articles.entry import Wanted
from cutaway_server.search.articles.keeper import keeping
from cutaway_server.search.articles.local import PRELOAD, IndexUnusable, LocalArticles
from cutaway_server.search.articles.record import Record
from cutaway_server.work.pool import OutOfTime, WorkerDied, Workers
from processes import alive, children_of, wait_until
from search.articles import stores
from search.articles.stores import entry, index, put

GONE_SECONDS = 0.1


@pytest.fixture
def workers(io_loop: IOLoop) -> Iterator[Workers]:
    pool = Workers(2, preload=PRELOAD)
    io_loop.run_sync(pool.start)
    yield pool
    io_loop.run_sync(pool.close)


@contextlib.asynccontextmanager
async def kept(source: LocalArticles) -> AsyncIterator[None]:
    keeper = asyncio.create_task(source.keep())
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])


async def titles(source: LocalArticles, text: str) -> list[str]:
    return [found.article.title for found in await source.find(Wanted(text=text))]


async def appears(source: LocalArticles, title: str) -> None:
    async with asyncio.timeout(20):
        while title not in await titles(source, title):
            pass


@pytest.mark.gen_test(timeout=30)
async def test_what_is_put_is_found_soon(workers: Workers, tmp_path: Path) -> None:
    source = LocalArticles(workers, tmp_path)
    async with kept(source):
        put(tmp_path, entry("a", "zebra"))
        await appears(source, "zebra")
        put(tmp_path, entry("b", "giraffe"))
        await appears(source, "giraffe")
        put(tmp_path, entry("b", "giraffe", likes=5))
        assert (await source.find(Wanted(text="giraffe")))[0].article.likes == 5
        with Record.open(tmp_path) as record:
            await asyncio.to_thread(wait_until, lambda: not record.stats().without_phrases, 20)


@pytest.mark.gen_test(timeout=30)
async def test_a_folder_that_is_begun_anew_is_what_is_searched(workers: Workers, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    source = LocalArticles(workers, folder)
    put(folder, entry("a", "zebra"))
    async with kept(source):
        await appears(source, "zebra")
        for _ in range(2 * workers.count):
            assert await source.find(Wanted(text="zebra"))
        folder.rename(tmp_path / "old")
        put(folder, entry("a", "giraffe"))
        await appears(source, "giraffe")
        for _ in range(2 * workers.count):
            assert await source.find(Wanted(text="giraffe"))
            assert not await source.find(Wanted(text="zebra"))


@pytest.mark.gen_test(timeout=30)
async def test_a_killed_keeper_is_replaced(workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_RESTART_SECONDS", 0.05)
    source = LocalArticles(workers, tmp_path)
    async with kept(source):
        put(tmp_path, entry("a", "zebra"))
        await appears(source, "zebra")
        searching = await workers.run(os.getpid, seconds=5)
        (nursery,) = [pid for pid in children_of(os.getpid()) if children_of(pid)]
        (keeper,) = children_of(nursery) - {searching}
        os.kill(keeper, signal.SIGKILL)
        put(tmp_path, entry("b", "giraffe"))
        await appears(source, "giraffe")


@pytest.mark.gen_test(timeout=30)
async def test_leaving_is_quick_and_costs_no_worker(workers: Workers, tmp_path: Path) -> None:
    put(tmp_path, *(entry(str(number), f"zebra number {number}", "words " * 50) for number in range(500)))
    await asyncio.to_thread(index, tmp_path)
    source = LocalArticles(workers, tmp_path)
    await asyncio.gather(*(source.find(Wanted(text="zebra")) for _ in range(8)))
    before = {await workers.run(os.getpid, seconds=5) for _ in range(8)}
    for _ in range(20):
        search = asyncio.create_task(source.find(Wanted(text="zebra")))
        await asyncio.sleep(0)
        began = time.perf_counter()
        search.cancel()
        await asyncio.wait([search])
        assert time.perf_counter() - began < GONE_SECONDS
        assert search.cancelled()
    assert {await workers.run(os.getpid, seconds=5) for _ in range(8)} <= before
    assert len(await titles(source, "zebra")) > 0


@pytest.mark.gen_test(timeout=30)
async def test_a_search_that_hangs_is_ended(workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "find", stores.hang)
    report = tmp_path / "pid"
    search = asyncio.create_task(LocalArticles(workers, report).find(Wanted()))
    await asyncio.to_thread(wait_until, report.exists)
    pid = int(report.read_text())
    assert alive(pid)
    began = time.perf_counter()
    search.cancel()
    await asyncio.wait([search])
    assert time.perf_counter() - began < GONE_SECONDS
    assert search.cancelled()
    assert not alive(pid)


@pytest.mark.gen_test(timeout=30)
async def test_faults_are_told_in_words(workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE).write_bytes(b"hello, world" * 100)
    source = LocalArticles(workers, tmp_path)
    with pytest.raises(StoreUnusable, match="damaged"):
        await source.find(Wanted(text="zebra"))
    for job, fault, words in (
        (stores.find_broken, IndexUnusable, "reindex"),
        (stores.die, WorkerDied, "search among the articles"),
        (stores.hang, OutOfTime, "fewer words"),
    ):
        monkeypatch.setattr(jobs, "find", job)
        monkeypatch.setattr(local, "_FIND_SECONDS", 0.3)
        with pytest.raises(fault, match=words):
            await LocalArticles(workers, tmp_path / "report").find(Wanted(text="zebra"))


@pytest.mark.gen_test(timeout=30)
async def test_a_keeper_that_fails_tries_again(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    source = LocalArticles(workers, tmp_path)
    async with kept(source):
        await asyncio.sleep(0.2)
        (tmp_path / FILE).rmdir()
        put(tmp_path, entry("a", "zebra"))
        await appears(source, "zebra")


@pytest.mark.gen_test(timeout=30)
async def test_a_search_beside_another_keeper(workers: Workers, tmp_path: Path) -> None:
    """As when the command line works while a server runs."""
    put(tmp_path, entry("a", "zebra"))
    source = LocalArticles(workers, tmp_path)
    with keeping(tmp_path) as keeper:
        assert keeper is not None
        async with kept(source):
            assert await titles(source, "zebra") == ["zebra"]
            put(tmp_path, entry("b", "giraffe"))
            keeper.follow()
            assert await titles(source, "giraffe") == ["giraffe"]
