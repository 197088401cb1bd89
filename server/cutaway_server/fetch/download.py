"""Getting bytes of one remote file, however the server cuts its answers.

What comes in are blocks to fill, what goes out are filled blocks, or a :class:`Fault`. A transfer that breaks
is taken up from the byte it reached; an answer that belongs to another file, or to other bytes than asked, is
an error.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus

import httpcore2

from cutaway_server.fetch.answers import (
    ContentRange,
    FetchFailed,
    SourceChanged,
    encoding,
    explain,
    field,
    status_fault,
    validator,
)
from cutaway_server.fetch.blocks import Block
from cutaway_server.fetch.dial import Line

__all__ = ["Download"]

_RESETS = 3
_SHORT_ANSWERS = 64  # servers that cap ranges do so at megabytes; one that gives a few bytes each time is hostile
# A block of 4 MiB has 44 s: a server that is slower is of no use here, or drips on purpose.
_GRACE_SECONDS = 12.0
_BYTES_PER_SECOND = 128 * 1024


class Download:
    """Ranges of one file through one line; usable from several threads.

    Parameters
    ----------
    line
        The connections.
    url, size, known_validator
        The file, and what tells that it is still the same.
    fields
        Header fields that its server wants to see.
    """

    def __init__(
        self, line: Line, url: str, size: int, known_validator: str, fields: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._line = line
        self._fields = dict(fields)
        self._url = url
        self._size = size
        self._validator = known_validator
        self._lock = threading.Lock()
        self.requests = 0
        self.bytes_fetched = 0

    def fill(self, block: Block, progressed: Callable[[], None]) -> None:
        """Fetch what a block lacks.

        Parameters
        ----------
        block
            Its ``data`` and ``filled`` are written, front to back.
        progressed
            Called after each write.

        Raises
        ------
        FetchFailed
            After the third reset, a refusal, a wrong answer, or when the server is too slow.
        SourceChanged
            When the file has another size or validator than before.
        """
        deadline = time.monotonic() + _GRACE_SECONDS + (len(block.data) - block.filled) / _BYTES_PER_SECOND
        resets = answers = 0
        while not block.complete:
            try:
                self._request(block, progressed, deadline - time.monotonic())
            except (httpcore2.ReadError, httpcore2.WriteError, httpcore2.RemoteProtocolError) as error:
                resets += 1
                if resets > _RESETS:
                    raise explain(error) from error
            except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
                raise explain(error) from error
            answers += 1
            if answers > _SHORT_ANSWERS + resets:
                raise FetchFailed("The server sends the file in too many small pieces.")

    def _request(self, block: Block, progressed: Callable[[], None], seconds: float) -> None:
        start = block.start + block.filled
        fields = {**self._fields, "Range": f"bytes={start}-{block.stop - 1}"}
        with self._lock:
            self.requests += 1
        with self._line.get(self._url, fields, seconds=seconds) as response:
            left = self._check(response, start, block.stop)
            for chunk in response.iter_stream():
                left -= len(chunk)
                if left < 0:
                    raise FetchFailed("The server sent more bytes than it said.")
                block.data[block.filled : block.filled + len(chunk)] = chunk
                block.filled += len(chunk)
                with self._lock:
                    self.bytes_fetched += len(chunk)
                progressed()
        if left:
            raise httpcore2.RemoteProtocolError("the body is shorter than its Content-Range")

    def _check(self, response: httpcore2.Response, start: int, stop: int) -> int:
        """Return how many bytes the body has."""
        if response.status == HTTPStatus.OK:
            raise FetchFailed("The server sent the whole file when it was asked for a part.")
        if 300 <= response.status < 400:
            raise FetchFailed("The server redirects to another address since the file was opened.")
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            raise status_fault(response.status)
        if encoding(response):
            raise FetchFailed("The server sends the file compressed, so that parts of it are of no use.")
        got = ContentRange.parse(field(response, "Content-Range"))
        if got is None:
            raise FetchFailed("The server sent a part of the file without saying which.")
        now = validator(response)
        if got.total not in (None, self._size) or (now and self._validator and now != self._validator):
            raise SourceChanged("The file changed on the server while it was being read: try again.")
        if got.start != start or got.stop > stop:
            raise FetchFailed("The server sent another part of the file than it was asked for.")
        return got.stop - got.start
