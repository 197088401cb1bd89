"""``/ws/video-snippets`` with a fake service: the order of messages, their end, and clients that misbehave."""

from __future__ import annotations

import asyncio
import logging
import socket
import time

import pytest
from fake_service import FRAME
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.iostream import IOStream

from cutaway.protocol import VIDEO_PATH, SnippetComplete, VideoError
from cutaway_server.errors import Fault
from cutaway_server.sockets.video import VideoSnippets
from processes import wait_until

VIDEO = "https://video.example/a.mp4"
LARGE = b'{"type":"progress","stage":"cut","fraction":0.5,"metadata":{"src_video_url":"%s"}}' % (b"x" * 12_000_000)


@pytest.mark.gen_test
async def test_frames_then_complete(serve_fake) -> None:
    server = serve_fake(FRAME, FRAME)
    messages = await server.ask(max_snippets="3")
    assert len(messages) == 3
    assert messages[-1] == SnippetComplete(metadata=messages[-1].metadata)
    assert messages[-1].metadata.src_video_url == VIDEO
    assert server.service.requests[0].max_snippets == 3
    assert server.service.closed.is_set()


@pytest.mark.gen_test
@pytest.mark.parametrize("before", [0, 1, 3])
async def test_a_fault_is_told(serve_fake, before: int) -> None:
    messages = await serve_fake(*[FRAME] * before, Fault("No such video.")).ask()
    assert len(messages) == before + 1
    assert messages[-1].message == "No such video."
    assert messages[-1].metadata.src_video_url == VIDEO


@pytest.mark.gen_test
@pytest.mark.parametrize("error", [ValueError("secret"), TimeoutError("secret"), OSError("secret"), KeyError("secret")])
async def test_a_defect_is_logged_and_not_told(serve_fake, error, caplog: pytest.LogCaptureFixture) -> None:
    messages = await serve_fake(FRAME, error).ask()
    assert messages[-1].message.startswith("Something failed inside the server (request ")
    assert "secret" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.gen_test
async def test_a_request_has_an_end(serve_fake) -> None:
    server = serve_fake(FRAME, asyncio.Event(), request_seconds=0.2)
    messages = await server.ask()
    assert len(messages) == 2
    assert "0.2 seconds" in messages[-1].message
    assert server.service.closed.is_set()


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "video_url is missing"),
        ("video_url=", "video_url is missing"),
        ("max_snippets=3", "video_url is missing"),
        ("video_url=https://a.example/&max_seconds=999", "max_seconds must be at most 300 (got 999)"),
        ("video_url=https://a.example/&min_seconds=0", "min_seconds must be at least 1 (got 0)"),
        ("video_url=https://a.example/&max_snippets=many", "max_snippets must be a whole number (got 'many')"),
        ("video_url=https://a.example/&progress=maybe", "progress must be 1 or 0"),
        ("video_url=https://a.example/&min_seconds=20&max_seconds=10", "min_seconds (20) must not be greater"),
        ("video_url=https://a.example/?a=1&b=2", "b is not a parameter"),
        ("video_url=https://a.example/&video_url=https://b.example/", "video_url was given more than once"),
        ("video_url=https://a.example/%FF", "video_url is not valid UTF-8"),
        ("video_url=https://a.example/&%FF=1", "not valid UTF-8"),
        ("video_url=https://a.example/" + "x" * 8192, "at most 8192 characters"),
        ("video_url=https://a.example/" + "x" * 60_000, "at most 8192 characters"),
        ("video_url=https://a.example/" + "x" * 300_000, "too long: 300028 bytes (at most 65536)"),
        ("&".join(f"p{n}=1" for n in range(100)), "too many parameters"),
    ],
)
async def test_bad_queries_get_one_error_in_words(serve_fake, query: str, words: str) -> None:
    server = serve_fake(FRAME)
    (message,) = await server.ask(query)
    assert isinstance(message, VideoError)
    assert words in message.message
    assert not server.service.requests


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https%3A%2F%2Fa.example%2F%3Fq%3D1%23f", "https://a.example/?q=1#f"),
        ("https://us%65r:word@a.example/", "https://***@a.example/"),
        ("https://user:wo/rd@a.example/", "https://***@a.example/"),
        ("user:word@a.example/f.mp4", "***@a.example/f.mp4"),
        ("caf%C3%A9+x", "café x"),
        ("%FF", "�"),
    ],
)
async def test_errors_repeat_the_url_as_given(serve_fake, given: str, shown: str) -> None:
    (message,) = await serve_fake().ask(f"video_url={given}&max_seconds=999")
    assert message.metadata.src_video_url == shown


