"""Whether the best articles come first: judged collections of questions, against plain BM25 of the same run.

Run it: ``python tests/bench/bench_relevance.py --collections DIR``. Every folder in DIR is a collection: ``docs.jsonl``
(id, title, text), ``queries.jsonl`` (id, text), ``qrels.tsv`` (query, document, relevance). The articles go the whole
way through record, index and vectors, with the one setting that there is. Plain BM25 is tantivy's, over title and text,
with the same stems, each word of the question once. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tantivy
from numpy.typing import NDArray
from report import Options, Row, main

from cutaway_server.search.articles.entry import Entry, Wanted
from cutaway_server.search.articles.keeper import keeping
from cutaway_server.search.articles.library import Library
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.terms import ANALYZER, terms

DEPTH = 10
LEAST_NDCG = 0.412
LEAST_RATIO = 1.04
_SAMPLES = 10_000


@dataclass(frozen=True)
class Collection:
    """Documents, questions and which documents answer them how well."""

    name: str
    docs: Sequence[Mapping[str, str]]
    queries: Sequence[Mapping[str, str]]
    judged: Mapping[str, Mapping[str, int]]

    @classmethod
    def read(cls, folder: Path) -> Collection:
        """Read a folder's three files."""
        judged: dict[str, dict[str, int]] = {}
        for line in (folder / "qrels.tsv").read_text().splitlines():
            query, doc, relevance = line.split()
            judged.setdefault(query, {})[doc] = max(int(relevance), 0)
        lines = {name: (folder / f"{name}.jsonl").read_text().splitlines() for name in ("docs", "queries")}
        docs, queries = ([json.loads(line) for line in lines[name]] for name in ("docs", "queries"))
        return cls(folder.name, docs, [query for query in queries if any(judged.get(query["id"], {}).values())], judged)

    def ndcg(self, rank: Callable[[str], Sequence[str]]) -> NDArray[np.float64]:
        """nDCG@10 of every question (Järvelin and Kekäläinen, TOIS 20, 2002; discount by log2(rank + 1))."""
        discounts = 1 / np.log2(np.arange(DEPTH) + 2)
        found = []
        for query in self.queries:
            relevance = self.judged[query["id"]]
            gains = [relevance.get(doc, 0) for doc in rank(query["text"])[:DEPTH]]
            ideal = sorted(relevance.values(), reverse=True)[:DEPTH]
            found.append(np.dot(gains, discounts[: len(gains)]) / np.dot(ideal, discounts[: len(ideal)]))
        return np.array(found)


@contextmanager
def ours(collection: Collection, folder: Path) -> Iterator[Callable[[str], list[str]]]:
    """Searches as a client's go."""
    entries = [Entry(key=doc["id"], title=doc["title"], description=doc["text"]) for doc in collection.docs]
    with Record.open(folder) as record:
        record.put(entries)
        # A key is not sent; ids are given in the order of the entries.
        keys = {str(each.id): each.entry.key for each in record.latest(len(entries))}
    with keeping(folder) as keeper:
        assert keeper is not None
        while keeper.embed_some():
            pass
    with closing(Library(folder)) as library:
        yield lambda text: [keys[found.article.id] for found in library.find(Wanted(text=text))]


def plain(collection: Collection) -> Callable[[str], list[str]]:
    """Searches by BM25 alone."""
    builder = tantivy.SchemaBuilder().add_text_field("id", stored=True, tokenizer_name="raw")
    for field in ("title", "text"):
        builder.add_text_field(field, tokenizer_name="words")
    schema = builder.build()
    index = tantivy.Index(schema)
    index.register_tokenizer("words", ANALYZER)
    with index.writer(num_threads=1) as writer:
        for doc in collection.docs:
            writer.add_document(tantivy.Document(id=doc["id"], title=doc["title"], text=doc["text"]))
    index.reload()
    searcher = index.searcher()

    def rank(text: str) -> list[str]:
        wanted = [
            (tantivy.Occur.Should, tantivy.Query.term_query(schema, field, term))
            for term in terms(text)
            for field in ("title", "text")
        ]
        hits = searcher.search(tantivy.Query.boolean_query(wanted), DEPTH).hits
        return [searcher.doc(address).get_first("id") for _, address in hits]

    return rank


def relevance(options: Options) -> Iterator[Row]:
    """Rank every collection both ways."""
    folders = sorted(path.parent for path in options.collections.glob("*/qrels.tsv")) if options.collections else []
    if not folders:
        print("no collections: give their folder with --collections", file=sys.stderr)
    for folder in folders:
        collection = Collection.read(folder)
        with tempfile.TemporaryDirectory() as data_dir, ours(collection, Path(data_dir)) as rank:
            found, baseline = collection.ndcg(rank), collection.ndcg(plain(collection))
        # Paired: both ways are judged by the same questions.
        drawn = np.random.default_rng(0).integers(0, len(found), (_SAMPLES, len(found)))
        low, high = np.percentile(found[drawn].mean(axis=1) / baseline[drawn].mean(axis=1), (2.5, 97.5))
        yield Row(
            f"{collection.name}: nDCG@{DEPTH} of {len(found)} questions",
            float(found.mean()),
            "",
            float(baseline.mean()),
            "(plain BM25)",
            least=LEAST_NDCG if collection.name == "cranfield" else None,
            least_ratio=LEAST_RATIO,
            note=f"95 % of bootstrap samples: {low:.3f}x to {high:.3f}x",
        )


if __name__ == "__main__":
    sys.exit(main(__doc__, relevance))
