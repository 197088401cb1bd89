"""``/ws/video-snippets``: a query string in, the service's frames out, then exactly one terminal message and
close code 1000. What the frames hold is not known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from tornado.websocket import WebSocketClosedError

from cutaway.protocol import (
    SnippetComplete,
    SnippetRequest,
    SourceMetadata,
    VideoError,
    VideoMessage,
    encode_video,
)
from cutaway_server.errors import Fault
from cutaway_server.fetch.urls import mask_url
from cutaway_server.sockets.base import Socket
from cutaway_server.sockets.query import given_url, read_request
from cutaway_server.sockets.turns import Turns

_log = logging.getLogger(__name__)

STOPPING = "The server is stopping."
SLOW_SECONDS = 5.0
"""A frame that takes longer to send gives the request's place to others until it is sent."""


class VideoService(Protocol):
    """What turns a request into frames."""

    def snippets(self, request: SnippetRequest, request_id: str) -> AsyncGenerator[bytes, None]:
        """Encoded frames, without a terminal message; raises a :class:`~cutaway_server.errors.Fault` for the
        client.

        The generator is closed (``aclose``) when the client leaves, at any point.
        """


class VideoSnippets(Socket):
    """One request, one connection."""

    slow_seconds = SLOW_SECONDS

    def initialize(self) -> None:
        super().initialize()
        self._stopping = False
        self._deadline: asyncio.Timeout | None = None

    def stop(self) -> None:
        """End the work now, as if its time were over; the terminal message says why."""
        self._stopping = True
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())

    async def work(self) -> None:
        """Send what the service yields, then how it ended."""
        source = SourceMetadata(src_video_url=given_url(self.request.query))
        problem = await self._stream_snippets()
        terminal: VideoMessage
        if problem is None:
            terminal = SnippetComplete(metadata=source)
            _log.info("complete after %.1f s", self.request.request_time())
        else:
            terminal = VideoError(message=problem, metadata=source)
            _log.info("error after %.1f s: %s", self.request.request_time(), problem)
        await self.send(encode_video(terminal))
        await self.hang_up()

    async def _stream_snippets(self) -> str | None:
        """None when everything was sent, otherwise what the client is told."""
        seconds = self.cutaway.request_seconds
        try:
            async with asyncio.timeout(seconds) as self._deadline:
                if self._stopping or self.settings["stopping"].is_set():
                    return STOPPING
                request = read_request(self.request.query)
                _log.info("snippets of %s", mask_url(request.video_url))
                snippets = self._service.snippets(request, self.request_id)
                async with self._turns.place() as place, aclosing(snippets) as frames:
                    async for frame in frames:
                        async with place.lent_after(self.slow_seconds):
                            await self.send(frame)
                        del frame  # Or it would stay until the next one is there.
        except Fault as fault:
            return fault.message
        except TimeoutError:
            if self._stopping:
                return STOPPING
            if self._deadline is not None and self._deadline.expired():
                return f"The request took longer than {seconds:g} seconds, which is all that it may take."
            return self._defect()
        except WebSocketClosedError:
            raise
        except Exception:
            return self._defect()
        finally:
            self._deadline = None
        return None

    def _defect(self) -> str:
        _log.exception("a request failed for no fault of the client's")
        return f"Something failed inside the server (request {self.request_id})."

    @property
    def _service(self) -> VideoService:
        service: VideoService = self.settings["video_service"]
        return service

    @property
    def _turns(self) -> Turns:
        turns: Turns = self.settings["video_turns"]
        return turns
