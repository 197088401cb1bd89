"""Articles from files: JSON lines with the names of an item's fields, and CSV with named columns; and back.

Comes in: a stream of bytes of any length. Goes out: articles one by one, what was understood of its columns, and a
complaint for each line that is none. Nothing is kept of what was read, and no line is longer than a megabyte.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, Literal

import msgspec

from cutaway_server.errors import Fault
from cutaway_server.search.articles.canonical import short_hash, web_url
from cutaway_server.search.articles.dates import iso_date, read_date
from cutaway_server.search.articles.entry import Entry
from cutaway_server.search.articles.jsonfeed import wide_encoding
from cutaway_server.search.articles.piece import Piece, count
from cutaway_server.search.articles.prose import one_line, plain, plain_line

MAX_LINE_BYTES = 1 << 20
MAX_COLUMNS = 1_000

_NAMES = {
    "key": "key",
    "id": "id guid objectid storyid postid",
    "title": "title headline name subject",
    "author": "author authors by creator user username dccreator",
    "published": "date published createdat publishedat pubdate datepublished publicationdate created time timestamp"
    " createdati published_parsed datetime posted",
    "description": "description summary text body content abstract storytext selftext contenttext contenthtml excerpt",
    "image": "image imageurl thumbnail picture imgsrc photo",
    "url": "url link href permalink externalurl",
    "comments": "comments numcomments commentcount commentscount descendants ncomments",
    "likes": "likes points numpoints score votes upvotes favorites favourites ups numlikes likecount",
    "emojis": "emojis emoji reactions",
    "has_video": "hasvideo video isvideo",
}
_FIELDS = {alias: field for field, aliases in _NAMES.items() for alias in aliases.split()}
_ORDER = {alias: place for aliases in _NAMES.values() for place, alias in enumerate(aliases.split())}
_TRUE = frozenset({"true", "1", "yes", "y", "t"})
_LONE_RETURN = re.compile(r"\r(?!\n)")
"""They would end a row, but for the reader of CSV in the middle of a line."""

Complain = Callable[[int, str], None]
"""Gets the number of a line, from 1, and what is wrong with it."""


class NotRows(Fault):
    """The file is neither JSON lines nor CSV with columns that are known."""


class Rows:
    """A file of articles, to be iterated once.

    Parameters
    ----------
    file
        A stream of bytes.
    complain
        Hears of every line that is no article.

    Attributes
    ----------
    kind
        ``"json"`` or ``"csv"``, known once iteration has begun.
    understood
        Which field is read from which column.
    ignored
        Columns that mean nothing here, as far as they were seen.
    bytes_read
        How far the file has been read.

    Raises
    ------
    NotRows
        By iteration: the file is something else.
    """

    def __init__(self, file: BinaryIO, complain: Complain) -> None:
        self._file = file
        self._complain = complain
        self._line = 0
        self.understood: dict[str, str] = {}
        self._names: dict[str, tuple[str, int]] = {}
        self.kind: Literal["json", "csv", ""] = ""
        self.ignored: dict[str, None] = {}
        self.bytes_read = 0

    def __iter__(self) -> Iterator[Entry]:
        lines = self._lines()
        first = next((line for line in lines if line.strip()), None)
        if first is None:
            return
        head = first.lstrip()
        if head.startswith("["):
            raise NotRows("This is one JSON array: give one object per line (jq -c '.[]' makes that of it).")
        if head.rstrip() == "{":
            raise NotRows("This is JSON over several lines: give one object per line (jq -c . makes that of it).")
        if head.startswith("<"):
            raise NotRows("This is XML or HTML: `cutaway articles add` takes feeds and lists of them (OPML).")
        self.kind = "json" if head.startswith("{") else "csv"
        yield from self._json(first, lines) if self.kind == "json" else self._csv(first, lines)

    def _lines(self) -> Iterator[str]:
        while line := self._file.readline(MAX_LINE_BYTES + 1):
            self._line += 1
            self.bytes_read += len(line)
            if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = self._file.readline(MAX_LINE_BYTES)
                    self.bytes_read += len(line)
                self._complain(self._line, f"longer than {MAX_LINE_BYTES >> 20} MiB")
                continue
            if self._line == 1:
                if line.startswith((b"\x1f\x8b", b"PK\x03\x04")):
                    raise NotRows("This file is packed, or a spreadsheet's own: unpack it, or save it as CSV.")
                if wide_encoding(line):
                    raise NotRows("This file is in UTF-16: save it as UTF-8.")
                line = line.removeprefix(b"\xef\xbb\xbf")
            try:
                yield line.decode()
            except UnicodeDecodeError:
                yield line.decode("cp1252", "replace")  # what spreadsheets write

    # --- JSON -------------------------------------------------------------------------------------------------

    def _json(self, line: str, lines: Iterator[str]) -> Iterator[Entry]:
        decode = msgspec.json.Decoder().decode
        while True:
            if line.strip():
                try:
                    found = decode(line)
                except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
                    self._complain(self._line, "not valid JSON")
                else:
                    if isinstance(found, dict):
                        yield from self._article(self._named(found))
                    else:
                        self._complain(self._line, "not a JSON object")
            following = next(lines, None)
            if following is None:
                return
            line = following

    def _named(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The values by field; of two columns for one field the one with the better name that has a value counts."""
        values: dict[str, Any] = {}
        best: dict[str, int] = {}
        for column, value in found.items():
            known = self._names.get(column)
            field, place = self._learn(column) if known is None else known
            if not field or value is None or value == "":
                continue
            if field not in values or place < best[field]:
                values[field], best[field] = value, place
                self.understood.setdefault(field, column)
        return values

    def _learn(self, column: str) -> tuple[str, int]:
        """The field that a column holds, ``""`` for none, and the place of its name among the names for it."""
        name = "".join(filter(str.isalnum, column.lower()))
        known = _FIELDS.get(name, ""), _ORDER.get(name, 0)
        if len(self._names) < MAX_COLUMNS:
            self._names[column] = known
            if not known[0] and name != "type":
                self.ignored[one_line(column, 60)] = None
        return known

    # --- CSV --------------------------------------------------------------------------------------------------

    def _csv(self, header: str, lines: Iterator[str]) -> Iterator[Entry]:
        if "\r" in header.rstrip("\r\n"):
            raise NotRows("The lines of this file end as on old Macs (CR): save it with other line ends.")
        csv.field_size_limit(MAX_LINE_BYTES)
        delimiter = max(",;\t|", key=header.count)
        try:
            columns = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error:
            columns = []
        fields = [self._learn(column.strip())[0] for column in columns]
        if not {"title", "description"} & set(fields):
            raise NotRows(
                "The first line names no column for a title or a description, so this is no CSV of articles. Columns: "
                + ", ".join(one_line(column, 40) for column in columns[:12])
            )
        names = [column.strip() for column in columns]
        ended = False

        def rest() -> Iterator[str]:
            nonlocal ended
            for line in lines:
                yield _LONE_RETURN.sub(" ", line)
            ended = True

        reader = csv.reader(rest(), delimiter=delimiter)
        while True:
            first = self._line + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error:
                self._complain(first, "a quote that does not end, or a field that is too long")
                continue
            if not row:
                continue
            if ended:  # and yet there is a row: the file ended inside of it
                self._complain(first, "a quote that does not end")
                return
            if len(row) > len(names):
                self._complain(self._line, f"{len(row)} columns where the first line names {len(names)}")
                continue
            yield from self._article(self._named(dict(zip(names, row, strict=False))))

    # --- both -------------------------------------------------------------------------------------------------

    def _article(self, values: Mapping[str, Any]) -> Iterator[Entry]:
        named = values.get("id")
        title, author = _text(values, "title", 500), _authors(values.get("author"))
        piece = Piece(
            key=one_line(str(values.get("key", "")), 2_100),
            # An id alone says little: two files may both have an article "1".
            id=short_hash(str(named), title, author) if named is not None else "",
            title=title,
            author=author,
            published=read_date(values.get("published")),
            description=_text(values, "description"),
            image=web_url(values.get("image")),
            url=web_url(values.get("url")),
            comments=_count(values.get("comments")),
            likes=_count(values.get("likes")),
            emojis=_emojis(values.get("emojis")),
            has_video=str(values.get("has_video", "")).strip().lower() in _TRUE,
        )
        entry = piece.entry("rows")
        if entry is None:
            self._complain(self._line, "neither a title nor a description")
        else:
            yield entry


def export_line(entry: Entry, id_: int) -> bytes:
    """An article as a JSON line that can be imported again, without its end."""
    return msgspec.json.encode(
        {
            "id": str(id_),
            "title": entry.title,
            "author": entry.author,
            "date": iso_date(entry.published),
            "description": entry.description,
            "image": entry.image,
            "comments": entry.comments,
            "likes": entry.likes,
            "emojis": entry.emojis,
            "hasVideo": entry.has_video,
            "url": entry.url,
            "key": entry.key,
        }
    )


def _text(values: Mapping[str, Any], field: str, limit: int = 0) -> str:
    value = values.get(field)
    if not isinstance(value, str):
        return "" if value is None or isinstance(value, dict | list) else str(value)
    return plain_line(value, limit) if limit else plain(value)


def _authors(value: Any) -> str:
    people = value if isinstance(value, list) else [value]
    names = (each.get("name") if isinstance(each, dict) else each for each in people[:10])
    return ", ".join(one_line(name, 120) for name in names if isinstance(name, str) and name.strip())


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else count(value)


def _emojis(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split()
    return tuple(one_line(each, 16) for each in value[:20] if isinstance(each, str)) if isinstance(value, list) else ()
