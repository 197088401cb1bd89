"""The moments that a model picks of one video, in the order in which to cut them, and where ours have to stand in.

Comes in: what the survey found, and a way to run jobs. Goes out: :class:`~cutaway_server.snippets.moments.Moment`
values as the model writes them; when it has ended with a window, what it has to :class:`Spare` of it, and how large a
:class:`Gap` it left.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from cutaway_server.errors import Fault
from cutaway_server.gemini.moments import GeminiMoments
from cutaway_server.gemini.video import Ended, Material, Outcome, Suggestion, VideoBrief, Window, windows
from cutaway_server.gemini.youtube import youtube_url
from cutaway_server.snippets import moments
from cutaway_server.snippets.index import Index
from cutaway_server.snippets.moments import Limits, Moment
from cutaway_server.snippets.snapping import Named

log = logging.getLogger(__name__)

GetMaterial = Callable[[Window], Awaitable[Material]]


class NothingPicked(Exception):
    """The model failed before its first moment; the text says how."""


@dataclass(frozen=True)
class Gap:
    """A stretch (seconds) of which no more comes, and of which the model gave ``missing`` moments too few; None:
    whatever is still wanted."""

    start: float
    end: float
    missing: int | None = None


@dataclass(frozen=True)
class Spare:
    """A moment beyond what was asked for, to be shown when others cannot be."""

    moment: Moment


Pick: TypeAlias = "Moment | Gap | Spare"


class Picker:
    """Has a model pick moments.

    Parameters
    ----------
    gemini
        Who is asked.
    first_seconds
        How long the model may think before its first moment.
    """

    def __init__(self, gemini: GeminiMoments, first_seconds: float) -> None:
        self._gemini = gemini
        self._first_seconds = first_seconds

    async def picks(
        self, url: str, index: Index, language: str, limits: Limits, wanted: int, material: GetMaterial
    ) -> AsyncGenerator[Pick, None]:
        """Yield what to cut, the next when the last was taken; ends with a gap for whatever is still wanted.

        Raises
        ------
        NothingPicked
            Before anything was yielded.
        """
        brief = VideoBrief(
            duration=index.duration,
            title=index.title,
            description=index.description,
            chapters=index.chapters,
            language=language,
            youtube_url=youtube_url(url),
        )
        spare: dict[Window, list[Moment]] = defaultdict(list)
        ended: list[Ended] = []
        asked = self._gemini.suggestions(
            brief,
            windows(index.duration),
            material,
            wanted=wanted,
            min_seconds=limits.min_seconds,
            max_seconds=limits.max_seconds,
        )
        async with aclosing(asked) as outcomes:
            outcome: Outcome | None = await self._first(outcomes, ended)
            while outcome is not None:
                if isinstance(outcome, Ended):
                    ended.append(outcome)
                elif outcome.spare:
                    spare[outcome.window].append(self._moment(outcome, index, limits))
                else:
                    yield self._moment(outcome, index, limits)
                for each in ended:
                    for moment in spare.pop(each.window, ()):
                        yield Spare(moment)
                    yield _gap(each)
                ended.clear()
                outcome = await _next(outcomes)
        for moments_of_window in spare.values():
            for moment in moments_of_window:
                yield Spare(moment)
        yield Gap(0.0, index.duration)

    async def _first(self, outcomes: AsyncGenerator[Outcome, None], ended: list[Ended]) -> Suggestion:
        """The first moment; windows that ended before it are added to ``ended``."""
        fault: Fault | None = None
        try:
            async with asyncio.timeout(self._first_seconds):
                while (outcome := await _next(outcomes)) is not None:
                    if isinstance(outcome, Suggestion):
                        return outcome
                    ended.append(outcome)
                    fault = outcome.fault or fault
        except TimeoutError:
            raise NothingPicked(f"it had none within {self._first_seconds:g} s") from None
        raise NothingPicked(str(fault) if fault else "it had none")

    def _moment(self, suggestion: Suggestion, index: Index, limits: Limits) -> Moment:
        named = Named(
            suggestion.start,
            suggestion.full_end or suggestion.end,
            f"{suggestion.title} {suggestion.description}",
            tuple(chapter.start for chapter in index.chapters),
        )
        return moments.asked(named, suggestion.title, suggestion.description, index, limits)


def _gap(ended: Ended) -> Gap:
    """What a window that failed lacks. Where the model only had little to say, others may have more."""
    return Gap(ended.window.start, ended.window.end, ended.missing if ended.fault else 0)


async def _next(outcomes: AsyncGenerator[Outcome, None]) -> Outcome | None:
    """The next outcome; None at the end, and when the model's side has a defect, which is told in the log."""
    try:
        return await anext(outcomes, None)
    except Exception:
        log.exception("asking the model failed for no fault of its own")
        return None
