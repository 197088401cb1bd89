"""From a URL to a recipe for reading the file behind it.

What comes in is a URL and a pass, what goes out is a :class:`RemoteFile`: the URL after all redirects, the
size, what tells one version from another, and the bytes that were received on the way. Servers that ignore
byte ranges give a capped temporary copy instead. Runs in worker processes, synchronously.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import httpcore2

from cutaway_server.fetch import answers
from cutaway_server.fetch.answers import ContentRange, FetchFailed
from cutaway_server.fetch.dial import Line
from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.urls import InvalidURL, check_url

if TYPE_CHECKING:
    from cutaway_server.fetch.ranges import RangeReader

__all__ = ["Fields", "RemoteFile", "WebPage", "resolve"]

Fields = tuple[tuple[str, str], ...]
"""Header fields as (name, value)."""
MAX_REDIRECTS = 5

_FIRST_BYTES = 64 * 1024
_FIRST_SECONDS = 20.0
_DOWNLOAD_SECONDS = 35.0
_DECODED = ("gzip", "x-gzip", "deflate")
_DECODED_BYTES = 1024 * 1024
_HEAD_BYTES = 4096
_ROOT = re.compile(rb"<([A-Za-z_][^\s/>]*)[\s/>]")
_EVERYWHERE = frozenset({"user-agent", "accept", "accept-language", "range"})
"""Fields that any server may see; what else there is may be a secret, or is about the page it was given by."""


class WebPage(FetchFailed):
    """What is behind the URL is a page, or another document with markup, but a DASH manifest or a picture."""

    def __init__(self, message: str = "This is a web page or an XML document, not a video file.") -> None:
        super().__init__(message)


@dataclass(frozen=True)
class RemoteFile:
    """How to read a remote file: a recipe that goes from worker to worker. Picklable.

    Attributes
    ----------
    url
        Where it is, after all redirects.
    pass_
        The job's way through the door.
    size
        Length in bytes.
    validator
        What tells this version from another one, ``""`` when the server says nothing.
    content_type
        What the server says it is, in lower case and without parameters; not to be trusted.
    blocks
        Bytes that are already here, as (position, bytes).
    local
        The temporary copy, when the server ignores byte ranges. Who gave the directory removes it.
    fields
        Header fields that its server wants to see, cookies among them: for this server alone, and for no log.
    """

    url: str
    pass_: Pass
    size: int
    validator: str = ""
    content_type: str = ""
    blocks: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    local: Path | None = None
    fields: Fields = field(default=(), repr=False)

    def open(self) -> RangeReader:
        """Return a file object over it; nothing is fetched yet."""
        from cutaway_server.fetch.ranges import RangeReader  # it needs this module

        return RangeReader(self)

    def with_blocks(self, blocks: tuple[tuple[int, bytes], ...]) -> RemoteFile:
        """Return the same recipe with other bytes."""
        return dataclasses.replace(self, blocks=blocks)


def resolve(
    url: str,
    pass_: Pass,
    *,
    scratch: Path,
    max_download: int,
    download_seconds: float = _DOWNLOAD_SECONDS,
    fields: Fields = (),
    whose: str = "",
) -> RemoteFile:
    """Find out what is behind a URL and how to read it.

    Parameters
    ----------
    url
        An http or https URL, unchecked.
    pass_
        The job's way through the door.
    scratch
        An existing directory for a temporary copy; the caller removes it.
    max_download
        Most bytes of a temporary copy.
    download_seconds
        Longest time for a temporary copy.
    fields
        Header fields for the URL's server. Where a redirect leads to another one, only harmless ones go along.
    whose
        What the server is called in messages; by default its name, which the client gave.

    Raises
    ------
    WebPage
        It is a page.
    InvalidURL
        When the URL, or one that it redirects to, is not to be fetched.
    AddressRefused, UnknownHost
        When a host is not public, or not known.
    FetchFailed
        For every other failure, in words.
    """
    target = check_url(url)
    seen: set[str] = set()
    line = Line(pass_, connections=1)
    opening = _Opening(line, pass_, scratch, max_download, download_seconds)
    try:
        while True:
            if target in seen:
                raise FetchFailed("The URL redirects in a loop.")
            if len(seen) > MAX_REDIRECTS:
                raise FetchFailed(f"The URL redirects more than {MAX_REDIRECTS} times.")
            seen.add(target)
            redirected = "The host that the URL redirects to"
            named = whose or f"The host {urlsplit(target).hostname}"
            try:
                found = opening.ask(target, fields, ranged=True)
                if found is None:
                    found = opening.ask(target, fields, ranged=False)
            except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
                raise answers.explain(error, named if len(seen) == 1 else redirected) from error
            if isinstance(found, RemoteFile):
                return found
            if found is None:
                raise FetchFailed("The server sends parts of the file, but does not say how long it is.")
            fields = for_server(fields, target, found)
            target = found
    finally:
        line.close()


@dataclass(frozen=True)
class _Opening:
    """The requests of one :func:`resolve`."""

    line: Line
    pass_: Pass
    scratch: Path
    max_download: int
    download_seconds: float

    def ask(self, url: str, fields: Fields, *, ranged: bool) -> RemoteFile | str | None:
        """Return the recipe, the URL of a redirect, or None when ranges of it have no known total."""
        asked = {"Range": f"bytes=0-{_FIRST_BYTES - 1}"} if ranged else {}
        with self.line.get(url, {**dict(fields), **asked}, seconds=_FIRST_SECONDS) as response:
            if response.status in (301, 302, 303, 307, 308):
                return redirect(url, answers.field(response, "Location"))
            if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                # The only range that does not fit when it starts at 0 is one of an empty file.
                empty = answers.field(response, "Content-Range").replace(" ", "").endswith("*/0")
                raise answers.status_fault(response.status, size_known_empty=empty)
            if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                raise answers.status_fault(response.status)
            compressed = answers.encoding(response)
            if compressed in _DECODED and response.status == HTTPStatus.PARTIAL_CONTENT and ranged:
                return None  # Parts of what is compressed are of no use; all of it is.
            if compressed and (compressed not in _DECODED or response.status != HTTPStatus.OK):
                if content_type(response) in ("text/html", "application/xhtml+xml"):
                    raise WebPage
                word = compressed if re.fullmatch(r"[a-z]{1,8}", compressed) else "a way that is not supported"
                raise FetchFailed(f"The server sends the file compressed ({word}), which video files never need.")
            if response.status == HTTPStatus.PARTIAL_CONTENT:
                found = self._part(url, response)
            else:
                found = self._whole(url, response)
            return found and dataclasses.replace(found, fields=fields)

    def _part(self, url: str, response: httpcore2.Response) -> RemoteFile | None:
        got = ContentRange.parse(answers.field(response, "Content-Range"))
        if got is None or got.start != 0 or got.stop > _FIRST_BYTES:
            raise FetchFailed("The server sent another part of the file than it was asked for.")
        if got.total is None:
            return None
        data = bytearray()
        for chunk in response.iter_stream():
            data += chunk
            if len(data) > got.stop:
                raise FetchFailed("The server sent more bytes than it said.")
        if _is_markup(data):
            raise WebPage
        return self._recipe(url, response, got.total, blocks=((0, bytes(data)),) if data else ())

    def _whole(self, url: str, response: httpcore2.Response) -> RemoteFile:
        """Copy a body into a file of the scratch directory."""
        too_large = FetchFailed(
            "The server does not support byte ranges, and the file is larger than the "
            f"{self.max_download // (1024 * 1024)} MiB that may be downloaded as a whole."
        )
        length = answers.field(response, "Content-Length")
        if length.isdecimal() and int(length) > self.max_download:
            raise too_large
        self.line.extend(self.download_seconds)
        size = 0
        head = bytearray()
        with tempfile.NamedTemporaryFile(dir=self.scratch, prefix="source-", delete=False) as copy:
            try:
                for chunk in decoded(_body(response), answers.encoding(response)):
                    if len(head) < _HEAD_BYTES:
                        head += chunk[:_HEAD_BYTES]
                        if _is_markup(head):
                            raise WebPage
                    size += len(chunk)
                    if size > self.max_download:
                        raise too_large
                    copy.write(chunk)
                if size == 0:
                    raise answers.status_fault(HTTPStatus.NO_CONTENT)
            except BaseException:
                Path(copy.name).unlink()
                raise
        return self._recipe(url, response, size, local=Path(copy.name))

    def _recipe(
        self,
        url: str,
        response: httpcore2.Response,
        size: int,
        *,
        blocks: tuple[tuple[int, bytes], ...] = (),
        local: Path | None = None,
    ) -> RemoteFile:
        return RemoteFile(url, self.pass_, size, answers.validator(response), content_type(response), blocks, local)


def content_type(response: httpcore2.Response) -> str:
    """What the server says that it sends, in lower case and without parameters."""
    return answers.field(response, "Content-Type").partition(";")[0].strip().lower()


def _is_markup(head: bytes | bytearray) -> bool:
    """Whether these first bytes are those of a page or a feed, as far as they tell; no file of video begins so."""
    text = bytes(head[:_HEAD_BYTES]).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith(b"<"):
        return False
    root = _ROOT.search(text)
    if root is None:
        return len(head) >= _HEAD_BYTES
    return root[1].rpartition(b":")[2] not in (b"MPD", b"svg")


def for_server(fields: Fields, url: str, target: str) -> Fields:
    """The header fields for one URL that may go along to another: to another server only harmless ones."""
    if urlsplit(url)[:2] == urlsplit(target)[:2]:
        return fields
    return tuple((name, value) for name, value in fields if name.lower() in _EVERYWHERE)


def _body(response: httpcore2.Response) -> Iterator[bytes]:
    """Yield a whole body; a time limit that passes is told as what it is."""
    try:
        yield from response.iter_stream()
    except httpcore2.TimeoutException:
        raise FetchFailed("The server sends the file too slowly, and does not support byte ranges.") from None


def decoded(body: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """Undo gzip or deflate, which some servers apply though they were asked not to; a little at a time, so that
    whoever counts the bytes can stop a bomb."""
    if not coding:
        yield from body
        return
    decoder = zlib.decompressobj(wbits=47)  # Either head; which one it is, servers mix up.
    try:
        for data in body:
            while data and not decoder.eof:
                yield decoder.decompress(data, _DECODED_BYTES)
                data = decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error:
        raise FetchFailed("The server says that it sends the file compressed, but it cannot be decoded.") from None
    if not decoder.eof:
        raise FetchFailed("The server broke off its answer: the compressed file is not complete.")


def redirect(base: str, location: str) -> str:
    """Return the checked URL that a redirect leads to."""
    if not location:
        raise FetchFailed("The server redirects without saying where to.")
    try:
        # Header bytes were read as Latin-1; what is not ASCII in them is UTF-8 in practice.
        text = location.strip().encode("latin-1").decode("utf-8", "replace").replace(" ", "%20")
        return check_url(urljoin(base, text))
    except InvalidURL as error:
        raise InvalidURL(f"The URL redirects to something else: {error.message}") from None
    except ValueError:
        raise InvalidURL("The URL redirects to something that is not a URL.") from None
