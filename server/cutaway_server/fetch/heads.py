"""Reading and rewriting the heads of HTTP/1.1 messages, as much as a proxy needs of it.

What comes in are the bytes up to the empty line, what goes out are a :class:`RequestHead` (who asks for what,
with which token) and the head to send on. Parsing is strict, because a proxy that reads a head in another way
than the server behind it can be made to smuggle requests: no bare line feeds, no folded lines, no second
length.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

__all__ = ["MAX_HEAD_BYTES", "BadHead", "RequestHead", "closing_response_head"]

MAX_HEAD_BYTES = 64 * 1024
_END = b"\r\n\r\n"
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*?)[ \t]*")
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) ([\x21-\x7e]+) HTTP/1\.[01]")
_ABSOLUTE = re.compile(rb"(?i:http)://([^/?#]+)([^#]*)(?:#.*)?")
# Transfer-Encoding is one, too, but bodies pass as they are.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer upgrade "
    b"http2-settings expect".split()
)
_FORWARDED_METHODS = frozenset((b"GET", b"HEAD", b"POST"))


class BadHead(Exception):
    """The head cannot be served; ``status`` is the HTTP status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class RequestHead:
    """One request to the proxy.

    Attributes
    ----------
    host, port
        Where it wants to go; IPv6 without brackets.
    token
        The user name of its ``Proxy-Authorization``, ``""`` when there is none.
    forward
        For an absolute-form request the head to send to that server, None for ``CONNECT``.
    body_bytes
        How many bytes of body follow an absolute-form request.
    """

    host: str
    port: int
    token: str
    forward: bytes | None = None
    body_bytes: int = 0

    @classmethod
    def parse(cls, head: bytes) -> RequestHead:
        """Read a head that ends with the empty line.

        Raises
        ------
        BadHead
            When it is not well-formed, or asks for something that this proxy does not do.
        """
        first, fields = _split(head)
        match = _REQUEST_LINE.fullmatch(first)
        if match is None:
            raise BadHead(400, "not an HTTP/1.1 request line")
        method, target = match.groups()
        token = _token(_values(fields, b"proxy-authorization"))
        if method == b"CONNECT":
            return cls(*_authority(target.decode("ascii"), None), token)
        if method not in _FORWARDED_METHODS:
            raise BadHead(405, "only CONNECT, GET, HEAD and POST")
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise BadHead(400, "only absolute http URLs; https goes through CONNECT")
        return cls._forwarding(method, absolute[1], absolute[2], fields, token)

    @classmethod
    def _forwarding(
        cls, method: bytes, netloc: bytes, tail: bytes, fields: list[tuple[bytes, bytes]], token: str
    ) -> RequestHead:
        host, port = _authority(netloc.decode("ascii"), 80)
        lengths = _values(fields, b"content-length")
        if _values(fields, b"transfer-encoding") or len(lengths) > 1:
            raise BadHead(411, "a body needs one Content-Length")
        if lengths and not re.fullmatch(rb"[0-9]{1,12}", lengths[0]):
            raise BadHead(400, "not a Content-Length")
        path = tail if tail.startswith(b"/") else b"/" + tail
        lines = [b"%s %s HTTP/1.1" % (method, path), b"Host: " + netloc]
        lines += _end_to_end(fields, dropped=frozenset((b"host",)))
        lines.append(b"Connection: close")
        return cls(host, port, token, b"\r\n".join(lines) + _END, int(lengths[0]) if lengths else 0)


def closing_response_head(head: bytes) -> tuple[int, bytes]:
    """Return a response head's status and the head with ``Connection: close``, so that no client reuses the
    connection.

    Raises
    ------
    BadHead
        When it is not the head of an HTTP/1 response.
    """
    first, fields = _split(head)
    if not re.fullmatch(rb"HTTP/1\.[01] [1-9][0-9]{2}( [^\x00\r\n]*)?", first):
        raise BadHead(502, "not an HTTP/1 response")
    lines = [first, *_end_to_end(fields), b"Connection: close"]
    return int(first[9:12]), b"\r\n".join(lines) + _END


def _split(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    first, *lines = head.removesuffix(_END).split(b"\r\n")
    fields = []
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise BadHead(400, "not a header field")
        fields.append((match[1], match[2]))
    return first, fields


def _values(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for field, value in fields if field.lower() == name]


def _end_to_end(fields: list[tuple[bytes, bytes]], dropped: frozenset[bytes] = frozenset()) -> list[bytes]:
    """Return the field lines that are not about this one connection (RFC 9110, section 7.6.1)."""
    named = {token.strip().lower() for value in _values(fields, b"connection") for token in value.split(b",")}
    # A field that says how long the body is stays, whatever "Connection" names.
    named -= {b"content-length", b"transfer-encoding"}
    return [b"%s: %s" % pair for pair in fields if pair[0].lower() not in _HOP_BY_HOP | dropped | named]


def _authority(text: str, default_port: int | None) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:@/\\%]+))(?::([0-9]{1,5}))?", text)
    if match is None:
        raise BadHead(400, "not a host and port")
    port = int(match[3]) if match[3] else default_port
    if port is None or not 1 <= port <= 65535:
        raise BadHead(400, "not a port")
    return (match[1] or match[2]).lower(), port


def _token(values: list[bytes]) -> str:
    if len(values) != 1:
        return ""
    scheme, _, credentials = values[0].partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        user = base64.b64decode(credentials.strip(), validate=True).partition(b":")[0]
        return user.decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""
