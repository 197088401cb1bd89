"""From a request to its frames: three agents start at once and work side by side, on the event loop, which only waits.
All feed one bounded outbox; what fails or is slow is told, and keeps nobody waiting. Comes in: a frame as a client
sent it; goes out: an async iterator of encoded frames, all but the terminal ``done``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

from cutaway.protocol import (
    ArticlesBatch,
    Image,
    ImageError,
    ImageText,
    SearchError,
    SearchMessage,
    SummaryChunk,
    SummaryDone,
)
from cutaway_server.errors import Fault
from cutaway_server.gemini.ask import Blob
from cutaway_server.search.deadline import STOPPING, Deadline
from cutaway_server.search.findings import Findings
from cutaway_server.search.outbox import Outbox
from cutaway_server.search.pixels import for_model
from cutaway_server.search.question import Question, read, understand
from cutaway_server.work.pool import JobFailed, WorkerDied, Workers, WorkersClosed

_log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""For reading a large request and its image."""
SEE_SECONDS = 5.0
"""For decoding the image, for a model."""
_WHAT = {
    "articles": "The articles could not be searched",
    "summary": "The summary could not be written",
    "images": "The images could not be made",
}

Agent = Literal["articles", "summary", "images"]


class ArticlesAgent(Protocol):
    """Finds articles."""

    def batches(self, question: Question, findings: Findings) -> AsyncGenerator[ArticlesBatch, None]:
        """Yield batches, each added to `findings` before it; raises a :class:`~cutaway_server.errors.Fault`."""


class SummaryAgent(Protocol):
    """Writes a summary."""

    def chunks(self, question: Question, findings: Findings) -> AsyncGenerator[SummaryChunk | SummaryDone, None]:
        """Yield the pieces of a text, and last how it was made, which `findings` say before the first: it may break
        off; raises a :class:`~cutaway_server.errors.Fault`.
        """


class ImageAgent(Protocol):
    """Makes images."""

    def images(self, question: Question, findings: Findings) -> AsyncGenerator[Image | ImageText, None]:
        """Yield images and captions; raises a :class:`~cutaway_server.errors.Fault`."""


