"""What is kept for a time: items come in, each under a token that nobody can guess, and stay until they are too old, or
too many, or take too much space together; the oldest are forgotten first.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

UNGUESSABLE = r"[A-Za-z0-9_-]{22}"
"""What a token looks like in a path."""
_TOKEN_BYTES = 16


def new_token() -> str:
    """A name that cannot be guessed."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


@dataclass(slots=True, kw_only=True)
class Item:
    """What is kept. `until` is when it is too old, on the monotonic clock, and set by the shelf."""

    token: str
    until: float = field(default=0.0, init=False)
    size_bytes: int = 0

    @property
    def seconds(self) -> float:
        """How long it will be kept, if there is room."""
        return max(0.0, self.until - time.monotonic())


Kept = TypeVar("Kept", bound=Item)


class Shelf(Generic[Kept]):
    """Items, the oldest first.

    Parameters
    ----------
    forget
        Called with each item that goes; it removes the item's files.
    seconds, space_bytes, most
        How long an item is kept, how much all of them may take, and how many there may be.
    """

    def __init__(
        self, forget: Callable[[Kept], None], *, seconds: float, space_bytes: int, most: int | None = None
    ) -> None:
        self.space_bytes = space_bytes
        self._forget = forget
        self._seconds = seconds
        self._most = most
        self._items: OrderedDict[str, Kept] = OrderedDict()
        self._size_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def __iter__(self) -> Iterator[Kept]:
        return iter(self._items.values())

    def add(self, item: Kept) -> None:
        """Keep an item from now on; others may have to go for it."""
        item.until = time.monotonic() + self._seconds
        self._items[item.token] = item
        self._size_bytes += item.size_bytes
        self._tidy()

    def get(self, token: str) -> Kept | None:
        """The item; None if there is none, or no longer."""
        self._tidy()
        return self._items.get(token)

    def grow(self, item: Kept, size_bytes: int) -> bool:
        """Count what has been added to an item; False if it was forgotten meanwhile."""
        if item.token not in self._items:
            return False
        item.size_bytes += size_bytes
        self._size_bytes += size_bytes
        self._tidy()
        return True

    def remove(self, token: str) -> None:
        """Forget an item now, if it is here."""
        item = self._items.pop(token, None)
        if item is not None:
            self._size_bytes -= item.size_bytes
            self._forget(item)

    def close(self) -> None:
        """Forget everything."""
        for token in list(self._items):
            self.remove(token)
        if self._timer is not None:
            self._timer.cancel()

    def _tidy(self) -> None:
        """Forget what is too old or too much, and come again when the oldest ends."""
        now = time.monotonic()
        while self._items:
            oldest = next(iter(self._items.values()))
            many = self._most is not None and len(self._items) > self._most
            if oldest.until > now and self._size_bytes <= self.space_bytes and not many:
                break
            self.remove(oldest.token)
        if self._items and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(oldest.until - now, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._tidy()
