"""Generated images, kept for a time: bytes come in, or a promise to make them, and unguessable URL paths go out; what
was promised is made when it is first fetched. Too old, or over the space for all, and the oldest are forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cutaway_server.errors import Fault
from cutaway_server.shelf import UNGUESSABLE, Item, Shelf, new_token

GENERATED_PATH = rf"/generated/(?P<token>{UNGUESSABLE})/(?P<name>image_\d\.[a-z]{{3,4}})"
MOST_SETS = 2048
"""Searches whose images are remembered: what was only promised takes no space, but memory, about 1 kB each."""
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}

Make: TypeAlias = Callable[[int], Awaitable[bytes]]
"""Makes the image of a number, from 0 on."""


class TooLarge(Fault):
    """An image that is larger than all of the space."""


class NoRoom(Fault):
    """An image cannot be written."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An image as it is served; `seconds` is how long it will be kept."""

    data: bytes
    mime_type: str
    etag: str
    seconds: float


@dataclass(slots=True, eq=False)
class _Image:
    path: Path
    etag: str = ""
    size_bytes: int = 0
    """0 until there is a file."""
    task: asyncio.Task[bytes] | None = None
    wanted: int = 0
    """How many wait for it while it is made."""


@dataclass(slots=True)
class _Set(Item):
    """The images of one search. Thousands of sets are remembered of which nobody ever asks for an image: as little as
    can be, or the garbage collector stops the loop for 40 ms.
    """

    count: int
    mime_type: str
    make: Make | None = None
    images: dict[str, _Image] | None = None
    """Those that were asked for."""

    @property
    def names(self) -> list[str]:
        return [f"image_{n}.{_ENDINGS[self.mime_type]}" for n in range(self.count)]

    @property
    def paths(self) -> list[str]:
        return [f"/generated/{self.token}/{name}" for name in self.names]


class GeneratedImages:
    """The images of one server.

    Parameters
    ----------
    folder
        A folder of its own; it is made when the first image is.
    seconds, space_bytes
        How long an image is kept, and how much all of them may take.
    """

    def __init__(self, folder: Path, *, seconds: float, space_bytes: int) -> None:
        self._folder = folder
        self._sets = Shelf[_Set](_drop, seconds=seconds, space_bytes=space_bytes, most=MOST_SETS)

    async def keep(self, images: Sequence[bytes], mime_type: str) -> list[str]:
        """Keep images and return their URL paths.

        Raises
        ------
        TooLarge
            They would not fit if there were no others.
        NoRoom
            The disk is full.
        """
        if sum(map(len, images)) > self._sets.space_bytes:
            raise TooLarge("The generated images are larger than the space for all of them.")
        new = self._new_set(len(images), mime_type)
        for name, data in zip(new.names, images, strict=True):
            await self._write(new, self._image(new, name), data)
        return new.paths

    def promise(self, make: Make, count: int, mime_type: str) -> list[str]:
        """URL paths of `count` images that are made when they are first fetched, each once."""
        return self._new_set(count, mime_type, make).paths

    async def get(self, token: str, name: str) -> Kept | None:
        """An image; None when there is none of that name, or no longer.

        Cancelling stops its making, unless others wait for it too.

        Raises
        ------
        Exception
            Whatever making it raised; the next fetch tries again.
        """
        found = self._sets.get(token)
        if found is None or name not in found.names:
            return None
        image = self._image(found, name)
        if image.size_bytes:
            try:
                data = await asyncio.to_thread(image.path.read_bytes)
            except FileNotFoundError:  # forgotten in the meantime
                return None
        else:
            data = await self._made(found, image, found.names.index(name))
        return Kept(data, found.mime_type, image.etag, found.seconds)

    async def close(self) -> None:
        """Stop what is being made and forget everything."""
        made = [image for each in self._sets for image in (each.images or {}).values()]
        tasks = [image.task for image in made if image.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sets.close()

    async def _made(self, of: _Set, image: _Image, number: int) -> bytes:
        """Have an image made, or wait with others until it is."""
        if image.task is None:
            image.task = asyncio.create_task(self._make(of, image, number), name=f"make image {number}")
        task = image.task
        image.wanted += 1
        try:
            return await asyncio.shield(task)
        finally:
            image.wanted -= 1
            if not image.wanted:
                task.cancel()
                image.task = None

    async def _make(self, of: _Set, image: _Image, number: int) -> bytes:
        assert of.make is not None, "neither bytes nor a promise of them"
        data = await of.make(number)
        await self._write(of, image, data)
        return data

    async def _write(self, of: _Set, image: _Image, data: bytes) -> None:
        def write() -> None:
            self._folder.mkdir(exist_ok=True, mode=0o700)
            image.path.write_bytes(data)

        try:
            await asyncio.to_thread(write)
        except OSError:
            with contextlib.suppress(OSError):
                image.path.unlink()
            raise NoRoom("The server has no room left for generated images: try again later.") from None
        image.etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        image.size_bytes = len(data)
        if not self._sets.grow(of, len(data)):  # forgotten while it was made
            image.path.unlink(missing_ok=True)

    def _image(self, of: _Set, name: str) -> _Image:
        of.images = of.images or {}
        return of.images.setdefault(name, _Image(self._folder / f"{of.token}_{name}"))

    def _new_set(self, count: int, mime_type: str, make: Make | None = None) -> _Set:
        new = _Set(count, mime_type, make, token=new_token())
        self._sets.add(new)
        return new


def _drop(forgotten: _Set) -> None:
    for image in (forgotten.images or {}).values():
        image.path.unlink(missing_ok=True)  # also what was cancelled while it was written
