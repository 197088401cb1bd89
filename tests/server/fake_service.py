"""A service whose steps a test controls, and (run as a program) a real server: fake frames, true workers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cutaway.protocol import SnippetRequest
from cutaway_server.app import Services
from cutaway_server.serve import main
from cutaway_server.settings import Settings
from cutaway_server.work.pool import Workers

FRAME = b'{"type":"progress","stage":"cut","fraction":0.5,"metadata":{"src_video_url":""}}'


class FakeService:
    """Yields frames, waits for events and raises exceptions, in the order of ``steps``."""

    def __init__(self, *steps: bytes | asyncio.Event | BaseException) -> None:
        self.steps = list(steps)
        self.requests: list[SnippetRequest] = []
        self.started = asyncio.Event()
        self.closed = asyncio.Event()
        self.running = 0
        self.most_running = 0

    async def snippets(self, request: SnippetRequest, request_id: str) -> AsyncGenerator[bytes, None]:
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        self.started.set()
        try:
            for step in list(self.steps):
                if isinstance(step, bytes):
                    yield step
                elif isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    raise step
        finally:
            self.running -= 1
            self.closed.set()


class ChildService:
    """For a child process: the video's URL says what happens."""

    def __init__(self, workers: Workers, work_dir: Path) -> None:
        self._workers = workers
        self._work_dir = work_dir

    async def snippets(self, request: SnippetRequest, request_id: str) -> AsyncGenerator[bytes, None]:
        import pool_jobs

        yield FRAME
        if "hang" in request.video_url:
            await self._workers.run(pool_jobs.hang, str(self._work_dir / request_id), seconds=100)
        if "soon" in request.video_url:
            await asyncio.sleep(0.3)
            yield FRAME


@asynccontextmanager
async def child_service(settings: Settings) -> AsyncIterator[Services]:
    workers = Workers(settings.workers, preload=("pool_jobs",))
    await workers.start()
    try:
        assert settings.work_dir is not None
        yield Services(video=ChildService(workers, settings.work_dir))
    finally:
        await workers.close()


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "work"))
    main(make_service=child_service)
