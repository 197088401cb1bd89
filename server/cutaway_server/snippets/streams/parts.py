"""The bytes of segments: fetched through the door, several at a time, decrypted, and kept as far as they are small.

Comes in: places that a playlist names. Goes out: their bytes, or those of their beginnings with the whole size, which
the server tells along with them. Runs in worker processes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from Cryptodome.Cipher import AES
from Cryptodome.Util.Padding import unpad

from cutaway_server.fetch.answers import FetchFailed
from cutaway_server.fetch.dial import Line
from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.remote import Fields, for_server
from cutaway_server.fetch.resource import Resource, fetch
from cutaway_server.fetch.urls import check_url
from cutaway_server.snippets.streams.segments import Cipher, Part, Segment

CONNECTIONS = 10
MAX_INIT_BYTES, MAX_KEY_BYTES = 4 << 20, 1 << 20
OVERSHOOT_BYTES = 1 << 20
"""What a server that ignores byte ranges may have sent before it is stopped."""
FETCH_SECONDS = 20.0
BROKEN_SECONDS = 3.0
WHOSE = "A server that this stream names"
_BLOCK = 16


@dataclass(frozen=True)
class Head:
    """The beginning of a part; ``size`` is the length of all of it in bytes, 0 if unknown."""

    data: bytes
    size: int

    @property
    def whole(self) -> bool:
        """Whether the beginning is all of it."""
        return 0 < self.size <= len(self.data)


class Parts:
    """A video's parts and the connections over which they come; usable from several threads.

    Parameters
    ----------
    pass_
        The job's way through the door.
    home, fields
        Where the stream's playlist is, and the header fields that its server wants to see; other servers see only
        harmless ones.
    held
        Initialisation sections and keys that are here already.
    """

    def __init__(self, pass_: Pass, home: str, fields: Fields, held: Mapping[Part, bytes]) -> None:
        self._line = Line(pass_, connections=CONNECTIONS)
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="parts")
        self._home = home
        self._fields = fields
        self._held = dict(held)
        # By its bound, too: who waits for a key in a thread of the pool must not wait for an init that needs one.
        self._under_way: dict[tuple[Part, int], Future[bytes]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stop whatever is under way and close all connections."""
        self._line.cut()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._line.close()

    @property
    def held(self) -> tuple[tuple[Part, bytes], ...]:
        """What is small and needed again: initialisation sections and keys."""
        with self._lock:
            return tuple(self._held.items())

    def whole(self, part: Part, max_bytes: int) -> Future[bytes]:
        """Begin to fetch all of a part."""
        return self._threads.submit(self._whole, part, max_bytes)

    def head(self, part: Part, size: int) -> Future[Head]:
        """Begin to fetch the first ``size`` bytes of a part."""
        return self._threads.submit(self._head, part, size)

    def resource(self, part: Part, max_bytes: int) -> Future[Resource]:
        """Begin to fetch a playlist, with the URL that it really has."""
        return self._threads.submit(self._fetch, part, max_bytes)

    def init(self, segment: Segment) -> Future[bytes]:
        """Begin to fetch what goes before a segment; it is kept."""
        if segment.init is None:
            done: Future[bytes] = Future()
            done.set_result(b"")
            return done
        return self._keep(segment.init, MAX_INIT_BYTES)

    def _keep(self, part: Part, max_bytes: int) -> Future[bytes]:
        """Fetch a small part once, however many want it."""
        with self._lock:
            if (part, max_bytes) in self._under_way:
                return self._under_way[part, max_bytes]
            found: Future[bytes] = Future()
            self._under_way[part, max_bytes] = found
            if part in self._held:
                found.set_result(self._held[part])
                return found

        def run() -> None:
            try:
                data = self._whole(part, max_bytes)
            except BaseException as error:
                found.set_exception(error)
                return
            with self._lock:
                self._held[part] = data
            found.set_result(data)

        if threading.current_thread().name.startswith("parts"):
            run()  # A thread of the pool must not wait for another one.
        else:
            self._threads.submit(run)
        return found

    def _whole(self, part: Part, max_bytes: int) -> bytes:
        if part.size > max_bytes:
            raise FetchFailed(f"A part of this video is larger than the {max_bytes >> 20} MiB that it may have.")
        data = bytearray(self._fetch(part, max_bytes).data)
        while len(data) < part.size:  # A server that answers with less than it was asked for.
            more = self._fetch(replace(part, start=part.start + len(data)), max_bytes).data
            if not more:
                raise FetchFailed("A part of this video is shorter than its playlist says.")
            data += more
        return self._decrypted(bytes(data), part.cipher, whole=True)

    def _head(self, part: Part, size: int) -> Head:
        stop = part.start + size if part.stop is None else min(part.start + size, part.stop)
        got = self._fetch(replace(part, stop=stop), size + OVERSHOOT_BYTES)
        total = part.size or max((got.size or 0) - part.start, 0)
        whole = 0 < total <= len(got.data)
        return Head(self._decrypted(got.data, part.cipher, whole=whole), total)

    def _fetch(self, part: Part, max_bytes: int) -> Resource:
        url = check_url(part.url)
        for again in (True, False):
            began = time.monotonic()
            try:
                return fetch(
                    self._line,
                    url,
                    max_bytes=max_bytes,
                    seconds=FETCH_SECONDS,
                    start=part.start,
                    stop=part.stop,
                    fields=dict(for_server(self._fields, self._home, url)),
                    whose=WHOSE,
                )
            except FetchFailed as fault:
                # Only a connection that broke is worth trying again, neither a status (which has no cause) nor a server
                # that does not answer.
                if not again or fault.__cause__ is None or time.monotonic() - began > BROKEN_SECONDS:
                    raise
        raise AssertionError("unreachable")

    def _decrypted(self, data: bytes, cipher: Cipher | None, *, whole: bool) -> bytes:
        if cipher is None:
            return data
        key = self._keep(Part(cipher.key_url), MAX_KEY_BYTES).result()
        if len(key) != _BLOCK:
            raise FetchFailed("The key of this stream is no AES-128 key: it has another length.")
        usable = data[: len(data) // _BLOCK * _BLOCK]
        plain = AES.new(key, AES.MODE_CBC, cipher.iv).decrypt(usable)
        if not whole:
            return plain
        try:
            return unpad(plain, _BLOCK)
        except ValueError:
            raise FetchFailed("A part of this stream cannot be decrypted with the key that it names.") from None
