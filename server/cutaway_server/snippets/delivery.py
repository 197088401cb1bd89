"""One request in work: its jobs run, and what they make sent.

Comes in: moments to cut. Goes out: finished frames, each as soon as it is ready. Knows what was delivered, so that no
two snippets overlap or have the same title.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Literal, TypeVar

from cutaway import protocol
from cutaway_server.errors import Fault
from cutaway_server.fetch.answers import Denied
from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.urls import mask_url
from cutaway_server.gemini.video import Material, Window
from cutaway_server.settings import Settings
from cutaway_server.snippets import jobs, moments, stills
from cutaway_server.snippets.captions import Sentence
from cutaway_server.snippets.clips import Outgoing, Place
from cutaway_server.snippets.encode import CannotEncode
from cutaway_server.snippets.moments import Limits, Moment
from cutaway_server.snippets.source import Source
from cutaway_server.snippets.words import clock
from cutaway_server.work.pool import Workers

log = logging.getLogger(__name__)

SURVEY_SECONDS, PLAN_SECONDS, LOOK_SECONDS, CUT_SECONDS = 42.0, 90.0, 42.0, 150.0
CPU_SECONDS = 300.0
SECONDS_OF_STILL, LEAST_STILLS = 12.0, 24
"""How far stills for a model are apart, unless the video is so short that they would be few: 50 for ten minutes."""
MOST_SOUND_BYTES = 3_000_000
"""Of a window: four minutes of it at 100 kb/s."""
STILLS_OF_PART = 8
"""Of later windows, so many are looked at in one go: 0.2 s of work."""

Send = Callable[[bytes, Place | None], Awaitable[None]]
"""Takes a frame, and where the clip in it is kept."""
Result = TypeVar("Result")


class Delivery:
    """One request in work.

    Attributes
    ----------
    limits
        What the client asks for.
    delivered, in_work
        How many snippets were sent, and are being cut.
    fault
        Why a snippet could not be made, if one could not.
    second_best
        Moments to turn to when there is nothing better, and why.
    """

    def __init__(
        self,
        workers: Workers,
        settings: Settings,
        request: protocol.SnippetRequest,
        pass_: Pass,
        scratch: Path,
        outgoing: Outgoing,
        send: Send,
    ) -> None:
        self.limits = Limits(request.max_snippets, request.min_seconds, request.max_seconds)
        self.request = request
        self.delivered = 0
        self.in_work = 0
        self.fault: Fault | None = None
        self.second_best: list[tuple[str, Moment]] = []
        self._workers = workers
        self._settings = settings
        self._pass = pass_
        self._scratch = scratch
        self._outgoing = outgoing
        self._send = send
        self._titles: set[str] = set()
        self._told: dict[str, float] = {}
        self._shown: list[tuple[float, float]] = []
        self._found_again: Source | None = None
        self._finding = asyncio.Lock()
        self._looking = False
        self._first_seen = asyncio.Event()
        self._lookers = asyncio.Semaphore(max(workers.count - 1, 1))
        self._undisturbed = asyncio.Event()
        self._undisturbed.set()

    async def survey(self) -> jobs.Survey:
        """Open the video."""
        known = await self._workers.run(
            jobs.survey,
            self.request.video_url,
            self._pass,
            self.limits,
            self._scratch,
            int(self._settings.max_download),
            seconds=SURVEY_SECONDS,
            cpu_seconds=CPU_SECONDS,
        )
        log.info(
            "%s: %.0f s of %s, %d snippets wanted",
            mask_url(self.request.video_url),
            known.index.duration,
            known.index.video.codec,
            known.wanted,
        )
        return known

    async def plan(self, known: jobs.Survey) -> list[Moment]:
        """Find the moments after the first, the best first."""

        def run(known: jobs.Survey) -> Awaitable[list[Moment]]:
            return self._workers.run(jobs.plan, known, self.limits, seconds=PLAN_SECONDS, cpu_seconds=CPU_SECONDS)

        return await self._reading(known, run)

    async def material(self, known: jobs.Survey, window: Window) -> Material:
        """What a model gets to see of a window.

        The first window that is asked for is looked at at once, by two workers. Those that follow leave a worker free,
        and wait while the first snippet is cut.
        """
        first, self._looking = not self._looking, True
        count = max(round(window.seconds / SECONDS_OF_STILL), LEAST_STILLS)
        if first:
            parts = 2 if count > LEAST_STILLS else 1
        else:
            parts = ceil(count / STILLS_OF_PART)
            await self._first_seen.wait()

        most_sound_bytes = 0 if known.index.has_text else MOST_SOUND_BYTES

        async def look(number: int) -> Material:
            part = stills.Part(window.start, window.end, count, most_sound_bytes, number, parts)

            def run(known: jobs.Survey) -> Awaitable[Material]:
                order = (known.source, known.index, part)
                return self._workers.run(stills.look, *order, seconds=LOOK_SECONDS, cpu_seconds=CPU_SECONDS)

            return await self._aside(first, known, run)

        async def listen() -> list[Sentence]:
            def run(known: jobs.Survey) -> Awaitable[list[Sentence]]:
                order = (known.source, known.index, window.start, window.end)
                return self._workers.run(stills.told, *order, seconds=LOOK_SECONDS, cpu_seconds=CPU_SECONDS)

            return await self._aside(first, known, run) if known.index.has_text else []

        try:
            async with asyncio.TaskGroup() as group:
                said = group.create_task(listen())
                shown = [group.create_task(look(number)) for number in range(parts)]
        except* Fault as faults:
            raise faults.exceptions[0] from None
        finally:
            self._first_seen.set()
        looked = [task.result() for task in shown]
        return Material(
            stills=tuple(still for each in looked for still in each.stills),
            sentences=tuple(said.result()),
            sound=tuple(sound for each in looked for sound in each.sound),
        )

    async def _aside(self, first: bool, known: jobs.Survey, run: Callable[[jobs.Survey], Awaitable[Result]]) -> Result:
        """Run a job that looks at a window, when its turn comes."""
        if first:
            return await self._reading(known, run)
        async with self._lookers:
            await self._undisturbed.wait()
            return await self._reading(known, run)

    def free(self, moment: Moment) -> Moment | None:
        """The moment without what was shown already; None if that leaves too little of it."""
        return moments.outside(moment, self._shown, self.limits)

    async def _reading(self, known: jobs.Survey, run: Callable[[jobs.Survey], Awaitable[Result]]) -> Result:
        """Run a job that reads the video; when its server refuses, find the video again, once, and run it anew."""
        used = self._found_again or known.source
        try:
            return await run(replace(known, source=used))
        except Denied:
            async with self._finding:
                if used is self._found_again:
                    raise
                if self._found_again is None:
                    log.info("%s: refused while it was read, found again", mask_url(self.request.video_url))
                    self._found_again = await self._workers.run(
                        jobs.find_again,
                        self.request.video_url,
                        known.index,
                        self._pass,
                        self._scratch,
                        int(self._settings.max_download),
                        seconds=SURVEY_SECONDS,
                        cpu_seconds=CPU_SECONDS,
                    )
            return await run(replace(known, source=self._found_again))

    async def deliver(self, known: jobs.Survey, moment: Moment, *, quick: bool = False, lenient: bool = False) -> bool:
        """Cut one moment, a ``quick`` one with the cores for itself, and send it; False if there is nothing to show."""
        self.in_work += 1
        if quick:
            self._undisturbed.clear()
        try:
            order = jobs.SnippetOrder(
                moment=moment,
                request=self.request,
                quick=quick,
                whole=known.short,
                lenient=lenient,
                max_bytes=int(self._settings.message_limit),
                place=self._outgoing.place(),
            )

            def make(known: jobs.Survey) -> Awaitable[jobs.Cut]:
                return self._workers.run(
                    jobs.make_snippet,
                    known.source,
                    known.index,
                    order,
                    self._scratch,
                    seconds=CUT_SECONDS,
                    cpu_seconds=CPU_SECONDS,
                )

            done = await self._reading(known, make)
        except CannotEncode as fault:
            self.fault = fault
            return False
        finally:
            self.in_work -= 1
            self._undisturbed.set()
        if done.frame is None:
            log.info("nothing to show around %.1f s: %s", moment.anchor, done.reason)
            if done.second_best:
                self.second_best.append((done.reason, moment))
            return False
        place = order.place if done.kept_bytes else None
        if done.title in self._titles:  # Two that were in work side by side came to the same title.
            if place:
                self._outgoing.withdraw(place)
            moment = replace(moment, title=f"{done.title}, at {clock(done.start)}")
            return await self.deliver(known, moment, lenient=lenient)
        self._titles.add(done.title)
        self._shown.append((done.start, done.end))
        self.delivered += 1
        if place:
            self._outgoing.ready(place, done.kept_bytes)
        await self._send(done.frame, place)
        await self.progress("cut", min(self.delivered / known.wanted, 1.0))
        return True

    async def progress(self, stage: Literal["resolve", "analyse", "cut"], fraction: float) -> None:
        """Tell how far the work is, if the client wants to know."""
        if self.request.progress and self._told.get(stage) != fraction:
            self._told[stage] = fraction
            metadata = protocol.SourceMetadata(src_video_url=self.request.video_url)
            message = protocol.Progress(stage=stage, fraction=fraction, metadata=metadata)
            await self._send(protocol.encode_video(message), None)
