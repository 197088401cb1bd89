"""What lives as long as the process starts before the first test, so that leak checks see only what a test leaves."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from cutaway.localfile import file_server
from cutaway.loop import background


@pytest.fixture(scope="session", autouse=True)
def process_wide() -> None:
    """The background loop, the threads in which it looks up host names, and the file server."""
    threads = min(32, (os.cpu_count() or 1) + 4)  # ThreadPoolExecutor's default
    all_there = threading.Barrier(threads)

    async def start_threads() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, all_there.wait) for _ in range(threads)))

    background().run(start_threads())
    file_server()
