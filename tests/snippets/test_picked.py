"""A model picks the moments: what it is shown, what comes of its answer and when, and what of everything that can go
wrong. The real server, its real client of the model's service, and a fake of that."""

from __future__ import annotations

import asyncio
import io
import json
import re
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import av
import pytest

from cutaway.protocol import Snippet, SnippetMetadata, VideoError, VideoMessage
from cutaway_server.gemini.client import open_gemini
from cutaway_server.gemini.moments import GeminiMoments
from cutaway_server.gemini.video import Material, Window
from cutaway_server.settings import Settings
from cutaway_server.snippets.captions import Sentence
from cutaway_server.snippets.moments import Limits, Moment
from cutaway_server.snippets.picking import Gap, NothingPicked, Picker, Spare
from fakes.gemini import FakeGemini
from fakes.questions import Asked
from fakes.replies import (
    DROP,
    HANG_UP,
    STALL,
    UNFINISHED,
    Gate,
    Pause,
    Step,
    bad_key,
    blocked,
    finish,
    forbidden,
    no_candidates,
    no_model,
    objects,
    overloaded,
    quota,
    recorded,
    thought,
)
from processes import alive, wait_until
from servers import Resource
from snippets import film
from snippets.films import CHAPTERS, SENTENCES, Films
from snippets.streams import Streams
from snippets.test_choice import check_spans
from snippets.test_leaving import GONE_SECONDS, TRIES, Client, connected, is_snippet, is_stage
from snippets.test_snapping import INDEX
from snippets.test_sources import check_clips
from snippets.watch import Answer, Watched, running

KEY = "canary-key-77d1a0"
FIRST_SECONDS = 3.0
RECORDED = Path(__file__).resolve().parents[3] / "shared" / "media" / "gemini"


@pytest.fixture(scope="module")
def service() -> Iterator[FakeGemini]:
    with FakeGemini() as fake:
        yield fake


@pytest.fixture
def fake(service: FakeGemini) -> Iterator[FakeGemini]:
    service.reset()
    yield service
    service.hang_up()
    assert not service.unanswered, [each.text for each in service.unanswered]


