"""Asking for the moments of a video: what becomes of all that goes wrong, and of whoever leaves."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from cutaway_server.errors import Fault
from cutaway_server.gemini.ask import Blob
from cutaway_server.gemini.faults import (
    AskRefused,
    Blocked,
    CutOff,
    Garbled,
    ModelFault,
    NoAnswer,
    NoSuchModel,
    NotAllowed,
    Overloaded,
    QuotaExceeded,
    Stalled,
    TooSlow,
    Unfinished,
    Unreachable,
)
from cutaway_server.gemini.moments import NoMoments
from cutaway_server.gemini.video import Material, Sound, Still, VideoBrief, Window
from fakes.gemini import FakeGemini
from fakes.replies import (
    DROP,
    HANG_UP,
    STALL,
    UNFINISHED,
    bad_key,
    blocked,
    failure,
    finish,
    forbidden,
    no_candidates,
    no_model,
    objects,
    overloaded,
    quota,
)
from gemini.conftest import Open
from gemini.films import PARTS, Film, about, item, little, noise

BEFORE = [
    (quota(), QuotaExceeded),
    (bad_key(), NotAllowed),
    (forbidden(), NotAllowed),
    (no_model(), NoSuchModel),
    (failure(400, "INVALID_ARGUMENT", "Bad."), AskRefused),
    (overloaded(), Overloaded),
    (blocked(), Blocked),
    (no_candidates(), NoAnswer),
    (finish("STOP"), NoAnswer),
    (finish("SAFETY"), Blocked),
    (finish("RECITATION"), Blocked),
    (finish("MAX_TOKENS"), CutOff),
    (UNFINISHED, Unfinished),
    (DROP, Unreachable),
    (HANG_UP, Unreachable),
    (STALL, TooSlow),
    (b"data: {nonsense\r\n\r\n", Garbled),
    ("[]", NoMoments),
    ("Sorry, I cannot do that.", NoMoments),
    ('{"moments": 5}', NoMoments),
    ('[{"start": 5}]', NoMoments),
]


@pytest.mark.gen_test
@pytest.mark.parametrize(("answer", "kind"), BEFORE, ids=lambda each: getattr(each, "__name__", ""))
async def test_a_window_that_fails_leaves_the_others(
    answer: Any, kind: type[ModelFault], fake: FakeGemini, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    fake.queue(answer, when=about(PARTS[1]), times=None)
    others = [window for window in PARTS if window != PARTS[1]]
    for window in others:
        fake.queue(*objects([item(window.start + 50, window.start + 60)]), when=about(window))
    async with opened(retries=0, first_seconds=1.5 if answer is STALL else 12) as gemini:
        found, ended = await Film(gemini).all()
    assert {each.window for each in found} == set(others)
    faults = {each.window: each.fault for each in ended}
    assert set(faults) == set(PARTS)
    assert [faults[window] for window in others] == [None] * 3
    assert type(faults[PARTS[1]]) is kind
    assert {each.window: each.missing for each in ended}[PARTS[1]] == 2
    assert f"{PARTS[1].start:g} to {PARTS[1].end:g} s: 0 moments from the model" in caplog.text


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ((UNFINISHED,), Unfinished),
        ((DROP,), Unreachable),
        ((HANG_UP,), Unreachable),
        ((STALL,), Stalled),
        ((finish("SAFETY"),), Blocked),
        ((finish("MAX_TOKENS"),), CutOff),
        ((finish("STOP"),), NoMoments),
        ((", oh",), NoMoments),
        (("x" * 20_000,), NoMoments),
        ((b"data: {nonsense\r\n\r\n",), Garbled),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_what_was_finished_before_a_fault_stays(
    steps: tuple[Any, ...], kind: type[ModelFault], fake: FakeGemini, opened: Open
) -> None:
    begun = json.dumps([item(50, 60), item(90, 99)])[:-1] + ', {"start": 120, "tit'
    fake.queue(
        begun if kind is not NoMoments or steps[0] != ", oh" else begun.rpartition(",")[0].rpartition(",")[0], *steps
    )
    async with opened(gap_seconds=0.3) as gemini:
        found, [ended] = await Film(gemini, VideoBrief(duration=300.0)).all()
    assert [each.start for each in found] == [50.0, 90.0]
    assert ended.count == 2
    assert type(ended.fault) is kind


@pytest.mark.gen_test
async def test_after_the_array_nothing_matters(fake: FakeGemini, opened: Open) -> None:
    fake.queue(*objects([item(50, 60)]), STALL)
    async with opened() as gemini:
        begin = time.perf_counter()
        found, [ended] = await Film(gemini, VideoBrief(duration=300.0)).all()
        assert time.perf_counter() - begin < 2
    assert (len(found), ended.fault) == (1, None)


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("answer", "kind"), [(bad_key(), NotAllowed), (no_model(), NoSuchModel), (quota(), QuotaExceeded)]
)
async def test_what_fails_one_window_fails_all(
    answer: Any, kind: type[ModelFault], fake: FakeGemini, opened: Open
) -> None:
    fake.queue(answer, times=None)
    async with opened(retries=0) as gemini:
        found, ended = await Film(gemini, settings={"gemini_calls": 1}).all()
    assert not found
    assert [each.window for each in ended] == PARTS
    assert {type(each.fault) for each in ended} == {kind}
    assert len(fake.requests) == 1


@pytest.mark.gen_test
async def test_material_that_cannot_be_had(fake: FakeGemini, opened: Open) -> None:
    async def material(window: Window) -> Material:
        if window == PARTS[0]:
            raise Fault("The video's server refuses.")
        if window == PARTS[1]:  # One picture, as of a podcast: what a model said of it would be invented.
            return Material((Still(window.start, b"\xff\xd8one"),))
        return await little(window)

    for window in PARTS[2:]:
        fake.queue(*objects([item(window.start + 50, window.start + 60)]), when=about(window))
    async with opened() as gemini:
        found, ended = await Film(gemini, material=material).all()
    assert {each.window for each in found} == set(PARTS[2:])
    faults = {each.window: each.fault for each in ended}
    assert str(faults[PARTS[0]]) == "The video's server refuses."
    assert isinstance(faults[PARTS[1]], NoMoments)
    assert not fake.unanswered


@pytest.mark.gen_test
async def test_a_defect_is_no_fault_of_the_model(fake: FakeGemini, opened: Open) -> None:
    async def material(window: Window) -> Material:
        if window == PARTS[3]:
            raise ZeroDivisionError
        return await little(window)

    fake.queue(STALL, times=None)
    async with opened() as gemini:
        with pytest.raises(ExceptionGroup) as caught:
            await Film(gemini, material=material).all()
    assert caught.group_contains(ZeroDivisionError)


# --- leaving ----------------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
@pytest.mark.parametrize("state", ["before the first", "between", "busy", "reading", "cancelled"])
async def test_leaving_closes_all_connections(state: str, fake: FakeGemini, opened: Open) -> None:
    reading = asyncio.Event()

    async def material(window: Window) -> Material:
        if state == "reading":
            reading.set()
            await asyncio.Event().wait()
        return await little(window)

    first = [] if state == "before the first" else ["[" + json.dumps(item(50, 60))]
    for window in PARTS:
        fake.queue(*(first if window == PARTS[0] else []), STALL, when=about(window))
    async with opened() as gemini:
        outcomes = Film(gemini, material=material).ask()
        coming = asyncio.ensure_future(anext(outcomes))
        if state == "reading":
            await reading.wait()
        else:
            await fake.asked(4)
        if first and state != "reading":
            await coming
            if state == "busy":
                await asyncio.sleep(0.3)
            else:
                coming = asyncio.ensure_future(anext(outcomes))
        await asyncio.sleep(0.05)
        since = time.perf_counter()
        if not coming.done():
            coming.cancel()
            await asyncio.wait([coming])
        if state != "cancelled":
            await outcomes.aclose()
        assert time.perf_counter() - since < 0.1
        assert not [task for task in asyncio.all_tasks() if task.get_name() in ("moments", "model answer")]
        for asked in fake.requests:
            assert await asked.closed(since) < 0.1
        assert len(fake.requests) == (0 if state == "reading" else 4)


@pytest.mark.gen_test
async def test_leaving_while_sound_is_uploaded(fake: FakeGemini, opened: Open) -> None:
    """The file that the service was still looking at is deleted too."""
    fake.file_states = ("PROCESSING",)

    async def material(window: Window) -> Material:
        return Material(sound=(Sound(0, 300, Blob(noise(12_000_000), "audio/aac")),))

    async with opened() as gemini:
        outcomes = Film(gemini, VideoBrief(duration=300.0), material).ask()
        coming = asyncio.ensure_future(anext(outcomes))
        await asyncio.to_thread(fake.wait_for, lambda: any(file.looks for file in fake.files.values()), 5)
        since = time.perf_counter()
        coming.cancel()
        await asyncio.wait([coming])
        assert time.perf_counter() - since < 0.1
    assert [file.deleted for file in fake.files.values()] == [True]
    assert not fake.requests
