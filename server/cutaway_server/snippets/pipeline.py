"""From a request to finished snippets: which job runs when, on the event loop, which only waits.

Comes in: a :class:`~cutaway.protocol.SnippetRequest`. Goes out: an async iterator of encoded frames, each as soon as
it is ready. The first snippet is cut before the rest of the video is looked at; after that, two are in work at a
time. What turns out to be dull is replaced by the next best moment. With a model, it picks the moments
(:mod:`~cutaway_server.snippets.following`).
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from cutaway import protocol
from cutaway_server.errors import Fault
from cutaway_server.fetch.door import Door
from cutaway_server.fetch.urls import check_url
from cutaway_server.gemini.client import Gemini
from cutaway_server.gemini.moments import GeminiMoments
from cutaway_server.settings import Settings
from cutaway_server.snippets import jobs
from cutaway_server.snippets.clips import Clips, Outgoing, Place
from cutaway_server.snippets.cut import BLACK, SENTENCE
from cutaway_server.snippets.delivery import Delivery
from cutaway_server.snippets.following import LANES, Following, Planning
from cutaway_server.snippets.picking import Picker
from cutaway_server.work.pool import Workers

log = logging.getLogger(__name__)

PRELOAD = ("cutaway_server.snippets.jobs", "cutaway_server.snippets.stills", "yake")
"""Imported before any worker is forked: the jobs, and with them all that is heavy."""
FEW = 4
"""What a long video gives at least."""

_Frame: TypeAlias = tuple[bytes, Place | None]
"""A message, and where the clip in it is kept."""


class SnippetService:
    """Finds and cuts the moments of videos.

    Parameters
    ----------
    workers, door
        Where the jobs run and how they reach the outside; both started, both the caller's to stop.
    settings
        Limits on bytes and sizes, and the folder for temporary files.
    clips
        Where delivered clips are kept; the caller's to close.
    gemini
        The model that picks the moments; the caller's to close. None: they are found without.
    """

    def __init__(
        self, workers: Workers, door: Door, settings: Settings, clips: Clips, gemini: Gemini | None = None
    ) -> None:
        self._workers = workers
        self._door = door
        self._settings = settings
        self._clips = clips
        self._picker = Picker(GeminiMoments(gemini, settings), settings.gemini_first_seconds) if gemini else None

    async def snippets(self, request: protocol.SnippetRequest, request_id: str) -> AsyncGenerator[bytes, None]:
        """Yield the frames of one request: snippets, and progress if asked for; no terminal message.

        At most one frame waits to be taken. Closing the generator, or cancelling the task that awaits it, kills the
        jobs, cuts their connections and removes their files before it returns. Clips whose frame was taken, and
        followed by a step for the next one, are kept.

        Raises
        ------
        Fault
            The URL is refused, the source fails, or a job breaks a limit.
        """
        check_url(request.video_url)
        with self._clips.outgoing() as outgoing:
            frames: asyncio.Queue[_Frame | Exception | None] = asyncio.Queue(maxsize=1)
            producer = asyncio.create_task(self._produce(request, outgoing, frames), name=f"snippets {request_id}")
            try:
                while (item := await frames.get()) is not None:
                    if isinstance(item, Exception):
                        raise item
                    frame, place = item
                    del item
                    yield frame
                    del frame  # 15 MB that would wait with us for the next one.
                    if place:
                        outgoing.delivered(place)
            finally:
                producer.cancel()
                await asyncio.wait([producer])

    async def _produce(
        self,
        request: protocol.SnippetRequest,
        outgoing: Outgoing,
        frames: asyncio.Queue[_Frame | Exception | None],
    ) -> None:
        """Put in the frames, then None, or what went wrong."""

        async def send(frame: bytes, place: Place | None) -> None:
            await frames.put((frame, place))

        try:
            async with self._scratch() as scratch:
                with self._door.admit(max_bytes=int(self._settings.max_fetch)) as pass_:
                    delivery = Delivery(self._workers, self._settings, request, pass_, scratch, outgoing, send)
                    await _Work(delivery, self._picker).run()
        except Exception as error:
            await frames.put(error)
        else:
            await frames.put(None)

    @asynccontextmanager
    async def _scratch(self) -> AsyncIterator[Path]:
        folder = tempfile.TemporaryDirectory(dir=self._settings.work_dir, prefix="cutaway-", ignore_cleanup_errors=True)
        try:
            yield Path(folder.name)
        finally:
            # A thread, because a copy of a whole video takes the file system a while to let go of.
            await asyncio.to_thread(folder.cleanup)


class _Work:
    """The way of one request."""

    def __init__(self, delivery: Delivery, picker: Picker | None) -> None:
        self._delivery = delivery
        self._picker = picker

    async def run(self) -> None:
        """Send everything there is; returns when all snippets were taken."""
        delivery = self._delivery
        await delivery.progress("resolve", 0.0)
        known = await delivery.survey()
        await delivery.progress("resolve", 1.0)
        planning = Planning(delivery, known)
        try:
            async with asyncio.TaskGroup() as group:
                picker = None if known.short else self._picker
                if picker is None or not await Following(delivery, known, planning, group).run(picker):
                    await self._find(known, planning, group)
        except* Fault as faults:
            raise faults.exceptions[0] from None
        finally:
            await planning.aclose()
        await self._second(known)
        if not delivery.delivered and delivery.fault:
            raise delivery.fault

    async def _find(self, known: jobs.Survey, planning: Planning, group: asyncio.TaskGroup) -> None:
        """Cut the moments that we find ourselves."""
        delivery = self._delivery
        # Alone: looking at the rest beside it takes the cores that the first snippet needs.
        await delivery.deliver(known, known.first, quick=not known.short)
        if known.short or delivery.delivered >= known.wanted:
            return
        await delivery.progress("analyse", 0.0)
        left = deque(await planning.moments())
        await delivery.progress("analyse", 1.0)

        async def lane() -> None:
            while left and delivery.delivered + delivery.in_work < known.wanted:
                await delivery.deliver(known, left.popleft())

        for _ in range(LANES):
            group.create_task(lane())

    async def _second(self, known: jobs.Survey) -> None:
        """Turn to what is second best: cut sentences when there are too few snippets, black pictures when none."""
        delivery = self._delivery
        for reason in SENTENCE, BLACK:
            least = min(known.wanted, FEW) if reason == SENTENCE else known.wanted * (not delivery.delivered)
            for moment in [m for why, m in delivery.second_best if why == reason]:
                if delivery.delivered < least and (free := delivery.free(moment)):
                    await delivery.deliver(known, free, lenient=True)
