"""A real server process: starting, stopping, dying."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop
from tornado.websocket import WebSocketClientConnection, websocket_connect

from cutaway.protocol import VIDEO_PATH
from cutaway_server.serve import CannotStart, _work_dir
from processes import ServerProcess, alive, descendants_of, wait_until

PROGRAM = (str(Path(__file__).parent / "fake_service.py"),)


@pytest.fixture
def start(start_server: Callable[..., ServerProcess]) -> Callable[..., ServerProcess]:
    return lambda *arguments: start_server("--workers", "2", *arguments, program=PROGRAM)


clients: list[WebSocketClientConnection] = []


@pytest.fixture(autouse=True)
def close_clients(io_loop: IOLoop) -> Iterator[None]:
    yield

    async def close() -> None:
        while clients:
            clients.pop().close()

    io_loop.run_sync(close)


async def connect(server: ServerProcess, video: str) -> WebSocketClientConnection:
    """A request whose first frame was received."""
    client = await websocket_connect(server.url(f"{VIDEO_PATH}?video_url=https://a.example/{video}", "ws"))
    clients.append(client)
    assert await client.read_message() is not None
    return client


async def hanging(server: ServerProcess, work_dir: Path) -> tuple[WebSocketClientConnection, list[int]]:
    """A request in the middle of a job, with the processes of that job."""
    client = await connect(server, "hang")
    reports: list[Path] = []

    def reported() -> bool:
        reports[:] = [
            path for path in work_dir.glob(".cutaway-work-*/*") if path.suffix != ".part" and path.name != "lock"
        ]
        return bool(reports)

    wait_until(reported)
    return client, [int(pid) for pid in reports[0].read_text().split()]


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def no_process_left(server: ServerProcess, more: list[int]) -> None:
    wait_until(lambda: not any(map(alive, {*server.descendants, *more})), 2)


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_in_mid_stream(start, work_dir: Path, number: int) -> None:
    server = start("--grace-seconds", "0.2", "--work-dir", str(work_dir))
    client, pids = await hanging(server, work_dir)
    server.process.send_signal(number)
    frame = await client.read_message()
    assert frame is not None
    assert "The server is stopping." in frame
    assert await client.read_message() is None
    assert client.close_code == 1000
    assert server.process.wait(10) == 0
    no_process_left(server, pids)
    assert "Traceback" not in server.errors.read_text()


@pytest.mark.gen_test(timeout=30)
async def test_grace_lets_a_request_finish_but_admits_no_other(start) -> None:
    server = start("--grace-seconds", "10")
    client = await connect(server, "soon")
    server.process.send_signal(signal.SIGTERM)
    assert "progress" in str(await client.read_message())
    assert "snippet_complete" in str(await client.read_message())
    assert await client.read_message() is None
    assert server.process.wait(5) == 0


@pytest.mark.gen_test(timeout=30)
async def test_a_second_signal_exits_at_once(start, work_dir: Path) -> None:
    server = start("--grace-seconds", "60", "--work-dir", str(work_dir))
    client, pids = await hanging(server, work_dir)
    server.process.send_signal(signal.SIGTERM)
    port_closed(server.port)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(2) == 1
    no_process_left(server, pids)
    assert await client.read_message() is None
    for name in names(work_dir):
        shutil.rmtree(work_dir / name)


def port_closed(port: int) -> None:
    """Return when nobody listens any more: the first signal was seen."""

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionError:
            return True
        return False

    wait_until(refused)


@pytest.mark.gen_test(timeout=30)
async def test_a_killed_server_leaves_no_process_and_the_next_one_sweeps(start, work_dir: Path) -> None:
    server = start("--work-dir", str(work_dir))
    client, pids = await hanging(server, work_dir)
    server.process.kill()
    server.process.wait()
    no_process_left(server, pids)
    assert await client.read_message() is None
    assert names(work_dir)
    foreign = work_dir / "cutaway-demo"
    foreign.mkdir()
    assert start("--work-dir", str(work_dir)).stop() == 0
    assert names(work_dir) == [foreign.name]
    foreign.rmdir()


def test_the_folder_of_a_living_server_is_not_swept(start, work_dir: Path) -> None:
    first = start("--work-dir", str(work_dir))
    (own,) = work_dir.iterdir()
    second = start("--work-dir", str(work_dir))
    assert own.exists()
    assert len(names(work_dir)) == 2
    assert first.stop() == 0
    assert second.stop() == 0


def test_without_a_work_folder_a_killed_server_is_swept_too(
    start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    base = tmp_path / f"cutaway-{os.getuid()}"
    server = start()
    server.process.kill()
    server.process.wait()
    assert names(base)
    assert base.stat().st_mode & 0o777 == 0o700
    assert start().stop() == 0
    assert not names(base)


def test_a_shared_folder_that_is_not_private_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"cutaway-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(CannotStart, match="not a private folder"), _work_dir(None):
        pass


@pytest.mark.gen_test(timeout=30)
async def test_leaving_kills_the_job(start, work_dir: Path) -> None:
    server = start("--work-dir", str(work_dir))
    client, pids = await hanging(server, work_dir)
    client.close()
    wait_until(lambda: not any(map(alive, pids)), 0.2)
    assert server.stop() == 0


def test_health_answers_and_the_end_of_stdin_stops(start) -> None:
    server = start("--exit-with-parent")
    with urllib.request.urlopen(server.url("/health"), timeout=5) as answer:
        assert answer.read() == b'{"status":"healthy"}'
    server.process.stdin.close()
    assert server.process.wait(10) == 0
    no_process_left(server, [])


def test_interrupting_the_whole_group_is_an_orderly_stop(start) -> None:
    server = start()
    for pid in descendants_of(server.process.pid):
        os.kill(pid, signal.SIGINT)
    with urllib.request.urlopen(server.url("/health"), timeout=5) as answer:
        assert answer.status == 200
    assert server.stop(signal.SIGINT) == 0
    assert "Traceback" not in server.errors.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--port", "TAKEN"], 1, "cannot listen on 127.0.0.1 port"),
        (["--host", "no.such.name.invalid"], 1, "cannot listen on no.such.name.invalid"),
        (["--work-dir", "/dev/null/x"], 1, "cannot use the work folder"),
        (["--port", "x"], 2, "--port"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(arguments: list[str], code: int, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = [each.replace("TAKEN", str(taken.getsockname()[1])) for each in arguments]
        ended = subprocess.run([sys.executable, *PROGRAM, *arguments], capture_output=True, text=True, timeout=30)
    assert ended.returncode == code
    assert not ended.stdout
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1
