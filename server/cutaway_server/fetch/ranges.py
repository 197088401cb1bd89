"""A remote file as a file object that fetches exact byte ranges. Runs in worker processes, synchronously.

What comes in is a :class:`RemoteFile`, the picklable recipe that :func:`~cutaway_server.fetch.remote.resolve`
made of a URL; what goes out are its bytes, to PyAV or anyone else who reads files. Round trips cost more than
bytes on real networks: who knows what will be read says so (:meth:`RangeReader.prefetch`), and what one
worker fetched goes to the next one with the recipe (:meth:`RangeReader.snapshot`).
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from cutaway_server.fetch.answers import FetchFailed, SourceChanged
from cutaway_server.fetch.blocks import Block, Blocks, merged
from cutaway_server.fetch.dial import Line
from cutaway_server.fetch.download import Download
from cutaway_server.fetch.remote import RemoteFile, resolve

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["FetchFailed", "RangeReader", "RemoteFile", "SourceChanged", "resolve"]

_CONNECTIONS = 6  # what browsers use per host
_AHEAD_FIRST = 64 * 1024
_AHEAD_MOST = 1024 * 1024
_ALIGN = 4096  # so that a reader that goes backwards in small steps does not ask for ten bytes each time
_CACHED_BYTES = 8 * 1024 * 1024


class RangeReader(io.RawIOBase):
    """A seekable, read-only file object over byte ranges of a remote file (or over its temporary local copy).

    Reads inside prefetched spans never touch the network; others fetch from the position on, 64 KiB first and
    twice as much each time that reading goes on where it stopped, up to 1 MiB. One thread reads; closing is
    safe from any.

    Parameters
    ----------
    remote
        The recipe.
    pinned_bytes
        Most bytes that prefetched spans may hold at a time.
    cached_bytes
        How many bytes that were fetched without a plan, or released, are kept.
    """

    def __init__(
        self, remote: RemoteFile, *, pinned_bytes: int = 256 * 1024 * 1024, cached_bytes: int = _CACHED_BYTES
    ) -> None:
        super().__init__()
        self._remote = remote
        self._pinned_limit = pinned_bytes
        self._position = 0
        self._ahead_bytes, self._ahead_from = _AHEAD_FIRST, -1
        self._failure: Exception | None = None
        self._stopped = False
        self._changed = threading.Condition()
        self._blocks = Blocks(cached_bytes)
        self._threads: ThreadPoolExecutor | None = None
        self._line = Line(remote.pass_, connections=_CONNECTIONS + 1)
        self._download = Download(self._line, remote.url, remote.size, remote.validator, remote.fields)
        self._local = remote.local.open("rb") if remote.local is not None else None
        for start, data in remote.blocks:
            for piece_start, piece_stop in self._blocks.missing(start, min(start + len(data), remote.size)):
                piece = bytearray(data[piece_start - start : piece_stop - start])
                self._blocks.add(Block(piece_start, piece, filled=len(piece), pinned=True))

    @property
    def size(self) -> int:
        """Length of the file in bytes."""
        return self._remote.size

    @property
    def requests(self) -> int:
        """HTTP requests made so far."""
        return self._download.requests

    @property
    def bytes_fetched(self) -> int:
        """Bytes of the file that were received so far."""
        return self._download.bytes_fetched

    @property
    def failure(self) -> Exception | None:
        """The first exception that a read or a download raised; PyAV may have turned it into one of its
        own."""
        return self._failure

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; beyond the end is allowed, reads there return nothing."""
        if self.closed:
            raise ValueError("the reader is closed")
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}.get(whence)
        if base is None or base + offset < 0:
            raise ValueError("no such position")
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, fewer only at the end of the file.

        Raises
        ------
        Fault
            When they cannot be fetched; the same one again on every later read that needs the network.
        """
        left = max(0, self.size - self._position)
        data = bytearray(left if size is None or size < 0 else min(size, left))
        return bytes(memoryview(data)[: self.readinto(data)])

    def readall(self) -> bytes:
        """Read everything up to the end."""
        return self.read(-1)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer; fewer bytes than fit only at the end of the file."""
        if self.closed:
            raise ValueError("the reader is closed")
        view = memoryview(buffer).cast("B")
        done, wanted = 0, min(len(view), max(0, self.size - self._position))
        try:
            while done < wanted:
                done += self._read_some(view[done:wanted])
        except Exception as error:
            self._failure = self._failure or error
            raise
        return done

    def prefetch(self, spans: Iterable[tuple[int, int]], *, wait: bool = True) -> None:
        """Fetch byte spans in parallel and keep them until :meth:`release`.

        Parameters
        ----------
        spans
            ``[start, stop)`` pairs, in any order, clamped to the file. Close neighbours are fetched as one,
            what is held already is not fetched again.
        wait
            Whether to return only when all is there. Otherwise a read waits for just the bytes that it needs.

        Raises
        ------
        FetchFailed
            When the spans held would be larger than the limit, or (with `wait`) when they cannot be fetched.
        """
        if self.closed:
            raise ValueError("the reader is closed")
        if self._local is not None:
            return
        with self._changed:
            self._check_alive()
            new, wanted = self._plan(merged(spans, self.size))
            if new and self._threads is None:
                self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="range")
            for block in new:
                assert self._threads is not None
                self._threads.submit(self._fill, block)
            while wait and not all(block.complete for block in wanted):
                self._check_alive()
                self._changed.wait()

    def release(self) -> None:
        """Let go of all prefetched spans: the last read may stay in the cache, what was not begun is not fetched."""
        with self._changed:
            for block in self._blocks:
                block.pinned = False
                if not block.filled:
                    self._blocks.remove(block)
            self._blocks.evict()

    def snapshot(self, limit_bytes: int) -> RemoteFile:
        """Return the recipe with the blocks that are held now, so that the next worker need not fetch them.

        Parameters
        ----------
        limit_bytes
            How many bytes it may carry; the blocks that were read last are preferred.
        """
        if self._local is not None:
            return self._remote
        chosen = []
        with self._changed:
            for block in sorted(self._blocks, key=lambda block: -block.used):
                if 0 < block.filled <= limit_bytes:
                    limit_bytes -= block.filled
                    chosen.append((block.start, bytes(memoryview(block.data)[: block.filled])))
        return self._remote.with_blocks(tuple(sorted(chosen)))

    def held(self) -> list[tuple[int, int]]:
        """Return the ``[start, stop)`` spans that can be read without the network, in order, with holes between."""
        if self._local is not None:
            return [(0, self.size)]
        spans: list[tuple[int, int]] = []
        with self._changed:
            for block in self._blocks:
                start = block.start
                if spans and spans[-1][1] == start:
                    start = spans.pop()[0]
                spans.append((start, block.start + block.filled))
        return spans

    def close(self) -> None:
        """Cancel what is under way and close every connection. Idempotent, safe from any thread."""
        if self.closed or not hasattr(self, "_local"):  # the latter when __init__ raised
            return
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._line.cut()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._line.close()
        if self._local is not None:
            self._local.close()
        self._blocks = Blocks(0)
        super().close()

    def _read_some(self, view: memoryview) -> int:
        """Read at least one byte at the position."""
        if self._local is not None:
            size = os.preadv(self._local.fileno(), [view], self._position)
            if not size:
                raise FetchFailed("The temporary copy of the file is shorter than it was.")
            self._position += size
            return size
        with self._changed:
            while (block := self._blocks.at(self._position)) is not None:
                offset = self._position - block.start
                size = min(len(view), block.filled - offset)
                if size > 0:
                    view[:size] = memoryview(block.data)[offset : offset + size]
                    self._position += size
                    return size
                self._check_alive()
                self._changed.wait()
            self._check_alive()
            block = self._unplanned(len(view))
        self._fill(block)
        return 0

    def _unplanned(self, wanted: int) -> Block:
        """Return the block to fetch for a read at the position, which no block holds."""
        if self._position == self._ahead_from:
            self._ahead_bytes = min(2 * self._ahead_bytes, _AHEAD_MOST)
        else:
            self._ahead_bytes = _AHEAD_FIRST
        gap_start, gap_stop = self._blocks.gap_around(self._position, self.size)
        start = max(gap_start, self._position - self._position % _ALIGN)
        stop = min(gap_stop, self._position + max(self._ahead_bytes, min(wanted, _AHEAD_MOST)))
        self._ahead_from = stop
        self._blocks.evict()
        block = Block(start, bytearray(stop - start))
        self._blocks.add(block)
        return block

    def _plan(self, spans: list[tuple[int, int]]) -> tuple[list[Block], list[Block]]:
        """Pin what is there, add blocks for what is missing; return the added ones, and all that the spans
        need."""
        pieces = [piece for span in spans for piece in self._blocks.missing(*span)]
        held = [block for span in spans for block in self._blocks.overlapping(*span)]
        growth = sum(len(block.data) for block in held if not block.pinned) + sum(b - a for a, b in pieces)
        if self._blocks.pinned_bytes + growth > self._pinned_limit:
            limit = self._pinned_limit // (1024 * 1024)
            raise FetchFailed(f"More than {limit} MiB of this file would be needed in memory at a time.")
        new = [Block(start, bytearray(stop - start), pinned=True) for start, stop in pieces]
        for block in new:
            self._blocks.add(block)
        for block in held:
            block.pinned = True
        return new, held + new

    def _fill(self, block: Block) -> None:
        """Fetch a block, in whichever thread; a failure is for whoever reads."""
        with self._changed:
            if self._stopped or self._blocks.at(block.start) is not block:  # released meanwhile
                return
        try:
            self._download.fill(block, self._notify)
        except Exception as error:
            with self._changed:
                if not self._stopped:
                    self._failure = self._failure or error
                self._changed.notify_all()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _check_alive(self) -> None:
        if self._stopped:
            raise ValueError("the reader was closed during a read")
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> RangeReader:
        return self

    def __exit__(self, *_: Any) -> None:
        with contextlib.suppress(OSError):
            self.close()
