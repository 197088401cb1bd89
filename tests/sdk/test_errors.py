"""Every failure, of the network and of lower libraries, arrives as one of the package's errors and says what to do."""

from __future__ import annotations

import contextlib
import inspect
import pickle
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cutaway
from cutaway import Client, connection, errors

from .fake_server import URL, Abort, Close, FakeServer, Hang, complete, progress, snippet


@contextlib.contextmanager
def raw_server(answer: Callable[[socket.socket], Any]) -> Iterator[str]:
    """A server that is not even HTTP: it answers each connection as it likes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def failure(server: str, **options: Any) -> cutaway.CutawayError:
    with pytest.raises(cutaway.CutawayError) as caught:
        Client(server, **{"connect_retries": 0, "connect_timeout": 5, **options}).snippets(URL).result()
    return caught.value


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_nothing_listens() -> None:
    error = failure(f"ws://127.0.0.1:{closed_port()}")
    assert isinstance(error, cutaway.ConnectError)
    assert isinstance(error.__cause__, ConnectionRefusedError)
    assert "cutaway serve" in str(error)


def test_no_such_host() -> None:
    error = failure("ws://no-such-host.invalid")
    assert isinstance(error, cutaway.ConnectError)
    assert isinstance(error.__cause__, OSError)


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH_9.9\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"],
    ids=["nothing", "SSH", "HTTP"],
)
def test_something_else_listens(answer: bytes) -> None:
    with raw_server(lambda each: each.sendall(answer)) as url:
        error = failure(url)
    assert isinstance(error, cutaway.ConnectError), error
    assert error.__cause__ is not None


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Upgrade: nonsense\r\nConnection: Upgrade\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n",
    ],
    ids=["none", "another protocol", "wrong key"],
)
def test_a_handshake_that_is_wrong(headers: bytes) -> None:
    script = """
import cutaway, sys
try:
    cutaway.Client(sys.argv[1], connect_retries=0).snippets("https://example.com/talk.mp4").result()
except cutaway.ConnectError as error:
    print(error)
