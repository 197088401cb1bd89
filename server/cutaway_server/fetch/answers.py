"""What a server's answers mean: statuses, Content-Range, validators, and every failure in words.

What comes in are httpcore2 responses and exceptions, what goes out are plain values and :class:`Fault`
objects whose text a client may read: they name the kind of failure and the host that the client itself gave,
nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

import httpcore2

from cutaway_server.errors import Fault
from cutaway_server.fetch.dial import DoorRefused, TLSFailed
from cutaway_server.fetch.guard import AddressRefused, UnknownHost

__all__ = [
    "ContentRange",
    "Denied",
    "FetchFailed",
    "SourceChanged",
    "encoding",
    "explain",
    "field",
    "status_fault",
    "validator",
]


class FetchFailed(Fault):
    """The server, or the way to it, did not give what was asked for."""


class Denied(FetchFailed):
    """The server refuses what was asked for, or does not have it any more: a status from 400 to 499."""


class SourceChanged(FetchFailed):
    """The file behind the URL is not the one that was read before."""


@dataclass(frozen=True)
class ContentRange:
    """Which bytes a 206 answer holds: ``[start, stop)`` of `total`, which is None when the server does not
    know."""

    start: int
    stop: int
    total: int | None

    @classmethod
    def parse(cls, text: str) -> ContentRange | None:
        """Read a Content-Range field; None when there is none, or it makes no sense."""
        match = re.fullmatch(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", text.strip(), re.ASCII | re.IGNORECASE)
        if match is None:
            return None
        start, stop = int(match[1]), int(match[2]) + 1
        total = None if match[3] == "*" else int(match[3])
        if start >= stop or (total is not None and stop > total):
            return None
        return cls(start, stop, total)


def field(response: httpcore2.Response, name: str) -> str:
    """Return a header field's value, ``""`` when it is missing."""
    wanted = name.lower().encode("ascii")
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == wanted), "")


def encoding(response: httpcore2.Response) -> str:
    """Return the Content-Encoding other than identity, ``""`` when there is none."""
    text = field(response, "Content-Encoding").strip().lower()
    return "" if text in ("", "identity") else text


def validator(response: httpcore2.Response) -> str:
    """Return what tells one version of a file from another: a strong ETag, or else Last-Modified, or
    ``""``."""
    etag = field(response, "ETag").strip()
    if etag.startswith('"'):
        return f"etag {etag}"
    modified = field(response, "Last-Modified").strip()
    return f"last-modified {modified}" if modified else ""


def status_fault(status: int, *, size_known_empty: bool = False) -> FetchFailed:
    """Return the failure for a status that is not the expected one."""
    if size_known_empty or status == HTTPStatus.NO_CONTENT:
        return FetchFailed("The file behind this URL is empty.")
    try:
        phrase = HTTPStatus(status).phrase.lower()
    except ValueError:
        phrase = "an unknown status"
    advice = {
        401: " It wants a login, which is not supported.",
        403: " It does not allow this server to read the file.",
        407: " It wants a login at a proxy, which is not supported.",
        429: " Try again later.",
        503: " Try again later.",
    }.get(status, "")
    kind = Denied if 400 <= status < 500 else FetchFailed
    return kind(f"The server answered {status} ({phrase}) for this URL.{advice}")


def explain(error: Exception, whose: str = "The file's server") -> Fault:
    """Return the failure of a connection in words.

    Parameters
    ----------
    error
        What httpcore2 raised.
    whose
        What the server is called: by its name only when the client itself gave that.
    """
    if isinstance(error, DoorRefused):
        return _explain_refusal(error.reason, whose)
    if isinstance(error, TLSFailed):
        if error.certificate:
            return FetchFailed(f"{whose} has a TLS certificate that cannot be verified.")
        return FetchFailed(f"{whose} does not speak TLS properly: no secure connection could be made.")
    if isinstance(error, httpcore2.TimeoutException):
        return FetchFailed(f"{whose} took too long to answer.")
    if isinstance(error, httpcore2.NetworkError):
        return FetchFailed(f"{whose} closed the connection before everything was sent.")
    return FetchFailed(f"{whose} broke off its answer, or it is not proper HTTP.")


def _explain_refusal(reason: str, whose: str) -> Fault:
    if reason == "address":
        return AddressRefused(f"{whose} is not a public address: only the public internet can be fetched from.")
    if reason == "host":
        return UnknownHost(f"{whose} is unknown: no address belongs to its name.")
    if reason == "timeout":
        return FetchFailed(f"{whose} did not answer in time.")
    if reason == "connect":
        return FetchFailed(f"{whose} does not accept connections.")
    if reason == "budget":
        return FetchFailed("More data was needed from this URL than one request may use.")
    if reason == "busy":
        return FetchFailed("More connections or hosts were needed for this URL than one request may use.")
    return FetchFailed("The request was ended while the file was being read.")  # the pass is no longer valid
