"""From a request to finished snippets: which job runs when, on the event loop, which only waits.

Comes in: a :class:`~cutaway.protocol.SnippetRequest`. Goes out: an async iterator of encoded frames, each as soon as
it is ready. The first snippet is cut before the rest of the video is looked at; after that, two are in work at a
time. What turns out to be dull is replaced by the next best moment.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from cutaway import protocol
from cutaway_server.errors import Fault
from cutaway_server.fetch.answers import Denied
from cutaway_server.fetch.door import Door, Pass
from cutaway_server.fetch.urls import check_url, mask_url
from cutaway_server.settings import Settings
from cutaway_server.snippets import jobs
from cutaway_server.snippets.cut import BLACK, SENTENCE
from cutaway_server.snippets.encode import CannotEncode
from cutaway_server.snippets.moments import Limits, Moment
from cutaway_server.snippets.source import Source
from cutaway_server.snippets.words import clock
from cutaway_server.work.pool import Workers

log = logging.getLogger(__name__)

PRELOAD = ("cutaway_server.snippets.jobs", "yake")
"""Imported before any worker is forked: the jobs, and with them all that is heavy."""
LANES = 2
"""Snippets of one request that are in work at a time."""
FEW = 4
"""What a long video gives at least."""
SURVEY_SECONDS, PLAN_SECONDS, CUT_SECONDS = 42.0, 90.0, 150.0
CPU_SECONDS = 300.0

Send = Callable[[bytes], Awaitable[None]]
Result = TypeVar("Result")


class SnippetService:
    """Finds and cuts the moments of videos.

    Parameters
    ----------
    workers, door
        Where the jobs run and how they reach the outside; both started, both the caller's to stop.
    settings
        Limits on bytes and sizes, and the folder for temporary files.
    """

    def __init__(self, workers: Workers, door: Door, settings: Settings) -> None:
        self._workers = workers
        self._door = door
        self._settings = settings

    async def snippets(self, request: protocol.SnippetRequest, request_id: str) -> AsyncGenerator[bytes, None]:
        """Yield the frames of one request: snippets, and progress if asked for; no terminal message.

        At most one frame waits to be taken. Closing the generator, or cancelling the task that awaits it, kills the
        jobs, cuts their connections and removes their files before it returns.

        Raises
        ------
        Fault
            The URL is refused, the source fails, or a job breaks a limit.
        """
        check_url(request.video_url)
        frames: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(maxsize=1)

        async def produce() -> None:
            try:
                async with self._scratch() as scratch:
                    with self._door.admit(max_bytes=int(self._settings.max_fetch)) as pass_:
                        await _Work(self._workers, self._settings, request, pass_, scratch, frames.put).run()
            except Exception as error:
                await frames.put(error)
            else:
                await frames.put(None)

        producer = asyncio.create_task(produce(), name=f"snippets {request_id}")
        try:
            while (frame := await frames.get()) is not None:
                if isinstance(frame, Exception):
                    raise frame
                yield frame
                del frame  # 15 MB that would wait with us for the next one.
        finally:
            producer.cancel()
            await asyncio.wait([producer])

    @asynccontextmanager
    async def _scratch(self) -> AsyncIterator[Path]:
        folder = tempfile.TemporaryDirectory(dir=self._settings.work_dir, prefix="cutaway-", ignore_cleanup_errors=True)
        try:
            yield Path(folder.name)
        finally:
            # A thread, because a copy of a whole video takes the file system a while to let go of.
            await asyncio.to_thread(folder.cleanup)


class _Work:
    """One request in work."""

    def __init__(
        self,
        workers: Workers,
        settings: Settings,
        request: protocol.SnippetRequest,
        pass_: Pass,
        scratch: Path,
        send: Send,
    ) -> None:
        self._workers = workers
        self._settings = settings
        self._request = request
        self._pass = pass_
        self._scratch = scratch
        self._send = send
        self._limits = Limits(request.max_snippets, request.min_seconds, request.max_seconds)
        self._delivered = 0
        self._in_work = 0
        self._fault: Fault | None = None
        self._second_best: list[tuple[str, Moment]] = []
        self._titles: set[str] = set()
        self._found_again: Source | None = None
        self._finding = asyncio.Lock()

    async def run(self) -> None:
        """Send everything there is; returns when all snippets were taken."""
        await self._progress("resolve", 0.0)
        known = await self._workers.run(
            jobs.survey,
            self._request.video_url,
            self._pass,
            self._limits,
            self._scratch,
            int(self._settings.max_download),
            seconds=SURVEY_SECONDS,
            cpu_seconds=CPU_SECONDS,
        )
        log.info(
            "%s: %.0f s of %s, %d snippets wanted",
            mask_url(self._request.video_url),
            known.index.duration,
            known.index.video.codec,
            known.wanted,
        )
        await self._progress("resolve", 1.0)
        try:
            async with asyncio.TaskGroup() as group:
                # Alone: looking at the rest beside it takes the cores that the first snippet needs.
                await self._deliver(known, known.first, quick=not known.short)
                if not known.short and self._delivered < known.wanted:
                    await self._rest(known, group)
        except* Fault as faults:
            raise faults.exceptions[0] from None
        await self._second(known)
        if not self._delivered and self._fault:
            raise self._fault

    async def _rest(self, known: jobs.Survey, group: asyncio.TaskGroup) -> None:
        await self._progress("analyse", 0.0)

        def plan(known: jobs.Survey) -> Awaitable[list[Moment]]:
            return self._workers.run(jobs.plan, known, self._limits, seconds=PLAN_SECONDS, cpu_seconds=CPU_SECONDS)

        left = deque(await self._reading(known, plan))
        await self._progress("analyse", 1.0)

        async def lane() -> None:
            while left and self._delivered + self._in_work < known.wanted:
                await self._deliver(known, left.popleft())

        for _ in range(LANES):
            group.create_task(lane())

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
                    log.info("%s: refused while it was read, found again", mask_url(self._request.video_url))
                    self._found_again = await self._workers.run(
                        jobs.find_again,
                        self._request.video_url,
                        known.index,
                        self._pass,
                        self._scratch,
                        int(self._settings.max_download),
                        seconds=SURVEY_SECONDS,
                        cpu_seconds=CPU_SECONDS,
                    )
            return await run(replace(known, source=self._found_again))

    async def _second(self, known: jobs.Survey) -> None:
        """Turn to what is second best: cut sentences when there are too few snippets, black pictures when none."""
        for reason in SENTENCE, BLACK:
            least = min(known.wanted, FEW) if reason == SENTENCE else known.wanted * (not self._delivered)
            for moment in [m for why, m in self._second_best if why == reason]:
                if self._delivered < least:
                    await self._deliver(known, moment, lenient=True)

    async def _deliver(self, known: jobs.Survey, moment: Moment, *, quick: bool = False, lenient: bool = False) -> None:
        """Cut one moment and send it, unless there is nothing to show."""
        self._in_work += 1
        try:
            order = jobs.SnippetOrder(
                moment=moment,
                request=self._request,
                quick=quick,
                whole=known.short,
                lenient=lenient,
                max_bytes=int(self._settings.message_limit),
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
            self._fault = fault
            return
        finally:
            self._in_work -= 1
        if done.frame is None:
            log.info("nothing to show around %.1f s: %s", moment.anchor, done.reason)
            if done.second_best:
                self._second_best.append((done.reason, moment))
            return
        if done.title in self._titles:  # Two that were in work side by side came to the same title.
            await self._deliver(known, replace(moment, title=f"{done.title}, at {clock(done.start)}"), lenient=lenient)
            return
        self._titles.add(done.title)
        self._delivered += 1
        await self._send(done.frame)
        await self._progress("cut", min(self._delivered / known.wanted, 1.0))

    async def _progress(self, stage: Literal["resolve", "analyse", "cut"], fraction: float) -> None:
        if self._request.progress:
            metadata = protocol.SourceMetadata(src_video_url=self._request.video_url)
            message = protocol.Progress(stage=stage, fraction=fraction, metadata=metadata)
            await self._send(protocol.encode_video(message))
