"""A writer and a keeper in processes of their own, killed in the middle of their work; what must be true afterwards."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cutaway_server.search.articles.index import Index
from cutaway_server.search.articles.keeper import catch_up
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.terms import terms
from processes import wait_until

LOOKS = 200
"""Puts of one turn whose articles are looked for in the index; in the record it is all of them."""

KEEP = """
import sys
from pathlib import Path
from cutaway_server.search.articles.keeper import keep
keep(Path(sys.argv[1]))
"""

INGEST = """
import sys
from pathlib import Path
from cutaway_server.search.articles.entry import Entry
from cutaway_server.search.articles.record import Record
turn = sys.argv[2]
with Record.open(Path(sys.argv[1])) as record:
    for number in range(1_000_000):
        entries = [Entry(key=f"{turn} {number} {each}", title=f"t{turn}x{number}x{each}") for each in range(20)]
        # One that is there changes its words, again and again.
        record.put([*entries, Entry(key="changing", title=f"changed{turn}x{number}")])
        print(number, flush=True)
"""


@contextmanager
def running(program: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def opened(folder: Path) -> Index:
    """The index as it is now."""
    reader = Index(folder)
    reader.refresh()
    return reader


def ids(reader: Index, text: str) -> list[int]:
    """What has any of the words."""
    return reader.search(dict.fromkeys(terms(text), 1.0), 1000).ids.tolist()


def found(folder: Path, text: str) -> list[int]:
    """What has any of the words now."""
    return ids(opened(folder), text)


def consistent(folder: Path) -> bool:
    """Whether the index holds what the record does, all of it and nothing else."""
    reader = opened(folder)
    with Record.open(folder) as record:
        return reader.count == record.count() and all(
            each.id in ids(reader, each.entry.title) for each in record.latest(50)
        )


def kill_while_it_grows(folder: Path, turn: int, chance: random.Random) -> int:
    """Kill writer and keeper in the middle; the number of the last acknowledged put."""
    with running(INGEST, folder, turn) as writer, running(KEEP, folder) as keeper:
        assert writer.stdout is not None
        reader = opened(folder)
        before = reader.count
        wait_until(lambda: reader.refresh() or reader.count > before + 20, 30)
        time.sleep(chance.random() * 0.5)
        victims = [writer, keeper]
        chance.shuffle(victims)
        for victim in victims:
            victim.send_signal(signal.SIGKILL)
            time.sleep(chance.random() * 0.05)
        return int(writer.stdout.read().split("\n")[-2])


def check_after_kill(folder: Path, turn: int, last: int) -> int:
    """How many articles were acknowledged and are not there, or are not found after a start."""
    assert catch_up(folder)
    with Record.open(folder) as record:
        keys = {row[0] for row in record.connection.execute("SELECT key FROM articles")}
    lost = sum(f"{turn} {number} {each}" not in keys for number in range(last + 1) for each in range(20))
    reader = opened(folder)
    looked_at = range(last, -1, -max(last // LOOKS, 1))
    lost += sum(not ids(reader, f"t{turn}x{number}x{number % 20}") for number in looked_at)
    # Only the last words of what has changed again and again are found.
    return lost + sum(bool(ids(reader, f"changed{turn}x{number}")) for number in looked_at[1:])