@pytest.fixture(scope="module")
def server(service: FakeGemini, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    flags = ("--gemini-base-url", service.url, "--gemini-retries", "0", "--gemini-gap-seconds", "2")
    flags += ("--gemini-first-seconds", f"{FIRST_SECONDS:g}", "--log-level", "info")
    with running(tmp_path_factory.mktemp("modelled"), *flags, variables={"GEMINI_API_KEY": KEY}) as watched:
        yield watched
        assert KEY not in watched.server.errors.read_text()


@pytest.fixture
def modelled(server: Watched) -> Watched:
    server.settle()
    server.asked.clear()
    return server


def item(start: float, end: float, title: str = "", description: str = "What is seen.") -> dict[str, Any]:
    return {
        "start": start,
        "end": end,
        "title": title or f"From {start:g}",
        "description": description,
        "reason": "Why.",
    }


ITEMS = [item(60.4 + 36 * n, 71.5 + 36 * n) for n in range(6)]
"""Of the film of 25 shots of 12 s: each a shot, but for half a second."""


def by(answer: Answer) -> list[str]:
    return [m.by or "" for m in answer.metadata]


def titled(answer: Answer) -> dict[str, SnippetMetadata]:
    return {m.title: m for m in answer.metadata}


def log_of(watched: Watched) -> str:
    return watched.server.errors.read_text()


# --- what comes of an answer ---------------------------------------------------------------------------------


def test_its_moments_are_cut_and_sent(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    fake.queue(thought("Let me see."), *objects([*ITEMS, item(24, 36), item(276, 287)], size=23))
    answer = modelled.ask(films["plain.mp4"])
    assert answer.complete, answer.error
    check_spans(answer, duration=300, shortest=5, longest=30)
    assert by(answer) == ["gemini"] * 8
    found = titled(answer)
    for each in ITEMS:
        one = found[each["title"]]
        assert one.description == "What is seen."
        # Where the shots begin and end; a copy may end up to four frames before (there are five in a second).
        assert one.start == pytest.approx(each["start"] - 0.4, abs=0.01)
        assert one.end is not None
        assert -0.81 < one.end - (each["end"] + 0.5) < 0.01
    check_clips_decode(answer)


def check_clips_decode(answer: Answer) -> None:
    for clip, (start, end) in zip(answer.clips, answer.spans, strict=True):
        frames = film.frames_of(clip)
        assert len(frames) == pytest.approx((end - start) * 5, abs=1.01)


def test_clips_are_exact(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    named = [item(3.0, 6.9), item(13.0, 17.4), item(24.2, 27.2), item(41.1, 45.0)]
    fake.queue(*objects(named))
    answer = modelled.ask(films["film.mp4"], min_seconds=2, max_seconds=6, max_snippets=4)
    check_clips(answer, films["film.mp4"])
    # Two are what a minute is worth; the others are spare.
    assert len(answer.snippets) == 2
    assert set(titled(answer)) == {"From 3", "From 13"}


def test_the_first_is_there_while_the_model_writes_on(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    gate = Gate()
    text = json.dumps(ITEMS)
    first = text.index("}") + 1
    fake.queue(text[:first], gate, text[first:])
    url = modelled.origin.serve("gated", Resource(films["plain.mp4"]))

    async def ask() -> list[VideoMessage]:
        async with connected(modelled, url) as client:
            await client.read_until(is_snippet)
            assert gate.reached.is_set()
            assert fake.requests[0].closed_at is None
            gate.open()
            return await client.read_rest()

    rest = asyncio.run(ask())
    titles = [m.data.metadata.title for m in rest if isinstance(m, Snippet) and m.data.metadata.by == "gemini"]
    assert sorted(titles) == sorted(each["title"] for each in ITEMS[1:])
    assert type(rest[-1]).__name__ == "SnippetComplete"


def test_when_there_are_enough_it_is_left(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    before = len(log_of(modelled))
    fake.queue(json.dumps(ITEMS)[:-1], STALL)
    answer = modelled.ask(films["plain.mp4"], max_snippets=2, progress=1)
    assert by(answer) == ["gemini"] * 2
    told = [(each.stage, each.fraction) for each in answer.progress]
    assert len(set(told)) == len(told)
    assert {("resolve", 1), ("analyse", 1), ("cut", 1)} <= set(told)
    assert "moments from the model, then" not in log_of(modelled)[before:], "it waited for what it did not need"
    fake.wait_for(lambda: fake.requests[0].closed_at is not None, 1)


def test_two_of_one_title(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    fake.queue(*objects([item(60, 72, "The harbour"), item(120, 132, "The harbour")]))
    answer = modelled.ask(films["plain.mp4"], max_snippets=2)
    assert sorted(titled(answer)) == ["The harbour", "The harbour, at 2:00"]
    assert by(answer) == ["gemini"] * 2


def test_nothing_is_shown_twice(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    """What overlaps keeps to what is left, or gives its place to another one."""
    named = [item(60, 72), item(66, 90), item(58, 74), item(84, 97), item(71, 85), item(84, 89)]
    fake.queue(*objects(named))
    answer = modelled.ask(films["plain.mp4"], max_snippets=4)
    check_spans(answer, duration=300, shortest=5, longest=30)
    assert len(answer.snippets) == 4
    assert by(answer).count("gemini") >= 2


def test_limits_are_the_clients(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    """What is too short is shown with what is around it, what is too long in part, and called so."""
    fake.queue(*objects([item(60.2, 61.4, "A wink"), item(100, 290, "All the rest")]))
    answer = modelled.ask(films["plain.mp4"], max_snippets=2, min_seconds=8, max_seconds=14)
    check_spans(answer, duration=300, shortest=8, longest=14.05)
    assert by(answer) == ["gemini"] * 2
    wink, rest = sorted(answer.metadata, key=lambda m: m.start or 0)
    assert (wink.title, wink.description) == ("A wink", "What is seen.")
    assert rest.start == pytest.approx(100, abs=5)
    assert re.fullmatch(r"All the rest, at 1:\d\d", rest.title)
    assert rest.description.startswith("From 1:")


def test_last_words_are_shown_with_what_comes_before(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    """What begins too late for a snippet is no less worth showing."""
    fake.queue(*objects([item(297, 299.6, "Last words")]))
    answer = modelled.ask(films["plain.mp4"], max_snippets=1, min_seconds=20)
    check_spans(answer, duration=300, shortest=20, longest=30)
    assert by(answer) == ["gemini"]
    assert titled(answer)["Last words"].end == pytest.approx(300, abs=1)


def test_moments_that_cannot_be_shown_are_replaced(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    """A model that has seen a black picture in it has seen wrong."""
    fake.queue(*objects([item(20, 32, "Night"), item(70, 82, "Day")]))
    answer = modelled.ask(films["half_black.mp4"], max_snippets=2)
    assert answer.complete
    assert by(answer)[0] == "gemini"
    assert titled(answer)["Day"].by == "gemini"
    assert len(answer.snippets) == 2
    assert by(answer)[1] == "local"
    check_spans(answer, duration=180, shortest=5, longest=30)


def test_a_short_video_is_not_worth_a_question(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    answer = modelled.ask(films["moov_last.mp4"])
    assert by(answer) == ["local"]
    assert not fake.requests


# --- what it is shown ----------------------------------------------------------------------------------------


def check_pictures(asked: Asked, *, exact: bool = True) -> list[float]:
    """The times of the pictures; each shows the frame of its time. What else there is, is heard."""
    times = [float(t) for t in re.findall(r"Picture at ([\d.]+) s:", asked.text)]
    heard = asked.blobs[len(times) :]
    assert [kind for kind, _ in heard] == ["audio/aac"] * asked.text.count("Sound from")
    for time_, (kind, data) in zip(times, asked.blobs[: len(times)], strict=True):
        assert kind == "image/jpeg"
        with av.open(io.BytesIO(data)) as picture:
            frame = next(picture.decode(video=0))
        if exact:
            assert film.read_number(frame) / film.RATE == pytest.approx(time_, abs=0.2)
    return times


def test_it_is_shown_keyframes_and_told_what_is_said(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    fake.queue(*objects([item(12.4, 16, "The keeper counts penguins"), item(42, 46, "Thunder")]))
    answer = modelled.ask(films["said.mp4"], min_seconds=3)
    times = check_pictures(fake.requests[0])
    assert len(times) >= 12
    assert max(b - a for a, b in pairwise(times)) < 9
    for _, _, text in SENTENCES:
        assert text.split()[0] in fake.requests[0].text
    keeper = titled(answer)["The keeper counts penguins"]
    assert keeper.start is not None and keeper.end is not None
    assert keeper.start == pytest.approx(12.5, abs=0.5)
    assert keeper.end == pytest.approx(15.9, abs=0.5)


def test_it_is_told_title_and_chapters(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    fake.queue(*objects([item(60, 72)]))
    modelled.ask(films["long.mp4"], max_snippets=1)
    asked = fake.requests[0]
    assert "A Year in the Harbour" in asked.text
    assert all(name in asked.text for _, _, name in CHAPTERS)


@pytest.mark.parametrize("name", ["hls_ts", "hls_fmp4", "hls_renditions", "dash_timeline", "dash_sidx"])
def test_streams_are_shown_too(
    modelled: Watched, fake: FakeGemini, films: Films, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    streams = Streams(films, tmp_path_factory.mktemp("streams"))
    fake.queue(*objects([item(10.6, 16.9), item(37, 41.3)]))
    answer = modelled.ask(streams.serve(modelled.origin, name), min_seconds=2, max_seconds=8)
    assert by(answer) == ["gemini"] * 2
    check_clips(answer, films["film.mp4"])
    # The segments of the smallest rendition, whose pictures are shown, need not begin where the others do.
    assert len(check_pictures(fake.requests[0], exact=name != "hls_renditions")) >= 8


@pytest.mark.gen_test
async def test_youtube_is_read_by_the_service(fake: FakeGemini) -> None:
    """By its address, without a picture from us; the windows of long videos as its clips."""
    fake.queue(*objects([item(30, 42), item(80, 92)]))
    settings = Settings(_env_file=None, gemini_api_key=KEY, gemini_base_url=fake.url)

    async def material(window: Window) -> Material:
        raise AssertionError("nobody needs pictures")

    async with open_gemini(settings) as gemini:
        assert gemini is not None
        picker = Picker(GeminiMoments(gemini, settings), FIRST_SECONDS)
        url = "https://youtu.be/lCdaVNyHtjU?t=4"
        async with aclosing(picker.picks(url, INDEX, "", Limits(8, 5, 30), 2, material)) as picks:
            found = [pick async for pick in picks]
    assert [type(pick) for pick in found] == [Moment, Moment, Gap, Gap]
    assert isinstance(found[0], Moment)
    assert found[0].named is not None
    assert (found[0].named.start, found[0].title) == (30, "From 30")
    (link,) = fake.requests[0].links
    assert link["fileData"]["fileUri"] == "https://www.youtube.com/watch?v=lCdaVNyHtjU"
    assert not fake.requests[0].blobs


def test_a_real_talk(modelled: Watched, fake: FakeGemini, media: Path) -> None:
    """A voice and slides, without captions: the times of sentences are known, the model's are off by up to 3 s."""
    said = json.loads((media / "speech" / "talk.sentences.json").read_text())["sentences"]
    random = Random(11)
    named, meant = [], {}
    for first in range(2, len(said) - 3, 9):
        start, end = said[first]["start"], said[first + 1]["end"]
        named.append(item(start + random.uniform(-3, 3), end + random.uniform(-3, 3)))
        meant[named[-1]["title"]] = (start, end)
    fake.queue(*objects(named, size=77))
    answer = modelled.ask(media / "speech" / "talk.mp4", max_snippets=len(named))
    check_spans(answer, duration=495, shortest=5, longest=30)
    found = [(m.start or 0.0, m.end or 0.0, *meant[m.title]) for m in answer.metadata if m.by == "gemini"]
    assert len(found) >= len(named) - 1
    assert statistics.median(abs(start - wanted) for start, _, wanted, _ in found) <= 0.5
    assert statistics.median(abs(end - wanted) for _, end, _, wanted in found) <= 0.5
    # One of each slide, but where two workers share the looking.
    assert 20 <= len(check_pictures(fake.requests[0], exact=False)) <= 21


# --- when it fails -------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Step, ...]] = {
    "key": (bad_key(KEY),),
    "forbidden": (forbidden(KEY),),
    "no model": (no_model(),),
    "quota": (quota(retry_seconds=30),),
    "overloaded": (overloaded(),),
    "blocked": (blocked(),),
    "no candidates": (no_candidates(),),
    "safety": ("[", finish("SAFETY")),
    "recitation": (finish("RECITATION"),),
    "too long": (thought("hm"), finish("MAX_TOKENS")),
    "nothing": ("[]",),
    "prose": ("I found some moments that people would like.",),
    "no moments": (json.dumps([{"start": "soon", "end": 9}, item(400, 410), item(20, 10), 7]),),
    "garbage": (b"data: {nonsense\r\n\r\n",),
    "not JSON": (b"<html>Bad gateway</html>",),
    "unfinished": ('[{"start": 1, "end"', UNFINISHED),
    "dropped": ('[{"start": 1', DROP),
    "hung up": ("[", HANG_UP),
    "stalled": ("[", STALL),
    "silent": (STALL,),
}


@pytest.fixture(scope="module")
def ours(running_server: Watched, films: Films) -> Answer:
    """What a server without a model makes of the film."""
    running_server.settle()
    return running_server.ask(films["plain.mp4"], max_snippets=3)


@pytest.mark.parametrize("name", FAULTS)
def test_without_a_first_moment_ours_are_sent(
    modelled: Watched, fake: FakeGemini, films: Films, ours: Answer, name: str
) -> None:
    """The same as without a model, and no word of it to the client; but the log has one."""
    fake.queue(*FAULTS[name])
    before = len(log_of(modelled))
    answer = modelled.ask(films["plain.mp4"], max_snippets=3)
    assert answer.complete, answer.error
    assert sorted(answer.spans) == sorted(ours.spans)
    assert answer.spans[0] == ours.spans[0]
    assert by(answer) == ["local"] * len(ours.snippets)
    told = log_of(modelled)[before:]
    assert "the model picked nothing" in told
    assert KEY not in told
    assert answer.seconds < FIRST_SECONDS + 3 * ours.seconds + 2
    fake.wait_for(lambda: all(each.closed_at or name not in ("stalled", "silent") for each in fake.requests), 1)


@pytest.mark.parametrize("name", ["error_400_key_stream.json", "error_404_model_stream.json", "error_429_quota.json"])
def test_recorded_refusals(modelled: Watched, fake: FakeGemini, films: Films, ours: Answer, name: str) -> None:
    check_recorded(modelled, fake, films, ours, name)


@pytest.mark.parametrize(
    "name",
    [
        *("text_stream_12.sse", "json_list_stream_dogs_sse.sse", "json_stream_gemini3flash.sse"),
        *("blocked_prompt_stream.sse", "thinking_stream_35flash_32.sse"),
    ],
)
def test_recorded_answers_to_other_questions(
    modelled: Watched, fake: FakeGemini, films: Films, ours: Answer, name: str
) -> None:
    check_recorded(modelled, fake, films, ours, name)


def check_recorded(modelled: Watched, fake: FakeGemini, films: Films, ours: Answer, name: str) -> None:
    if not RECORDED.is_dir():
        pytest.skip("the folder shared/media beside the project is absent")
    fake.queue(recorded(RECORDED / name))
    answer = modelled.ask(films["plain.mp4"], max_snippets=3)
    assert by(answer) == ["local"] * len(ours.snippets)
    assert sorted(answer.spans) == sorted(ours.spans)


@pytest.mark.parametrize("name", ["dropped", "unfinished", "stalled", "malformed", "stops"])
def test_what_was_sent_stays_and_ours_fill_up(modelled: Watched, fake: FakeGemini, films: Films, name: str) -> None:
    ends: dict[str, tuple[Step, ...]] = {
        "dropped": (DROP,),
        "unfinished": (UNFINISHED,),
        "stalled": (STALL,),
        "malformed": (", and so on.",),
        "stops": ("]",),
    }
    fake.queue(json.dumps(ITEMS[:2])[:-1], Pause(0.3), *ends[name])
    answer = modelled.ask(films["plain.mp4"])
    assert answer.complete, answer.error
    check_spans(answer, duration=300, shortest=5, longest=30)
    assert {each["title"] for each in ITEMS[:2]} <= set(titled(answer))
    assert by(answer)[0] == "gemini"
    assert by(answer).count("gemini") == 2
    assert by(answer).count("local") >= 4


@pytest.fixture(scope="module")
def half_hour(films: Films) -> Path:
    """Half an hour, in four windows."""
    path = films.folder / "half_hour.mp4"
    if not path.exists():
        film.ffmpeg("-stream_loop", "5", "-i", films["plain.mp4"], "-c", "copy", "-movflags", "+faststart", path)
    return path


def of_window(start: float) -> Any:
    def fits(asked: Asked) -> bool:
        return f"from {start:g} to" in asked.instruction

    return fits


def test_a_window_that_fails_is_ours(modelled: Watched, fake: FakeGemini, half_hour: Path) -> None:
    starts = [0, 445, 890, 1335]
    for start in starts:
        named = [item(start + 60 + 36 * n, start + 72 + 36 * n) for n in range(4)]
        steps = [overloaded()] if start == 890 else objects(named, size=40)
        fake.queue(*steps, when=of_window(start))
    answer = modelled.ask(half_hour)
    assert len(fake.requests) == 4
    assert len(answer.snippets) == 8
    check_spans(answer, duration=1801, shortest=5, longest=30)
    ours = [m.start or 0.0 for m in answer.metadata if m.by == "local"]
    theirs = [m.start or 0.0 for m in answer.metadata if m.by == "gemini"]
    assert len(ours) == 2
    assert all(885 <= start < 1360 for start in ours)
    assert sorted(sum(a - 1 <= t < a + 300 for t in theirs) for a in starts if a != 890) == [2, 2, 2]
    assert "ours stand in" in log_of(modelled)


def test_its_first_moment_may_come_from_any_window(modelled: Watched, fake: FakeGemini, half_hour: Path) -> None:
    """Those that fail before are ours once there is one; nothing of ours is sent while all might still fail."""
    gate = Gate()
    for start in (0, 445, 1335):
        fake.queue(forbidden() if start else overloaded(), when=of_window(start))
    fake.queue(gate, json.dumps([item(950, 962, "Late"), item(1000, 1012)]), when=of_window(890))
    url = modelled.origin.serve("late", Resource(half_hour))

    async def ask() -> list[VideoMessage]:
        async with connected(modelled, url, max_snippets=4) as client:
            await client.read_until(is_stage("analyse"))
            await asyncio.to_thread(gate.reached.wait, 5)
            await asyncio.sleep(0.5)
            assert client.frames.empty()
            gate.open()
            return await client.read_rest()

    snippets = [m.data.metadata for m in asyncio.run(ask()) if isinstance(m, Snippet)]
    assert (snippets[0].title, snippets[0].by) == ("Late", "gemini")
    assert [m.by for m in snippets[1:]].count("local") == 3


def test_a_source_that_fails_fails_the_request(modelled: Watched, fake: FakeGemini, films: Films) -> None:
    """Nobody can stand in then: what was sent stays, the fault is told, and the model is left at once."""
    changed, gate = threading.Event(), Gate()
    two = [item(20, 25), item(40, 45)]
    text = json.dumps(two)
    first = text.index("}") + 1
    fake.queue(text[:first], gate, text[first:-1], STALL)
    resource = Resource(films["wide.mp4"], etag=lambda number: '"v2"' if changed.is_set() else '"v1"')
    url = modelled.origin.serve("changing", resource)

    async def ask() -> list[VideoMessage]:
        async with connected(modelled, url, min_seconds=2, max_seconds=6) as client:
            await client.read_until(is_snippet)
            changed.set()
            gate.open()
            return await client.read_rest()

    messages = asyncio.run(ask())
    assert not any(isinstance(m, Snippet) for m in messages)
    assert isinstance(messages[-1], VideoError)
    assert "changed" in messages[-1].message
    fake.wait_for(lambda: fake.requests[0].closed_at is not None, 1)
    modelled.settle()


# --- when the client leaves ----------------------------------------------------------------------------------


async def time_to_leave(watched: Watched, busy: list[Asked], client: Client, how: str) -> float:
    """Seconds from leaving until no worker, file, or connection is left."""
    start = time.perf_counter()
    (client.close if how == "close" else client.reset)()
    await asyncio.to_thread(wait_until, lambda: not watched.left() and all(each.closed_at for each in busy), 3.0)
    return time.perf_counter() - start


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("state", ["looking", "asked", "thinking", "cutting", "waiting for more", "standing in"])
def test_leaving_ends_everything(modelled: Watched, fake: FakeGemini, films: Films, state: str, how: str) -> None:
    times: list[float] = []

    async def once() -> float:
        gate, one = Gate(), json.dumps([item(20, 25)])[:-1]
        steps: tuple[Step, ...] = {
            "thinking": (thought("hm"), "[", gate, STALL),
            "cutting": (one, gate, STALL),
            "waiting for more": (one, gate, STALL),
            "standing in": (one, DROP),
        }.get(state, (gate, STALL))
        fake.reset()
        fake.queue(*steps)
        name = "wide.mp4" if state in ("looking", "cutting", "standing in") else "plain.mp4"
        url = modelled.origin.serve(f"left-{len(modelled.origin.requests)}", Resource(films[name], latency=0.15))
        async with connected(modelled, url, min_seconds=2, max_seconds=6) as client:
            await client.read_until(is_stage("analyse"))
            if state != "looking":
                await fake.asked()
            if state in ("thinking", "asked", "cutting", "waiting for more"):
                await asyncio.to_thread(gate.reached.wait, 5)
            if state in ("waiting for more", "standing in"):
                await client.read_until(is_snippet)
            await asyncio.sleep(0.1)
            busy = [] if state == "standing in" else fake.requests  # Of a connection that it has reset, nobody leaves.
            taken = await time_to_leave(modelled, busy, client, how)
            gate.open()
        if state == "looking":
            assert not fake.requests
        return taken

    while len(times) < TRIES and (not times or min(times) >= GONE_SECONDS):
        modelled.settle()
        times.append(asyncio.run(once()))
    modelled.settle()
    assert min(times) < GONE_SECONDS, times
    assert all(alive(pid) for pid in modelled.worker_pids())


@pytest.mark.gen_test
async def test_a_defect_of_the_models_side_is_no_ones_fault(fake: FakeGemini, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(_env_file=None, gemini_api_key=KEY, gemini_base_url=fake.url)

    async def material(window: Window) -> Material:
        raise ZeroDivisionError

    async with open_gemini(settings) as gemini:
        assert gemini is not None
        picker = Picker(GeminiMoments(gemini, settings), FIRST_SECONDS)
        picks = picker.picks("http://localhost/a.mp4", INDEX, "", Limits(8, 5, 30), 2, material)
        with pytest.raises(NothingPicked):
            await anext(picks)
    assert "for no fault of its own" in caplog.text


@pytest.mark.gen_test
async def test_what_is_spare_comes_last(fake: FakeGemini) -> None:
    named = [item(10.0 + 40 * n, 20.0 + 40 * n) for n in range(5)]
    fake.queue(*objects(named))
    settings = Settings(_env_file=None, gemini_api_key=KEY, gemini_base_url=fake.url)

    async def material(window: Window) -> Material:
        return Material(sentences=(Sentence(1, 2, "Words."),))

    async with open_gemini(settings) as gemini:
        assert gemini is not None
        picker = Picker(GeminiMoments(gemini, settings), FIRST_SECONDS)
        async with aclosing(picker.picks("http://localhost/a.mp4", INDEX, "", Limits(8, 5, 30), 2, material)) as picks:
            found = [pick async for pick in picks]
    assert [pick.title for pick in found[:2] if isinstance(pick, Moment)] == ["From 10", "From 50"]
    assert [pick.moment.title for pick in found[2:5] if isinstance(pick, Spare)] == ["From 90", "From 130", "From 170"]
    assert found[5:] == [Gap(0.0, 300.0, 0), Gap(0.0, 300.0)]
