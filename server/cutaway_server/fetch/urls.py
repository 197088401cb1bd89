"""Which texts are URLs that may be fetched, and how a URL may be written to a log.

What comes in is whatever a client sent (or a server named in a redirect), what goes out is an ASCII http(s)
URL without user name, password and fragment, whose host is a plain name or a literal address. Nothing here
looks a name up: whether the address behind it may be contacted is judged in
:mod:`~cutaway_server.fetch.guard`, at connect time.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from urllib.parse import quote

import idna

from cutaway.protocol import MAX_URL_CHARACTERS
from cutaway_server.errors import Fault

__all__ = ["InvalidURL", "check_url", "mask_url", "mask_userinfo"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_BEFORE_AUTHORITY = re.compile(r"(?:\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2,})?")
_HOST_AND_PORT = re.compile(r"[^:@]*(:\d*)?|\[[^\]@]*\](:\d*)?")
_LOGGED_CHARACTERS = 200
_DEFAULT_PORTS = {"http": 80, "https": 443}


class InvalidURL(Fault):
    """The text is not a URL that this server fetches; the message names the cause, never the text itself."""


def check_url(text: str | None) -> str:
    """Validate a URL and return the one to fetch.

    Parameters
    ----------
    text
        What the client sent; None and ``""`` mean that nothing was sent.

    Returns
    -------
    str
        The URL in ASCII: scheme and host in lower case, the host IDNA-encoded, a default port and the
        fragment removed (yt-dlp obeys ``#__youtubedl_smuggle=``), characters outside ASCII percent-encoded.

    Raises
    ------
    InvalidURL
        When it is anything but an http or https URL with a plain host.
    """
    if not text:
        raise InvalidURL("No URL was given: send an http or https URL.")
    if len(text) > MAX_URL_CHARACTERS:
        raise InvalidURL(f"The URL is longer than {MAX_URL_CHARACTERS} characters.")
    if any(character.isspace() or unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise InvalidURL("The URL contains a space or a control character: write it percent-encoded.")
    match = _SCHEME.match(text)
    if match is None:
        raise InvalidURL("This is not a URL: it must start with http:// or https://.")
    scheme = match[1].lower()
    if scheme not in _DEFAULT_PORTS:
        # "example.org:80/film.mp4" and "user:password@host" look like schemes: only a word is repeated.
        name = scheme if scheme.isalnum() and len(scheme) <= 12 and "@" not in text else "This kind of URL"
        raise InvalidURL(f"{name} is not supported: give an http or https URL.")
    rest = text[match.end() :].partition("#")[0]
    if not rest.startswith("//"):
        raise InvalidURL(f"The URL has no host: it must start with {scheme}://.")
    end = re.search(r"[/?]", rest[2:])
    authority, tail = (rest[2:], "") if end is None else (rest[2 : 2 + end.start()], rest[2 + end.start() :])
    host, port = _host_and_port(authority)
    where = host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    tail = tail if tail.startswith("/") else f"/{tail}"
    # Only what HTTP cannot carry is changed: everything else may be part of a signature.
    url = f"{scheme}://{where}" + re.sub(r"[^\x21-\x7e]+", lambda part: quote(part[0]), tail)
    if len(url) > MAX_URL_CHARACTERS:
        raise InvalidURL(f"The URL is longer than {MAX_URL_CHARACTERS} characters once it is percent-encoded.")
    return url


def _host_and_port(authority: str) -> tuple[str, int | None]:
    """Split and check the part between ``//`` and the path."""
    if "@" in authority:
        raise InvalidURL("User names and passwords in URLs are not supported: remove the part before the @.")
    if "\\" in authority:
        raise InvalidURL("The URL's host contains a backslash.")
    if authority.startswith("["):
        literal, bracket, after = authority[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise InvalidURL("The URL's host has broken brackets.")
        return _ipv6(literal), _port(after[1:])
    if "[" in authority or "]" in authority:
        raise InvalidURL("The URL's host has broken brackets.")
    host, _, port = authority.partition(":")
    if ":" in port:
        raise InvalidURL("The URL's host has more than one colon: an IPv6 address needs brackets.")
    return _name(host), _port(port)


def _ipv6(literal: str) -> str:
    if "%" in literal:
        raise InvalidURL("IPv6 zone identifiers are not supported in URLs.")
    try:
        return f"[{ipaddress.IPv6Address(literal).compressed}]"
    except ValueError:
        raise InvalidURL("The URL's host is not an IPv6 address, though it is in brackets.") from None


def _port(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise InvalidURL("The URL's port is not a number from 1 to 65535.")
    return int(text)


def _name(host: str) -> str:
    """Return the ASCII form of a host name; full-width digits and dots become plain ones."""
    if not host:
        raise InvalidURL("The URL has no host.")
    if "%" in host:
        raise InvalidURL("The URL's host is percent-encoded: write it in plain characters.")
    if not host.isascii():
        try:
            host = idna.uts46_remap(host, std3_rules=False, transitional=False)
            if not host.isascii():
                host = idna.encode(host).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise InvalidURL("The URL's host is not a valid international domain name.") from None
    host = host.lower().removesuffix(".")
    # 253 characters is the longest name that DNS can carry (RFC 1035, section 2.3.4).
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise InvalidURL("The URL's host is not a valid host name.")
    return host


def mask_url(text: object) -> str:
    """Return what a log may show of a URL: ``scheme://host/path``, one line of at most 200 characters.

    Never raises. User name, password, query and fragment are removed, and so is everything that could steer a
    terminal (control, format and surrogate characters).
    """
    plain = text if isinstance(text, str) else repr(text)
    plain = plain[: 4 * MAX_URL_CHARACTERS]
    plain = "".join(" " if character.isspace() else character for character in plain if character.isprintable())
    before, _, after = _split_userinfo(plain)
    plain = before.lower() + re.split(r"[?#]", after, maxsplit=1)[0]
    return plain if len(plain) <= _LOGGED_CHARACTERS else plain[: _LOGGED_CHARACTERS - 1] + "…"


def mask_userinfo(text: str) -> str:
    """`text` as it came, but for ``***`` in place of a user name and password. A URL that :func:`check_url`
    accepts is never changed.
    """
    before, userinfo, after = _split_userinfo(text)
    return f"{before}***@{after}" if userinfo else text


def _split_userinfo(text: str) -> tuple[str, str, str]:
    """Split a text that may be a broken URL before and after its user name and password (with the @)."""
    start = len(_BEFORE_AUTHORITY.match(text)[0])  # type: ignore[index]  # matches anything
    before, rest = text[:start], text[start:]
    if _HOST_AND_PORT.fullmatch(re.split(r"[/\\?#]", rest, maxsplit=1)[0]):
        return before, "", rest
    # "user:pass/word@host": the password has a slash, so the authority is not where it seems to end. A question
    # mark ends it, unless no @ comes before that.
    at = re.split(r"[?#]", rest, maxsplit=1)[0].rfind("@")
    end = (at if at >= 0 else rest.rfind("@")) + 1
    return before, rest[:end], rest[end:]
