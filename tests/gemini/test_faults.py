"""Every way in which the model fails, over the wire: which fault it is, what it tells, and what is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import pickle
import socket
import struct
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from cutaway_server.gemini import faults
from cutaway_server.gemini.ask import Answer, Ask, Text
from cutaway_server.gemini.reply import MOST_CHARACTERS
from fakes.gemini import FakeGemini
from fakes.replies import (
    DROP,
    HANG_UP,
    STALL,
    UNFINISHED,
    Failure,
    Pause,
    Step,
    bad_key,
    blocked,
    chunk,
    failure,
    finish,
    forbidden,
    no_candidates,
    no_model,
    overloaded,
    quota,
    text,
    thought,
)
from gemini.conftest import KEY, Open

_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_HTML = Failure(502, b"<html><title>502 Bad Gateway</title>inner-proxy-17.corp.example</html>", {"Server": "x"})


@dataclass
class Case:
    """An answer that fails, and what becomes of it."""

    steps: tuple[Step, ...]
    fault: type[faults.ModelFault]
    says: str
    retried: bool = False
    before: str = ""
    """What was answered before."""
    settings: dict[str, Any] = field(default_factory=dict)
    ask: dict[str, Any] = field(default_factory=dict)


def _packed(status: int) -> Failure:
    """An answer that nobody can want unpacked."""
    data = gzip.compress(b"data: " + bytes(64 << 20), 1)
    return Failure(status, data, {"Content-Encoding": "gzip"})


_QUICK = {"gap_seconds": 0.2, "first_seconds": 0.6}
CASES = {
    "429": Case((quota(),), faults.QuotaExceeded, "asked the model too often", retried=True),
    "429 for an hour": Case((quota(3600),), faults.QuotaExceeded, "try again in 60 minutes"),
    "429 for half a minute": Case((quota(33.7),), faults.QuotaExceeded, "try again in 34 seconds"),
    "429 with nonsense": Case(
        (failure(429, "RESOURCE_EXHAUSTED", "", {"retryDelay": ["x"]}, {"retryDelay": "-5s"}),),
        faults.QuotaExceeded,
        "too often",
        retried=True,
    ),
    "400 key": Case((bad_key(KEY),), faults.NotAllowed, "operator has to set valid ones"),
    "401": Case((failure(401, "UNAUTHENTICATED", KEY),), faults.NotAllowed, "operator"),
    "403": Case((forbidden(KEY),), faults.NotAllowed, "operator"),
    "400 place": Case(
        (failure(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),),
        faults.NotAllowed,
        "not offered to this server",
    ),
    "400 argument": Case((failure(400, "INVALID_ARGUMENT", "bad"),), faults.AskRefused, "does not take this request"),
    "400 whose error is no object": Case((Failure(400, b'{"error": "no"}'),), faults.AskRefused, "does not take"),
    "400 that is a list": Case((Failure(400, b"[1, 2]"),), faults.AskRefused, "does not take"),
    "400 that is no text": Case((Failure(400, b"\xff\xfe\x00"),), faults.Garbled, "cannot be read"),
    "404": Case((no_model(),), faults.NoSuchModel, "operator has to choose another one"),
    "413": Case((Failure(413, b"<html>too large</html>"),), faults.AskRefused, "too large"),
    "407 of a proxy": Case((Failure(407, b""),), faults.Barred, "proxy before the model's service wants a name"),
    "408": Case((Failure(408, b""),), faults.Unreachable, "try again in a minute", retried=True),
    "500": Case((failure(500, "INTERNAL", "An internal error"),), faults.Overloaded, "out of order", retried=True),
    "502 of a gateway": Case((_HTML,), faults.Overloaded, "out of order", retried=True),
    "503": Case((overloaded(),), faults.Overloaded, "overloaded", retried=True),
    "504": Case((failure(504, "DEADLINE_EXCEEDED", ""),), faults.Overloaded, "overloaded", retried=True),
    "302": Case((Failure(302, b"", {"Location": "http://10.0.0.1/login"}),), faults.Garbled, "cannot be read"),
    "200 compressed": Case((_packed(200),), faults.Garbled, "compresses its answers though it was asked not to"),
    "503 compressed": Case((_packed(503),), faults.Overloaded, "overloaded", retried=True),
    "404 compressed": Case((_packed(404),), faults.NoSuchModel, "choose another one"),
    "204": Case((Failure(204, b""),), faults.Garbled, "cannot be read"),
    "200 with a page": Case((b"<html>Log in</html>",), faults.Garbled, "cannot be read"),
    "200 with nothing": Case((b"",), faults.Unfinished, "broke off", retried=True),
    "question blocked": Case((blocked(),), faults.Blocked, "filters refuse this request"),
    "no candidates": Case((no_candidates(), UNFINISHED), faults.Unfinished, "broke off", retried=True),
    "empty candidates": Case(({"candidates": []}, UNFINISHED), faults.Unfinished, "broke off", retried=True),
    "nothing said": Case((finish(),), faults.NoAnswer, "empty answer", retried=True),
    "only thoughts": Case((thought("hm"), finish()), faults.NoAnswer, "empty answer", retried=True),
    "safety": Case((finish("SAFETY"),), faults.Blocked, "filters stopped"),
    "safety later": Case((text("a"), finish("SAFETY")), faults.Blocked, "filters stopped", before="a"),
    "recitation": Case((text("a"), finish("RECITATION")), faults.Blocked, "text of others", before="a"),
    "max tokens": Case((text("a", "MAX_TOKENS"),), faults.CutOff, "too long", before="a"),
    "max tokens at once": Case((chunk(finish="MAX_TOKENS"),), faults.CutOff, "too long"),
    "continuation": Case((text("a", "CONTINUATION"),), faults.CutOff, "too long", before="a"),
    "no image": Case((text("a", "NO_IMAGE"),), faults.Blocked, "drew no image", before="a"),
    "a reason of tomorrow": Case((text("a", "BORED"),), faults.CutOff, "broke off", before="a"),
    "unfinished": Case((text("a"), UNFINISHED), faults.Unfinished, "broke off", before="a"),
    "dropped at once": Case((DROP,), faults.Unreachable, "broke off", retried=True),
    "dropped later": Case((text("a"), Pause(0.05), DROP), faults.Unreachable, "broke off", before="a"),
    "hung up": Case((text("a"), HANG_UP), faults.Unreachable, "broke off", before="a"),
    "hung up in an event": Case((text("a"), b'data: {"candi', HANG_UP), faults.Unreachable, "broke off", before="a"),
    "garbage later": Case((text("a"), b"data: {nonsense\r\n\r\n"), faults.Garbled, "cannot be read", before="a"),
    "garbage at once": Case((b"\x00\x01\x02\r\n\r\n",), faults.Garbled, "cannot be read"),
    "wrong types": Case((b'data: {"candidates": [{"content": 7}]}\r\n\r\n',), faults.Garbled, "cannot be read"),
    "other wrong types": Case((b'data: {"candidates": "a"}\r\n\r\n',), faults.Unfinished, "broke off", retried=True),
    "a number": Case((b"data: 7\r\n\r\n",), faults.Garbled, "cannot be read"),
    "an error later": Case(
        (text("a"), {"error": {"code": 503, "message": KEY, "status": "UNAVAILABLE"}}),
        faults.Overloaded,
        "overloaded",
        before="a",
    ),
    "an error without a code": Case((text("a"), {"error": {}}), faults.Garbled, "cannot be read", before="a"),
    "silent at once": Case((STALL,), faults.TooSlow, "no answer in time", settings=_QUICK),
    "silent later": Case((text("a"), STALL), faults.Stalled, "stopped in the middle", before="a", settings=_QUICK),
    "only thinks": Case(
        tuple(step for _ in range(9) for step in (thought("hm"), Pause(0.15))),
        faults.TooSlow,
        "no answer in time",
        settings=_QUICK,
    ),
    "thinks and falls silent": Case(
        (thought("hm"), STALL), faults.Stalled, "stopped in the middle", settings={**_QUICK, "first_seconds": 5}
    ),
    "endless": Case(
        ("x" * (MOST_CHARACTERS // 4),) * 5, faults.CutOff, "too long", before="x" * (MOST_CHARACTERS // 4 * 4)
    ),
}


async def failed(fake: FakeGemini, opened: Open, case: Case) -> tuple[faults.ModelFault, str, float]:
    """The fault, the text before, and how long it took."""
    found: list[Answer] = []
    async with opened(**{"retries": 1, **case.settings}) as gemini:
        start = time.perf_counter()
        with pytest.raises(faults.ModelFault) as caught:
            async with aclosing(gemini.answer(Ask(model="m", parts=("Hm?",), **case.ask))) as answer:
                async for piece in answer:
                    found.append(piece)  # noqa: PERF401  # those before the fault are wanted
        took = time.perf_counter() - start
    return caught.value, "".join(each.text for each in found if isinstance(each, Text)), took


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutaway_server.gemini.client._BACKOFF_SECONDS", 0.02)


@pytest.mark.gen_test
@pytest.mark.usefixtures("hasty")
@pytest.mark.filterwarnings("ignore:BORED is not a valid FinishReason")
@pytest.mark.parametrize("name", CASES)
async def test_each_fault(fake: FakeGemini, opened: Open, name: str, caplog: pytest.LogCaptureFixture) -> None:
    case = CASES[name]
    fake.queue(*case.steps, times=None)
    with caplog.at_level(logging.DEBUG):
        fault, before, took = await failed(fake, opened, case)
    assert type(fault) is case.fault
    assert case.says in fault.message
    assert fault.message[-1] == "." and ": " in fault.message, "what happened, and what to do"
    assert before == case.before
    assert len(fake.requests) == 1 + case.retried
    assert took < 3
    assert isinstance(pickle.loads(pickle.dumps(fault)), case.fault)
    shown = f"{fault.message} {fault!r} {fault.__cause__!r}"
    assert not [hidden for hidden in (KEY, "127.0.0.1", "10.0.0.1", "corp.example", "nonsense") if hidden in shown]
    assert KEY not in caplog.text
    assert "WARNING" in caplog.text


@pytest.mark.gen_test
@pytest.mark.usefixtures("hasty")
async def test_the_fault_is_gone_the_second_time(fake: FakeGemini, opened: Open) -> None:
    for each in (overloaded(), DROP, UNFINISHED):
        fake.queue(each)
        fake.queue("Now.")
        async with opened(retries=1) as gemini:
            assert [piece async for piece in gemini.answer(Ask(model="m", parts=("Hm?",)))] == [Text("Now.")]


@pytest.mark.gen_test
async def test_the_service_is_left_alone_as_long_as_it_wants(fake: FakeGemini, opened: Open) -> None:
    fake.queue(quota(1.1))
    fake.queue("Now.")
    async with opened(retries=1) as gemini:
        assert [piece async for piece in gemini.answer(Ask(model="m", parts=("Hm?",)))] == [Text("Now.")]
    assert 1.1 <= fake.requests[1].at - fake.requests[0].at < 1.6


@pytest.mark.gen_test
async def test_retries_wait_longer_each_time(fake: FakeGemini, opened: Open) -> None:
    fake.queue(overloaded(), times=None)
    case = Case((), faults.Overloaded, "", settings={"retries": 3, "first_seconds": 1.6})
    _, _, took = await failed(fake, opened, case)
    assert took < 1.6, "a new attempt that comes too late is not waited for"
    at = [each.at for each in fake.requests]
    assert len(at) == 3
    assert at[2] - at[1] > at[1] - at[0] > 0.25


@pytest.mark.gen_test
async def test_a_place_is_waited_for_within_the_budget(fake: FakeGemini, opened: Open) -> None:
    fake.queue("a", STALL)
    async with opened(calls=1, first_seconds=0.3) as gemini:
        first = gemini.answer(Ask(model="m", parts=("first",)))
        await anext(first)
        with pytest.raises(faults.TooSlow):
            await anext(gemini.answer(Ask(model="m", parts=("second",))))
        await first.aclose()
    assert len(fake.requests) == 1


@pytest.mark.gen_test
@pytest.mark.parametrize("end", [STALL, DROP, HANG_UP])
async def test_what_is_finished_is_whole_however_the_connection_ends(fake: FakeGemini, opened: Open, end: Step) -> None:
    fake.queue(text("a"), text("b", "STOP"), end)
    async with opened() as gemini:
        found = [piece async for piece in gemini.answer(Ask(model="m", parts=("Hm?",)))]
    assert "".join(piece.text for piece in found if isinstance(piece, Text)) == "ab"


@pytest.mark.gen_test
async def test_nobody_is_there(fake: FakeGemini, opened: Open) -> None:
    async with opened(base_url="http://127.0.0.1:9", retries=1) as gemini:
        with pytest.raises(faults.Unreachable, match="could not be reached"):
            await anext(gemini.answer(Ask(model="m", parts=("Hm?",))))


@pytest.mark.gen_test
async def test_nobody_picks_up(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets that vanish: the attempt is given up long before the budget is used up."""
    monkeypatch.setattr("cutaway_server.gemini.wire._CONNECT_SECONDS", 0.2)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # its queue is full
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        async with opened(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", retries=0) as gemini:
            with pytest.raises(faults.Unreachable):
                await asyncio.wait_for(anext(gemini.answer(Ask(model="m", parts=("Hm?",)))), 2)


@pytest.mark.gen_test
async def test_a_proxy_that_wants_a_password(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT model.example:443 ")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        async with opened(base_url="https://model.example") as gemini:
            with pytest.raises(faults.Barred, match="proxy before the model's service"):
                await anext(gemini.answer(Ask(model="m", parts=("Hm?",))))


@pytest.mark.gen_test
@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_is_lost_is_told_alike_however_it_ends(opened: Open, reset: bool) -> None:
    """Of an answer that ends with its connection, the end alone does not tell."""

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: ")
        writer.write(json.dumps(text("a")).encode() + b"\n\n")
        await writer.drain()
        await said.wait()
        if reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    said = asyncio.Event()
    async with (
        await asyncio.start_server(break_off, "127.0.0.1", 0) as server,
        opened(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as gemini,
    ):
        answer = gemini.answer(Ask(model="m", parts=("Hm?",)))
        assert await anext(answer) == Text("a")
        said.set()
        with pytest.raises(faults.ModelFault) as caught:
            await anext(answer)
    assert caught.value.retryable
    assert caught.value.message == "The model's service could not be reached, or broke off: try again in a minute."


@pytest.mark.gen_test
async def test_an_answer_without_end_on_one_line_is_bounded(
    fake: FakeGemini, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cutaway_server.gemini.wire._MOST_ANSWER_BYTES", 1 << 20)
    fake.queue(*[b"x" * (1 << 18)] * 8, STALL)
    fault, _, _ = await failed(fake, opened, Case((), faults.CutOff, ""))
    assert type(fault) is faults.CutOff
