"""What the articles are about, as vectors of 256 signed bytes in one sparse file: the row of an article is its id.
Comes in: unit rows of :mod:`~cutaway_server.search.embedding`; goes out: the rows of some ids, all zeros for those that
have none yet. Row 0 says whose vectors these are and which change of the record they have followed.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cutaway_server.search.embedding import DIMENSIONS

Rows: TypeAlias = NDArray[np.float32]

FILE = "vectors"
_HEAD = struct.Struct("<8s32sQ")
_MAGIC = b"cutvec-1"
"""Of this layout and these word vectors; a file of others is begun anew."""


class Vectors:
    """A reader of the file; what is written to it is seen at once."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self._file: BinaryIO | None = None

    def refresh(self) -> None:
        """See whether another file has taken the place of the one that is open."""
        try:
            if self._file is None or not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno())):
                self.close()
                self._file = self._path.open("rb", buffering=0)
        except OSError:
            return  # There is none yet.

    def rows(self, ids: NDArray[np.int64]) -> Rows:
        """One row for each id, of length 1, or all zeros."""
        # Not mapped: 200 reads take 0.2 ms, and the pages of a million rows are not counted as every worker's own.
        if self._file is None:
            return np.zeros((len(ids), DIMENSIONS), np.float32)
        file = self._file.fileno()
        # Behind the end of the file nothing is read.
        read = b"".join(os.pread(file, DIMENSIONS, each * DIMENSIONS).ljust(DIMENSIONS, b"\0") for each in ids.tolist())
        found = np.frombuffer(read, np.int8).reshape(-1, DIMENSIONS).astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", found, found))
        found /= np.maximum(lengths, 1.0)[:, None]
        return found

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None


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

    @property
    def removed(self) -> bool:
        """Whether nobody else can see the file any more."""
        return not os.fstat(self._file).st_nlink

    def _read_head(self) -> int:
        head = os.pread(self._file, _HEAD.size, 0)
        if len(head) == _HEAD.size:
            magic, identity, sequence = _HEAD.unpack(head)
            if (magic, identity) == (_MAGIC, self._identity):
                return int(sequence)
        os.close(self._file)
        raise ValueError("not the vectors of this record")

    def write(self, ids: NDArray[np.int64], rows: Rows) -> None:
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
