"""The index of the articles' words (tantivy): derived from the record, and rebuilt from it when it is lost. Comes in:
changes of the record; goes out: ids and BM25 scores for terms. It holds nothing but postings, and says itself how far
it has followed the record: a marker document that is part of each commit, so that both are kept or neither.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tantivy
from numpy.typing import NDArray

from cutaway_server.search.articles.kept import Changes
from cutaway_server.search.articles.terms import ANALYZER, spaced

_log = logging.getLogger(__name__)

FOLDER = "index"
FORMAT = 1
"""Of schema and analysis; an index of another one is built anew."""
_FIELDS = {"words": 1.0, "title": 0.5}
"""What is searched, and how much it counts: all words, and once more those of the title."""
_HEAP_BYTES = 64 << 20
"""Memory for postings before they go to disk; one thread has it all."""
_MOST_FREQUENCIES = 20_000
"""Words whose number of articles a reader remembers: looking it up takes 25 us, and a search needs twenty."""
_MARKER = 0
"""The id of the document that is none; those of articles begin at 1."""


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    # Signed: delete_documents_by_term of tantivy 0.27 finds nothing in unsigned fields.
    builder.add_integer_field("id", fast=True, indexed=True)
    for field in _FIELDS:
        builder.add_text_field(field, tokenizer_name="words", index_option="freq")
    builder.add_integer_field("sequence", fast=True)
    builder.add_text_field("record", stored=True, tokenizer_name="raw", index_option="basic")
    return builder.build()


SCHEMA = _schema()


class IndexBroken(Exception):
    """The index cannot be read, or belongs to another record or format: it must be built anew."""


@contextmanager
def _damage_told(*errors: type[Exception]) -> Iterator[None]:
    """What tantivy says of a damaged file, by these errors or by a panic, becomes :class:`IndexBroken`."""
    try:
        yield
    except errors as error:
        raise IndexBroken(str(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # pyo3 has it nowhere to be imported from.
            raise
        raise IndexBroken(str(error)) from None


@dataclass(frozen=True, slots=True)
class Hits:
    """Articles that have at least one of the terms, best first, with their BM25 scores."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


def _opened(folder: Path) -> tantivy.Index:
    index = tantivy.Index.open(str(folder))
    index.config_reader("manual")  # Otherwise a thread looks for commits twice a second.
    return index


