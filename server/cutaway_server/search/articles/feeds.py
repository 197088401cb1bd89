"""From the bytes of a feed to articles: RSS, RDF, Atom and JSON Feed.

Comes in: what a server sent, what it said that it is, and from where. Goes out: a :class:`Feed`, its texts plain and
bounded, its addresses absolute; or the address of the feed that a web page names. Runs in worker processes: what a
hostile feed costs in time and memory ends with its worker. Nothing is opened or fetched here: feedparser, which would
open what looks like a file or a URL, gets a stream of bytes, and its XML parser no external entities.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import feedparser

from cutaway_server.search.articles import jsonfeed
from cutaway_server.search.articles.canonical import canonical_url, web_url
from cutaway_server.search.articles.dates import from_struct, read_date
from cutaway_server.search.articles.entry import Entry
from cutaway_server.search.articles.opml import looks_like_opml
from cutaway_server.search.articles.piece import NotAFeed, Piece, count
from cutaway_server.search.articles.prose import one_line, plain, plain_line, read_html

__all__ = ["Feed", "NotAFeed", "read_feed"]

MAX_ENTRIES = 5_000
"""Most articles of one feed; the first ones are the newest by custom."""

_ENTITY = re.compile(rb"<!ENTITY[^>]*>")
_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_HEAD_BYTES = 64 * 1024
_XML = re.compile(rb"<\?xml[^>]*\?>")
_REFERENCE = re.compile(rb"&#(?:[xX]0*([0-9a-fA-F]*)|0*([0-9]*));?")
_ODD_ERRORS = (ValueError, LookupError, ArithmeticError, TypeError, AttributeError, AssertionError, RecursionError)
"""What feedparser raises in its corners, though it is lenient."""
_END = re.compile(rb"</(?:\w+:)?(?:item|entry)\s*>", re.IGNORECASE)
_FEED_LINK = re.compile(r"<link\b[^>]{1,2000}>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\b(rel|type|href)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_FEED_TYPES = ("application/rss+xml", "application/atom+xml", "application/feed+json", "application/rdf+xml")
_YEAR_0 = re.compile(r"(?<![\d+:-])0000(?!\d)")
_POINTS = re.compile(r"^Points: (\d{1,7})$", re.MULTILINE)
_COMMENTS = re.compile(r"^# Comments: (\d{1,7})$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What a feed holds.

    Attributes
    ----------
    elsewhere
        The address of the feed that this web page names: then there is nothing else.
    """

    title: str = ""
    entries: tuple[Entry, ...] = ()
    elsewhere: str = ""


def read_feed(data: bytes, content_type: str, url: str, name: str = "") -> Feed:
    """Read a feed.

    Parameters
    ----------
    data
        Its bytes, bounded by whoever fetched them.
    content_type
        As the server said, with parameters; may be wrong or ``""``.
    url
        Where it was fetched, after redirects.
    name
        The URL that it is known by, when that is another: where a redirect leads may change from day to day.

    Raises
    ------
    NotAFeed
        It is something else, or so broken that nothing is in it.
    """
    if not data.strip():
        raise NotAFeed("There is nothing at this address: the answer is empty.")
    if jsonfeed.looks_like_json(data):
        title, pieces = jsonfeed.read(data, content_type, url)
        return Feed(title=title, entries=_entries(pieces, name or url))
    parsed = _parse(data, content_type, url)
    if not parsed.entries and not parsed.version:
        return Feed(elsewhere=_named_feed(data, url))
    title = _text(parsed.feed, "title")
    return Feed(title=title, entries=_entries(_pieces(parsed, url), name or url))


def _entries(pieces: Iterable[Piece], origin: str) -> tuple[Entry, ...]:
    """Each article once: of two with one key the first counts."""
    listed = [(canonical_url(piece.url), piece) for piece in islice(pieces, MAX_ENTRIES)]
    leads: defaultdict[str, set[str]] = defaultdict(set)
    for name, piece in listed:
        leads[name].add(piece.lead)
    entries: dict[str, Entry] = {}
    for name, piece in listed:
        # Several articles may link to one page, a change log or the site of a show: then it names none of them.
        own = piece if len(leads[name]) == 1 else replace(piece, key=piece.name(origin))
        if (entry := own.entry(origin)) is not None:
            entries.setdefault(entry.key, entry)
    return tuple(entries.values())


# --- XML ---------------------------------------------------------------------------------------------------


def _parse(data: bytes, content_type: str, url: str) -> Any:
    if wide := jsonfeed.wide_encoding(data):
        data = _DECLARATION.sub("", data.decode(wide, "replace"), count=1).encode("utf-8", "replace")
    # Entities that a feed declares are for bombs; the usual ones (&nbsp;) are known without.
    data = _without_more(_ENTITY.sub(b"", data))
    headers = {"content-type": content_type or "application/xml", "content-location": url}
    if content_type.partition(";")[0].strip().lower().startswith("text/") and "charset" not in content_type.lower():
        # RFC 3023 wants it to be ASCII then, and RFC 7303 no longer does: what the document says counts.
        headers["content-type"] = "application/xml"
    try:
        return _parse_leniently(data, headers)
    except _ODD_ERRORS:
        pass
    try:
        return _parse_leniently(_mended(data), headers)
    except _ODD_ERRORS as error:
        raise NotAFeed("This looks like a feed, but it is too broken to be read.") from error


def _parse_leniently(data: bytes, headers: dict[str, str]) -> Any:
    return feedparser.parse(
        io.BytesIO(data), response_headers=headers, resolve_relative_uris=False, sanitize_html=False
    )


