"""A resource that is read as a whole, or one part of it: playlists, segments, captions. Runs in worker processes.

Comes in: a URL and perhaps a byte range. Goes out: its bytes, bounded, after the redirects that were followed and
checked. Files that are read here and there are :mod:`cutaway_server.fetch.ranges`' concern.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpcore2

from cutaway_server.fetch import answers
from cutaway_server.fetch.answers import ContentRange, FetchFailed
from cutaway_server.fetch.dial import Line
from cutaway_server.fetch.remote import MAX_REDIRECTS, content_type, for_server, redirect
from cutaway_server.fetch.urls import check_url


@dataclass(frozen=True)
class Resource:
    """What was fetched: the bytes, the URL they came from, and what the server says it is.

    ``size`` is the length of the whole resource in bytes, None if only a part was fetched and the server does not
    tell.
    """

    url: str
    data: bytes
    content_type: str
    size: int | None


def fetch(
    line: Line,
    url: str,
    *,
    max_bytes: int,
    seconds: float,
    start: int = 0,
    stop: int | None = None,
    fields: Mapping[str, str] | None = None,
    whose: str = "The file's server",
) -> Resource:
    """Fetch a resource.

    Parameters
    ----------
    line
        Connections through the door; may be used by several threads.
    url
        An http or https URL, unchecked.
    max_bytes
        The most bytes it may have; more are a failure, but a server that sends a whole resource when it is asked for
        the part from its beginning on is read no farther than ``stop``.
    seconds
        The longest time for all of it.
    start, stop
        The part to fetch, [start, stop); all of it without ``stop``.
    fields
        More header fields; where a redirect leads to another server, only harmless ones go along.
    whose
        What its server is called in messages.

    Raises
    ------
    Fault
        It is refused, or cannot be fetched, or is too large.
    """
    wanted = dict(fields or {})
    if start or stop is not None:
        wanted["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    target = check_url(url)
    give_up = time.monotonic() + seconds
    for _ in range(MAX_REDIRECTS + 1):
        try:
            with line.get(target, wanted, seconds=max(give_up - time.monotonic(), 0.1)) as response:
                if response.status in (301, 302, 303, 307, 308):
                    following = redirect(target, answers.field(response, "Location"))
                    wanted = dict(for_server(tuple(wanted.items()), target, following))
                    target = following
                    continue
                return _read(target, response, start, stop, max_bytes)
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise answers.explain(error, whose) from error
    raise FetchFailed(f"The URL redirects more than {MAX_REDIRECTS} times.")


def _read(url: str, response: httpcore2.Response, start: int, stop: int | None, max_bytes: int) -> Resource:
    if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise answers.status_fault(response.status)
    if answers.encoding(response):
        raise FetchFailed("The server sends compressed data that was not asked for.")
    length = answers.field(response, "Content-Length")
    total = int(length) if length.isdecimal() else None
    skip = start
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        got = ContentRange.parse(answers.field(response, "Content-Range"))
        if got is None or got.start != start or (stop is not None and got.stop > stop):
            raise FetchFailed("The server sent another part of the file than it was asked for.")
        total, skip = got.total, 0
    wanted = None if stop is None else stop - start
    data = bytearray()
    for chunk in response.iter_stream():
        data += chunk
        if len(data) > skip + max_bytes:
            raise FetchFailed(f"A part of this video is larger than the {max_bytes >> 20} MiB that it may have.")
        if wanted is not None and len(data) >= skip + wanted:
            break
    end = len(data) if wanted is None else skip + wanted
    return Resource(url, bytes(memoryview(data)[skip:end]), content_type(response), total)
