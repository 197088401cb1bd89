"""The blocking client: in scripts, in threads, beside a running loop, under Ctrl-C."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import subprocess
import sys
import threading
import time

import pytest

import cutaway
from cutaway import Client, Progress
from cutaway.loop import background

from .fake_server import URL, FakeServer, Hang, complete, error, progress, snippet

BIG = [snippet(number, size_bytes=2 * 2**20) for number in range(2, 42)]


def test_a_loop_gets_snippets_and_progress_in_its_own_thread() -> None:
    threads = []
    with FakeServer(progress(), snippet(1), snippet(2), complete()) as server, Client(server.url) as client:

        def on_progress(seen: Progress) -> None:
            threads.append(threading.current_thread())

        titles = [each.title for each in client.snippets(URL, on_progress=on_progress)]
    assert titles == ["Moment 1", "Moment 2"]
    assert threads == [threading.current_thread()]


def test_errors_come_through_with_what_was_received() -> None:
    with FakeServer(snippet(), error("no such video")) as server:
        with pytest.raises(cutaway.ServerError, match="no such video") as caught:
            Client(server.url).snippets(URL).result()
        assert len(caught.value.snippets) == 1


def test_an_exception_in_on_progress_is_the_callers() -> None:
    def fail(_: Progress) -> None:
        raise KeyError("mine")

    with FakeServer(progress(), Hang()) as server, Client(server.url) as client:
        with pytest.raises(KeyError, match="mine"):
            client.snippets(URL, on_progress=fail).result()
        assert server.left.wait(5)


@pytest.mark.parametrize("how", ["break", "block", "close", "client", "delete"])
def test_leaving_early_stops_the_server_within_100_ms_while_it_writes(how: str) -> None:
    with FakeServer(snippet(1), *BIG, complete()) as server, Client(server.url) as client:
        if how == "break":
            for _ in client.snippets(URL):
                assert server.blocked.wait(5)
                left_at = time.monotonic()
                break
        elif how == "block":
            with client.snippets(URL) as stream:
                next(stream)
                assert server.blocked.wait(5)
                left_at = time.monotonic()
        else:
            stream = client.snippets(URL)
            next(stream)
            assert server.blocked.wait(5)
            left_at = time.monotonic()
            if how == "close":
                stream.close()
                assert list(stream) == []
            elif how == "client":
                client.close()
            else:
                del stream
        assert server.left.wait(5)
        assert server.left_at - left_at < 0.1


def test_close_from_another_thread_ends_the_loop() -> None:
    with FakeServer(snippet(), Hang()) as server, Client(server.url) as client:
        stream = client.snippets(URL)
        timer = threading.Timer(0.2, stream.close)
        timer.start()
        assert len(list(stream)) == 1
        timer.join()
        assert server.left.wait(5)


def test_many_threads_use_one_client() -> None:
    with FakeServer(snippet(1), snippet(2), complete()) as server, Client(server.url) as client:
        counts: list[int] = []
        threads = [threading.Thread(target=lambda: counts.append(len(client.snippets(URL).result()))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts == [2] * 6


def test_it_works_while_another_loop_runs_in_the_same_thread() -> None:
    """As in a Jupyter kernel, whose cells are run by a coroutine."""
    with FakeServer(snippet(1), snippet(2), complete()) as server:

        async def cell() -> list[str]:
            return [each.title for each in Client(server.url).snippets(URL)]

        assert asyncio.run(cell()) == ["Moment 1", "Moment 2"]


def test_it_goes_on_while_the_caller_does_something_else() -> None:
    with FakeServer(snippet(1), snippet(2), complete()) as server, Client(server.url).snippets(URL) as stream:
        assert server.left.wait(5)  # the whole answer was read, though nobody iterated
        assert len(list(stream)) == 2


def test_its_own_loop_is_refused() -> None:
    async def call() -> None:
        Client("ws://127.0.0.1:1").snippets(URL).result()

    with pytest.raises(RuntimeError, match="AsyncClient"):
        background().run(call())


SCRIPT = """
import cutaway, sys
try:
    for snippet in cutaway.Client(sys.argv[1]).snippets("https://example.com/talk.mp4"):
        print(snippet.title, flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.read()
"""


def test_ctrl_c_stops_the_work_on_the_server_while_the_program_lives_on() -> None:
    with FakeServer(snippet(), Hang()) as server:
        child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "Moment 1\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "interrupted\n"
        assert server.left.wait(5)
        assert child.poll() is None
        child.communicate(timeout=10)
        assert child.returncode == 0


def test_a_program_that_ends_with_an_open_stream_ends_quietly() -> None:
    script = """
import cutaway, sys
stream = cutaway.Client(sys.argv[1]).snippets("https://example.com/talk.mp4")
print(next(stream).title)
"""
    with FakeServer(snippet(1), *BIG, complete()) as server:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", script, server.url], capture_output=True, text=True, timeout=20
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "Moment 1\n", "")
        assert server.left.wait(5)


def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    script = """
import cutaway, os, sys
client = cutaway.Client(sys.argv[1])
assert len(client.snippets("https://example.com/talk.mp4").result()) == 1
pid = os.fork()
if pid == 0:
    ok = len(client.snippets("https://example.com/talk.mp4").result()) == 1
    os._exit(0 if ok else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork here")
    with FakeServer(snippet(1), complete()) as server:
        done = subprocess.run([sys.executable, "-c", script, server.url], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
