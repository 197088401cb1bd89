"""A document that is asked for again and again: feeds, and the answers of search engines.

Comes in: a URL, and what the server said of it last time. Goes out: a :class:`Document`: the new bytes, decoded and
bounded, or that nothing is new; where it has moved for good, and how long the server wants to be left alone.
:func:`ask` runs in a thread of its own, for as long as its network takes; cancelled, it is gone within milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpcore2

from cutaway_server.fetch import answers
from cutaway_server.fetch.answers import FetchFailed
from cutaway_server.fetch.dial import Line
from cutaway_server.fetch.door import Door
from cutaway_server.fetch.guard import AddressRefused
from cutaway_server.fetch.remote import MAX_REDIRECTS, decoded, redirect
from cutaway_server.fetch.urls import check_url

__all__ = ["Document", "RedirectRefused", "ask"]

_MORE_BYTES = 16 << 20
"""Of a pass beside the body: heads, TLS, and what buffers on the way hold of a body that is too large."""
_LONGEST_REST = 7 * 86400
_PERMANENT = (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.PERMANENT_REDIRECT)
_REDIRECTS = (*_PERMANENT, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER, HTTPStatus.TEMPORARY_REDIRECT)


class RedirectRefused(AddressRefused):
    """The server leads to an address that is not on the public internet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A server's answer, whatever its status.

    Attributes
    ----------
    status
        HTTP status after all redirects; the data is there with 200 only.
    url
        Where the answer came from.
    content_type
        As the server said, with parameters; not to be trusted.
    etag, last_modified
        What to say next time, so that only news are sent.
    moved
        The URL to ask from now on, where the server says so; ``""`` otherwise.
    rest_seconds
        How long the server wants not to be asked again, at most a week; 0 when it says nothing.
    """

    status: int
    url: str
    data: bytes = b""
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""
    moved: str = ""
    rest_seconds: float = 0.0

    def fault(self) -> FetchFailed:
        """The failure that a status other than 200 and 304 is, in words."""
        return answers.status_fault(self.status)


async def ask(
    door: Door,
    url: str,
    *,
    max_bytes: int,
    seconds: float,
    fields: Mapping[str, str] | None = None,
    whose: str = "The server",
) -> Document:
    """Fetch a document through the door.

    Cancelling cuts its connections; the cancellation is passed on when its thread is done.

    Parameters
    ----------
    url
        An http or https URL, unchecked.
    max_bytes
        The most that it may have, before and after decoding; more are a failure.
    seconds
        The longest time for all of it.
    fields
        More header fields, none of them secret: they go along where a redirect leads.
    whose
        What its server is called in messages.

    Raises
    ------
    Fault
        It is refused, cannot be reached, breaks off, or is too large or too slow. A status is none.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Document | Exception] = loop.create_future()
    with door.admit(max_bytes=max_bytes + _MORE_BYTES, max_connections=4) as pass_:
        line = Line(pass_, connections=2)

        def work() -> None:
            try:
                result: Document | Exception = _fetch(line, url, max_bytes, seconds, dict(fields or {}), whose)
            except Exception as error:
                result = error
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                loop.call_soon_threadsafe(done.set_result, result)

        # A thread of its own: a slow server shall not take a place of a pool that others wait for.
        threading.Thread(target=work, name="ask", daemon=True).start()
        try:
            result = await asyncio.shield(done)
        finally:
            line.cut()
            await asyncio.wait([done])
            line.close()
    if isinstance(result, Exception):
        raise result
    return result


def _fetch(line: Line, url: str, max_bytes: int, seconds: float, fields: dict[str, str], whose: str) -> Document:
    fields = {"Accept-Encoding": "gzip", **fields}
    target = url = check_url(url)
    moved, permanent = "", True
    give_up = time.monotonic() + seconds
    for _ in range(MAX_REDIRECTS + 1):
        left = give_up - time.monotonic()
        try:
            with line.get(target, fields, seconds=max(left, 0.01)) as response:
                if response.status in _REDIRECTS:
                    following = redirect(target, answers.field(response, "Location"))
                    permanent = permanent and response.status in _PERMANENT
                    moved = following if permanent else moved
                    target = following
                    continue
                return _read(target, response, moved, max_bytes)
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            fault = answers.explain(error, whose)
            if target != url and isinstance(fault, AddressRefused):
                raise RedirectRefused(f"{whose} redirects to an address that is not public.") from error
            raise fault from error
    raise FetchFailed(f"The URL redirects more than {MAX_REDIRECTS} times.")


def _read(url: str, response: httpcore2.Response, moved: str, max_bytes: int) -> Document:
    data = bytearray()
    if response.status == HTTPStatus.OK:
        coding = answers.encoding(response)
        if coding not in ("", "gzip", "x-gzip", "deflate"):
            raise FetchFailed("The server sends compressed data that was not asked for.")
        for chunk in decoded(response.iter_stream(), coding):
            data += chunk
            if len(data) > max_bytes:
                raise FetchFailed(f"The server sends more than the {max_bytes / (1 << 20):g} MiB that this may have.")
    return Document(
        status=response.status,
        url=url,
        data=bytes(data),
        content_type=answers.field(response, "Content-Type")[:200],
        etag=answers.field(response, "ETag").strip()[:1000],
        last_modified=answers.field(response, "Last-Modified").strip()[:100],
        moved=moved,
        rest_seconds=_rest(answers.field(response, "Retry-After").strip()),
    )


def _rest(text: str) -> float:
    """Seconds of a Retry-After field, which is a number or a date."""
    if text.isdecimal() and len(text) < 12:
        return float(min(int(text), _LONGEST_REST))
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return min(max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0), _LONGEST_REST)
    return 0.0
