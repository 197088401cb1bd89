"""``/ws/search``: frames of requests in, the service's frames out, request after request in their order, each with its
own ``done``. What the frames hold is not known here.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Protocol, TypeAlias

from tornado.websocket import WebSocketClosedError

from cutaway.protocol import Done, SearchError, SearchErrorMetadata, encode_search
from cutaway_server import logs
from cutaway_server.errors import Fault
from cutaway_server.search.deadline import STOPPING, Deadline
from cutaway_server.search.question import BadRequest
from cutaway_server.sockets.base import Socket
from cutaway_server.sockets.spool import LARGE_CHARACTERS, Spool
from cutaway_server.sockets.turns import Turns

_log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 16 << 20
MOST_WAITING = 8
"""Requests of one socket that wait while another is answered."""
SLOW_SECONDS = 5.0
"""A frame that takes longer to send gives the request's place to others until it is sent."""
OFF = "Search is switched off on this server (search_workers is 0)."
_GOING_AWAY, _TRY_AGAIN_LATER = 1001, 1013

Frame: TypeAlias = str | Path
"""What a client sent: the text, or the file that has it when it is large."""


class SearchAnswers(Protocol):
    """What turns a request into frames."""

    def answer(
        self, frame: Frame, request_id: str, deadline: Deadline, send_at_once: Callable[[bytes], bool]
    ) -> AsyncGenerator[list[bytes], None]:
        """Encoded frames, those together that are ready together, without the terminal ``done``; some are sent by
        `send_at_once` instead, which says whether it could. Raises a
        :class:`~cutaway_server.errors.Fault` when the request is none, or nothing can be done for it. The last ones
        come soon after `deadline` was stopped.

        The generator is closed (``aclose``) when the client leaves, at any point.
        """


class Search(Socket):
    """Many requests, one connection."""

    slow_seconds = SLOW_SECONDS

    def initialize(self) -> None:
        super().initialize()
        self._requests: asyncio.Queue[Frame | Fault | None] = asyncio.Queue()
        self._unanswered = 0
        self._ended = False
        self._stopping = False
        self._deadline = Deadline()

    @property
    def max_message_size(self) -> int:
        """Longest message that is read, bytes; a longer one is closed with 1009."""
        return MAX_MESSAGE_BYTES

    # --- what comes in
    # ---------------------------------------------------------------------------------------------

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Put a request in line; a line that is too long ends the connection."""
        super().on_message(message)
        if self._ended:
            return None
        self._unanswered += 1
        if self._unanswered > 1 + MOST_WAITING:
            self._refuse()
        elif isinstance(message, bytes):
            self._requests.put_nowait(BadRequest("A request is a text frame; this one was binary."))
        elif len(message) > LARGE_CHARACTERS:
            return self._keep(message)
        else:
            self._requests.put_nowait(message)
        return None

    def on_close(self) -> None:
        """The connection is gone: so is the work, and what waits."""
        super().on_close()
        self._ended = True
        while not self._requests.empty():
            self._discard(self._requests.get_nowait())

    def drain(self) -> None:
        """Answer what is in line, take nothing new."""
        self._ended = True
        self._requests.put_nowait(None)

    def stop(self) -> None:
        """End the running request, and those in line, each with its terminal message."""
        self._stopping = True
        self._deadline.stop()

    async def _keep(self, message: str) -> None:
        """Nothing more is read until a large request lies in its file, so the order stays."""
        try:
            frame: Frame | Fault = await self._spool.keep(message)
        except Fault as fault:
            frame = fault
        if self._ended:
            self._discard(frame)
        else:
            self._requests.put_nowait(frame)

    def _refuse(self) -> None:
        _log.info("closed: more than %d requests are waiting", MOST_WAITING)
        self._ended = True
        self.close(_TRY_AGAIN_LATER, f"more than {MOST_WAITING} requests are waiting")
        if self._task is not None:
            self._task.cancel()

    def _discard(self, frame: Frame | Fault | None) -> None:
        if isinstance(frame, Path):
            self._spool.discard(frame)

    # --- what goes out
    # ---------------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Answer request after request until the client leaves or the server stops."""
        if self.settings["stopping"].is_set():
            self.drain()
        for number in itertools.count(1):
            frame = await self._requests.get()
            if frame is None:
                break
            logs.request_id.set(f"{self.request_id}.{number}")
            try:
                error = await self._answer(frame)
            finally:
                self._discard(frame)
            if error is not None:
                _log.info("error: %s", error.message)
                await self.send(encode_search(error))
            # A client may send its next request as soon as it sees the end of this one.
            self._unanswered -= 1
            await self.send(encode_search(Done()))
        await self.hang_up(_GOING_AWAY)

    async def _answer(self, frame: Frame | Fault) -> SearchError | None:
        """None when everything was sent, otherwise what the client is told."""
        if self._stopping:
            return SearchError(message=STOPPING)
        self._deadline = deadline = Deadline()
        try:
            if isinstance(frame, Fault):
                raise frame
            if self._service is None:
                return SearchError(message=OFF)
            async with AsyncExitStack() as stack:
                async with deadline.kept():
                    place = await stack.enter_async_context(self._turns.place())
                answer = self._service.answer(frame, logs.request_id.get(), deadline, self.send_at_once)
                async for each in await stack.enter_async_context(aclosing(answer)):
                    async with place.lent_after(self.slow_seconds):
                        await self.send(*each)
        except BadRequest as fault:
            metadata = None if fault.field is None else SearchErrorMetadata(field=fault.field)
            return SearchError(message=fault.message, metadata=metadata)
        except Fault as fault:
            return SearchError(message=fault.message)
        except TimeoutError:
            return SearchError(message=STOPPING) if deadline.stopped else self._defect()
        except WebSocketClosedError:
            raise
        except Exception:
            return self._defect()
        return SearchError(message=STOPPING) if deadline.stopped else None

    def _defect(self) -> SearchError:
        _log.exception("a search failed for no fault of the client's")
        return SearchError(message=f"Something failed inside the server (request {logs.request_id.get()}).")

    @property
    def _service(self) -> SearchAnswers | None:
        service: SearchAnswers | None = self.settings["search_service"]
        return service

    @property
    def _turns(self) -> Turns:
        turns: Turns = self.settings["search_turns"]
        return turns

    @property
    def _spool(self) -> Spool:
        spool: Spool = self.settings["search_spool"]
        return spool