@pytest.mark.gen_test
async def test_raw_bytes_in_the_request_line(serve_fake) -> None:
    server = serve_fake(FRAME)
    stream = await handshake(server.port, "video_url=https://a.example/caf\u00e9".encode())
    await server.service.closed.wait()
    assert server.service.requests[0].video_url == "https://a.example/café"
    stream.close()


# --- leaving ---------------------------------------------------------------------------------------------


@pytest.mark.gen_test
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("stage", ["started", "sending", "between"])
async def test_leaving_closes_the_generator_at_once(serve_fake, how: str, stage: str) -> None:
    steps = {"started": (), "sending": [LARGE] * 5, "between": (FRAME,)}[stage]
    server = serve_fake(*steps, asyncio.Event())
    stream = await handshake(server.port, f"video_url={VIDEO}".encode())
    await server.service.started.wait()
    if stage == "between":
        await stream.read_bytes(len(FRAME))
    before = time.monotonic()
    if how == "close":
        await stream.write(b"\x88\x80\0\0\0\0")
    else:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        stream.close()
    await server.service.closed.wait()
    assert time.monotonic() - before < 0.1
    stream.close()


@pytest.mark.gen_test
async def test_leaving_while_waiting_in_line(serve_fake) -> None:
    server = serve_fake(asyncio.Event(), max_streams=1)
    first = await server.connect()
    await server.service.started.wait()
    second = await server.connect()
    tasks = list(server.live.values())
    second.close()
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert len(server.service.requests) == 1
    first.close()
    await server.service.closed.wait()


@pytest.mark.gen_test
async def test_messages_of_the_client_are_ignored_and_bounded(serve_fake) -> None:
    event = asyncio.Event()
    server = serve_fake(event)
    client = await server.connect()
    for message in ("hello", "{}", b"\0\1"):
        await client.write_message(message, binary=isinstance(message, bytes))
    event.set()
    assert await client.read_message() is not None
    server.service.steps = [asyncio.Event()]
    server.service.closed.clear()
    other = await server.connect()
    await other.write_message("x" * 100_000)
    assert await other.read_message() is None
    await server.service.closed.wait()


# --- slow and silent clients -----------------------------------------------------------------------------


