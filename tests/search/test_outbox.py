"""What waits to be sent: bounded, in order, pieces of a summary joined."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.protocol import ImageText, SearchMessage, SummaryChunk, SummaryDone, decode_search
from cutaway_server.search.outbox import MAX_JOINED_CHARACTERS, MOST_WAITING, Outbox


async def taken(outbox: Outbox) -> list[SearchMessage]:
    return [decode_search(frame) for frame in await outbox.take()]


@pytest.mark.gen_test
async def test_all_that_waits_goes_together_and_pieces_as_one() -> None:
    outbox = Outbox()
    for text in ("All ", "is "):
        await outbox.put(SummaryChunk(text=text))
    await outbox.put(ImageText(text="a card"))
    await outbox.put(SummaryChunk(text="well."))
    await outbox.put(SummaryDone())
    assert await taken(outbox) == [SummaryChunk(text="All is well."), ImageText(text="a card"), SummaryDone()]
    waiting = asyncio.create_task(taken(outbox))
    await asyncio.sleep(0)
    assert not waiting.done()
    await outbox.put(SummaryChunk(text="More."))
    assert await waiting == [SummaryChunk(text="More.")]
    await outbox.put(SummaryChunk(text="Last."))
    outbox.end()
    assert await taken(outbox) == [SummaryChunk(text="Last.")]
    assert await taken(outbox) == []


@pytest.mark.gen_test
async def test_whoever_is_ahead_waits() -> None:
    outbox = Outbox()
    put = 0

    async def fill(message: SearchMessage) -> None:
        nonlocal put
        while True:
            await outbox.put(message)
            put += 1

    for message in (ImageText(text="x"), SummaryChunk(text="x" * (MAX_JOINED_CHARACTERS // 2))):
        filling = asyncio.create_task(fill(message))
        await asyncio.sleep(0.01)
        assert MOST_WAITING <= put <= 2 * MOST_WAITING
        frames = await outbox.take()
        assert len(frames) == MOST_WAITING
        assert max(map(len, frames)) < MAX_JOINED_CHARACTERS + 100
        await asyncio.sleep(0.01)
        assert put > MOST_WAITING
        filling.cancel()
        await asyncio.wait([filling])
        await outbox.take()
        put = 0


def check(got: list[SearchMessage], put: list[str | int]) -> None:
    """The whole summary, and all that the other agent said, each in its order."""
    texts = "".join(each.text for each in got if isinstance(each, SummaryChunk))
    assert texts == "".join(each for each in put if isinstance(each, str))
    assert [each.text for each in got if isinstance(each, ImageText)] == [str(n) for n in put if isinstance(n, int)]


@given(st.lists(st.one_of(st.none(), st.text(max_size=40), st.integers(0, 9)), max_size=60))
def test_nothing_is_lost_doubled_or_out_of_order(steps: list[str | int | None]) -> None:
    """None takes, a text is a piece, a number a message of another agent."""

    async def run() -> None:
        outbox, got = Outbox(), []
        for step in steps:
            if step is None or len(outbox._waiting) == MOST_WAITING:
                outbox.end()  # so that taking nothing does not wait
                got += await taken(outbox)
            if isinstance(step, str):
                await outbox.put(SummaryChunk(text=step))
            elif step is not None:
                await outbox.put(ImageText(text=str(step)))
        outbox.end()
        while more := await taken(outbox):
            got += more
        check(got, [each for each in steps if each is not None])

    asyncio.run(run())


@given(st.lists(st.tuples(st.one_of(st.text(max_size=20), st.integers(0, 9)), st.booleans(), st.integers(0, 3))))
def test_what_leaves_at_once_overtakes_nothing(steps: list[tuple[str | int, bool, int]]) -> None:
    """A text is a piece, a number a message of another agent; whether the way is free, and turns until the next."""

    async def run() -> None:
        sent: list[SearchMessage] = []
        ways = iter([free for step, free, _ in steps if isinstance(step, str)])

        def send_at_once(frame: bytes) -> bool:
            free = next(ways)
            sent.extend([decode_search(frame)] * free)
            return free

        async def send() -> None:
            while messages := await taken(outbox):
                await asyncio.sleep(0)
                sent.extend(messages)

        outbox = Outbox(send_at_once)
        sending = asyncio.create_task(send())
        for step, _, turns in steps:
            await outbox.put(SummaryChunk(text=step) if isinstance(step, str) else ImageText(text=str(step)))
            for _ in range(turns):
                await asyncio.sleep(0)
        outbox.end()
        await sending
        check(sent, [step for step, *_ in steps])

    asyncio.run(run())


@pytest.mark.gen_test
async def test_a_piece_leaves_at_once_when_nothing_is_in_its_way() -> None:
    sent: list[bytes] = []
    outbox = Outbox(lambda frame: not sent.append(frame))
    await outbox.put(SummaryChunk(text="Nobody "))
    assert sent == []
    assert await taken(outbox) == [SummaryChunk(text="Nobody ")]
    waiting = asyncio.create_task(taken(outbox))
    await asyncio.sleep(0)
    await outbox.put(SummaryChunk(text="waits "))
    assert [decode_search(each) for each in sent] == [SummaryChunk(text="waits ")]
    await outbox.put(ImageText(text="a card"))
    await outbox.put(SummaryChunk(text="here."))
    assert await waiting == [ImageText(text="a card"), SummaryChunk(text="here.")]
    assert len(sent) == 1
