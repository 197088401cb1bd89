"""The model, asked: one place that limits how many questions are out, tries again, watches the clock and leaves.

Comes in: an :class:`~cutaway_server.gemini.ask.Ask`. Goes out: the pieces of its answer as they come, or a
:class:`~cutaway_server.gemini.faults.ModelFault`. Each answer has one pump, a task that reads the stream and is
cancelled to stop it: so the connection is closed at once, whatever its reader does meanwhile.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from cutaway_server.gemini.ask import Answer, Ask, Linked
from cutaway_server.gemini.faults import ModelFault, Stalled, TooSlow, describe, explain
from cutaway_server.gemini.line import Line
from cutaway_server.gemini.reply import Reply
from cutaway_server.settings import Settings

if TYPE_CHECKING:
    from google.genai.types import GenerateContentResponse

    from cutaway_server.gemini.wire import Wire

T = TypeVar("T")
_log = logging.getLogger(__name__)

_UNUSABLE = (
    "a variable for proxies (HTTPS_PROXY), certificates (SSL_CERT_FILE) or Google's library (GOOGLE_GENAI_...) is wrong"
)
_BACKOFF_SECONDS = 0.4
"""Before the first new attempt; twice as long before each further one."""
_AFTER_FINISH_SECONDS = 1.0
"""For what may follow the model's word that it is done; half as long when that was nothing, and so on."""
_BURST_SECONDS = 0.005
"""Pieces that follow faster than this came together."""
_UPLOAD_SECONDS = 90.0
"""For a file to be sent and made ready."""
_DELETE_SECONDS = 20.0
_FAREWELL_SECONDS = 3.0
"""For the last deletions when the server stops."""


@asynccontextmanager
async def open_gemini(settings: Settings) -> AsyncIterator[Gemini | None]:
    """Give the model; None without a key and without a project of Vertex AI. Nothing is sent before something is asked.

    Takes half a second in a thread, for google-genai.
    """
    asked_for = settings.gemini_api_key is not None or settings.vertex is not None
    wire = await asyncio.to_thread(_build, settings) if asked_for else None
    if wire is None:
        yield None
        return
    gemini = Gemini(wire, settings)
    try:
        yield gemini
    finally:
        await gemini.aclose()


def _build(settings: Settings) -> Wire | None:
    try:
        made: Wire = importlib.import_module("cutaway_server.gemini.wire").Wire(settings)
        return made
    except Exception as error:
        # Everything goes without it, and what libraries raise over a variable is no short list. The words of the
        # exception may hold a proxy's password.
        _log.error("the model is not available: %s (%s)", _UNUSABLE, describe(error))
        return None


