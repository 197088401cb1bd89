"""Lists of subscriptions, as feed readers exchange them (OPML 1 and 2). Comes in: a file's bytes; goes out: addresses.

Folders (nested outlines) are looked into, what is no feed is left out, and no feed comes twice.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import iterparse  # type: ignore[import-untyped]

from cutaway_server.errors import Fault
from cutaway_server.search.articles.canonical import canonical_url, web_url
from cutaway_server.search.articles.prose import one_line

MAX_BYTES = 20 << 20
MAX_FEEDS = 10_000
_MAX_DEPTH = 100


class NotOPML(Fault):
    """The file is no list of subscriptions."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A feed in a list: its address, and what the list calls it."""

    url: str
    title: str = ""


def looks_like_opml(head: bytes) -> bool:
    """Whether a file that begins so is a list of subscriptions."""
    return b"<opml" in head[:4096].replace(b"\0", b"").lower()


def read_opml(data: bytes) -> list[Outline]:
    """The feeds of a list, in its order.

    Raises
    ------
    NotOPML
        It is something else, broken, or holds no feed.
    """
    if len(data) > MAX_BYTES:
        raise NotOPML(f"This list of subscriptions is larger than {MAX_BYTES >> 20} MiB.")
    found: dict[str, Outline] = {}
    root = ""
    inside: list[Any] = []
    try:
        for event, element in iterparse(io.BytesIO(data), events=("start", "end"), forbid_dtd=False):
            name = str(element.tag).rpartition("}")[2].lower()
            if event == "end":
                inside.pop()
                if inside:
                    inside[-1].clear()  # a million outlines are not kept
                continue
            inside.append(element)
            if len(inside) > _MAX_DEPTH:
                raise NotOPML(f"This list of subscriptions has more than {_MAX_DEPTH} folders inside of one another.")
            root = root or name
            if name != "outline":
                continue
            values = {key.lower(): value for key, value in element.attrib.items()}
            url = web_url(values.get("xmlurl", ""))
            if url and len(found) < MAX_FEEDS:
                title = one_line(values.get("title") or values.get("text") or "")
                found.setdefault(canonical_url(url), Outline(url, title))
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        where = f" at line {error.position[0]}" if isinstance(error, ParseError) else ""
        raise NotOPML(f"This list of subscriptions cannot be read: its XML is broken or forbidden{where}.") from None
    if root != "opml":
        raise NotOPML("This is no list of subscriptions: OPML begins with <opml>.")
    if not found:
        raise NotOPML("This list of subscriptions holds no feed: no outline in it has an xmlUrl.")
    return list(found.values())
