"""Large requests that wait lie in files, not in memory: text comes in, the path of its file goes out, for the worker
that reads it. So ten sockets that each have 128 MB of pictures in line cost disk, and the event loop never parses one.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

from cutaway_server.errors import Fault

LARGE_CHARACTERS = 64 << 10
"""A text above this is spooled; parsing one below takes the loop less than 0.2 ms."""
_MOST_BYTES = 2 << 30


class NoRoom(Fault):
    """Too much waits already."""


class Spool:
    """The files of one server.

    Parameters
    ----------
    folder
        Exists, and is the server's own.
    most_bytes
        Of all files together.
    """

    def __init__(self, folder: Path, most_bytes: int = _MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._sizes: dict[Path, int] = {}

    async def keep(self, text: str) -> Path:
        """Write `text` as UTF-8 into a file of its own.

        Raises
        ------
        NoRoom
            Too many large requests wait, or the disk is full.
        """
        path = self._folder / f"request-{secrets.token_hex(8)}.json"
        if sum(self._sizes.values()) + len(text) > self._most_bytes:
            raise NoRoom("The server is busy: too many large requests are waiting. Try again in a minute.")
        self._sizes[path] = len(text)
        try:
            await asyncio.to_thread(path.write_text, text, "utf-8")
        except OSError:
            self.discard(path)
            raise NoRoom("The server has no room left for large requests: try again later.") from None
        return path

    def discard(self, path: Path) -> None:
        """Remove a file; one that is gone already is fine."""
        self._sizes.pop(path, None)
        path.unlink(missing_ok=True)
