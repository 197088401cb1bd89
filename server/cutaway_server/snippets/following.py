"""Cutting what a model picks, each moment while the model writes the next; ours stand in wherever it fails.

Comes in: picks as the model writes them. Goes out: snippets, through the delivery. What cannot be shown gives its place
to what the model has to spare of the same window, as soon as that has ended, or else to one of ours; so a window that
the model is stuck in holds up none of the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from cutaway_server.snippets import jobs
from cutaway_server.snippets.delivery import Delivery
from cutaway_server.snippets.moments import Moment
from cutaway_server.snippets.picking import Gap, NothingPicked, Pick, Picker, Spare

log = logging.getLogger(__name__)

LANES = 2
"""Snippets of one request that are in work at a time."""
PATIENCE_SECONDS = 3.0
"""For the model's first moment, before ours are looked for beside it."""


class Planning:
    """Our own moments after the first: looked for once, when they are first needed."""

    def __init__(self, delivery: Delivery, known: jobs.Survey) -> None:
        self._delivery = delivery
        self._known = known
        self._task: asyncio.Task[list[Moment]] | None = None

    def begin(self) -> asyncio.Task[list[Moment]]:
        """Look for them, if nobody does yet."""
        if self._task is None:
            self._task = asyncio.create_task(self._delivery.plan(self._known), name="plan")
        return self._task

    @property
    def done(self) -> bool:
        """Whether they are known."""
        return self._task is not None and self._task.done()

    async def moments(self) -> list[Moment]:
        """The best first.

        Raises
        ------
        Fault
            The source fails.
        """
        return await self.begin()

    async def aclose(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class Following:
    """One request whose moments a model picks."""

    def __init__(self, delivery: Delivery, known: jobs.Survey, planning: Planning, group: asyncio.TaskGroup) -> None:
        self._delivery = delivery
        self._known = known
        self._planning = planning
        self._group = group
        self._lanes: dict[asyncio.Task[None], Moment] = {}
        self._lost: list[Moment] = []
        self._spare: list[Moment] = []
        self._ended: list[Gap] = []
        self._gaps: list[Gap] = []
        self._stood_in: set[float] = set()

    async def run(self, picker: Picker) -> bool:
        """Cut and send until there are enough; False when the model fails before its first moment, and nothing was
        cut."""
        delivery = self._delivery
        await delivery.progress("analyse", 0.0)
        picked = picker.picks(
            delivery.request.video_url,
            self._known.index,
            self._known.language,
            delivery.limits,
            self._known.wanted,
            lambda window: delivery.material(self._known, window),
        )
        # What we would do without it is prepared while it thinks for long, so that its failure costs no more time.
        patience = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._planning.begin)
        try:
            async with aclosing(picked), aclosing(self._coming(picked)) as coming:
                async for pick in coming:
                    if pick is not None:
                        patience.cancel()
                    if not await self._take(pick):
                        break
        except NothingPicked as reason:
            log.info("the model picked nothing: %s; the moments are ours", reason)
            return False
        finally:
            patience.cancel()
        await delivery.progress("analyse", 1.0)
        return True

    async def _coming(self, picks: AsyncGenerator[Pick, None]) -> AsyncGenerator[Pick | None, None]:
        """The picks, and None whenever something else is done before the next one is there."""

        async def following() -> Pick | None:
            return await anext(picks, None)

        coming = asyncio.create_task(following())
        try:
            while True:
                waiting = [self._planning.begin()] if self._gaps and not self._planning.done else []
                await asyncio.wait([coming, *waiting, *self._lanes], return_when=asyncio.FIRST_COMPLETED)
                self._busy()
                if not coming.done():
                    yield None
                    continue
                if (pick := coming.result()) is None:
                    return
                yield pick
                coming = asyncio.create_task(following())
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _take(self, pick: Pick | None) -> bool:
        """Cut what is due; False when enough is delivered."""
        match pick:
            case Moment():
                if not await self._cut(pick):
                    return False
            case Spare(moment):
                self._spare.append(moment)
            case Gap(missing=None):  # All windows have ended.
                return await self._fill() and await self._cut_all(self._spare) and await self._fill(pick)
            case Gap():
                self._ended.append(pick)
                if pick.missing:
                    self._gaps.append(pick)
        if not await self._replace():
            return False
        if self._gaps:
            self._planning.begin()
        # What the model has written does not wait until ours are found.
        return not self._planning.done or await self._fill()

    async def _replace(self) -> bool:
        """Give the places of moments that could not be shown to what is spare of their windows, or to ours; False when
        enough is delivered."""
        for lost in [*self._lost]:
            ended = next((each for each in self._ended if each.start <= lost.anchor < each.end), None)
            if ended is None:
                continue
            self._lost.remove(lost)
            spare = next((each for each in self._spare if ended.start <= each.anchor < ended.end), None)
            if spare is None:
                self._gaps.append(Gap(ended.start, ended.end, 1))
                continue
            self._spare.remove(spare)
            if not await self._cut(spare):
                return False
        return True

    async def _cut(self, moment: Moment) -> bool:
        """Have a moment cut when there is a place for it; False when enough is delivered."""
        delivery, wanted = self._delivery, self._known.wanted

        def is_near() -> bool:
            """What is being cut beside it decides what is left for it."""
            return any(one.low < moment.high and one.high > moment.low for one in self._lanes.values())

        while self._busy() and (len(self._lanes) >= LANES or is_near()):
            await asyncio.wait(self._lanes, return_when=asyncio.FIRST_COMPLETED)
        free = delivery.free(moment)
        if free is None:
            log.info("%.1f s: shown already", moment.anchor)
            self._lost.append(moment)
            return True
        if delivery.delivered:
            self._lanes[self._group.create_task(self._deliver(free))] = free
        else:  # Alone: others take the cores that the first snippet needs.
            await self._deliver(free, quick=True)
        while self._busy() and delivery.delivered + len(self._lanes) >= wanted:
            await asyncio.wait(self._lanes, return_when=asyncio.FIRST_COMPLETED)
        return delivery.delivered < wanted

    async def _deliver(self, moment: Moment, *, quick: bool = False) -> None:
        lenient = moment.named is not None
        if not await self._delivery.deliver(self._known, moment, quick=quick, lenient=lenient):
            self._lost.append(moment)

    def _busy(self) -> bool:
        self._lanes = {task: one for task, one in self._lanes.items() if not task.done()}
        return bool(self._lanes)

    async def _cut_all(self, moments: list[Moment]) -> bool:
        for moment in moments:
            if not await self._cut(moment):
                return False
        return True

    async def _fill(self, *more: Gap) -> bool:
        """Cut our moments in the gaps, which are none then; False when enough is delivered."""
        self._gaps += more
        while self._gaps:
            if not await self._cut_all(await self._stand_ins(self._gaps.pop(0))):
                return False
        return True

    async def _stand_ins(self, gap: Gap) -> list[Moment]:
        """Our own moments where the model had none, the best first; each is given once."""
        ours = [self._known.first, *await self._planning.moments()]
        inside = [m for m in ours if m.anchor not in self._stood_in and gap.start <= m.anchor < gap.end]
        chosen = [m for m in inside if self._delivery.free(m)][: gap.missing]
        self._stood_in.update(m.anchor for m in chosen)
        if chosen:
            log.info("%.0f to %.0f s: ours stand in for moments that the model did not give", gap.start, gap.end)
        return chosen
