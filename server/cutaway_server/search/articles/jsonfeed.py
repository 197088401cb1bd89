"""JSON Feed, versions 1 and 1.1 (jsonfeed.org). Comes in: bytes. Goes out: the feed's title and its articles.

Fields of the wrong type are taken for missing, as feeds are written by strangers; only what is no JSON Feed at all is
an error.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cutaway_server.search.articles.canonical import web_url
from cutaway_server.search.articles.dates import read_date
from cutaway_server.search.articles.piece import NotAFeed, Piece, count
from cutaway_server.search.articles.prose import Prose, clean, one_line, read_html

_BOM = b"\xef\xbb\xbf"
_ITEMS = re.compile(r'"items"\s*:\s*\[\s*')
_TITLE = re.compile(r'"title"\s*:\s*("[^"\\\x00-\x1f]*")')
_BETWEEN = re.compile(r"[\s,]*")


def looks_like_json(data: bytes) -> bool:
    """Whether these bytes begin as JSON, in an encoding that JSON has."""
    head = data[:64].removeprefix(_BOM).removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").replace(b"\0", b"")
    return head.lstrip()[:1] in (b"{", b"[")


def wide_encoding(data: bytes) -> str:
    """The encoding of text whose characters have two or four bytes each; ``""`` for others."""
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if data[:1] == b"\0":
        return "utf-16-be"
    return "utf-16-le" if data[1:2] == b"\0" else ""


def read(data: bytes, content_type: str, url: str) -> tuple[str, Iterator[Piece]]:
    """The title and the articles of a feed.

    Raises
    ------
    NotAFeed
        It is something else.
    """
    data = _utf8(data, content_type)
    try:
        feed = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        feed = _salvaged(data.decode())
    items = feed.get("items") if isinstance(feed, dict) else None
    if not isinstance(items, list):
        raise NotAFeed("This is JSON, but no JSON Feed: it has no list of items.")
    return one_line(_text(feed, "title")), _pieces(items, _author(feed), url)


def _salvaged(text: str) -> Mapping[str, Any]:
    """What is whole of a feed that breaks off, or breaks: its first articles."""
    items: list[Any] = []
    start = _ITEMS.search(text)
    decoder, position = json.JSONDecoder(strict=False), start.end() if start else len(text)
    with contextlib.suppress(ValueError, RecursionError):
        while True:
            item, end = decoder.raw_decode(text, position)
            items.append(item)
            position = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]  # matches anything
    if not items:
        raise NotAFeed("This looks like a JSON Feed, but it is not valid JSON.")
    title = _TITLE.search(text, 0, start.start() if start else 0)
    return {"items": items, "title": json.loads(title[1]) if title else ""}


def _utf8(data: bytes, content_type: str) -> bytes:
    """UTF-8, as it should be; otherwise as it is or says it is, with what makes no sense replaced."""
    data = data.removeprefix(_BOM)
    if wide := wide_encoding(data):
        return data.decode(wide, "replace").encode("utf-8", "replace")
    try:
        data.decode()
    except UnicodeDecodeError:
        charset = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", content_type, re.IGNORECASE)
        named = charset[1].lower() if charset else "utf-8"
        return _decoded(data, "cp1252" if named in ("utf-8", "utf8") else named).encode("utf-8", "replace")
    return data


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _pieces(items: list[Any], feed_author: str, url: str) -> Iterator[Piece]:
    for item in items:
        if isinstance(item, dict):
            yield _piece(item, feed_author, url)


def _piece(item: Mapping[str, Any], feed_author: str, url: str) -> Piece:
    link = web_url(_text(item, "url") or _text(item, "external_url"), url)
    html = _text(item, "content_html")
    prose = read_html(html, link or url) if html else Prose("")
    attachments = [each for each in _list(item, "attachments") if isinstance(each, dict)]
    kinds = [_text(each, "mime_type").partition("/")[0].lower() for each in attachments]
    pictures = [_text(each, "url") for each, kind in zip(attachments, kinds, strict=True) if kind == "image"]
    addresses = (_text(item, "image"), _text(item, "banner_image"), *pictures)
    return Piece(
        # 1 and "1" are both seen.
        id=str(item.get("id") or ""),
        title=one_line(_text(item, "title")),
        author=_author(item) or feed_author,
        published=read_date(item.get("date_published")) or read_date(item.get("date_modified")),
        description=max(prose.text, clean(_text(item, "content_text")), clean(_text(item, "summary")), key=len),
        image=next((found for each in addresses if (found := web_url(each, link or url))), prose.image),
        url=link,
        comments=_counted(item, "comment"),
        likes=_counted(item, "like") or _counted(item, "favorite"),
        has_video="video" in kinds or prose.has_video,
    )


def _counted(item: Mapping[str, Any], what: str) -> int:
    """What extensions say of comments or likes: there is no standard, only the forms that are seen."""
    for name in (f"{what}_count", f"{what}s_count", f"{what}s", f"_{what}s", f"_{what}_count"):
        value = item.get(name)
        if isinstance(value, dict):
            value = value.get("count") or value.get("total")
        if isinstance(value, list):
            value = len(value)
        if found := count(value):
            return found
    for name, value in item.items():
        if name.startswith("_") and isinstance(value, dict) and (found := count(value.get(f"{what}_count"))):
            return found
    return 0


def _author(found: Mapping[str, Any]) -> str:
    people = _list(found, "authors")[:5] or [found.get("author")]
    names = (one_line(_text(each, "name"), 120) for each in people if isinstance(each, dict))
    return ", ".join(dict.fromkeys(name for name in names if name))


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    value = found.get(name)
    return value if isinstance(value, list) else []
