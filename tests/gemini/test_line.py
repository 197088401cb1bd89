"""The line between a stream and its reader: order, joining, and how much may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.gemini.ask import Answer, Grounding, Picture, Text
from cutaway_server.gemini.line import MOST_WAITING, Line

_PIECES = st.one_of(
    st.text(min_size=1, max_size=5).map(Text),
    st.binary(min_size=1, max_size=5).map(lambda data: Picture(data, "image/png")),
    st.just(Grounding((), "")),
)


def joined(pieces: Sequence[Answer]) -> list[Answer]:
    found: list[Answer] = []
    for piece in pieces:
        if found and isinstance(piece, Text) and isinstance(last := found[-1], Text):
            found[-1] = Text(last.text + piece.text)
        else:
            found.append(piece)
    return found


@given(st.lists(_PIECES, max_size=30), st.lists(st.booleans(), max_size=60))
def test_nothing_is_lost_and_all_that_waits_is_joined(pieces: list[Answer], turns: list[bool]) -> None:
    async def through() -> list[Answer]:
        line = Line()
        found: list[Answer] = []
        waiting = list(pieces)
        for take in turns:
            if take:
                taking = asyncio.create_task(line.take())
                await asyncio.sleep(0)
                if taking.done():
                    piece = taking.result()
                    assert piece is not None
                    found.append(piece)
                else:
                    assert joined(found) == joined(pieces[: len(pieces) - len(waiting)]), (
                        "what was put is there to take"
                    )
                    taking.cancel()
                    await asyncio.wait([taking])
            elif waiting:
                await line.put(waiting.pop(0))
        for piece in waiting:
            await line.put(piece)
        line.close()
        rest = []
        while (piece := await line.take()) is not None:
            rest.append(piece)
        assert rest == joined(rest)
        assert await line.take() is None
        return found + rest

    assert joined(asyncio.run(through())) == joined(pieces)


@pytest.mark.gen_test
async def test_who_fills_the_line_waits() -> None:
    line = Line()
    await line.put(Text("x" * (MOST_WAITING - 1)))
    await line.put(Picture(b"y" * 10, "image/png"))
    late = asyncio.ensure_future(line.put(Text("z")))
    await asyncio.sleep(0.02)
    assert not late.done()
    assert await line.take() == Text("x" * (MOST_WAITING - 1))
    await asyncio.wait_for(late, 1)
    line.close()
    assert [await line.take(), await line.take(), await line.take()] == [
        Picture(b"y" * 10, "image/png"),
        Text("z"),
        None,
    ]


@pytest.mark.gen_test
async def test_who_waits_gets_each_piece_at_once() -> None:
    line = Line()
    for each in ("a", "b"):
        taking = asyncio.ensure_future(line.take())
        await asyncio.sleep(0)
        await line.put(Text(each))
        assert await asyncio.wait_for(taking, 1) == Text(each)
    taking = asyncio.ensure_future(line.take())
    await asyncio.sleep(0)
    line.close()
    assert await asyncio.wait_for(taking, 1) is None
