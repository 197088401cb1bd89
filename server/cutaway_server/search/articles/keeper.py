"""Who keeps index and vectors up to the record: one process for a data folder at a time, which holds its lock. Comes
in: the folder; goes out: nothing, the files change. Whatever is killed at whatever moment, the next keeper goes on
where the index itself says that it stands.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Self, TypeAlias

import numpy as np

from cutaway_server.errors import Fault
from cutaway_server.search import embedding
from cutaway_server.search.articles import index
from cutaway_server.search.articles.index import IndexBroken, IndexWriter
from cutaway_server.search.articles.kept import Text
from cutaway_server.search.articles.phrases import key_phrases
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.vectors import VectorsWriter

_log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many changes are done, of how many."""

LOCK = "index.lock"
_BESIDE, _GONE = "index.new", "index.old"
COMMIT_SECONDS = 0.5
"""Longest time that changes are gathered for one commit: with the look-out before and the commit, under a second."""
_BULK_COMMIT_SECONDS = 5.0
"""The same while far behind: nobody waits for one of a million, and each commit makes a segment to be merged."""
_BULK = 50_000
_LOOK_SECONDS = 0.1
_TEXTS_AT_ONCE = 1000
_VECTORS_AT_ONCE = 32
"""20 ms for short texts, 130 ms for long ones: what is put meanwhile has to wait for the end of a step."""
_PHRASES_AT_ONCE = 4
_NICENESS = 10
"""Searches go first; what is left of two cores under full load still does a commit in half a second."""
_CROWDED = 1.5
"""A step that took so many times its processor time had to wait for others who need the cores: vectors and phrases,
which nobody waits for, then rest, because niceness alone leaves them a tenth."""
_REST_SECONDS = 1.0
_RETRY_SECONDS = (0.5, 30.0)


class IndexNotWritten(Fault):
    """The index cannot be brought up to the record."""


class Keeper:
    """Follows the record; made by :func:`keeping`, for who holds the lock.

    Making one brings the index up to the record, which takes a while when it must be built anew.

    Attributes
    ----------
    record
        What is followed.
    """

    def __init__(self, data_dir: Path, progress: Progress | None = None) -> None:
        self.record = Record.open(data_dir)
        try:
            self._index = self._open_index(data_dir, progress)
            self._vectors = VectorsWriter(data_dir, self.record.identity)
            if self._vectors.sequence > self.record.sequence:
                self._vectors.finish(0)
        except BaseException:
            self.record.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()
        self._vectors.close()
        self.record.close()

    def _open_index(self, data_dir: Path, progress: Progress | None) -> IndexWriter:
        folder, beside = data_dir / index.FOLDER, data_dir / _BESIDE
        try:
            writer = IndexWriter(folder, self.record.identity)
            ahead = writer.sequence > self.record.sequence
            _follow(self.record, writer, progress)
            stats = self.record.stats()
            if not ahead and (stats.sequence != writer.sequence or stats.articles == writer.count):
                return writer
            writer.close()
            # No crash leaves this behind, but a data folder put together from two copies of one.
            raise IndexBroken("it does not hold the articles of the record")
        except IndexBroken as error:
            if folder.exists():
                _log.warning("the search index is built anew: %s", error)
        # Beside it: a readable one, though of an old format, serves until then.
        writer = IndexWriter.made(beside, self.record.identity)
        _follow(self.record, writer, progress)
        writer.close()
        if folder.exists():
            shutil.rmtree(data_dir / _GONE, ignore_errors=True)
            folder.rename(data_dir / _GONE)
        beside.rename(folder)
        shutil.rmtree(data_dir / _GONE, ignore_errors=True)
        return IndexWriter(folder, self.record.identity)

    @property
    def outdated(self) -> bool:
        """Whether the record wants a new index, or somebody has removed a file that is kept."""
        return self.record.renewed or self.record.replaced or self._index.removed or self._vectors.removed

    def follow(self) -> bool:
        """Bring the index up to the record; whether there was anything to do."""
        return _follow(self.record, self._index)

    def embed_some(self) -> bool:
        """Give the next few articles their vectors; whether there were any."""
        if self._vectors.sequence >= self._index.sequence:
            return False
        changes = self.record.changes(self._vectors.sequence, _VECTORS_AT_ONCE)
        rows = embedding.embed([f"{text.title}\n{text.description}" for text in changes.texts])
        self._vectors.write(np.array([text.id for text in changes.texts], np.int64), rows)
        gone = np.array(changes.removed, np.int64)
        self._vectors.write(gone, np.zeros((len(gone), embedding.DIMENSIONS), np.float32))
        self._vectors.finish(changes.sequence)
        if changes.removed and self._vectors.sequence >= self._index.sequence:
            self.record.forget_removed(self._vectors.sequence)
        return True

    def phrase_some(self) -> bool:
        """Look for the key phrases of a few articles, the last that came; whether there were any."""
        texts = self.record.without_phrases(_PHRASES_AT_ONCE)
        if texts:
            self.record.put_phrases([(text, _phrases(text)) for text in texts])
        return bool(texts)


