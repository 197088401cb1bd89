"""A million articles: how fast they come in, are found and change, and what they take.

Run it: ``python tests/bench/bench_articles.py [--quick] [--material DIR]``. Searches run in a pool's worker, beside the
one that keeps the index, as in the server. With ``--quick`` there are 100,000 articles; the goals stay. Exits with 1
when a goal is missed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import invented
from report import Options, Row, main
from running import tree

from cutaway_server.search.articles.entry import Entry, Wanted
from cutaway_server.search.articles.index import FOLDER, Index
from cutaway_server.search.articles.local import PRELOAD, LocalArticles
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.vectors import FILE
from cutaway_server.work.limits import Limits
from cutaway_server.work.pool import Workers

QUESTIONS = 1000
INGESTED = 200_000
CHANGES = 20
MOST_MILLISECONDS = 15
"""The whole way of a first batch may not take longer."""
_BOUNDS = Limits(file_bytes=64 << 30)  # of the server
_PATIENCE_SECONDS = 120.0


def million(options: Options) -> Iterator[Row]:
    """All figures: ingest into an empty folder, the rest in one that is kept."""
    count = invented.MILLION // 10 if options.quick else invented.MILLION
    made = invented.store(options.material, count)
    name = f"{count:,} articles"
    size = sum(path.stat().st_blocks * 512 for path in [*(made / FOLDER).iterdir(), made / FILE])
    yield Row(f"{name}: index and vectors on disk", size / 1e6, "MB", most=700)
    with tempfile.TemporaryDirectory(dir=options.material) as copy:
        # Of the kept one nothing may change.
        shutil.copytree(made, copy, dirs_exist_ok=True)
        yield from asyncio.run(_searched(Path(copy), name))
    with tempfile.TemporaryDirectory(dir=options.material) as empty:
        yield from asyncio.run(_ingested(Path(empty), options.count(INGESTED)))


async def _searched(folder: Path, name: str) -> list[Row]:
    workers = Workers(2, preload=PRELOAD, bounds=_BOUNDS)
    await workers.start()
    source = LocalArticles(workers, folder)
    keeper = asyncio.create_task(source.keep())
    try:
        asked = invented.questions(QUESTIONS + 100)
        for text in asked[:100]:  # pages of the files come into memory
            await source.find(Wanted(text=text))
        rows = []
        kinds: dict[str, Callable[[str], Wanted]] = {
            "find": lambda text: Wanted(text=text),
            "find, stumber": lambda text: Wanted(text=text, source="stumber"),
            "front page": lambda _: Wanted(),
            "lucky dip": lambda _: Wanted(source="stumber"),
        }
        for kind, wanted in kinds.items():
            times = []
            for text in asked[100:] if kind == "find" else asked[100:300]:
                start = time.perf_counter()
                assert await source.find(wanted(text)), "nothing found"
                times.append((time.perf_counter() - start) * 1e3)
            p95 = statistics.quantiles(times, n=20)[-1]
            rows.append(
                Row(
                    f"{name}: {kind}, p50",
                    statistics.median(times),
                    "ms",
                    most=MOST_MILLISECONDS,
                    note=f"p95 {p95:.1f}",
                )
            )
        worker = await workers.run(os.getpid, seconds=5)
        others = tree(os.getpid()).keys() - {os.getpid()}
        all_of_them = sum(_memory("smaps_rollup", "Pss", pid) for pid in others)
        rows.append(
            Row(
                f"{name}: resident memory of worker, keeper and nursery",
                all_of_them,
                "MB",
                most=1000,
                note=f"what they share counted once; the worker alone {_memory('status', 'VmRSS', worker):.0f}",
            )
        )
        with Record.open(folder) as record:
            rows.append(await _visible(source, record, "likes"))
            rows.append(await _visible(source, record, "text"))
        return rows
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        await workers.close()


async def _visible(source: LocalArticles, record: Record, what: str) -> Row:
    """Seconds from the acknowledgement of a change until a search shows it, the worst of some."""
    worst = 0.0
    for number in range(CHANGES):
        old = record.latest(CHANGES)[number].entry
        new = _changed(old, what, number)
        record.put([new])
        acknowledged = time.perf_counter()
        text = new.title
        while not any(
            (found.article.title, found.article.likes) == (new.title, new.likes)
            for found in await source.find(Wanted(text=text))
        ):
            assert time.perf_counter() < acknowledged + _PATIENCE_SECONDS, "never visible"
        worst = max(worst, time.perf_counter() - acknowledged)
    return Row(f"a change of {what} is seen by searches, worst of {CHANGES}", worst, "s", most=1.0)


def _changed(entry: Entry, what: str, number: int) -> Entry:
    if what == "likes":
        return replace(entry, likes=entry.likes + 1)
    return replace(entry, title=f"qvortex{number}x{time.monotonic_ns()} {entry.title}")


async def _ingested(folder: Path, count: int) -> list[Row]:
    """From the first entry to the last one's place in the index, while the keeper follows."""
    batches = list(invented.articles(count, seed=5))
    workers = Workers(1, preload=PRELOAD, bounds=_BOUNDS)
    await workers.start()
    keeper = asyncio.create_task(LocalArticles(workers, folder).keep())
    try:
        return [await asyncio.to_thread(_ingest, folder, batches, count)]
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        await workers.close()


def _ingest(folder: Path, batches: list[list[Entry]], count: int) -> Row:
    with Record.open(folder) as record:
        start = time.perf_counter()
        for batch in batches:
            record.put(batch)
        recorded = time.perf_counter() - start
        index = Index(folder)
        while index.count < count:
            assert time.perf_counter() < start + _PATIENCE_SECONDS, "never indexed"
            time.sleep(0.01)
            index.refresh()
        seconds = time.perf_counter() - start
    return Row(
        f"ingest of {count:,} articles into record and index",
        count / seconds,
        "articles/s",
        least=10_000,
        note=f"record alone {count / recorded:,.0f}",
    )


def _memory(file: str, kind: str, pid: int) -> float:
    """What the kernel says of a process, in MB."""
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{kind}:")).split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main(__doc__, million))