class Gemini:
    """The model's service, with its limits; see :func:`open_gemini`.

    Attributes
    ----------
    can_upload
        Whether :meth:`uploaded` works; not on Vertex AI, where everything is sent with the question.
    """

    def __init__(self, wire: Wire, settings: Settings) -> None:
        self.can_upload = wire.can_upload
        self._wire = wire
        self._places = asyncio.Semaphore(settings.gemini_calls)
        self._first_seconds = settings.gemini_first_seconds
        self._gap_seconds = settings.gemini_gap_seconds
        self._retries = settings.gemini_retries
        self._deleting: set[asyncio.Task[None]] = set()

    async def answer(self, ask: Ask) -> AsyncGenerator[Answer, None]:
        """Ask, and yield the answer piece by piece; texts that wait to be taken are joined.

        Nothing is sent before the first piece is awaited. Close the generator (``contextlib.aclosing``) or cancel its
        task to leave: the connection is closed within 100 ms.

        Raises
        ------
        ModelFault
            There is no answer, or it broke off after the pieces that were yielded.
        """
        line = Line()
        pump = asyncio.create_task(self._pump(ask, line), name="model answer")
        try:
            while (piece := await line.take()) is not None:
                yield piece
            await pump
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    @asynccontextmanager
    async def uploaded(self, data: bytes, mime_type: str) -> AsyncIterator[Linked]:
        """Upload a file, and give what a question can refer to; it is deleted on leaving.

        Raises
        ------
        ModelFault
            It could not be uploaded or read.
        """
        assert self.can_upload, "Vertex AI has no Files API"
        names: list[str] = []

        async def attempt() -> Linked:
            # A new one each time: how far the last attempt came is not known.
            names.append(f"files/cutaway-{secrets.token_hex(10)}")
            try:
                return await self._wire.upload(names[-1], data, mime_type)
            except Exception as error:
                raise _told("upload", error) from None

        try:
            try:
                async with asyncio.timeout(_UPLOAD_SECONDS) as budget:
                    linked = await self._trying(attempt, budget, "upload")
            except TimeoutError:
                raise TooSlow from None
            yield linked
        finally:
            # Nobody waits for it, least of all who is cancelled.
            for name in names:
                task = asyncio.create_task(self._delete(name), name="delete an uploaded file")
                self._deleting.add(task)
                task.add_done_callback(self._deleting.discard)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._deleting:
            await asyncio.wait(self._deleting, timeout=_FAREWELL_SECONDS)
        for task in list(self._deleting):
            task.cancel()
        await asyncio.gather(*self._deleting, return_exceptions=True)
        await self._wire.aclose()

    async def _pump(self, ask: Ask, line: Line) -> None:
        """Put the answer into the line; at its end, or at the fault that ends it, close the line."""
        loop = asyncio.get_running_loop()
        given_at = 0.0
        try:
            async with asyncio.timeout(self._first_seconds) as budget, self._places:

                async def deliver(piece: Answer) -> None:
                    budget.reschedule(None)
                    await line.put(piece)
                    # To read on takes longer than to hand on: the agent that waits for the words goes first, and the
                    # socket behind it. Of a burst, all but the first are read first, and handed on together.
                    nonlocal given_at
                    before, given_at = given_at, loop.time()
                    if given_at - before > _BURST_SECONDS:
                        for _ in range(2):
                            await asyncio.sleep(0)

                await self._trying(lambda: self._ask(ask, deliver), budget, ask.model)
        except TimeoutError:
            _log.warning("%s: nothing within %g s", ask.model, self._first_seconds)
            raise TooSlow from None
        finally:
            line.close()

    async def _trying(self, attempt: Callable[[], Awaitable[T]], budget: asyncio.Timeout, what: str) -> T:
        """Try until it succeeds, there was something to show, or neither retries nor time are left."""
        for number in range(self._retries + 1):
            try:
                return await attempt()
            except ModelFault as fault:
                deadline = budget.when()
                pause = fault.retry_seconds
                if pause is None:
                    pause = _BACKOFF_SECONDS * 2**number * random.uniform(0.75, 1.25)  # noqa: S311
                late = deadline is None or asyncio.get_running_loop().time() + pause >= deadline
                if late or not fault.retryable or number == self._retries:
                    raise
                _log.info("%s: again in %.1f s", what, pause)
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _ask(self, ask: Ask, deliver: Callable[[Answer], Awaitable[None]]) -> None:
        """One attempt."""
        reply = Reply(ask)
        patience: float | None = None  # the first chunk has the time that the budget leaves
        idle = 0  # chunks with nothing in them since the model was done, which some say with every chunk
        async with self._wire.chunks(ask) as chunks:
            while (chunk := await self._next(chunks, ask.model, reply, patience)) is not None:
                idle += reply.finished
                with _telling(ask.model):
                    for piece in reply.read(chunk):
                        await deliver(piece)
                        idle = 0
                patience = _AFTER_FINISH_SECONDS * 0.5**idle if reply.finished else self._gap_seconds
        with _telling(ask.model):
            reply.end()

    async def _next(
        self, chunks: AsyncIterator[GenerateContentResponse], model: str, reply: Reply, patience: float | None
    ) -> GenerateContentResponse | None:
        """The next chunk; None at the end."""
        try:
            async with asyncio.timeout(patience):
                return await anext(chunks, None)
        except Exception as error:
            # What the model has finished is whole, however its connection ends.
            if reply.finished:
                return None
            raise _told(model, Stalled() if isinstance(error, TimeoutError) else error) from None

    async def _delete(self, name: str) -> None:
        try:
            async with asyncio.timeout(_DELETE_SECONDS):
                await self._wire.delete(name)
        except Exception as error:
            # It is not there, or the service deletes it by itself after two days.
            _log.info("an uploaded file was not deleted: %s", describe(error))


@contextmanager
def _telling(model: str) -> Iterator[None]:
    """Tell of a fault in the log."""
    try:
        yield
    except ModelFault as fault:
        raise _told(model, fault) from None


def _told(what: str, error: Exception) -> ModelFault:
    """The fault for a client; the log gets what its operator has to know."""
    fault = explain(error)
    _log.warning("%s: %s (%s)", what, fault.message, describe(error))
    return fault
