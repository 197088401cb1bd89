"""The asyncio client's searches against a server that says what the test wrote."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection

import cutaway
from cutaway import AgentFailed, Article, AsyncClient, ImageCaption, SummaryChunk, SummaryDone
from processes import wait_until

from .fake_search import (
    ANSWER,
    FakeSearch,
    batch,
    caption,
    chunk,
    done,
    failed,
    image,
    image_error,
    refused,
    summary_done,
)
from .fake_server import Abort, Close, Hang, Wait
from .test_stream import reach, run


async def everything(stream: Any) -> list[Any]:
    return [each async for each in stream]


def test_events_come_in_order_as_soon_as_they_are_there() -> None:
    go = Wait()
    with FakeSearch(*ANSWER[:4], go, *ANSWER[4:]) as server:

        async def main() -> list[Any]:
            async with AsyncClient(server.url) as client, client.search("comets") as stream:
                first = [await anext(stream) for _ in range(5)]
                assert not go.event.is_set()  # the rest was not sent yet
                go.event.set()
                return [*first, *await everything(stream)]

        events = run(main())
    assert [type(event) for event in events] == [
        *(Article, Article, SummaryChunk, cutaway.AsyncGeneratedImage, Article),
        *(SummaryChunk, ImageCaption, SummaryDone),
    ]
    assert [event.number for event in events if isinstance(event, Article)] == [1, 2, 3]
    assert (events[2].text, events[2].so_far) == ("Comets have tails [1]. ", "Comets have tails [1]. ")
    assert (events[5].text, events[5].so_far) == ("Some have two [3].", "Comets have tails [1]. Some have two [3].")
    assert events[6:] == [ImageCaption("A drawn card.", "local"), SummaryDone(events[5].so_far, "local")]


def test_a_result_has_all_three_parts_and_says_what_failed() -> None:
    with FakeSearch(batch(1), failed("articles"), chunk("a"), failed("summary", "tired"), summary_done(by=None),
                    image(), image_error(), caption(), done()) as server:  # fmt: skip

        async def main() -> cutaway.SearchResult[Any]:
            async with AsyncClient(server.url) as client:
                return await client.search("comets").result()

        result = run(main())
    assert (result.query, [article.id for article in result.articles], result.summary) == ("comets", ["1"], "a")
    assert [each.url for each in result.images] == [f"http{server.url[2:]}/generated/u-nguess-able/image_0.png"]
    assert (result.captions, result.by) == (("A drawn card.",), None)
    assert result.errors == (
        AgentFailed("articles", "no luck"),
        AgentFailed("summary", "tired"),
        AgentFailed("images", "no image could be made"),
    )


def test_messages_are_those_on_the_wire() -> None:
    script = [batch(1), refused(), failed("summary"), done()]
    with FakeSearch(*script) as server:

        async def main() -> list[Any]:
            async with AsyncClient(server.url) as client:
                return await everything(client.search().messages())

        assert run(main()) == script


def test_lenses_one_after_the_other_and_again_see_everything() -> None:
    with FakeSearch(*ANSWER) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                stream = client.search("comets")
                for _ in range(2):
                    assert [article.number for article in await everything(stream.articles)] == [1, 2, 3]
                    assert await everything(stream.text) == ["Comets have tails [1]. ", "Some have two [3]."]
                    assert len(await everything(stream.images)) == 1
                assert len(await everything(stream)) == 8
                assert await everything(stream) == []
                assert await everything(stream.messages()) == ANSWER
                assert len((await stream.result()).articles) == 3

        run(main())
        assert len(server.requests) == 1


def test_a_waiting_lens_holds_up_no_other_and_its_end_loses_nothing() -> None:
    first, second = Wait(), Wait()
    with FakeSearch(first, chunk("a"), second, batch(1), chunk("b"), done()) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                stream = client.search()
                articles, text = stream.articles, stream.text
                waiting = asyncio.create_task(anext(articles))
                for _ in range(3):
                    await asyncio.sleep(0)  # it is the one that takes messages in
                words = asyncio.create_task(anext(text))
                first.event.set()
                assert await words == "a"
                assert not waiting.done()
                rest = asyncio.create_task(anext(text))
                await asyncio.sleep(0)
                waiting.cancel()
                second.event.set()
                assert await rest == "b"
                assert (await anext(articles)).number == 1

        run(main())


def test_tasks_share_the_iteration_and_lenses_do_not() -> None:
    with FakeSearch(*[batch(number) for number in range(1, 25)], done()) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                stream = client.search()
                shared = await asyncio.gather(*(everything(stream) for _ in range(3)))
                assert sorted(event.number for each in shared for event in each) == list(range(1, 25))
                stream = client.search()
                own = await asyncio.gather(*(everything(stream.articles) for _ in range(3)))
                assert [[event.number for event in each] for each in own] == [list(range(1, 25))] * 3

        run(main())


def test_the_answer_is_taken_in_while_the_consumer_takes_its_time() -> None:
    script = [*[batch(number) for number in range(1, 25)], *[chunk("words ") for _ in range(500)], done()]
    with FakeSearch(*script) as server:

        async def main() -> None:
            async with AsyncClient(server.url, gap_timeout=0.5) as client:
                stream = client.search("first")
                await anext(stream)
                await asyncio.to_thread(wait_until, lambda: len(client._idle) == 1)
                assert len((await client.search("second").result()).articles) == 24
                assert len(await everything(stream)) == len(script) - 2

        run(main())
        assert server.handshakes == 1


@pytest.mark.parametrize("text", ["", "words " * 1000])
def test_an_endless_answer_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutaway.idle.MAX_ANSWER_BYTES", 50_000)
    with FakeSearch(*[chunk(text) for _ in range(100)], done()) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                with pytest.raises(cutaway.ProtocolError, match="exceeds"):
                    await client.search().result()
            await reach(server.left)

        run(main())


# --- what fails ---------------------------------------------------------------------------------------------


def test_a_summary_of_many_pieces_is_kept_once() -> None:
    pieces = [f"{number:0500} " for number in range(10_000)]
    with FakeSearch(*map(chunk, pieces), summary_done(), done()) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                stream = client.search()
                result = await stream.result()
                assert result.summary == "".join(pieces)
                events = await everything(stream)
                assert events[4999].so_far == "".join(pieces[:5000])  # 12 GB, if each event held its own

        run(main())


def test_a_refused_request_is_an_error_at_the_end_of_each_iteration_and_keeps_the_socket() -> None:
    with FakeSearch(batch(1), refused("no such source", "source"), chunk("a"), done()) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                stream = client.search()
                seen = []
                with pytest.raises(cutaway.ServerError) as caught:
                    async for event in stream:
                        seen.append(event)  # noqa: PERF401
                assert (caught.value.message, caught.value.field) == ("no such source", "source")
                assert len(seen) == 2
                assert await everything(stream) == []
                with pytest.raises(cutaway.ServerError):
                    await everything(stream.articles)
                with pytest.raises(cutaway.ServerError) as caught:
                    await stream.result()
                assert caught.value.result is not None
                assert caught.value.result.summary == "a"
                with pytest.raises(cutaway.ServerError):
                    await client.search().result()

        run(main())
        assert server.handshakes == 1


@pytest.mark.parametrize("step", [Abort(), Close(1011, "why"), Close(1000, "")])
def test_a_lost_connection_leaves_what_was_received(step: Any) -> None:
    with FakeSearch(batch(1, 2), chunk("a"), step) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                with pytest.raises(cutaway.ConnectionLost) as caught:
                    await client.search().result()
                assert caught.value.result is not None
                assert len(caught.value.result.articles) == 2
                stream = client.search()
                received = []
                with pytest.raises(cutaway.ConnectionLost):
                    async for article in stream.articles:
                        received.append(article.number)  # noqa: PERF401
                assert received == [1, 2]

        run(main())
        assert len(server.requests) == 2  # none was sent again


@pytest.mark.parametrize(
    "frame", ["", "garbage", "[]", "{}", '{"type":"unknown"}', b"\xff\xfe", '{"type":"articles_batch","items":[{}]}']
)
def test_a_frame_that_is_no_message(frame: str | bytes) -> None:
    with FakeSearch(batch(1), frame, Hang()) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                with pytest.raises(cutaway.ProtocolError) as caught:
                    await client.search().result()
                assert caught.value.result is not None
                assert len(caught.value.result.articles) == 1
            await reach(server.left)

        run(main())


def test_silence_and_slowness_are_timeouts() -> None:
    with FakeSearch(batch(1), Hang()) as server:

        async def main() -> None:
            async with AsyncClient(server.url, gap_timeout=0.1) as client:
                with pytest.raises(cutaway.Timeout, match="gap_timeout"):
                    await client.search().result()
            await reach(server.left)
            async with AsyncClient(server.url, total_timeout=0.2) as client:
                with pytest.raises(cutaway.Timeout, match="total_timeout"):
                    await client.search().result()

        run(main())


# --- leaving ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["break", "lens", "block", "aclose", "client", "cancel"])
def test_leaving_early_closes_the_socket_within_100_ms(how: str) -> None:
    with FakeSearch(batch(1, 2), Hang()) as server:

        async def main() -> float:
            client = AsyncClient(server.url)
            left_at = 0.0
            if how == "break":
                async for _ in client.search():
                    left_at = time.monotonic()
                    break
            elif how == "lens":
                async for _ in client.search().articles:
                    left_at = time.monotonic()
                    break
            elif how == "block":
                async with client.search() as stream:
                    await anext(stream)
                    left_at = time.monotonic()
            elif how == "aclose":
                stream = client.search()
                await anext(stream)
                left_at = time.monotonic()
                await stream.aclose()
                assert len(await everything(stream.articles)) == 2  # what was received
                assert await everything(stream.text) == []
                assert len((await stream.result()).articles) == 2
            elif how == "client":
                async with client:
                    stream = client.search()
                    await anext(stream)
                    left_at = time.monotonic()
            else:
                stream = client.search()
                await anext(stream)
                task = asyncio.create_task(stream.result())
                await asyncio.sleep(0.05)
                left_at = time.monotonic()
                task.cancel()
                await asyncio.wait([task])
                del task
            await reach(server.left)
            assert len(client._idle) == 0
            return left_at

        left_at = run(main())
        assert 0 < server.left_at - left_at < 0.1


def test_a_stream_that_was_never_stepped_sends_nothing() -> None:
    with FakeSearch(done()) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                stream = client.search()
                await stream.aclose()
                assert await everything(stream) == []
            with pytest.raises(RuntimeError, match="closed"):
                client.search()

        run(main())
        assert server.handshakes == 0


# --- sockets that are used again ----------------------------------------------------------------------------


def test_one_after_the_other_use_one_socket_and_side_by_side_several() -> None:
    with FakeSearch(*ANSWER) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                for text in ("one", "two", "three"):
                    assert len((await client.search(text).result()).articles) == 3
                assert server.handshakes == 1
                await asyncio.gather(*(client.search().result() for _ in range(3)))
                assert server.handshakes == 3
                await asyncio.gather(*(client.search().result() for _ in range(3)))
                assert server.handshakes == 3
                assert len(client._idle) == 3

        run(main())
    assert [request.text for request in server.requests[:3]] == ["one", "two", "three"]


def test_only_a_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutaway.idle.MAX_IDLE", 2)
    with FakeSearch(*ANSWER) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                await asyncio.gather(*(client.search().result() for _ in range(4)))
                assert len(client._idle) == 2
                await reach(server.left)

        run(main())


def test_one_that_the_server_closes_is_forgotten_at_once() -> None:
    with FakeSearch(*ANSWER, answers=[[*ANSWER, Close(1001, "going away")]]) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                await client.search().result()
                await reach(server.left)
                await asyncio.to_thread(wait_until, lambda: len(client._idle) == 0)
                assert len((await client.search().result()).articles) == 3

        run(main())
        assert (server.handshakes, len(server.requests)) == (2, 2)


def test_one_that_has_died_unnoticed_costs_one_more_try() -> None:
    with FakeSearch(*ANSWER, answers=[ANSWER, [Abort()]]) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                await client.search("first").result()
                assert len((await client.search("second").result()).articles) == 3

        run(main())
        assert server.handshakes == 2
        assert [request.text for request in server.requests] == ["first", "second", "second"]


@pytest.mark.parametrize("answers", [[ANSWER, [Abort()], [Abort()]], [ANSWER, [batch(1), Abort()]]])
def test_there_is_no_third_try_and_none_after_the_first_message(answers: list[list[Any]]) -> None:
    with FakeSearch(*ANSWER, answers=answers) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                await client.search().result()
                with pytest.raises(cutaway.ConnectionLost):
                    await client.search().result()

        run(main())
        assert len(server.requests) == len(answers)


def test_a_message_that_nobody_has_asked_for_ends_an_idle_socket() -> None:
    with FakeSearch(*ANSWER, answers=[[*ANSWER, chunk("more")]]) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                await client.search().result()
                await reach(server.left)
                result = await client.search().result()
                assert result.summary == "Comets have tails [1]. Some have two [3]."

        run(main())
        assert server.handshakes == 2


@pytest.mark.parametrize("how", ["time", "aclose", "delete"])
def test_idle_sockets_are_closed(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "time":
        monkeypatch.setattr("cutaway.idle.IDLE_SECONDS", 0.05)
    with FakeSearch(*ANSWER) as server:

        async def main() -> None:
            client = AsyncClient(server.url)
            await client.search().result()
            assert len(client._idle) == 1
            if how == "aclose":
                await client.aclose()
            elif how == "delete":
                del client
            await reach(server.left)

        run(main())


def test_a_client_outlives_its_loops(capfd: pytest.CaptureFixture[str]) -> None:
    with FakeSearch(*ANSWER) as server:
        client = AsyncClient(server.url)

        async def main() -> int:
            return len((await client.search().result()).articles)

        assert asyncio.run(main()) == 3
        assert server.left.wait(5)  # with its loop
        assert asyncio.run(main()) == 3
        assert server.handshakes == 2
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(main()) == 3
        loop.run_until_complete(client.aclose())
        loop.close()
    gc.collect()
    assert capfd.readouterr().err == ""
    left = [each for each in gc.get_objects() if isinstance(each, WebSocketClientConnection)]
    assert not [each for each in left if each.protocol is not None]
