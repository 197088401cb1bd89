"""The order in which one request has its jobs run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from cutaway_server.fetch.door import Pass
from cutaway_server.gemini.video import Material, Window
from cutaway_server.settings import Settings
from cutaway_server.snippets import jobs, stills
from cutaway_server.snippets.clips import Clips, Place
from cutaway_server.snippets.delivery import STILLS_OF_PART, Delivery
from cutaway_server.snippets.moments import Moment
from cutaway_server.snippets.source import Source
from cutaway_server.work.pool import Workers
from snippets.test_snapping import INDEX, REQUEST

MOMENT = Moment(60.0, 12.0, 50.0, 70.0)
KNOWN = jobs.Survey(cast("Source", None), INDEX, 8, MOMENT, (), short=False)


class Worked:
    """Workers whose jobs end when the test says so."""

    count = 2

    def __init__(self) -> None:
        self.running: list[tuple[Callable[..., Any], stills.Part | None, asyncio.Future[Any]]] = []

    async def run(self, job: Callable[..., Any], *order: Any, seconds: float, cpu_seconds: float) -> Any:
        part = next((each for each in order if isinstance(each, stills.Part)), None)
        done = asyncio.get_running_loop().create_future()
        self.running.append((job, part, done))
        return await done

    async def settled(self) -> list[tuple[str, float | None]]:
        """The names of what runs when nothing more happens, and the starts of the windows that are looked at."""
        for _ in range(20):
            await asyncio.sleep(0)
        return [(job.__name__, part and part.start) for job, part, _ in self.running]

    def end(self, result: Any) -> None:
        """The job that has run longest is done."""
        self.running.pop(0)[2].set_result(result)


@pytest.fixture
def worked() -> Worked:
    return Worked()


@pytest.fixture
def delivery(worked: Worked, tmp_path: Path) -> Delivery:
    async def send(frame: bytes, place: Place | None) -> None:
        pass

    outgoing = Clips(tmp_path, seconds=60, space_bytes=0).outgoing()
    workers = cast("Workers", worked)
    return Delivery(workers, Settings(), REQUEST, cast("Pass", None), tmp_path, outgoing, send)


@pytest.mark.gen_test
async def test_later_windows_are_looked_at_in_parts_that_wait_for_the_first_snippet(
    delivery: Delivery, worked: Worked
) -> None:
    first, later = (Window(start, start + 480) for start in (0.0, 460.0))
    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(delivery.material(KNOWN, window)) for window in (first, later)]
        assert await worked.settled() == [("look", 0.0)] * 2, "the first with both workers, the others not yet"
        worked.end(Material())
        assert await worked.settled() == [("look", 0.0)]
        worked.end(Material())
        assert await worked.settled() == [("look", 460.0)], "one worker stays free"
        cut = group.create_task(delivery.deliver(KNOWN, MOMENT, quick=True))
        assert await worked.settled() == [("look", 460.0), ("make_snippet", None)]
        worked.end(Material())
        assert await worked.settled() == [("make_snippet", None)], "the next part waits while the first snippet is cut"
        worked.end(jobs.Cut(b"{}", "A jet", 54.0, 66.0))
        for _ in range(1, 40 // STILLS_OF_PART):
            assert await worked.settled() == [("look", 460.0)]
            worked.end(Material())
    assert cut.result()
    assert [look.result() for look in looks] == [Material(), Material()]
    assert worked.running == []
