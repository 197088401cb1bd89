"""The asyncio client against a server that says what the test wrote."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from msgspec import structs

import cutaway
from cutaway import AsyncClient, Progress, connection, protocol

from .fake_server import URL, Abort, Close, FakeServer, Fragments, Hang, Wait, complete, error, progress, snippet


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """``asyncio.run``, which must find no task left."""

    async def checked() -> Any:
        result = await coroutine
        for _ in range(20):
            await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return result

    return asyncio.run(checked())


async def reach(event: Any) -> None:
    """Wait for an event of the server's thread."""
    assert await asyncio.to_thread(event.wait, 5)


def test_snippets_come_one_by_one_with_all_that_is_known() -> None:
    go = Wait()
    with FakeServer(snippet(1), go, snippet(2), complete()) as server:

        async def main() -> list[cutaway.Snippet]:
            async with AsyncClient(server.url).snippets(URL) as stream:
                first = await anext(stream)
                assert not go.event.is_set()  # the second one was not sent yet
                go.event.set()
                return [first, *[each async for each in stream]]

        first, second = run(main())
    assert (first.title, second.title) == ("Moment 1", "Moment 2")
    assert first.video == b"\x01" * 1000
    assert (first.start, first.end, first.duration) == (60.0, 72.5, 12.5)
    assert (first.src_video_url, first.by) == (URL, "local")
    assert first.poster is not None
    assert first.description == "What happens in moment 1"


@pytest.mark.parametrize(
    ("user", "path", "known"),
    [
        ("", "/clips/un-guessable.mp4", True),
        ("", None, False),
        ("me:secret@", "/clips/un-guessable.mp4", False),
        ("", "//evil.example/x", False),
        ("", "@evil.example/x", False),
        ("", "https://evil.example/x", False),
    ],
)
def test_where_a_clip_is_kept_is_told_if_it_is_on_the_server(user: str, path: str | None, known: bool) -> None:
    data = snippet(1).data
    metadata = structs.replace(data.metadata, video_path=path)
    message = protocol.Snippet(data=structs.replace(data, metadata=metadata))
    with FakeServer(message, complete()) as server, cutaway.Client(f"ws://{user}127.0.0.1:{server.port}") as client:
        (first,) = client.snippets(URL).result()
        assert first.url == (f"http://127.0.0.1:{server.port}{path}" if known else None)


def test_wishes_reach_the_server() -> None:
    with FakeServer(complete()) as server:
        client = AsyncClient(server.url.replace("ws:", "http:") + "/")
        assert run(client.snippets(URL + "?a=b&c=ä", max_snippets=3, max_height=360).result()) == []
    query = server.queries[0]
    assert query["video_url"] == URL + "?a=b&c=ä"
    assert (query["max_snippets"], query["max_height"], query["progress"]) == ("3", "360", "1")


def test_progress_is_told_while_iterating_and_never_yielded() -> None:
    seen: list[Progress] = []
    with FakeServer(progress("resolve", 1), snippet(), progress("cut", 0.5), complete()) as server:
        received = run(AsyncClient(server.url).snippets(URL, on_progress=seen.append).result())
    assert len(received) == 1
    assert seen == [Progress("resolve", 1.0), Progress("cut", 0.5)]


def test_messages_are_those_on_the_wire() -> None:
    script = [progress(), snippet(), error()]
    with FakeServer(*script) as server:

        async def main() -> list[Any]:
            return [each async for each in AsyncClient(server.url).snippets(URL).messages()]

        assert run(main()) == script


def test_a_message_of_43_megabytes_and_a_fragmented_one_arrive() -> None:
    with FakeServer(snippet(1, size_bytes=32 * 2**20), Fragments(snippet(2)), complete()) as server:
        received = run(AsyncClient(server.url).snippets(URL).result())
    assert [len(each.video) for each in received] == [32 * 2**20, 1000]


def test_result_after_some_iteration_is_the_rest() -> None:
    with FakeServer(snippet(1), snippet(2), snippet(3), complete()) as server:

        async def main() -> list[str]:
            stream = AsyncClient(server.url).snippets(URL)
            await anext(stream)
            return [each.title for each in await stream.result()]

        assert run(main()) == ["Moment 2", "Moment 3"]


def test_the_servers_error_ends_the_iteration_once() -> None:
    with FakeServer(snippet(), error("it is private")) as server:

        async def main() -> None:
            stream = AsyncClient(server.url).snippets(URL)
            received = []
            with pytest.raises(cutaway.ServerError) as caught:
                async for each in stream:
                    received.append(each)  # noqa: PERF401
            assert (caught.value.message, caught.value.src_video_url) == ("it is private", URL)
            assert len(received) == 1
            assert [each async for each in stream] == []

        run(main())


def test_result_keeps_on_the_error_what_came_before_it() -> None:
    with FakeServer(snippet(1), snippet(2), Abort()) as server, pytest.raises(cutaway.ConnectionLost) as caught:
        run(AsyncClient(server.url).snippets(URL).result())
    assert [each.title for each in caught.value.snippets] == ["Moment 1", "Moment 2"]


