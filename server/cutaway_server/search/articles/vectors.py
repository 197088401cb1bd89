"""What the articles are about, as vectors of 256 signed bytes in one sparse file: the row of an article is its id.
Comes in: unit rows of :mod:`~cutaway_server.search.embedding`; goes out: the rows of some ids, all zeros for those that
have none yet. Row 0 says whose vectors these are and which change of the record they have followed.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cutaway_server.search.embedding import DIMENSIONS

FILE = "vectors"
_HEAD = struct.Struct("<8s32sQ")
_MAGIC = b"cutvec-1"
"""Of this layout and these word vectors; a file of others is begun anew."""


class Vectors:
    """A reader of the file."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self._inode = -1
        self._rows: NDArray[np.int8] = np.empty((0, DIMENSIONS), np.int8)

    def refresh(self) -> None:
        """See whether the file has grown or is another one."""
        try:
            found = self._path.stat()
        except OSError:
            return
        if found.st_ino == self._inode and found.st_size // DIMENSIONS == len(self._rows):
            return
        with self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size // DIMENSIONS * DIMENSIONS
            if size:
                # Never cut short while it is mapped: a new file takes the place of an old one.
                mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
                self._rows = np.frombuffer(mapped, np.int8).reshape(-1, DIMENSIONS)
                self._inode = os.fstat(file.fileno()).st_ino

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """One row for each id, of length 1, or all zeros."""
        found = np.zeros((len(ids), DIMENSIONS), np.float32)
        there = (ids > 0) & (ids < len(self._rows))
        found[there] = self._rows[ids[there]]
        lengths = np.sqrt(np.einsum("ij,ij->i", found, found))
        found /= np.maximum(lengths, 1.0)[:, None]
        return found


class VectorsWriter:
    """The one writer of the file, for who holds the index's lock.

    Attributes
    ----------
    sequence
        Of the last change of the record that the vectors have followed.
    """

    def __init__(self, data_dir: Path, identity: str) -> None:
        self._identity = identity.encode()
        path = data_dir / FILE
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            self.sequence = self._read_head()
        except (OSError, ValueError):
            part = path.with_suffix(".new")
            self._file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self.finish(0)
            part.replace(path)

    def _read_head(self) -> int:
        head = os.pread(self._file, _HEAD.size, 0)
        if len(head) == _HEAD.size:
            magic, identity, sequence = _HEAD.unpack(head)
            if (magic, identity) == (_MAGIC, self._identity):
                return int(sequence)
        os.close(self._file)
        raise ValueError("not the vectors of this record")

    def write(self, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Keep rows of any length; all zeros stand for none."""
        largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
        scaled = np.divide(rows * 127, largest, out=np.zeros_like(rows), where=largest > 0)
        for id_, row in zip(ids.tolist(), np.rint(scaled).astype(np.int8), strict=True):
            os.pwrite(self._file, row.tobytes(), id_ * DIMENSIONS)

    def finish(self, sequence: int) -> None:
        """Say that all changes up to this one have their rows."""
        os.pwrite(self._file, _HEAD.pack(_MAGIC, self._identity, sequence).ljust(DIMENSIONS, b"\0"), 0)
        self.sequence = sequence

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
