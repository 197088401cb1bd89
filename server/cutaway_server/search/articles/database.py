"""The one file in the data folder that is the truth about articles. Comes in: the folder; goes out: an open SQLite
connection, its tables made, and transactions on it. Server, command line and any number of writers use the file at the
same time; what SQLite refuses becomes a Fault in words.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cutaway_server.errors import Fault

FILE = "articles.db"
VERSION = 1
"""Of the tables; a file of a newer one is refused."""
_APPLICATION = 0x43755461
"""Marks the file as ours, in a place that SQLite keeps for it."""
_BUSY_SECONDS = 30.0
_RETRY_SECONDS = 0.01
_CACHE_KIB = 32 << 10

_TABLES = """
CREATE TABLE articles (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: the index and the vectors know articles by it
    key TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    author TEXT NOT NULL,
    published INTEGER,
    image TEXT NOT NULL,
    url TEXT NOT NULL,
    comments INTEGER NOT NULL,
    likes INTEGER NOT NULL,
    emojis TEXT NOT NULL,       -- a JSON array
    has_video INTEGER NOT NULL,
    feed INTEGER,               -- the subscription that brought it first
    added INTEGER NOT NULL,     -- seconds since 1970
    hot REAL NOT NULL,
    sequence INTEGER NOT NULL,  -- of the last change of its words
    phrases TEXT,               -- a JSON array; NULL: not looked for yet
    description TEXT NOT NULL   -- last: SQLite reads a row up to the column it wants
);
CREATE INDEX articles_by_hot ON articles (hot);
CREATE INDEX articles_by_sequence ON articles (sequence);
CREATE INDEX articles_by_feed ON articles (feed) WHERE feed IS NOT NULL;
CREATE INDEX articles_without_phrases ON articles (id) WHERE phrases IS NULL;
CREATE TABLE removed (sequence INTEGER PRIMARY KEY, id INTEGER NOT NULL);
CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    identity TEXT NOT NULL,     -- of this record among all: an index of another one is of no use
    sequence INTEGER NOT NULL,  -- of the last change; each change has one, in the order of the transactions
    samples INTEGER NOT NULL    -- whether all articles are those of the package
);
"""


class StoreUnusable(Fault):
    """The file of the articles cannot be read or written."""


class StoreBusy(Fault):
    """Another program has been writing to the file of the articles for too long."""


def open_database(data_dir: Path) -> sqlite3.Connection:
    """Open the file; folder and tables are made when they are not there.

    For one thread at a time, whichever. Transactions are explicit: see :func:`writing`.

    Raises
    ------
    StoreUnusable
        The folder cannot be used, or the file is damaged, foreign or of a newer version.
    StoreBusy
        It stayed locked for 30 s.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreUnusable(f"The data folder cannot be made ({error.strerror}): choose another one.") from None
    with told():
        connection = sqlite3.connect(
            data_dir / FILE, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def told() -> Iterator[None]:
    """What SQLite raises inside becomes a Fault in words."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = (error.sqlite_errorcode or 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreBusy("Another program is writing to the articles and does not end: try again later.") from error
        if code == sqlite3.SQLITE_FULL:
            raise StoreUnusable("There is no room left in the data folder: nothing more can be kept.") from error
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            raise StoreUnusable(
                f"The data folder, or {FILE} in it, cannot be written: check who owns it, or choose another folder."
            ) from error
        if code == sqlite3.SQLITE_IOERR:
            raise StoreUnusable(f"The disk fails to read or write {FILE} in the data folder.") from error
        raise
    except sqlite3.DatabaseError as error:
        if (error.sqlite_errorcode or 0) & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise StoreUnusable(
                f"{FILE} in the data folder is damaged or no file of articles: move it away, or restore a copy of it."
            ) from error
        raise


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that writes: all of it is kept when the block ends, nothing when it raises."""
    with told():
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """All reads of the block see the same moment."""
    with told():
        connection.execute("BEGIN")
        try:
            yield
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    _use_wal(connection)
    # What was committed survives the death of the program at once, and that of the machine a moment later.
    connection.execute("PRAGMA synchronous = NORMAL")
    if _pragma(connection, "application_id") == _APPLICATION:
        _check_version(connection)
        return
    with writing(connection):
        if _pragma(connection, "application_id") == _APPLICATION:  # someone else was first
            return
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreUnusable(f"{FILE} in the data folder belongs to another program: choose another data folder.")
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute("INSERT INTO state VALUES (1, ?, 0, 0)", (uuid.uuid4().hex,))
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Readers and a writer side by side. SQLite does not wait for a lock here, unlike anywhere else."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorcode or 0) & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _check_version(connection: sqlite3.Connection) -> None:
    version = _pragma(connection, "user_version")
    if version > VERSION:
        raise StoreUnusable(
            f"{FILE} in the data folder was made by a newer Cutaway (format {version}, this one knows {VERSION}): "
            "install that version, or choose another data folder."
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