def _mended(data: bytes) -> bytes:
    """Without what feedparser stumbles over: references to characters that are none, encodings that are no words."""
    return _REFERENCE.sub(lambda found: found[0] if _is_character(found) else b"", _XML.sub(b"", data, count=1))


def _is_character(reference: re.Match[bytes]) -> bool:
    digits = reference[1] or reference[2]
    if not digits or len(digits) > 7:
        return False
    code = int(digits, 16 if reference[1] else 10)
    return code < 0xD800 or 0xE000 <= code < 0x110000


def _without_more(data: bytes) -> bytes:
    """The feed without what follows its first MAX_ENTRIES articles: reading 100,000 takes a minute."""
    for number, end in enumerate(_END.finditer(data), 1):
        if number == MAX_ENTRIES:
            root = next((name for name in (b"feed", b"rdf:RDF", b"rss") if b"<" + name in data[:_HEAD_BYTES]), b"rss")
            return data[: end.end()] + (b"</channel></rss>" if root == b"rss" else b"</" + root + b">")
    return data


def _pieces(parsed: Any, url: str) -> Iterator[Piece]:
    author = _author(parsed.feed)
    for each in parsed.entries:
        yield _piece(each, url, author)


def _piece(each: Any, url: str, feed_author: str) -> Piece:
    link = web_url(each.get("link") or "", url)
    base = link or url
    texts = [*(each.get("content") or ()), dict.get(each, "summary_detail") or {}]
    read = [
        # Where nothing else is said (xml:base), the base that feedparser tells is the feed's own address.
        read_html(value, stated if (stated := web_url(text.get("base") or "")) not in ("", url) else base)
        for text in texts
        if isinstance(value := text.get("value"), str) and value and text.get("type") != "text/plain"
    ]
    plain_texts = [plain(text["value"]) for text in texts if text.get("value") and text.get("type") == "text/plain"]
    description = max([*(prose.text for prose in read), *plain_texts], key=len, default="")
    media = [*_media(each)]
    points, comments = _POINTS.search(description), _COMMENTS.search(description)
    return Piece(
        id=str(each.get("id") or ""),
        title=_text(each, "title"),
        author=_author(each) or feed_author,
        published=_date(each, "published") or _date(each, "updated"),
        description=description,
        image=_image(each, media, base) or next((prose.image for prose in read if prose.image), ""),
        url=link,
        comments=_comments(each) or (count(comments[1]) if comments else 0),
        # media:starRating's count is what YouTube says of likes; "Points:" is hnrss.org's.
        likes=count((each.get("media_starrating") or {}).get("count")) or (count(points[1]) if points else 0),
        has_video=any(kind == "video" for kind, _ in media) or any(prose.has_video for prose in read),
    )


def _text(found: Any, name: str) -> str:
    detail = dict.get(found, f"{name}_detail") or {}
    value = detail.get("value") or ""
    if not isinstance(value, str):
        return ""
    return one_line(value) if detail.get("type") == "text/plain" else plain_line(value)


def _date(each: Any, name: str) -> int | None:
    text = str(dict.get(each, name) or "")
    if _YEAR_0.search(text):  # feedparser takes it for 2000
        return None
    return from_struct(dict.get(each, f"{name}_parsed")) or read_date(text)


def _author(found: Any) -> str:
    people: Sequence[Mapping[str, str]] = dict.get(found, "authors") or [dict.get(found, "author_detail") or {}]
    names = dict.fromkeys(plain_line(each.get("name") or "", 120) for each in people[:5])
    return ", ".join(name for name in names if name and "@" not in name)


def _media(each: Any) -> Iterator[tuple[str, str]]:
    """What comes with an article, as (image, video or "", address)."""
    for thing in (each.get("media_content") or ()), (each.get("enclosures") or ()):
        for item in thing:
            kind = item.get("medium") or (item.get("type") or "").partition("/")[0]
            yield kind.lower(), item.get("url") or item.get("href") or ""
    for item in each.get("media_thumbnail") or ():
        yield "image", item.get("url") or ""
    if player := (each.get("media_player") or {}).get("url"):
        yield "video", player


def _image(each: Any, media: Sequence[tuple[str, str]], base: str) -> str:
    own = (each.get("image") or {}).get("href") or ""
    named = [address for kind, address in media if kind == "image"]
    return next((url for address in (*named, own) if (url := web_url(address, base))), "")


def _comments(each: Any) -> int:
    replies = (
        link.get("thr:count") or link.get("count") for link in each.get("links") or () if link.get("rel") == "replies"
    )
    return count(each.get("slash_comments")) or count(each.get("thr_total")) or max(map(count, replies), default=0)


# --- what is no feed ---------------------------------------------------------------------------------------


def _named_feed(data: bytes, url: str) -> str:
    """The address of the feed that a web page names in its head."""
    if looks_like_opml(data):
        raise NotAFeed("This is a list of feeds (OPML): save it as a file, and add that.")
    head = data[: 4 * _HEAD_BYTES].decode("utf-8", "replace")
    if not re.search(r"<(!doctype\s+html|html|head|body|link|title)\b", head, re.IGNORECASE):
        raise NotAFeed("This is no feed: neither RSS nor Atom nor JSON Feed.")
    for link in _FEED_LINK.findall(head):
        values = {name.lower(): a or b or c for name, a, b, c in _ATTRIBUTE.findall(link)}
        kind = values.get("type", "").strip().lower()
        if "alternate" in values.get("rel", "").lower().split() and kind in _FEED_TYPES:
            found = web_url(plain(values.get("href", "")), url)
            if found and found != url:
                return found
    raise NotAFeed("This is a web page, not a feed, and it names none: look for a link to RSS or Atom on it.")