@contextmanager
def keeping(data_dir: Path, progress: Progress | None = None, *, wait: bool = False) -> Iterator[Keeper | None]:
    """Be the keeper of a folder for the time of the block; None when somebody else is, unless told to `wait`.

    Raises
    ------
    StoreUnusable, StoreBusy
        The record cannot be opened.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
        else:
            with Keeper(data_dir, progress) as keeper:
                yield keeper
    finally:
        os.close(lock)


def keep(data_dir: Path) -> NoReturn:
    """Keep index and vectors of a folder up to its record, for good: a job that takes a worker for itself.

    It never returns, because it makes its process yield to others. What fails is logged and tried again.
    """
    os.nice(_NICENESS)
    delay, longest = _RETRY_SECONDS
    while True:
        began = time.monotonic()
        failed = False
        try:
            with keeping(data_dir, wait=True) as keeper:
                assert keeper is not None
                _follow_for_good(keeper)
        except Exception as error:
            failed = True
            if time.monotonic() - began > longest:
                delay = _RETRY_SECONDS[0]
            told = error.message if isinstance(error, Fault) else ""
            _log.error("the search index is not kept; next attempt in %g s. %s", delay, told, exc_info=not told)
        if failed:  # outside, where the error no longer keeps the writer, and with it the lock of the index, alive
            time.sleep(delay)
            delay = min(2 * delay, longest)


def _follow_for_good(keeper: Keeper) -> None:
    """Until a new index is wanted."""
    seen, resting_until = -1, 0.0
    while not keeper.outdated:
        version = keeper.record.version
        if version != seen:
            keeper.follow()
            seen = version
            continue
        began, worked = time.monotonic(), time.process_time()
        if began < resting_until or not (keeper.embed_some() or keeper.phrase_some()):
            time.sleep(_LOOK_SECONDS)
        elif time.monotonic() - began > _CROWDED * (time.process_time() - worked):
            resting_until = time.monotonic() + _REST_SECONDS


def catch_up(data_dir: Path, progress: Progress | None = None) -> bool:
    """Bring the index up to the record in this process; False when another process is at it, and will.

    Vectors and key phrases follow when a server runs.

    Raises
    ------
    StoreUnusable, StoreBusy
        The record cannot be opened.
    IndexNotWritten
        The index cannot be written.
    """
    try:
        with keeping(data_dir, progress) as keeper:
            return keeper is not None
    except (ValueError, OSError) as error:
        raise IndexNotWritten(
            "The articles are kept, but the search index cannot be written: is the disk full? "
            "A server, or the next command, will try again."
        ) from error


def reindex(data_dir: Path, progress: Progress | None = None) -> bool:
    """Have index and vectors built anew from the record; returns as :func:`catch_up` does.

    Searches use the old index until the new one is complete.
    """
    with Record.open(data_dir) as record:
        record.renew()
    return catch_up(data_dir, progress)


def _follow(record: Record, writer: IndexWriter, progress: Progress | None = None) -> bool:
    """Add and commit all changes, at once or in several commits; whether there were any."""
    done = writer.sequence
    began = time.monotonic()
    while done < (last := record.sequence):
        changes = record.changes(done, _TEXTS_AT_ONCE)
        writer.add(changes)
        done = changes.sequence
        if progress:
            progress(done, last)
        if time.monotonic() - began > (_BULK_COMMIT_SECONDS if last - done > _BULK else COMMIT_SECONDS):
            writer.commit()
            began = time.monotonic()
    if done == writer.sequence:
        return False
    writer.commit()
    return True


def _phrases(text: Text) -> tuple[str, ...]:
    try:
        return key_phrases(text.title, text.description)
    except Exception:  # The library has no list of what it may raise; an article is found without them, too.
        _log.exception("no key phrases for article %d", text.id)
        return ()
