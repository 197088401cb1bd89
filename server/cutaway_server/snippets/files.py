"""File objects that videos are read from, and what to say about one that holds none."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Protocol

from cutaway_server.fetch.ranges import RemoteFile
from cutaway_server.snippets.spans import Span


class ByteFile(Protocol):
    """The file object that media is read from: exact ranges, several at a time."""

    @property
    def size(self) -> int: ...
    @property
    def failure(self) -> BaseException | None: ...
    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def close(self) -> None: ...
    def prefetch(self, spans: Iterable[Span], *, wait: bool = True) -> None:
        """Fetch [start, end) spans in parallel and keep them until :meth:`release`."""

    def release(self) -> None: ...
    def held(self) -> list[Span]:
        """The spans that can be read without the network, in order."""

    def snapshot(self, limit_bytes: int) -> RemoteFile:
        """The recipe for opening the file again, with the bytes held now."""


class NoIndex(Exception):
    """The file has no usable index and must be read whole, from a local copy."""


class Demuxed:
    """The file object that PyAV sees, with a position of its own: single packets are read beside it.

    Fails once more than ``left`` bytes were asked for (None: no bound). As long as ``within`` are spans, in order, the
    file is taken to end where the one ends in which is read.
    """

    def __init__(self, file: ByteFile) -> None:
        self._file = file
        self._position = 0
        self._failed = False
        self.left: int | None = None
        self.within: Sequence[Span] | None = None

    def read(self, size: int = -1) -> bytes:
        if self.left is not None:
            self.left -= size
            if self.left < 0:
                raise NoIndex
        if self._failed:  # PyAV prints a failure that is followed by another one.
            return b""
        if self.within is not None:
            n = bisect_right(self.within, self._position, key=lambda span: span[0])
            size = min(size, self.within[n - 1][1] - self._position) if n else 0
            if size <= 0:
                return b""
        self._file.seek(self._position)
        try:
            data = self._file.read(size)
        except BaseException:
            self._failed = True
            raise
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, self._file.size)[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position


def describe(file: ByteFile) -> str:
    """Say what the bytes are, when they are no video."""
    if not file.size:
        return "The file is empty."
    try:
        file.seek(0)
        head = file.read(512).lstrip().lower()
    except OSError:
        head = b""
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "This is a web page or an XML document, not a video file."
    return "This is not a video file that can be read (MP4, MOV, MKV, WebM, MPEG-TS, MPEG-PS, AVI and FLV are)."
