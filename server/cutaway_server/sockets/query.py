"""The query string of ``/ws/video-snippets``: text of a request line in, a :class:`SnippetRequest` out, or a
fault that names the parameter and says in plain words what is wrong with it.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote

import msgspec

from cutaway.protocol import MAX_URL_CHARACTERS, SnippetRequest
from cutaway_server.errors import Fault
from cutaway_server.fetch.urls import mask_userinfo

URL_PARAMETER = "video_url"
_PARAMETERS = SnippetRequest.__struct_fields__
_MAX_PARAMETERS = 32
_MAX_QUERY_BYTES = 64 << 10
_SHOWN_CHARACTERS = 40

_WHERE = re.compile(r"^(?P<problem>.*) - at `\$\.(?P<name>\w+)`$", re.DOTALL)
_BOUND = re.compile(r"^Expected `\w+` (?P<sign><=|>=) (?P<bound>[-\d.e+]+)$")
_KIND = re.compile(r"^Expected `(?P<kind>\w+)")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_SIGNS = {"<=": "at most", ">=": "at least"}
_KINDS = {"int": "a whole number", "float": "a number", "bool": "1 or 0"}


class BadQuery(Fault):
    """The query string is not a request."""


def read_request(query: str) -> SnippetRequest:
    """Read a query string as it stands in the request line.

    Raises
    ------
    BadQuery
        Something is missing, unknown, given twice, too long, or not UTF-8.
    """
    values: dict[str, str] = {}
    for name, value in _pairs(query, "surrogateescape"):
        if not (_is_text(name) and _is_text(value)):
            shown = name if name in _PARAMETERS else "a parameter"
            raise BadQuery(f"{shown} is not valid UTF-8: percent-encode it as UTF-8.")
        if name in values:
            raise BadQuery(f"{_shown(name)} was given more than once.")
        values[name] = value
    if not values.get(URL_PARAMETER):
        raise BadQuery(f"{URL_PARAMETER} is missing: give the URL of a video, percent-encoded.")
    if len(values[URL_PARAMETER]) > MAX_URL_CHARACTERS:
        raise BadQuery(f"{URL_PARAMETER} must be at most {MAX_URL_CHARACTERS} characters long.")
    try:
        return SnippetRequest.from_query(values)
    except msgspec.ValidationError as error:
        raise BadQuery(_in_words(str(error), values)) from None


def given_url(query: str) -> str:
    """The video's URL as the client gave it, for ``src_video_url``; ``""`` when there is none, or the query is
    too large to be parsed.

    A user name and password are masked, what is not UTF-8 is replaced, and what is longer than any URL may be
    is shortened.
    """
    try:
        pairs = _pairs(query, "replace")
    except BadQuery:
        return ""
    url = next((value for name, value in pairs if name == URL_PARAMETER), "")
    return mask_userinfo(url)[:MAX_URL_CHARACTERS]


def _pairs(query: str, errors: str) -> list[tuple[str, str]]:
    # Before any parsing: the HTTP parser lets 1 MiB through, and 250,000 parameters took the event loop half a
    # second.
    if len(query) > _MAX_QUERY_BYTES:
        raise BadQuery(f"The query is too long: {len(query)} bytes (at most {_MAX_QUERY_BYTES}).")
    if query.count("&") >= _MAX_PARAMETERS:
        raise BadQuery(f"The query has too many parameters (at most {_MAX_PARAMETERS}).")
    # Tornado hands the request line over as Latin-1: bytes that were not percent-encoded are restored, then
    # encoded.
    raw = query.encode("latin-1", "replace")
    encoded = quote(raw, safe="".join(map(chr, range(128))))
    return parse_qsl(encoded, keep_blank_values=True, errors=errors)


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _in_words(problem: str, values: dict[str, str]) -> str:
    """A msgspec message as a sentence about a parameter."""
    if unknown := _UNKNOWN.match(problem):
        known = ", ".join(_PARAMETERS)
        return (
            f"{_shown(unknown['name'])} is not a parameter; there are {known}. "
            f"(If it belongs to the video's URL, percent-encode {URL_PARAMETER}.)"
        )
    if where := _WHERE.match(problem):
        name, got = where["name"], _shown(values.get(where["name"], ""))
        if bound := _BOUND.match(where["problem"]):
            return f"{name} must be {_SIGNS[bound['sign']]} {float(bound['bound']):g} (got {got})"
        if kind := _KIND.match(where["problem"]):
            return f"{name} must be {_KINDS.get(kind['kind'], 'text')} (got {got!r})"
        return f"{name}: {where['problem']}"
    return problem


def _shown(text: str) -> str:
    text = "".join(character if character.isprintable() else "�" for character in text)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
