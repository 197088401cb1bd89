"""Reading requests to the proxy, and rewriting the heads that pass it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway_server.fetch.heads import BadHead, RequestHead, closing_response_head


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def test_connect() -> None:
    request = RequestHead.parse(head("CONNECT Example.org:443 HTTP/1.1", "Proxy-Authorization: Basic dG9rZW46"))
    assert request == RequestHead("example.org", 443, "token")
    assert RequestHead.parse(head("CONNECT [::1]:80 HTTP/1.1")) == RequestHead("::1", 80, "")


def test_absolute_form() -> None:
    request = RequestHead.parse(
        head(
            "GET HTTP://Films.example:8080/a;b?c=%20#d HTTP/1.1",
            "Host: other.example",
            "proxy-authorization: basic dG9rZW46cGFzcw==",
            "Proxy-Connection: keep-alive",
            "Connection: keep-alive, X-Private",
            "X-Private: 1",
            "Range: bytes=0-9",
            "TE: trailers",
        )
    )
    assert (request.host, request.port, request.token, request.body_bytes) == ("films.example", 8080, "token", 0)
    assert request.forward == head(
        "GET /a;b?c=%20 HTTP/1.1", "Host: Films.example:8080", "Range: bytes=0-9", "Connection: close"
    )
    bare = RequestHead.parse(head("GET http://films.example?q HTTP/1.0"))
    assert bare.forward == head("GET /?q HTTP/1.1", "Host: films.example", "Connection: close")
    assert bare.port == 80


def test_a_body_needs_its_length() -> None:
    assert RequestHead.parse(head("POST http://h/ HTTP/1.1", "Content-Length: 12")).body_bytes == 12


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["CONNECT example.org HTTP/1.1"], 400),
        (["CONNECT example.org:0 HTTP/1.1"], 400),
        (["CONNECT example.org:65536 HTTP/1.1"], 400),
        (["CONNECT ex%61mple.org:80 HTTP/1.1"], 400),
        (["CONNECT user@example.org:80 HTTP/1.1"], 400),
        (["CONNECT [fe80::1%25lo]:80 HTTP/1.1"], 400),
        (["CONNECT example.org:443 HTTP/2"], 400),
        (["GET / HTTP/1.1", "Host: example.org"], 400),
        (["GET https://example.org/ HTTP/1.1"], 400),
        (["GET ftp://example.org/ HTTP/1.1"], 400),
        (["GET http://user:pass@example.org/ HTTP/1.1"], 400),
        (["GET http:/// HTTP/1.1"], 400),
        (["DELETE http://example.org/ HTTP/1.1"], 405),
        (["GET http://h/ HTTP/1.1", "A: b\nC: d"], 400),
        (["GET http://h/ HTTP/1.1", "A: b", " folded"], 400),
        (["GET http://h/ HTTP/1.1", "A : b"], 400),
        (["GET http://h/ HTTP/1.1", "no field"], 400),
        (["GET http://h/ HTTP/1.1", "A: \x00"], 400),
        (["POST http://h/ HTTP/1.1", "Transfer-Encoding: chunked"], 411),
        (["POST http://h/ HTTP/1.1", "Content-Length: 1", "Content-Length: 2"], 411),
        (["POST http://h/ HTTP/1.1", "Content-Length: -1"], 400),
        ([""], 400),
        (["\x16\x03\x01"], 400),
    ],
)
def test_bad_heads(lines: list[str], status: int) -> None:
    with pytest.raises(BadHead) as caught:
        RequestHead.parse(head(*lines))
    assert caught.value.status == status


@pytest.mark.parametrize(
    "value", ["Bearer token", "Basic", "Basic %%%", "Basic /////w==", "Basic dG9rZW46, Basic dG9rZW46"]
)
def test_no_token(value: str) -> None:
    assert RequestHead.parse(head("CONNECT h:1 HTTP/1.1", f"Proxy-Authorization: {value}")).token == ""


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(data: bytes) -> None:
    for parse in (RequestHead.parse, closing_response_head):
        with contextlib.suppress(BadHead):
            parse(data + b"\r\n\r\n")


def test_a_response_is_made_one_of_a_closing_connection() -> None:
    status, changed = closing_response_head(
        head("HTTP/1.1 206 Partial Content", "Connection: Keep-Alive", "Keep-Alive: timeout=5", "Content-Length: 3")
    )
    assert status == 206
    assert changed == head("HTTP/1.1 206 Partial Content", "Content-Length: 3", "Connection: close")
    with pytest.raises(BadHead):
        closing_response_head(b"SSH-2.0-OpenSSH\r\n\r\n")
