"""How soon a moment that the model has written is there, what the model is sent of a video, and how well drifted times
are put right.

Run it: ``python tests/bench/bench_model_video.py [--quick] [--material DIR]``. The real server with the real client of
the model's service talks to a fake of that service, which answers without thinking. Drift: talks in which every
sentence's times are known; the fake names spans of whole sentences with each end off by up to 3 s, evenly. The baseline
is what the snippets would miss if they were cut as named. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parent.parent))  # what tests do too

import material
from bench_first_snippet import spread
from origin import Origin
from report import Options, Row, main
from running import Cutaway, Failed

from cutaway import protocol
from cutaway_server.gemini.video import windows
from fakes.gemini import FakeGemini
from fakes.questions import Asked
from fakes.replies import Gate, objects
from snippets import film, talks

MOST_SECONDS, MOST_READY_SECONDS, MOST_MEGABYTES, MOST_MISSED_SECONDS = 1.0, 1.5, 8.0, 0.5
SPANS = ((91.3, 103.8), (40.2, 60.4), (13.1, 25.2), (331.0, 344.5), (502.9, 520.0))
"""What the model names, in seconds: anywhere, since these films have no sentences."""
MANY_WINDOWS_MINUTES = 60
TALK_SECONDS, TALK_SEED = 480, 5
KEY = "a-key-for-the-fake"


def moment(start: float, end: float, title: str) -> dict[str, object]:
    """A moment as the model writes it."""
    return {"start": start, "end": end, "title": title, "description": "What is seen.", "reason": "Why."}


async def time_first(
    server: Cutaway, fake: FakeGemini, url: str, span: tuple[float, float], asked_about: int = 1
) -> dict[str, float]:
    """Seconds from the first moment's closing brace to its snippet, while the model writes on; and from the end of the
    survey to the last question that was asked by then, and what the questions weigh (MB). Of further windows the model
    says nothing, but what it is shown of them is made beside the first snippet."""
    gate = Gate()
    fake.reset()
    rest = json.dumps(moment(span[1] + 60, span[1] + 75, "Later"))
    first = fake.queue(
        json.dumps([moment(*span, "First")])[:-1], gate, f", {rest}]", when=lambda asked: holds(span, asked)
    )
    fake.queue(gate, "[]", times=asked_about - 1 or None)
    connection = await server.connect(url, progress=1)
    surveyed = 0.0
    try:
        while (frame := await connection.read_message()) is not None:
            now = time.perf_counter()
            message = protocol.decode_video(frame)
            if isinstance(message, protocol.Progress) and message.stage == "analyse":
                surveyed = now
            elif isinstance(message, protocol.Snippet):
                assert message.data.metadata.by == "gemini"
                return {
                    "first": now - first.given[0].sent[0],
                    "ready": max(asked.at for asked in fake.requests) - surveyed,
                    "sent": sum(len(json.dumps(asked.raw)) for asked in fake.requests) / 1e6,
                }
        raise Failed("the connection was lost")
    finally:
        gate.open()
        connection.close()


def holds(span: tuple[float, float], asked: Asked) -> bool:
    """Whether a question is about the part of a video that a span lies in."""
    part = re.search(r"from ([\d.]+) to ([\d.]+) seconds", asked.instruction)
    assert part, asked.instruction
    return float(part[1]) <= span[0] < float(part[2])


async def drifted(
    server: Cutaway, fake: FakeGemini, url: str, ideas: Sequence[talks.Idea]
) -> dict[str, protocol.Snippet]:
    """The snippets of named spans, by title."""
    fake.reset()
    fake.queue(*objects([moment(idea.start, idea.end, idea.title) for idea in ideas]), times=None)
    connection = await server.connect(url)
    found = {}
    while (frame := await connection.read_message()) is not None:
        message = protocol.decode_video(frame)
        if isinstance(message, protocol.Snippet):
            found[message.data.metadata.title] = message
    return found


def model_video(options: Options) -> Iterator[Row]:
    """Time first moments, weigh what is sent, and look how far snippets are from what was meant."""
    os.environ["GEMINI_API_KEY"] = KEY
    try:
        with FakeGemini() as fake, Origin(options.material) as origin, Cutaway("--gemini-base-url", fake.url) as server:
            yield from _firsts(options, server, fake, origin)
            yield from _drifts(options, server, fake, origin)
    finally:
        del os.environ["GEMINI_API_KEY"]


def _firsts(options: Options, server: Cutaway, fake: FakeGemini, origin: Origin) -> Iterator[Row]:
    kinds = ["gop2"] if options.quick else list(material.GOPS)
    films = {kind: (material.long(options.material, kind, 10), SPANS) for kind in kinds}
    named = talks.ideas(talks.compose(TALK_SEED, TALK_SECONDS), 0, len(SPANS))
    films["talk"] = _large_talk(options.material), tuple((idea.start, idea.end) for idea in named)
    for kind, (path, spans) in films.items():
        runs = []
        # One span of the talk has no keyframe in it, so there are enough others for the median.
        count = len(spans) if kind == "talk" else options.count(len(spans))
        for span in (spans[0], *spans[:count]):  # the first one does not count
            runs.append(asyncio.run(time_first(server, fake, origin.url(path.name), span)))
            time.sleep(0.3)
        first, ready, sent = ([run[name] for run in runs[1:]] for name in ("first", "ready", "sent"))
        yield Row(
            f"model's first moment to its snippet, 1080p, {kind}",
            statistics.median(first),
            "s",
            most=MOST_SECONDS,
            note=spread(first),
        )
        if kind == "talk":
            continue
        yield Row(
            f"10 min of it made ready for the model, {kind}",
            statistics.median(ready),
            "s",
            most=MOST_READY_SECONDS,
            note=spread(ready),
        )
        yield Row(f"10 min of it as sent to the model, {kind}", max(sent), "MB", most=MOST_MEGABYTES)
    for kind in kinds:
        path = material.long(options.material, kind, MANY_WINDOWS_MINUTES)
        count = len(windows(60 * MANY_WINDOWS_MINUTES))
        runs = []
        for span in (SPANS[0], *SPANS[:4]):  # the first one does not count
            runs.append(asyncio.run(time_first(server, fake, origin.url(path.name), span, asked_about=count)))
            time.sleep(0.3)
        first = [run["first"] for run in runs[1:]]
        yield Row(
            f"the same while other windows are made ready, {kind}",
            statistics.median(first),
            "s",
            most=MOST_SECONDS,
            note=spread(first),
        )


def _talk(folder: Path, *, captions: bool) -> Path:
    path = folder / f"talk-{TALK_SEED}-{'captions' if captions else 'sound'}.mp4"
    if not path.exists():
        with material.made(path) as partial:
            talks.make(talks.compose(TALK_SEED, TALK_SECONDS), partial, captions=captions)
    return path


def _large_talk(folder: Path) -> Path:
    """The talk in 1080p, with keyframes where the encoder likes them: at slides, and ten seconds apart."""
    path = folder / f"talk-{TALK_SEED}-1080.mp4"
    if not path.exists():
        with material.made(path) as partial:
            picture = ("-vf", "scale=1920:1080", "-r", "25", "-c:v", "libx264", "-preset", "veryfast", "-g", "250")
            kept = ("-c:a", "copy", "-c:s", "copy", "-movflags", "+faststart")
            film.ffmpeg("-i", _talk(folder, captions=True), *picture, *kept, partial)
    return path


def _drifts(options: Options, server: Cutaway, fake: FakeGemini, origin: Origin) -> Iterator[Row]:
    talk = talks.compose(TALK_SEED, TALK_SECONDS)
    for captions, name in ((True, "captions"), (False, "sound alone")):
        path = _talk(options.material, captions=captions)
        ideas: list[talks.Idea] = []
        spans: list[tuple[float, float]] = []
        for seed in range(options.count(6)):
            named = talks.ideas(talk, seed, 8, together=seed % 2 == 0)
            found = asyncio.run(drifted(server, fake, origin.url(path.name), named))
            for idea in named:
                if snippet := found.get(idea.title):
                    metadata = snippet.data.metadata
                    ideas.append(idea)
                    spans.append((float(metadata.start or 0), float(metadata.end or 0)))
        for which, missed, before in zip(
            ("beginning", "end"),
            talks.misses(ideas, spans),
            talks.misses(ideas, [(idea.start, idea.end) for idea in ideas]),
            strict=True,
        ):
            near = statistics.mean(miss <= MOST_MISSED_SECONDS for miss in missed)
            yield Row(
                f"drifted {which} of moments, {name}",
                statistics.median(missed),
                "s off",
                statistics.median(before),
                "(as named)",
                most=MOST_MISSED_SECONDS,
                note=f"{near:.0%} of {len(missed)} within {MOST_MISSED_SECONDS} s; worst {max(missed):.1f} s",
            )


if __name__ == "__main__":
    sys.exit(main(__doc__, model_video))
