"""The moments that the model would show of a video: each as soon as the model has finished writing it.

Comes in: what is known of a video, its windows, and a way to get a window's pictures and sentences. Goes out: a stream
of :class:`~cutaway_server.gemini.video.Suggestion`, from several windows at once, and for each window one
:class:`~cutaway_server.gemini.video.Ended`, with the fault if the model failed there, so that others can stand in.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

from cutaway_server.errors import Fault
from cutaway_server.gemini.arrays import Malformed, ObjectArray
from cutaway_server.gemini.ask import Ask, Blob, Part, Text
from cutaway_server.gemini.briefing import (
    MAX_INLINE_BYTES,
    Order,
    instruction,
    linked_parts,
    material_parts,
    schema,
    thinned,
    weight,
)
from cutaway_server.gemini.client import Gemini
from cutaway_server.gemini.faults import AskRefused, ModelFault, NoSuchModel, NotAllowed, QuotaExceeded
from cutaway_server.gemini.items import Clock, Refused, is_new, suggestion
from cutaway_server.gemini.video import Ended, Material, Outcome, Suggestion, VideoBrief, Window, shares
from cutaway_server.settings import Settings

LANES = 4
"""Windows of one video that are asked about at a time, if the model may be asked so much: others ask it too."""
SPARES = 2
"""How many more moments a window is asked for than are wanted of it: some repeat others, some cannot be cut."""
LEAST_PICTURES, LEAST_SHARE = 2, 0.5
"""From fewer pictures, in all and for each moment that is wanted, and not a word, models invent."""
LEAST_HEARD = 0.1
"""The share of a window that makes up for pictures, when it is heard."""
MOST_READ = 80
"""What comes after so many moments of a window is not read."""
WAITING = 16
"""Suggestions that wait to be taken; then the model has to."""
MOST_UPLOADS = 4
"""Of one window: more would take longer than they are worth."""
_LINK_REFUSED = (AskRefused, NotAllowed)
"""What the service answers when it may not, or cannot, read a video by itself."""
_FOR_ALL = (NotAllowed, NoSuchModel, QuotaExceeded)
"""What fails one window fails all."""

log = logging.getLogger(__name__)

GetMaterial = Callable[[Window], Awaitable[Material]]


class NoMoments(ModelFault):
    """The model answered, but with nothing that can be used."""


class GeminiMoments:
    """Asks the model for the moments of videos.

    Parameters
    ----------
    gemini
        Open, and the caller's to close.
    settings
        Which model, and how many windows are asked about at once.
    """

    def __init__(self, gemini: Gemini, settings: Settings) -> None:
        self._gemini = gemini
        self._settings = settings

    async def suggestions(
        self,
        brief: VideoBrief,
        windows: Sequence[Window],
        material: GetMaterial,
        *,
        wanted: int,
        min_seconds: float,
        max_seconds: float,
    ) -> AsyncGenerator[Outcome, None]:
        """Yield moments as the model writes them, and the end of each window that was asked about.

        No two suggestions show the same; the one that came first stays. Close the generator (``aclosing``) as soon as
        there are enough: then no connection to the model is left.

        Parameters
        ----------
        windows
            As :func:`~cutaway_server.gemini.video.windows` makes them. When they are more than are wanted, those left
            over are asked about only while others give too little; what is never asked about does not end.
        material
            Gets the pictures and sentences of a window, when its turn comes. Not awaited where the service reads the
            video by itself. What it raises as a :class:`~cutaway_server.errors.Fault` ends its window.
        wanted
            How many moments, from all windows together. What comes beyond a window's share is marked as spare.
        min_seconds, max_seconds
            How long a moment is.
        """
        outcomes: asyncio.Queue[Outcome | Exception | None] = asyncio.Queue(WAITING)
        asking = _Asking(self._gemini, self._settings, brief, material, wanted, (min_seconds, max_seconds), outcomes)

        async def produce() -> None:
            try:
                await asking.run(windows)
            except Exception as error:
                await outcomes.put(error)
            else:
                await outcomes.put(None)

        producer = asyncio.create_task(produce(), name="moments")
        try:
            while (outcome := await outcomes.get()) is not None:
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome
        finally:
            producer.cancel()
            await asyncio.wait([producer])


class _Asking:
    """One video being asked about."""

    def __init__(
        self,
        gemini: Gemini,
        settings: Settings,
        brief: VideoBrief,
        material: GetMaterial,
        wanted: int,
        lengths: tuple[float, float],
        outcomes: asyncio.Queue[Outcome | Exception | None],
    ) -> None:
        self._gemini = gemini
        self._settings = settings
        self._brief = brief
        self._material = material
        self._wanted = wanted
        self._lengths = lengths
        self._outcomes = outcomes
        self._lanes = min(LANES, settings.gemini_calls)
        self._link = brief.youtube_url
        self._given: list[Suggestion] = []
        self._hopeless: Fault | None = None

    async def run(self, windows: Sequence[Window]) -> None:
        """Ask about all windows that have a share, and about others while too little comes."""
        told = list(zip(windows, shares(len(windows), self._wanted), strict=True))
        due = deque(pair for pair in told if pair[1])
        reserve = deque((window, 1) for window, share in told if not share)
        running: dict[asyncio.Task[None], int] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                while len(running) < self._lanes and (due or (reserve and self._lacks(running))):
                    window, share = (due or reserve).popleft()
                    running[group.create_task(self._window(window, share))] = share
                if not running:
                    return
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del running[task]

    def _lacks(self, running: dict[asyncio.Task[None], int]) -> bool:
        """Whether less is to be expected than is wanted, and asking could help."""
        return not self._hopeless and sum(not each.spare for each in self._given) + sum(running.values()) < self._wanted

    async def _window(self, window: Window, share: int) -> None:
        count = fresh = 0
        fault: Fault | None = None
        try:
            if self._hopeless:
                raise self._hopeless
            async with aclosing(self._moments(window, share)) as moments:
                async for moment in moments:
                    count += 1
                    if is_new(moment, self._given):
                        moment = replace(moment, spare=fresh >= share)
                        fresh += 1
                        self._given.append(moment)
                        await self._outcomes.put(moment)
            if not count:
                raise NoMoments("The model found no moment that can be shown.")
        except Fault as error:
            fault = error
            if isinstance(error, _FOR_ALL):
                self._hopeless = error
            log.warning("%g to %g s: %d moments from the model, then: %s", window.start, window.end, count, error)
        await self._outcomes.put(Ended(window, count, max(share - fresh, 0), fault))

    async def _moments(self, window: Window, share: int) -> AsyncGenerator[Suggestion, None]:
        """The moments of one window, from the video itself or else from its pictures and sentences."""
        if self._link:
            begun = False
            try:
                link = linked_parts(self._brief, window, self._link)
                async with aclosing(self._answer(window, share, link, linked=True)) as moments:
                    async for moment in moments:
                        begun = True
                        yield moment
                return
            except _LINK_REFUSED as fault:
                if begun:
                    raise
                self._link = None
                log.info("the model cannot read %s: %s", self._brief.youtube_url, fault)
        async with AsyncExitStack() as uploads:
            parts = await self._material_parts(window, share, uploads)
            async with aclosing(self._answer(window, share, parts, linked=False)) as moments:
                async for moment in moments:
                    yield moment

    async def _material_parts(self, window: Window, share: int, uploads: AsyncExitStack) -> Sequence[Part]:
        """Pictures, sentences and sound, together light enough to be sent along: the heaviest are uploaded instead, or
        left out where that cannot be or would take too many uploads."""
        material = await self._material(window)
        least = max(LEAST_SHARE * share, LEAST_PICTURES)
        heard = sum(sound.end - sound.start for sound in material.sound)
        if len(material.stills) < least and not material.sentences and heard < LEAST_HEARD * window.seconds:
            raise NoMoments("There is too little to see, and nothing to read, in this part of the video.")
        parts = material_parts(self._brief, window, material)
        if weight(parts) <= MAX_INLINE_BYTES:
            return parts
        if self._gemini.can_upload:
            try:
                light = await self._uploaded(parts, uploads)
            except ModelFault as fault:
                log.info("%g to %g s: the model is shown less: %s", window.start, window.end, fault)
            else:
                if weight(light) <= MAX_INLINE_BYTES:
                    return light
        return material_parts(self._brief, window, thinned(self._brief, window, material))

    async def _uploaded(self, parts: Sequence[Part], uploads: AsyncExitStack) -> Sequence[Part]:
        """The parts with links to the heaviest blobs; the same if too many would have to be uploaded."""
        blobs = sorted((n for n, part in enumerate(parts) if isinstance(part, Blob)), key=lambda n: -weight([parts[n]]))
        heaviest = set(blobs[:MOST_UPLOADS])
        if weight(part for n, part in enumerate(parts) if n not in heaviest) > MAX_INLINE_BYTES:
            return parts
        light = list(parts)
        for n in blobs[:MOST_UPLOADS]:
            if weight(light) > MAX_INLINE_BYTES and isinstance(blob := parts[n], Blob):
                light[n] = await uploads.enter_async_context(self._gemini.uploaded(blob.data, blob.mime_type))
        return light

    async def _answer(
        self, window: Window, share: int, parts: Sequence[Part], *, linked: bool
    ) -> AsyncGenerator[Suggestion, None]:
        """Ask, and read the answer as it comes."""
        shortest, longest = self._lengths
        room = int(window.seconds // max(2 * shortest, 1.0))  # What a short window can hold.
        least = max(min(share + SPARES, room), 1)
        order = Order(least, least + SPARES, shortest, longest)
        ask = Ask(
            model=self._settings.gemini_video_model,
            parts=tuple(parts),
            instruction=instruction(self._brief, window, order, linked=linked),
            schema=schema(order),
            low_resolution=not self._settings.gemini_video_closely,
        )
        array = ObjectArray(MOST_READ)
        clock = Clock(window, clip=linked)
        try:
            async with aclosing(self._gemini.answer(ask)) as answer:
                async for piece in answer:
                    for item in array.feed(piece.text) if isinstance(piece, Text) else ():
                        try:
                            yield suggestion(item, clock, window, max_seconds=longest)
                        except Refused as why:
                            log.info("%g to %g s: a moment is left out: %s", window.start, window.end, why)
                    if array.closed:
                        break
            array.finish()
        except Malformed as why:
            raise NoMoments("The model's answer is no list of moments.") from why
