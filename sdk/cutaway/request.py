"""What is asked for, checked before anything is sent.

What comes in are the arguments of a call, what goes out is a request of :mod:`cutaway.protocol`, or
:class:`~cutaway.InvalidRequest` in the words of the caller's parameters.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from . import protocol
from .errors import InvalidRequest
from .imageinput import ImageInput, encode_image
from .localfile import find_local_file

T = TypeVar("T")

_WEB_URL = re.compile(r"(?i)https?://[^/?#\s]")
_FIELD = re.compile(r"(?P<what>.*) - at `\$\.(?P<field>\w+)`")


def check_request(
    url: str | os.PathLike[str], **wishes: int | float | None
) -> tuple[protocol.SnippetRequest, Path | None]:
    """The request for a video, and the local file if it is one; its URL is then still to be filled in.

    Raises
    ------
    InvalidRequest
        In the words of the caller's parameters.
    """
    file = find_local_file(url)
    video_url = os.fspath(url) if file is None else ""
    if file is None and not _WEB_URL.match(video_url):
        raise InvalidRequest(f"{video_url[:200]!r} is neither an http(s) URL nor a file")
    if len(video_url) > protocol.MAX_URL_CHARACTERS:
        raise InvalidRequest(f"the URL has {len(video_url):,} characters; {protocol.MAX_URL_CHARACTERS:,} are allowed")
    return check_wishes(video_url, **wishes), file


def check_wishes(video_url: str = "", **wishes: int | float | None) -> protocol.SnippetRequest:
    """The request for a video whose URL is not known yet, or is checked already.

    Raises
    ------
    InvalidRequest
        In the words of the caller's parameters.
    """
    # Progress is asked for even if nobody looks: each message restarts gap_timeout. It is no heartbeat, though: a
    # request that waits in line, or for one long cut, is silent for minutes.
    values = {**wishes, "video_url": video_url, "progress": True}
    return _convert(values, protocol.SnippetRequest)


def check_search(text: str | None, image: ImageInput | None, source: str) -> protocol.SearchRequest:
    """The request for a search, its image read.

    Raises
    ------
    InvalidRequest
        In the words of the caller's parameters.
    """
    encoded = None if image is None else encode_image(image)
    request = _convert({"text": text, "image": encoded, "source": source}, protocol.SearchRequest)
    if text is not None and len(text) > protocol.MAX_TEXT_CHARACTERS:
        raise InvalidRequest(f"the text has {len(text):,} characters; {protocol.MAX_TEXT_CHARACTERS:,} are allowed")
    try:
        protocol.encode_request(request)
    except UnicodeEncodeError:
        raise InvalidRequest("the text holds half a character (a lone surrogate), which cannot be sent") from None
    return request


def _convert(values: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        if found := _FIELD.match(str(error)):
            what = found["what"].lower().replace("`", "")
            raise InvalidRequest(f"{found['field']}={_short(values[found['field']])}: {what}") from None
        raise InvalidRequest(str(error)) from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:199]}…"
