"""Fixtures of all tests: an event loop that ends clean, checks that nothing is left behind, and servers in child
processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from cutaway_server.sample import make_sample
from processes import ServerProcess, alive, children_of, command, descendants_of, wait_until

LEAK_SECONDS = 3.0
"""How long what a test has started may take to disappear."""


@pytest.fixture(autouse=True, scope="session")
def data_dir_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees, or changes, the articles of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUTAWAY_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True, scope="session")
def no_key() -> Iterator[None]:
    """No test asks the real model for whoever runs it, or anybody by their proxy."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("GOOGLE_", "GEMINI_", "CUTAWAY_GEMINI_")) or name.upper().endswith("_PROXY"):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """What a shell runs in the background ignores SIGINT, and so would all whom a test interrupts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def googles_library() -> None:
    """Loaded and, as in a server, out of the collector's sight, whose look at all of it stops everything for 0.1 s."""
    importlib.import_module("cutaway_server.gemini.wire")
    gc.collect()
    gc.freeze()


@pytest.fixture
def io_loop() -> Iterator[IOLoop]:
    """pytest-tornado's fixture without its deprecated ``make_current``; fails when tasks are left."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    io_loop = IOLoop.current()
    problems: list[str] = []
    loop.set_exception_handler(lambda _, context: problems.append(str(context.get("exception") or context["message"])))
    try:
        yield io_loop
        left = loop.run_until_complete(_left_tasks())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        gc.collect()  # exceptions that nobody retrieved are told when a task is collected
        loop.run_until_complete(asyncio.sleep(0))
        assert not left, f"tasks left: {left}"
        assert not problems, f"lost exceptions: {problems}"
    finally:
        io_loop.close()
        asyncio.set_event_loop(None)


async def _left_tasks() -> set[asyncio.Task[object]]:
    own = asyncio.current_task()
    left = asyncio.all_tasks() - {own}
    if left:
        _, left = await asyncio.wait(left, timeout=LEAK_SECONDS)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    return left


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """No child process, thread, socket, pipe or memory file may outlive its test."""
    before = _possessions()
    yield
    deadline = time.monotonic() + LEAK_SECONDS
    while left := _possessions() - before:
        if time.monotonic() > deadline:
            pytest.fail(f"left behind: {sorted(left)}")
        gc.collect()
        time.sleep(0.01)


def _possessions() -> set[str]:
    found = {f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()}
    found |= {f"child {pid}: {command(pid)}" for pid in children_of(os.getpid())}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(entry.readlink())
            if target.startswith(("socket:", "pipe:", "/memfd:")):
                found.add(target)
    return found


@pytest.fixture
def work_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder for a server's temporary files; must be empty in the end."""
    folder = tmp_path / "work"
    folder.mkdir()
    yield folder
    assert not list(folder.iterdir()), "temporary files left"


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start ``python -m cutaway_server`` (or another program of the same kind) on a free port."""
    started: list[ServerProcess] = []

    def start(
        *arguments: str, program: tuple[str, ...] = ("-m", "cutaway_server"), seconds: float = 30.0
    ) -> ServerProcess:
        errors = tmp_path / f"stderr-{len(started)}"
        with errors.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, *program, "--port", "0", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=tmp_path,
            )
        server = ServerProcess(process, 0, errors)
        started.append(server)
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], seconds)[0], "the server says nothing"
        line = process.stdout.readline()
        match = re.fullmatch(r"Listening on http://127\.0\.0\.1:(\d+)\n", line)
        assert match, f"{line!r} {errors.read_text()}"
        server.port = int(match[1])
        server.descendants = descendants_of(process.pid)
        return server

    yield start
    for server in started:
        server.process.kill()
        server.process.wait()
        for stream in (server.process.stdin, server.process.stdout):
            assert stream is not None
            stream.close()
        wait_until(lambda server=server: not any(map(alive, server.descendants)))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film that ``cutaway demo`` makes for itself; it takes some seconds."""
    path = tmp_path_factory.mktemp("sample") / "sample.mp4"
    make_sample(path)
    assert [each.name for each in path.parent.iterdir()] == ["sample.mp4"]
    return path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
    ]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key"), "-out", str(folder / "crt")]
    try:
        subprocess.run([*command, *names], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the openssl command")
    both = folder / "both.pem"
    both.write_bytes((folder / "key").read_bytes() + (folder / "crt").read_bytes())
    return both


@pytest.fixture(scope="session")
def recordings() -> Path:
    """A folder that is not part of the project: ``shared/media/gemini`` beside it."""
    folder = Path(__file__).parents[2] / "shared" / "media" / "gemini"
    if not folder.is_dir():
        pytest.skip("the folder shared/media/gemini beside the project is absent")
    return folder