BIG = [snippet(number, size_bytes=2 * 2**20) for number in range(2, 42)]
"""More than fits into the queue and the sockets' buffers."""


@pytest.mark.parametrize("how", ["break", "block", "aclose", "client", "cancel"])
def test_leaving_early_stops_the_server_within_100_ms_while_it_writes(how: str) -> None:
    with FakeServer(snippet(1), *BIG, complete()) as server:

        async def main() -> float:
            client = AsyncClient(server.url)
            if how == "break":
                async for _ in client.snippets(URL):
                    await reach(server.blocked)
                    left_at = time.monotonic()
                    break
            elif how == "block":
                async with client.snippets(URL) as stream:
                    await anext(stream)
                    await reach(server.blocked)
                    left_at = time.monotonic()
            elif how == "client":
                async with client:
                    stream = client.snippets(URL)
                    await anext(stream)
                    await reach(server.blocked)
                    left_at = time.monotonic()
            elif how == "aclose":
                stream = client.snippets(URL)
                await anext(stream)
                await reach(server.blocked)
                left_at = time.monotonic()
                await stream.aclose()
                assert [each async for each in stream] == []
            else:
                task = asyncio.create_task(_slow(client.snippets(URL)))
                await reach(server.blocked)
                left_at = time.monotonic()
                task.cancel()
                await asyncio.wait([task])
                del task
            await reach(server.left)
            return left_at

        left_at = run(main())
        assert server.left_at - left_at < 0.1
        assert server.sent < len(BIG)


async def _slow(stream: cutaway.AsyncSnippetStream) -> None:
    async with stream:
        async for _ in stream:
            await asyncio.sleep(60)


def test_closing_ends_the_iteration_of_another_task() -> None:
    with FakeServer(snippet(), Hang()) as server:

        async def main() -> int:
            stream = AsyncClient(server.url).snippets(URL)
            await anext(stream)
            waiting = asyncio.create_task(anext(stream, None))
            await asyncio.sleep(0)
            await stream.aclose()
            await stream.aclose()
            assert await waiting is None
            return len(server.queries)

        assert run(main()) == 1


def test_a_cancelled_step_loses_no_snippet() -> None:
    go = Wait()
    with FakeServer(go, snippet(1), snippet(2), complete()) as server:

        async def main() -> list[str]:
            stream = AsyncClient(server.url).snippets(URL)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.05)
            go.event.set()
            return [each.title for each in await stream.result()]

        assert run(main()) == ["Moment 1", "Moment 2"]


def test_a_stream_that_was_never_stepped_sends_nothing() -> None:
    with FakeServer(complete()) as server:

        async def main() -> None:
            stream = AsyncClient(server.url).snippets(URL)
            await stream.aclose()
            assert [each async for each in stream] == []

        run(main())
        assert server.handshakes == 0


def test_a_slow_consumer_slows_the_server_and_costs_no_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutaway.connection.PING_SECONDS", 0.05)  # pings do not count against it, either
    with FakeServer(*BIG, complete()) as server:

        async def main() -> int:
            async with AsyncClient(server.url, gap_timeout=0.4).snippets(URL) as stream:
                await anext(stream)
                await reach(server.blocked)
                sent = server.sent
                await asyncio.sleep(0.5)
                assert server.sent == sent < len(BIG)
                return 1 + len([each async for each in stream])

        assert run(main()) == len(BIG)


def test_a_silent_server_is_pinged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutaway.connection.PING_SECONDS", 0.05)
    with FakeServer(snippet(), Hang()) as server:

        async def main() -> None:
            async with AsyncClient(server.url).snippets(URL) as stream:
                await anext(stream)
                await reach(server.pinged)

        run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="an option of Linux")
def test_a_ping_that_is_not_acknowledged_ends_the_connection() -> None:
    async def main(url: str) -> None:
        opened = await connection._attempt(url, 5)
        try:
            assert opened.protocol is not None and opened.protocol.stream is not None
            tcp = opened.protocol.stream.socket
            assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == connection.DEAD_SECONDS * 1000
        finally:
            await connection.hang_up(opened)

    with FakeServer(Hang()) as server:
        run(main(server.url + protocol.VIDEO_PATH))


def test_a_closed_client_says_so() -> None:
    async def main() -> None:
        client = AsyncClient()
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            client.snippets(URL)

    run(main())


def test_closing_too_early_is_a_lost_connection() -> None:
    with FakeServer(snippet(), Close(1011, "out of memory")) as server:
        with pytest.raises(cutaway.ConnectionLost, match=r"after 1 message \(close code 1011, out of memory\)"):
            run(AsyncClient(server.url).snippets(URL).result())
        assert server.handshakes == 1  # never again after the first message


def test_ending_the_program_with_an_open_stream_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    with FakeServer(snippet(1), *BIG, complete()) as server:

        async def main() -> None:
            async for _ in AsyncClient(server.url).snippets(URL):
                await reach(server.blocked)
                return

        started = time.monotonic()
        asyncio.run(main())
        assert time.monotonic() - started < 2
    gc.collect()
    assert capfd.readouterr().err == ""
