"""Delivered clips, kept for a time so that browsers can play them by URL. Comes in: the file that a worker has made,
which is moved, not copied. Goes out: an unguessable URL path, and the file behind it for as long as it is kept.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cutaway_server.shelf import UNGUESSABLE, Item, Shelf, new_token

CLIP_PATH = rf"/clips/(?P<token>{UNGUESSABLE})\.mp4"
SPARE_BYTES = 256 << 20
"""Nothing is kept on a disk that has less left: the room is needed for work."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where a worker puts a clip; nobody is served from there before :meth:`Outgoing.ready`."""

    token: str
    folder: Path
    most_bytes: int

    @property
    def path(self) -> str:
        """The URL path."""
        return f"/clips/{self.token}.mp4"

    @property
    def file(self) -> Path:
        """The file, which is whole when it is there."""
        return self.folder / f"{self.token}.mp4"

    def take(self, clip: Path) -> bool:
        """Move a finished clip here, within one file system; False if it cannot be kept, and then the log says why."""
        try:
            self.folder.mkdir(exist_ok=True, mode=0o700)
            if clip.stat().st_size > self.most_bytes:
                log.info("A clip is larger than the space for all clips: not kept")
                return False
            if shutil.disk_usage(self.folder).free < SPARE_BYTES:
                log.warning("The disk of the work folder is nearly full: a clip is not kept")
                return False
            clip.replace(self.file)
        except OSError as error:
            log.warning("A clip cannot be kept: %s", error.strerror or error)
            return False
        return True


@dataclass(slots=True, kw_only=True)
class Clip(Item):
    """A clip that is served."""

    file: Path


class Clips:
    """The clips of one server.

    Parameters
    ----------
    folder
        A folder of its own, on the file system of the workers' scratch folders; it is made when the first clip is.
    seconds, space_bytes
        How long a clip is kept, and how much all of them may take; with no space, none is.
    """

    def __init__(self, folder: Path, *, seconds: float, space_bytes: int) -> None:
        self._folder = folder
        self._shelf = Shelf[Clip](lambda clip: _delete(clip.file), seconds=seconds, space_bytes=space_bytes)

    def get(self, token: str) -> Clip | None:
        """A clip; None when there is none of that name, or no longer."""
        return self._shelf.get(token)

    def outgoing(self) -> Outgoing:
        """For one request."""
        return Outgoing(self._shelf, self._folder)

    def close(self) -> None:
        """Forget everything."""
        self._shelf.close()


class Outgoing:
    """The clips of one request on their way to its client; those that have not reached it when the block ends are
    removed.
    """

    def __init__(self, shelf: Shelf[Clip], folder: Path) -> None:
        self._shelf = shelf
        self._folder = folder
        self._places: set[Place] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for place in list(self._places):
            self.withdraw(place)

    def place(self) -> Place | None:
        """A place for a clip that will be cut; None if none are kept."""
        if not self._shelf.space_bytes:
            return None
        place = Place(new_token(), self._folder, self._shelf.space_bytes)
        self._places.add(place)
        return place

    def ready(self, place: Place, size_bytes: int) -> None:
        """Serve what was put there: a client may ask for it as soon as it has read the message, or sooner."""
        self._shelf.add(Clip(token=place.token, size_bytes=size_bytes, file=place.file))

    def delivered(self, place: Place) -> None:
        """The client has the message."""
        self._places.discard(place)

    def withdraw(self, place: Place) -> None:
        """Remove what is there, if anything."""
        self._places.discard(place)
        self._shelf.remove(place.token)
        _delete(place.file)


def _delete(file: Path) -> None:
    # It may never have been there; and a folder that is out of order shall cost nobody a snippet.
    with contextlib.suppress(OSError):
        file.unlink()
