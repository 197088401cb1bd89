"""What gateways put between the events of a stream, and how they write the events themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.gemini.ask import Text
from cutaway_server.gemini.events import Events
from fakes.gemini import FakeGemini
from fakes.replies import Gate, finish, text
from gemini.asking import ASK, text_of
from gemini.conftest import Open

_LINES = st.sampled_from(
    [
        *("data: {}", 'data: {"a":', "data:1}", "data:{", "data:", "data: ", "data:  ", "data: 7", "data:: id: 1"),
        *(": keep-alive", ":", "event: message", "event:", "id: 7", "id:", "retry: 1000", "retry:"),
        *("", "", "", '{"error": {', '  "id": 7, "data": "event:"', "}", "dat", "ideal", "e", "\N{BOMB}\x85\u2028"),
    ]
)
_ENDS = st.sampled_from(["\r\n", "\n", "\r"])


def standard(raw: bytes) -> list[bytes]:
    """The data of the events of a stream, by the rules of HTML's section 9.2.6."""
    found: list[bytes] = []
    data: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", raw):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and any(data):
            found.append(b"".join(data))
        data = data if line else []
    return found


def googles(raw: bytes) -> list[bytes]:
    """The same as google-genai reads it."""
    found: list[bytes] = []
    data: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", raw):
        if line.startswith(b"data: "):
            data.append(line[6:])
        elif not line and data:
            found.append(b"".join(data))
            data = []
    return found


def through(parts: Iterable[bytes]) -> bytes:
    events = Events()
    return b"".join(map(events.pass_, parts)) + events.rest()


@given(st.lists(st.tuples(_LINES, _ENDS), max_size=12), st.booleans(), st.data())
def test_any_stream_cut_anywhere(lines: list[tuple[str, str]], ended: bool, data: st.DataObject) -> None:
    raw = "".join(line + end for line, end in lines).encode() + (b"\n\n" if ended else b"")
    cuts = sorted({0, len(raw), *data.draw(st.lists(st.integers(0, len(raw)), max_size=20))})
    out = through([raw[start:stop] for start, stop in pairwise(cuts)])
    assert out == through([raw]) == through([raw[n : n + 1] for n in range(len(raw))])
    assert googles(out) == standard(raw)
    kept = [line for line in re.split(rb"\r\n|\n|\r", out) if line and not line.startswith(b"data: ")]
    others = (b":", b"event:", b"id:", b"retry:", b"data:")
    assert kept == [line for line in re.split(rb"\r\n|\n|\r", raw) if line and not line.startswith(others)]


@given(st.lists(st.text(max_size=30), max_size=5), st.sampled_from([b"\r\n", b"\n"]), st.integers(1, 50))
def test_an_event_leaves_as_soon_as_it_is_whole(words: list[str], end: bytes, size: int) -> None:
    events, out = Events(), b""
    for count, each in enumerate(words, 1):
        raw = b"data: " + json.dumps(text(each)).encode() + 2 * end
        for start in range(0, len(raw), size):
            out += events.pass_(raw[start : start + size])
        assert len(googles(out)) == count
    assert events.rest() == b""
    assert [json.loads(each) for each in googles(out)] == [
        {"candidates": [{"content": {"parts": [{"text": each}]}}]} for each in words
    ]


def read_of(event: Any) -> Any:
    """What is read of an event, if all of it is as it should be."""

    def only(value: Any, *names: str) -> dict[str, Any]:
        return {name: value[name] for name in names if name in value}

    found = only(event, "candidates", "promptFeedback")
    if "candidates" in found:
        found["candidates"] = [
            only(c, "content", "finishReason", "groundingMetadata", "index") for c in found["candidates"]
        ]
        for each in found["candidates"]:
            if each.get("index") == 0:
                del each["index"]
            if "content" in each:
                each["content"] = only(each["content"], "parts")
    return found


_ANY = st.recursive(
    st.none() | st.text(max_size=5) | st.integers() | st.floats(allow_nan=False), st.lists, max_leaves=3
)
_FIELDS = st.dictionaries(st.sampled_from(["role", "tokenCount", "\N{BOMB}"]), _ANY, max_size=2)


def having(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these fields, and others."""
    known = st.fixed_dictionaries({}, optional=fields)
    return st.builds(lambda a, b: {**a, **b}, known, _FIELDS)


_SOUND = having(
    candidates=st.lists(
        having(
            content=having(parts=st.lists(having(text=_ANY, inlineData=_FIELDS), max_size=2)),
            finishReason=st.text(max_size=5),
            groundingMetadata=_FIELDS,
            index=st.integers(0, 2),
        ),
        max_size=2,
    ),
    promptFeedback=_FIELDS,
    usageMetadata=_FIELDS,
)


@given(_SOUND)
def test_of_an_event_goes_on_what_is_read(event: dict[str, Any]) -> None:
    (out,) = googles(through([b"data: " + json.dumps(event).encode() + b"\n\n"]))
    assert json.loads(out) == read_of(event)


@given(st.data())
def test_an_odd_event_passes_as_it_is(data: st.DataObject) -> None:
    event = data.draw(_SOUND.filter(lambda event: "candidates" in event))
    place = data.draw(st.sampled_from([event, *event["candidates"]]))
    name = "promptFeedback" if place is event else data.draw(st.sampled_from(["content", "finishReason", "index"]))
    place[name] = data.draw(st.sampled_from([None, [], [1], 1.5, True]))
    (out,) = googles(through([b"data: " + json.dumps(event).encode() + b"\n\n"]))
    assert json.loads(out) == event


@pytest.mark.parametrize(
    "event",
    [
        b"[DONE]",
        b"[1]",
        b'{"usageMetadata": NaN}',
        b'{"a": 1, "error": null}',
        b'{"a": ' + b"[" * 100_000,
        b'{"candidates": [{"finishReason": "\xff"}]}',
    ],
)
def test_what_cannot_be_read_passes_as_it_is(event: bytes) -> None:
    assert googles(through([b"data: " + event + b"\n\n"])) == [event]


def gateway(words: str, number: int) -> bytes:
    """An event as some gateways write it."""
    event = json.dumps(text(words) if words else finish()).encode()
    return b": keep-alive\r\n\r\nevent: message\nid: %d\nretry: 1000\ndata:%s\n\n:\n\ndata:\n\n" % (number, event)


@pytest.mark.gen_test
@pytest.mark.parametrize("split", [None, 1, 3, 100])
async def test_the_streams_of_gateways_are_read(fake: FakeGemini, opened: Open, split: int | None) -> None:
    fake.queue(*(gateway(words, n) for n, words in enumerate(("Oil ", "is ", "warm.", ""))), split=split)
    async with opened() as gemini:
        assert await text_of(gemini) == "Oil is warm."


@pytest.mark.gen_test
async def test_an_event_is_read_as_soon_as_it_is_there(fake: FakeGemini, opened: Open) -> None:
    gate = Gate()
    fake.queue(gateway("Oil", 1), b": so far\n", gate, gateway("", 2))
    async with opened() as gemini:
        answer = gemini.answer(ASK)
        assert await anext(answer) == Text("Oil")
        gate.open()
        assert [each async for each in answer] == []
