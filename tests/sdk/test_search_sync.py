"""The blocking client's searches: in loops, threads, notebooks, under Ctrl-C and at the end of a program."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

import cutaway
from cutaway import AgentFailed, Article, Client, GeneratedImage, ImageCaption, SummaryChunk, SummaryDone

from .fake_search import ANSWER, PNG, FakeSearch, batch, chunk, done, failed, refused
from .fake_server import Abort, Hang, Wait


def test_events_lenses_and_the_result() -> None:
    with FakeSearch(*ANSWER) as server, Client(server.url) as client:
        stream = client.search("comets")
        events = list(stream)
        assert [type(event) for event in events] == [
            *(Article, Article, SummaryChunk, GeneratedImage, Article),
            *(SummaryChunk, ImageCaption, SummaryDone),
        ]
        assert [article.number for article in stream.articles] == [1, 2, 3]
        assert "".join(stream.text) == "Comets have tails [1]. Some have two [3]."
        (picture,) = stream.images
        assert picture.data is None
        assert picture.bytes() == PNG
        result = stream.result()
        assert result.images[0].data == PNG  # the same image: it was fetched once
        assert len(server.fetched) == 1
        assert list(stream.messages()) == ANSWER
        assert result.articles == tuple(stream.articles)


def test_a_loop_over_articles_and_then_the_summary() -> None:
    go = Wait()
    with FakeSearch(batch(1), chunk("a"), go, batch(2), chunk("b"), done()) as server, Client(server.url) as client:
        stream = client.search("comets")
        numbers = []
        for article in stream.articles:
            numbers.append(article.number)
            go.event.set()
        assert numbers == [1, 2]
        assert list(stream.text) == ["a", "b"]


def test_failures_are_events_and_a_refusal_is_an_error() -> None:
    answers = [[failed("summary", "tired"), batch(1), done()], [batch(1), refused("no", "image"), done()]]
    with FakeSearch(answers=answers) as server, Client(server.url) as client:
        first, *_ = client.search()
        assert first == AgentFailed("summary", "tired")
        stream = client.search()
        with pytest.raises(cutaway.ServerError) as caught:
            stream.result()
        assert caught.value.field == "image"
        assert caught.value.result is not None
        assert len(caught.value.result.articles) == 1
        with pytest.raises(cutaway.ServerError):
            list(stream.articles)
        assert server.handshakes == 1


@pytest.mark.parametrize("how", ["break", "lens", "block", "close", "client", "delete"])
def test_leaving_early_closes_the_socket_within_100_ms(how: str) -> None:
    with FakeSearch(batch(1, 2), Hang()) as server, Client(server.url) as client:
        if how == "break":
            for _ in client.search():
                left_at = time.monotonic()
                break
        elif how == "lens":
            for _ in client.search().articles:
                left_at = time.monotonic()
                break
        elif how == "block":
            with client.search() as stream:
                next(stream)
                left_at = time.monotonic()
        else:
            stream = client.search()
            next(stream)
            left_at = time.monotonic()
            if how == "close":
                stream.close()
                assert len(list(stream.articles)) == 2
            elif how == "client":
                client.close()
            else:
                del stream
        assert server.left.wait(5)
        assert server.left_at - left_at < 0.1


def test_close_from_another_thread_ends_the_loop() -> None:
    with FakeSearch(batch(1), Hang()) as server, Client(server.url) as client:
        stream = client.search()
        timer = threading.Timer(0.2, stream.close)
        timer.start()
        assert len(list(stream.articles)) == 1
        timer.join()


def test_threads_share_a_client_and_its_sockets() -> None:
    with FakeSearch(*ANSWER) as server, Client(server.url) as client:
        counts: list[int] = []

        def search() -> None:
            for _ in range(3):
                counts.append(len(client.search().result().articles))  # noqa: PERF401

        threads = [threading.Thread(target=search) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counts == [3] * 12
        assert server.handshakes <= 4


def test_it_works_while_another_loop_runs_in_the_same_thread() -> None:
    with FakeSearch(*ANSWER) as server, Client(server.url) as client:

        async def cell() -> list[int]:
            return [each.number for each in client.search().articles]

        assert asyncio.run(cell()) == [1, 2, 3]


def test_a_socket_that_died_unnoticed_costs_one_more_try() -> None:
    with FakeSearch(*ANSWER, answers=[ANSWER, [Abort()]]) as server, Client(server.url) as client:
        for _ in range(2):
            assert len(client.search().result().articles) == 3
        assert (server.handshakes, len(server.requests)) == (2, 3)


INTERRUPTED = """
import cutaway, sys
try:
    for article in cutaway.Client(sys.argv[1]).search("comets").articles:
        print(article.title, flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.read()
"""


def test_ctrl_c_stops_the_search_while_the_program_lives_on() -> None:
    with FakeSearch(batch(1), Hang()) as server:
        child = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "Article 1\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "interrupted\n"
        assert server.left.wait(5)
        child.communicate(timeout=10)
        assert child.returncode == 0


OPEN = """
import cutaway, sys
client = cutaway.Client(sys.argv[1])
print(len(client.search().result().articles))
stream = client.search()
print(next(stream).title)
"""


@pytest.mark.parametrize("last", [[batch(1), Hang()], ANSWER])
def test_a_program_that_ends_with_open_sockets_ends_quietly(last: list[Any]) -> None:
    with FakeSearch(answers=[ANSWER, last]) as server:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", OPEN, server.url], capture_output=True, text=True, timeout=20
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "3\nArticle 1\n", "")
        assert server.left.wait(5)


FORKED = """
import cutaway, os, sys
client = cutaway.Client(sys.argv[1])
stream = client.search()  # which is still known to the client
assert len(stream.result().articles) == 3
pid = os.fork()
if pid == 0:
    ok = len(client.search().result().articles) == 3
    client.close()
    os._exit(0 if ok else 1)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert len(client.search().result().articles) == 3
sys.exit(status)
"""


def test_a_forked_child_leaves_its_parents_sockets_alone() -> None:
    with FakeSearch(*ANSWER) as server:
        done = subprocess.run([sys.executable, "-c", FORKED, server.url], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        assert server.handshakes == 2
