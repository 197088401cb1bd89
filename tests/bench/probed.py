"""A server that watches its own event loop: run as a program in the place of ``python -m cutaway_server``. When it ends
it writes the loop's gaps, as JSON, into the file that ``CUTAWAY_PROBE`` names.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cutaway_server.app import Services
from cutaway_server.serve import local_service, main
from cutaway_server.settings import Settings

_TICK_SECONDS = 0.001
GAPS: list[tuple[float, float, float]] = []


@asynccontextmanager
async def probed_service(settings: Settings) -> AsyncIterator[Services]:
    async with local_service(settings) as services:
        probe = asyncio.create_task(watch(GAPS))
        try:
            yield services
        finally:
            probe.cancel()


async def watch(gaps: list[tuple[float, float, float]]) -> None:
    """Append the time (``time.time``), the lateness, and the processor time of the loop's thread in it, all in seconds,
    whenever the loop comes more than a millisecond late.
    """
    while True:
        before, work_before = time.perf_counter(), time.thread_time()
        await asyncio.sleep(_TICK_SECONDS)
        late = time.perf_counter() - before - _TICK_SECONDS
        if late > _TICK_SECONDS:
            gaps.append((time.time(), late, time.thread_time() - work_before))


if __name__ == "__main__":
    try:
        main(make_service=probed_service)
    finally:
        Path(os.environ["CUTAWAY_PROBE"]).write_text(json.dumps(GAPS))