class Index:
    """A reader of the index, in its state as of :meth:`refresh`."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER
        self._index: tantivy.Index | None = None
        self._searcher: tantivy.Searcher | None = None
        self._seen: tuple[int, ...] = ()
        self._frequencies: dict[str, int] = {}

    @property
    def ready(self) -> bool:
        """Whether there is an index."""
        return self._searcher is not None

    @property
    def count(self) -> int:
        """Articles in it."""
        return self._searcher.num_docs - 1 if self._searcher is not None else 0

    def refresh(self) -> None:
        """See what has been committed; costs microseconds when nothing has."""
        try:
            meta = (self._folder / "meta.json").stat()
        except OSError:
            return  # It is being built, or exchanged at this moment; what is open still answers.
        seen = (meta.st_ino, meta.st_mtime_ns)
        if seen == self._seen:
            return
        try:
            with _damage_told(ValueError, OSError):
                if self._index is None:
                    self._index = _opened(self._folder)
                self._index.reload()
                searcher = self._index.searcher()
        except IndexBroken as error:
            # A file may have been merged away between two looks; a broken index is the keeper's to build anew.
            _log.debug("the index cannot be opened: %s", error)
            return
        if searcher.num_docs:
            self._searcher, self._seen = searcher, seen
            self._frequencies.clear()

    def frequency(self, term: str) -> int:
        """How many articles have a term."""
        if self._searcher is None:
            return 0
        known = self._frequencies.get(term)
        if known is None:
            with _damage_told(ValueError, OSError):
                known = self._searcher.doc_freq("words", term)
            if len(self._frequencies) >= _MOST_FREQUENCIES:
                self._frequencies.clear()
            self._frequencies[term] = known
        return known

    def search(self, weights: Mapping[str, float], limit: int, among: NDArray[np.int64] | None = None) -> Hits:
        """The best articles by the weighted sum of the terms' BM25 scores.

        Parameters
        ----------
        among
            Score these articles only, each of them, also with none of the terms.

        Raises
        ------
        IndexBroken
            A file of the index is damaged.
        """
        if self._searcher is None or not weights:
            return Hits(np.empty(0, np.int64), np.empty(0, np.float32))
        wanted = [
            (tantivy.Occur.Should, tantivy.Query.boost_query(_has(term, field), weight * share))
            for term, weight in weights.items()
            for field, share in _FIELDS.items()
        ]
        if among is not None:
            # A third of the time of term_set_query, which walks through all ids there are.
            these = tantivy.Query.boolean_query([(tantivy.Occur.Should, _has(id_, "id")) for id_ in among.tolist()])
            wanted.append((tantivy.Occur.Must, tantivy.Query.const_score_query(these, 0.0)))
        with _damage_told(ValueError, OSError):
            found = self._searcher.search(tantivy.Query.boolean_query(wanted), limit, count=False).hits
            ids = self._searcher.fast_field_values("id", [address for _, address in found])
        return Hits(np.array(ids, np.int64), np.array([score for score, _ in found], np.float32))


class IndexWriter:
    """The one writer of an index, for who holds the lock.

    Parameters
    ----------
    folder
        Where it is.
    identity
        Of the record.

    Attributes
    ----------
    sequence
        Of the last change that is committed.

    Raises
    ------
    IndexBroken
        There is none of this record and this format.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._identity = _identity(identity)
        self._folder = folder
        with _damage_told(ValueError, OSError):
            self._index = _opened(folder)
            self._index.reload()
            self.sequence, self._highest = self._read_marker()
        self._index.register_tokenizer("words", ANALYZER)
        # Fails when another program writes to it, which is no reason to build it anew.
        self._writer = self._index.writer(heap_size=_HEAP_BYTES, num_threads=1)
        self._pending = self.sequence

    @classmethod
    def made(cls, folder: Path, identity: str) -> IndexWriter:
        """The writer of the index in `folder`; of an empty one in its place when it is broken."""
        try:
            return cls(folder, identity)
        except IndexBroken:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        index = tantivy.Index(SCHEMA, str(folder))
        index.register_tokenizer("words", ANALYZER)
        writer = index.writer(heap_size=_HEAP_BYTES, num_threads=1)
        writer.add_document(_marker(0, _identity(identity)))
        writer.commit()
        writer.wait_merging_threads()
        return cls(folder, identity)

    def _read_marker(self) -> tuple[int, int]:
        """The last change that it has followed, and the highest id in it."""
        searcher = self._index.searcher()
        found = searcher.search(_has(_MARKER, "id"), 1).hits
        if not found:
            raise IndexBroken("it does not say how far it is")
        if searcher.doc(found[0][1]).get_first("record") != self._identity:
            raise IndexBroken("it belongs to other articles, or to another version")
        (sequence,) = searcher.fast_field_values("sequence", [found[0][1]])
        last = searcher.search(tantivy.Query.all_query(), 1, count=False, order_by_field="id").hits
        (highest,) = searcher.fast_field_values("id", [last[0][1]])
        return int(sequence or 0), int(highest or 0)

    @property
    def removed(self) -> bool:
        """Whether its files are gone."""
        return not (self._folder / "meta.json").exists()

    @property
    def count(self) -> int:
        """Articles as of the last commit."""
        self._index.reload()
        return self._index.searcher().num_docs - 1

    def add(self, changes: Changes) -> None:
        """Follow changes; not visible, nor kept, before :meth:`commit`."""
        for id_ in changes.removed:
            self._writer.delete_documents_by_term("id", id_)
        for text in changes.texts:
            if text.id <= self._highest:  # A new one has nothing to delete.
                self._writer.delete_documents_by_term("id", text.id)
            document = tantivy.Document()
            document.add_integer("id", text.id)
            title = spaced(text.title)
            document.add_text("title", title)
            document.add_text("words", f"{title}\n{spaced(text.description)}")
            self._writer.add_document(document)
        self._highest = max(self._highest, *(text.id for text in changes.texts), 0)
        self._pending = changes.sequence

    def commit(self) -> None:
        """Keep, and show, what was added.

        Raises
        ------
        IndexBroken
            A file of the index is damaged.
        ValueError
            It cannot be written, as on a full disk.
        """
        self._writer.delete_documents_by_term("id", _MARKER)
        self._writer.add_document(_marker(self._pending, self._identity))
        with _damage_told():
            self._writer.commit()
        self.sequence = self._pending

    def close(self) -> None:
        """Wait for merges that are under way; what was not committed is forgotten."""
        self._writer.wait_merging_threads()


def _has(term: str | int, field: str) -> tantivy.Query:
    return tantivy.Query.term_query(SCHEMA, field, term)


def _identity(record: str) -> str:
    return f"{FORMAT}:{record}"


def _marker(sequence: int, identity: str) -> tantivy.Document:
    marker = tantivy.Document()
    marker.add_integer("id", _MARKER)
    marker.add_integer("sequence", sequence)
    marker.add_text("record", identity)
    return marker