"""
    # In a child: Tornado warns of the connection that it did not hand out, whenever that is collected.
    with raw_server(lambda each: each.sendall(b"HTTP/1.1 101 Switching\r\n" + headers + b"\r\n")) as url:
        done = subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0
    assert "is it Cutaway?" in done.stdout


def test_a_handshake_that_is_never_answered_is_a_timeout() -> None:
    release = threading.Event()
    with raw_server(lambda _: release.wait(5)) as url:
        error = failure(url, connect_timeout=0.2, connect_retries=3)
        release.set()
    assert isinstance(error, cutaway.Timeout)
    assert "connect_timeout=0.2" in str(error)


def test_tls_to_a_server_without_it() -> None:
    with raw_server(lambda each: each.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        error = failure(url.replace("ws:", "wss:"))
    assert isinstance(error, cutaway.ConnectError)
    assert isinstance(error.__cause__, ssl.SSLError)
    assert "TLS" in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_a_refused_handshake_is_final(status: int) -> None:
    with FakeServer(complete(), refusals=[status] * 9) as server:
        error = failure(server.url, connect_retries=4)
        assert server.handshakes == 1
    assert isinstance(error, cutaway.ConnectError)
    assert error.status == status
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_overloaded_server_is_tried_again(status: int) -> None:
    with FakeServer(snippet(), complete(), refusals=[status, status]) as server:
        assert len(Client(server.url).snippets(URL).result()) == 1
        assert server.handshakes == 3


def test_retries_are_bounded_and_the_pauses_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = list(connection.backoff(4))
    assert len(pauses) == 4
    assert all(0.1 * 2**number <= pause <= 0.125 * 2**number for number, pause in enumerate(pauses))
    with FakeServer(complete(), refusals=[503] * 9) as server:
        error = failure(server.url, connect_retries=1)
        assert server.handshakes == 2
    assert isinstance(error, cutaway.ConnectError)


def test_a_server_that_falls_silent_is_a_timeout() -> None:
    with FakeServer(progress(), Hang()) as server:
        error = failure(server.url, gap_timeout=0.2)
        assert isinstance(error, cutaway.Timeout)
        assert "gap_timeout=0.2" in str(error)
        assert server.left.wait(5)


def test_a_stream_that_takes_too_long_is_a_timeout() -> None:
    with FakeServer(snippet(), Hang()) as server:
        error = failure(server.url, total_timeout=0.3)
        assert isinstance(error, cutaway.Timeout)
        assert "total_timeout=0.3" in str(error)
        assert len(error.snippets) == 1
        assert server.left.wait(5)


@pytest.mark.parametrize("step", [Abort(), Close(1000, ""), Close(1011, "why"), Close(1012, "")])
def test_an_end_before_the_terminal_message_is_a_lost_connection(step: Any) -> None:
    with FakeServer(progress(), step) as server:
        error = failure(server.url)
        assert server.handshakes == 1
    assert isinstance(error, cutaway.ConnectionLost)


def test_a_message_over_the_limit_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_MESSAGE_BYTES", 2**20)
    with FakeServer(snippet(size_bytes=2**20), complete()) as server:
        error = failure(server.url)
    assert isinstance(error, cutaway.ConnectionLost)
    assert "1 MiB" in str(error)


@pytest.mark.parametrize(
    "frame",
    ["", "garbage", "[]", "{}", '{"type":"unknown"}', '{"type":"snippet"}', b"\xff\xfe", "[" * 100_000,
     '{"type":"snippet","data":{"video_data":"%%%","metadata":{"src_video_url":"","title":"","description":""}}}'],
    ids=range(9),
)  # fmt: skip
def test_a_frame_that_is_no_message(frame: str | bytes) -> None:
    with FakeServer(snippet(), frame, Hang()) as server:
        error = failure(server.url)
        assert isinstance(error, cutaway.ProtocolError)
        assert len(str(error)) < 300
        assert len(error.snippets) == 1
        assert server.left.wait(5)


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("localhost:8000", "ws://localhost:8000"),
        ("", "address"),
        ("ftp://example.com", "ftp"),
        ("ws://", "address"),
        ("ws://example.com:99999", "99999"),
        ("ws://[::1", "address"),
        ("ws://example.com/?a=b", "address"),
    ],
)
def test_what_is_no_server_is_refused_at_once(server: str, words: str) -> None:
    with pytest.raises(cutaway.InvalidRequest, match=words):
        Client(server)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://e.com", "ws://e.com"),
        ("https://e.com:1/", "wss://e.com:1"),
        ("wss://e.com/prefix/", "wss://e.com/prefix"),
        ("ws://e.com/ws/video-snippets", "ws://e.com"),
        ("HTTP://[::1]:80", "ws://[::1]:80"),
    ],
)
def test_server_addresses(given: str, address: str) -> None:
    assert connection.server_address(given) == address


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"max_snippets": 0}, "max_snippets=0"),
        ({"max_snippets": 51}, "max_snippets=51"),
        ({"max_snippets": "many"}, "max_snippets='many'"),
        ({"max_snippets": True}, "max_snippets=True"),
        ({"min_seconds": 0.5}, "min_seconds=0.5"),
        ({"max_seconds": float("inf")}, "max_seconds=inf"),
        ({"min_seconds": float("nan")}, "min_seconds=nan"),
        ({"min_seconds": 20, "max_seconds": 10}, r"min_seconds \(20\) must not be greater than max_seconds \(10\)"),
        ({"max_height": 1}, "max_height=1"),
    ],
)
def test_wishes_that_cannot_be_are_refused_in_words(wishes: dict[str, Any], words: str) -> None:
    with pytest.raises(cutaway.InvalidRequest, match=words) as caught:
        Client().snippets(URL, **wishes)
    assert "$" not in str(caught.value)
    assert "`" not in str(caught.value)


@pytest.mark.parametrize(
    ("video", "words"),
    [
        ("", "no video"),
        ("ftp://e.com/v.mp4", "neither"),
        ("http://", "neither"),
        ("https:///v.mp4", "neither"),
        ("www.example.com/v.mp4", "starts with https://"),
        ("https://e.com/" + "x" * 9000, "9,014 characters"),
        (Path("missing.mp4"), "no such file"),
        (Path(), "directory"),
        ("file:///missing.mp4", "no such file"),
        ("nul\0.mp4", "cannot read"),
        ("~no-such-user/v.mp4", "no-such-user"),
    ],
)
def test_what_is_no_video_is_refused_at_once(video: Any, words: str) -> None:
    with pytest.raises(cutaway.InvalidRequest, match=words):
        Client().snippets(video)


def test_errors_survive_pickling() -> None:
    for name in errors.__all__:
        kind = getattr(cutaway, name)
        assert inspect.isclass(kind)
        copy = pickle.loads(pickle.dumps(kind("what happened")))
        assert type(copy) is kind
        assert str(copy) == "what happened"
    error = pickle.loads(pickle.dumps(cutaway.ServerError("no", URL)))
    assert (error.message, error.src_video_url) == ("no", URL)
