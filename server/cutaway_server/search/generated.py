"""Generated images, kept for a time: bytes come in, or a promise to make them, and unguessable URL paths go out; what
was promised is made when it is first fetched. Too old, or over the space for all, and the oldest are forgotten.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from cutaway_server.errors import Fault

GENERATED_PATH = r"/generated/(?P<token>[A-Za-z0-9_-]{22})/(?P<name>image_\d\.[a-z]{3,4})"
MOST_SETS = 4096
"""Searches whose images are remembered: what was only promised takes no space, but memory, about 1 kB each."""
_TOKEN_BYTES = 16
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}

Make: TypeAlias = Callable[[], Awaitable[bytes]]


class TooLarge(Fault):
    """An image that is larger than all of the space."""


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
    mime_type: str
    make: Make | None = None
    etag: str = ""
    size_bytes: int = 0
    """0 until there is a file."""
    task: asyncio.Task[bytes] | None = None


@dataclass(slots=True)
class _Set:
    """The images of one search."""

    token: str
    until: float
    images: dict[str, _Image] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        return [f"/generated/{self.token}/{name}" for name in self.images]


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
        self._seconds = seconds
        self._space_bytes = space_bytes
        self._sets: OrderedDict[str, _Set] = OrderedDict()  # the oldest first
        self._size_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    async def keep(self, images: Sequence[bytes], mime_type: str) -> list[str]:
        """Keep images and return their URL paths.

        Raises
        ------
        TooLarge
            They would not fit if there were no others.
        """
        if sum(map(len, images)) > self._space_bytes:
            raise TooLarge("The generated images are larger than the space for all of them.")
        new = self._new_set(len(images), mime_type)
        for image, data in zip(new.images.values(), images, strict=True):
            await self._write(new, image, data)
        return new.paths

    def promise(self, makes: Sequence[Make], mime_type: str) -> list[str]:
        """URL paths of images that are made when they are first fetched, each once."""
        new = self._new_set(len(makes), mime_type)
        for image, make in zip(new.images.values(), makes, strict=True):
            image.make = make
        return new.paths

    async def get(self, token: str, name: str) -> Kept | None:
        """An image; None when there is none of that name, or no longer.

        Raises
        ------
        Exception
            Whatever making it raised; the next fetch tries again.
        """
        self._forget()
        found = self._sets.get(token)
        image = found.images.get(name) if found else None
        if found is None or image is None:
            return None
        if image.size_bytes:
            try:
                data = await asyncio.to_thread(image.path.read_bytes)
            except FileNotFoundError:  # forgotten in the meantime
                return None
        else:
            if image.task is None:
                image.task = asyncio.create_task(self._make(found, image), name=f"make {name}")
                image.task.add_done_callback(lambda _: setattr(image, "task", None))
            # Others may wait for it too.
            data = await asyncio.shield(image.task)
        return Kept(data, image.mime_type, image.etag, max(0.0, found.until - time.monotonic()))

    async def close(self) -> None:
        """Stop what is being made and forget everything."""
        tasks = [image.task for each in self._sets.values() for image in each.images.values() if image.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._sets:
            self._drop()
        if self._timer is not None:
            self._timer.cancel()

    async def _make(self, of: _Set, image: _Image) -> bytes:
        assert image.make is not None, "neither bytes nor a promise of them"
        data = await image.make()
        await self._write(of, image, data)
        return data

    async def _write(self, of: _Set, image: _Image, data: bytes) -> None:
        def write() -> None:
            self._folder.mkdir(exist_ok=True, mode=0o700)
            image.path.write_bytes(data)

        await asyncio.to_thread(write)
        image.etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        image.size_bytes = len(data)
        if of.token in self._sets:
            self._size_bytes += len(data)
            self._forget()
        else:  # forgotten while it was made
            image.path.unlink(missing_ok=True)

    def _new_set(self, count: int, mime_type: str) -> _Set:
        new = _Set(secrets.token_urlsafe(_TOKEN_BYTES), time.monotonic() + self._seconds)
        ending = _ENDINGS[mime_type]
        for n in range(count):
            new.images[f"image_{n}.{ending}"] = _Image(self._folder / f"{new.token}_{n}.{ending}", mime_type)
        self._sets[new.token] = new
        self._forget()
        return new

    def _forget(self) -> None:
        """Drop what is too old or too much, and come again when the oldest ends."""
        now = time.monotonic()
        while self._sets:
            oldest = next(iter(self._sets.values()))
            if oldest.until > now and self._size_bytes <= self._space_bytes and len(self._sets) <= MOST_SETS:
                break
            self._drop()
        if self._sets and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(oldest.until - now, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._forget()

    def _drop(self) -> None:
        _, oldest = self._sets.popitem(last=False)
        for image in oldest.images.values():
            if image.size_bytes:
                self._size_bytes -= image.size_bytes
                image.path.unlink(missing_ok=True)