@pytest.mark.gen_test(timeout=20)
async def test_a_slow_reader_survives(serve_fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes several times the limit, and pings wait behind the message, but bytes arrive all the time."""
    monkeypatch.setattr(VideoSnippets, "stall_seconds", 0.5)
    monkeypatch.setattr(VideoSnippets, "ping_seconds", 0.5)
    server = serve_fake(LARGE[:3_000_000] + LARGE[-30:])
    stream = await handshake(server.port, f"video_url={VIDEO}".encode(), receive_buffer=65536)
    before = time.monotonic()
    received = b""
    while b"snippet_complete" not in received[-400:]:
        received += await stream.read_bytes(200_000, partial=True)
        await asyncio.sleep(0.02)  # the slowness itself
    assert time.monotonic() - before > 1.0
    assert len(received) > 3_000_000
    assert received.endswith(b"\x88\x02\x03\xe8") or (await stream.read_bytes(4)).endswith(b"\x03\xe8")
    stream.close()


@pytest.mark.gen_test
async def test_a_client_that_never_reads_is_cut(serve_fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VideoSnippets, "stall_seconds", 0.3)
    server = serve_fake(LARGE, asyncio.Event())
    sock = await asyncio.to_thread(blocking_handshake, server.port)
    await server.service.closed.wait()
    sock.close()


@pytest.mark.gen_test
async def test_a_client_that_answers_no_ping_is_cut_and_one_that_does_is_not(
    serve_fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VideoSnippets, "stall_seconds", 0.3)
    monkeypatch.setattr(VideoSnippets, "ping_seconds", 0.1)
    event = asyncio.Event()
    server = serve_fake(event)
    good = await server.connect()
    bad = await handshake(server.port, f"video_url={VIDEO}".encode())
    await server.service.closed.wait()  # the bad one's
    assert server.service.running == 1
    event.set()
    assert await good.read_message() is not None
    bad.close()


# --- how many --------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_places_line_and_busy(serve_fake) -> None:
    event = asyncio.Event()
    server = serve_fake(event, max_streams=2, max_waiting=1)
    clients = [await server.connect() for _ in range(3)]
    await asyncio.to_thread(wait_until, lambda: len(server.live) == 3)
    (message,) = await server.ask()
    assert "busy" in message.message
    health = await AsyncHTTPClient().fetch(server.url("/health"))
    assert health.body == b'{"status":"healthy"}'
    event.set()
    for client in clients:
        assert await client.read_message() is not None
    assert len(server.service.requests) == 3
    assert server.service.most_running == 2


@pytest.mark.gen_test(timeout=20)
@pytest.mark.parametrize("after", [(), (FRAME,)])
async def test_a_slow_reader_keeps_no_place(serve_fake, monkeypatch: pytest.MonkeyPatch, after) -> None:
    monkeypatch.setattr(VideoSnippets, "slow_seconds", 0.05)
    server = serve_fake(LARGE, *after, max_streams=1, max_waiting=1)
    slow = await handshake(server.port, f"video_url={VIDEO}".encode(), receive_buffer=65536)
    await server.service.started.wait()
    server.service.steps = [FRAME]
    assert len(await server.ask()) == 2
    received = b""
    while b"snippet_complete" not in received[-400:]:
        received += await slow.read_bytes(1 << 20, partial=True)
    slow.close()
    assert len(await server.ask()) == 2


# --- who may connect -------------------------------------------------------------------------------------


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:PORT"}, True),
        ({"Origin": "https://app.example"}, True),
        ({"Origin": "https://APP.example/"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://127.0.0.1:1"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://evil.example:PORT", "Host": "evil.example:PORT"}, False),
        ({"Host": "evil.example"}, False),
        ({"Host": "10.0.0.1"}, False),
        ({"Host": "localhost:PORT"}, True),
        ({"Host": "[::1]:PORT"}, True),
        ({"Host": "Video.example", "Origin": "https://video.example"}, True),
        ({"Host": "evil.example", "Sec-Fetch-Site": "same-origin"}, False),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, False),
    ],
)
async def test_origin_and_host(serve_fake, headers: dict[str, str], allowed: bool) -> None:
    server = serve_fake(FRAME, allow_origin=["https://app.example"], allowed_host=["video.example"])
    headers = {name: value.replace("PORT", str(server.port)) for name, value in headers.items()}
    if allowed:
        client = await server.connect(headers=headers)
        assert await client.read_message() is not None
        await server.service.closed.wait()
    else:
        with pytest.raises(HTTPClientError) as caught:
            await server.connect(headers=headers)
        assert caught.value.code == 403
        assert not server.service.requests


# --- stopping --------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_stopping_ends_requests_with_a_message(serve_fake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = serve_fake(FRAME, asyncio.Event(), max_streams=1)
    inside, waiting = await server.connect(), await server.connect()
    assert await inside.read_message() is not None
    await asyncio.to_thread(wait_until, lambda: len(server.live) == 2)
    for handler in list(server.live):
        handler.stop()
        handler.stop()
    server.app.settings["stopping"].set()
    late = await server.connect()
    for client in (inside, waiting, late):
        frame = await client.read_message()
        assert frame is not None
        assert "The server is stopping." in frame
        assert await client.read_message() is None


# --- raw clients -----------------------------------------------------------------------------------------

_HANDSHAKE = (
    b"GET %s?%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def handshake(port: int, query: bytes, receive_buffer: int | None = None) -> IOStream:
    """A client of our own making, which does nothing by itself (no pongs, no reading)."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    stream = IOStream(sock)
    await stream.connect(("127.0.0.1", port))
    await stream.write(_HANDSHAKE % (VIDEO_PATH.encode(), query))
    head = await stream.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    assert b"permessage-deflate" not in head
    return stream


def blocking_handshake(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(_HANDSHAKE % (VIDEO_PATH.encode(), f"video_url={VIDEO}".encode()))
    assert sock.recv(12) == b"HTTP/1.1 101"
    return sock
