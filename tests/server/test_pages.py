"""Plain HTTP: health, the protocol, errors, and requests that are too large."""

from __future__ import annotations

import asyncio
import json

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.iostream import IOStream
from tornado.tcpclient import TCPClient

from cutaway.protocol import VIDEO_PATH, json_schema


async def get(server, path: str, **options) -> HTTPResponse:
    return await AsyncHTTPClient().fetch(server.url(path), raise_error=False, **options)


@pytest.mark.gen_test
async def test_health(serve_fake) -> None:
    server = serve_fake()
    answer = await get(server, "/health")
    assert answer.code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body) == {"status": "healthy"}
    assert (await get(server, "/health", method="HEAD")).code == 200
    assert (await get(server, "/health", headers={"Host": "balancer.example"})).code == 200


@pytest.mark.gen_test
async def test_protocol(serve_fake) -> None:
    answer = await get(serve_fake(), "/protocol.json")
    assert json.loads(answer.body) == json_schema()


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("path", "options", "code", "error"),
    [
        ("/nothing", {}, 404, "Not Found"),
        ("/web/app.js", {}, 404, "Not Found"),
        ("/ws/video-snippets/", {}, 404, "Not Found"),
        ("/%00..%2f..%2fetc/passwd", {}, 404, "Not Found"),
        ("/health", {"method": "POST", "body": ""}, 405, "Method Not Allowed"),
        ("/", {"headers": {"Host": "evil.example"}}, 403, "Unknown Host"),
        ("/protocol.json", {"headers": {"Host": "evil.example"}}, 403, "Unknown Host"),
    ],
)
async def test_errors_are_json_with_security_headers(serve_fake, path, options, code, error) -> None:
    answer = await get(serve_fake(), path, **options)
    assert answer.code == code
    assert json.loads(answer.body) == {"error": error}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "Server" not in answer.headers


@pytest.mark.gen_test
async def test_a_socket_path_without_a_handshake(serve_fake) -> None:
    answer = await get(serve_fake(), VIDEO_PATH)
    assert answer.code == 400


@pytest.mark.gen_test
@pytest.mark.parametrize(("size", "code"), [(60_000, 200), (70_000, 431), (900_000, 431)])
@pytest.mark.parametrize("fields", [1, 50])
async def test_header_size(serve_fake, size: int, code: int, fields: int) -> None:
    headers = {f"X-Filler-{number}": "x" * (size // fields) for number in range(fields)}
    answer = await get(serve_fake(), "/health", headers=headers)
    assert answer.code == code
    assert json.loads(answer.body) == (
        {"status": "healthy"} if code == 200 else {"error": "Request Header Fields Too Large"}
    )


@pytest.mark.gen_test
async def test_an_oversized_handshake_is_answered(serve_fake) -> None:
    server = serve_fake()
    stream: IOStream = await TCPClient().connect("127.0.0.1", server.port)
    await stream.write(
        b"GET /ws/video-snippets?video_url=x HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"X-Filler: " + b"x" * 100_000 + b"\r\n\r\n"
    )
    assert (await stream.read_until(b"\r\n")).startswith(b"HTTP/1.1 431 ")
    stream.close()


@pytest.mark.gen_test
async def test_bodies_are_refused(serve_fake) -> None:
    server = serve_fake()
    stream: IOStream = await TCPClient().connect("127.0.0.1", server.port)
    await stream.write(b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
    assert (await asyncio.wait_for(stream.read_until_close(), 5)).startswith((b"HTTP/1.1 4", b""))
    stream.close()