class SearchService:
    """Answers requests.

    Parameters
    ----------
    articles, summary, images
        The agents; each is used by many requests at once.
    workers
        Where requests with an image are read; started, or about to be, and the caller's to stop.
    seconds
        Longest time of a request; what is missing then is told.
    sees
        The agents look at images; otherwise none is decoded.
    """

    def __init__(
        self,
        articles: ArticlesAgent,
        summary: SummaryAgent,
        images: ImageAgent,
        *,
        workers: Workers,
        seconds: float,
        sees: bool = False,
    ) -> None:
        self._articles = articles
        self._summary = summary
        self._images = images
        self._workers = workers
        self._seconds = seconds
        self._sees = sees

    async def answer(
        self, frame: str | Path, request_id: str, deadline: Deadline, send_at_once: Callable[[bytes], bool]
    ) -> AsyncGenerator[list[bytes], None]:
        """Yield the frames of one request, those together that are ready together, but for those that `send_at_once`
        has taken; no terminal ``done``.

        The time begins here. When it is over, also because `deadline` was stopped, each agent is cut off, and what it
        has not done is told. Closing the generator, or cancelling the task that awaits it, ends the agents and kills
        their jobs before it returns.

        Raises
        ------
        Fault
            The request is none; nothing was yielded then.
        """
        deadline.begin(self._seconds)
        question = await self._understand(frame, deadline)
        _log.info(
            "%s: %d characters%s", question.source, len(question.text), ", a picture" if question.has_picture else ""
        )
        outbox = Outbox(send_at_once)
        producing = self._produce(frame, question, outbox, deadline)
        producer = asyncio.create_task(producing, name=f"search {request_id}")
        try:
            while ready := await outbox.take():
                yield ready
            await producer  # a defect of ours is not a short answer
        finally:
            producer.cancel()
            await asyncio.wait([producer])

    async def _understand(self, frame: str | Path, deadline: Deadline) -> Question:
        if isinstance(frame, str):
            question, image = read(frame)
            if image is None:
                return question
        try:
            async with deadline.kept():
                return await self._workers.run(understand, frame, seconds=LOOK_SECONDS)
        except (JobFailed, TimeoutError):
            if deadline.stopped:
                raise Fault(STOPPING) from None
            raise Fault("The request could not be read: its image takes more work than is allowed.") from None
        except WorkersClosed:
            raise Fault("Search is not available now.") from None

    async def _produce(self, frame: str | Path, question: Question, outbox: Outbox, deadline: Deadline) -> None:
        findings = Findings()
        if question.has_picture and self._sees:
            question = replace(question, sight=asyncio.create_task(self._see(frame), name="decode the image"))
        try:
            async with asyncio.TaskGroup() as group:
                for work in (self._find, self._sum_up, self._picture):
                    group.create_task(work(question, findings, outbox, deadline))
        finally:
            outbox.end()
            if question.sight is not None:  # it may wait for a worker still, and nobody waits for it
                question.sight.cancel()
                await asyncio.wait([question.sight])

    async def _see(self, frame: str | Path) -> Blob | None:
        try:
            return await self._workers.run(for_model, frame, seconds=SEE_SECONDS)
        except (Fault, WorkersClosed) as error:
            _log.info("the image cannot be shown to the model: %s", error)
        except Exception:
            _log.exception("the image cannot be shown to the model")
        return None

    async def _find(self, question: Question, findings: Findings, outbox: Outbox, deadline: Deadline) -> None:
        problem = await self._forward("articles", self._articles.batches(question, findings), outbox, deadline)
        findings.end(failed=problem is not None)
        if problem is not None:
            await outbox.put(SearchError(message=problem, agent="articles"))

    async def _sum_up(self, question: Question, findings: Findings, outbox: Outbox, deadline: Deadline) -> None:
        done: SummaryDone | None = None

        async def chunks() -> AsyncGenerator[SummaryChunk, None]:
            nonlocal done
            async with aclosing(self._summary.chunks(question, findings)) as pieces:
                async for each in pieces:
                    if isinstance(each, SummaryDone):
                        done = each
                    elif done is None:
                        yield each

        problem = await self._forward("summary", chunks(), outbox, deadline)
        findings.summed_up()
        if problem is not None:
            await outbox.put(SearchError(message=problem, agent="summary"))
        await outbox.put(done or findings.written)

    async def _picture(self, question: Question, findings: Findings, outbox: Outbox, deadline: Deadline) -> None:
        problem = await self._forward("images", self._images.images(question, findings), outbox, deadline)
        if problem is not None:
            await outbox.put(ImageError(message=problem))

    async def _forward(
        self,
        agent: Agent,
        messages: AsyncGenerator[SearchMessage, None],
        outbox: Outbox,
        deadline: Deadline,
    ) -> str | None:
        """Pass on what an agent yields; None when it came to its end, otherwise what the client is told."""
        try:
            async with deadline.kept() as limit, aclosing(messages):
                async for each in messages:
                    await outbox.put(each)
        except WorkerDied:
            return f"{_WHAT[agent]}: the process that worked on it has ended. Try again."
        except JobFailed as fault:
            _log.warning("%s: %s", agent, type(fault).__name__)
            return f"{_WHAT[agent]}: it takes more work than is allowed. Ask in fewer words, or try again."
        except Fault as fault:
            return fault.message
        except WorkersClosed:
            return f"{_WHAT[agent]}: search is not available now."
        except TimeoutError:
            if not limit.expired():
                return self._defect(agent)
            if deadline.stopped:
                return f"{_WHAT[agent]}: the server is stopping."
            return f"{_WHAT[agent]} within {self._seconds:g} seconds, which is all that a search may take."
        except Exception:
            return self._defect(agent)
        return None

    def _defect(self, agent: Agent) -> str:
        _log.exception("the %s agent failed", agent)
        return f"{_WHAT[agent]}: something failed inside the server."
