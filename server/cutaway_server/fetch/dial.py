"""Connections of a worker process: keep-alive, pooled, and every one of them a tunnel through the door.

What comes in are a :class:`~cutaway_server.fetch.door.Pass` and ranges to get, what goes out are httpcore2
responses. httpcore2's own proxy support sends plain-http requests in absolute form, one connection each; a
network backend that dials with ``CONNECT`` keeps http and https on the same path and alive between requests.
Bodies are handed out as they came: nothing here decodes a Content-Encoding, so nothing can be blown up by
one.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpcore2

from cutaway_server.fetch.door import REFUSED_FIELD, Pass

__all__ = ["DoorRefused", "Line", "TLSFailed"]

_USER_AGENT = "Mozilla/5.0 (compatible; Cutaway/0.1)"  # some sites refuse what names no known family
_CONNECT_SECONDS = 15.0  # above the door's own: looking up and connecting, each 5 s
_READ_SECONDS = 10.0
_HEAD_BYTES = 8192
_NETLOC = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::(\d+))?")
_KEEPALIVE_SECONDS = 12.0  # below the door's idle limit of 15 s


class DoorRefused(httpcore2.ConnectError):
    """The door answered ``CONNECT`` with a refusal; `reason` is its machine-readable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the door refused the connection: {reason}")
        self.reason = reason


class TLSFailed(httpcore2.ConnectError):
    """No secure connection could be made; `certificate` tells whether the server's certificate is to blame.

    The reason is an attribute, because httpcore2's pool raises ``from None``, which removes every ``__cause__``.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.certificate = isinstance(error, ssl.SSLCertVerificationError)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return the context that verifies servers; loading the certificates takes 10-20 ms, so once per
    process."""
    return httpcore2.default_ssl_context()


class _Socket(httpcore2.NetworkStream):
    """A socket under httpcore2 that honours the deadline of the request in hand, and that another thread can
    cut."""

    def __init__(self, sock: socket.socket, backend: _DoorBackend) -> None:
        self._sock = sock
        self._backend = backend
        backend.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._sock.settimeout(self._backend.time_left(timeout))
            return self._sock.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._sock.settimeout(self._backend.time_left(timeout))
            self._sock.sendall(buffer)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        try:
            self._sock.settimeout(self._backend.time_left(_READ_SECONDS))
            secured = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
        except TimeoutError as error:
            self.close()
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            self.close()
            raise TLSFailed(error) from error
        self._backend.discard(self)
        return _Socket(secured, self._backend)

    def close(self) -> None:
        self._backend.discard(self)
        self._sock.close()

    def cut(self) -> None:
        """Wake whoever is blocked in this socket, from any thread."""
        with contextlib.suppress(OSError):
            # Not SSLSocket's own method: it would drop the TLS state under a thread that is reading.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket):
            return self._sock
        if info == "is_readable":
            if self._sock.fileno() < 0:
                return True
            poll = select.poll()
            poll.register(self._sock, select.POLLIN)
            return bool(poll.poll(0))
        return None


class _DoorBackend(httpcore2.NetworkBackend):
    """Dials origins through the door."""

    def __init__(self, pass_: Pass) -> None:
        self._pass = pass_
        self._lock = threading.Lock()
        self._sockets: set[_Socket] = set()
        self._cut = False
        self._here = threading.local()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            sock = socket.create_connection((self._pass.host, self._pass.port), self.time_left(timeout))
        except OSError as error:
            raise DoorRefused("closed") from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = _Socket(sock, self)
        try:
            self._pass_through(stream, host, port, timeout)
        except BaseException:
            stream.close()
            raise
        return stream

    def _pass_through(self, stream: _Socket, host: str, port: int, timeout: float | None) -> None:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        token = base64.b64encode(f"{self._pass.token}:".encode()).decode()
        lines = (
            f"CONNECT {target} HTTP/1.1",
            f"Host: {target}",
            f"Proxy-Authorization: Basic {token}",
            "",
            "",
        )
        stream.write("\r\n".join(lines).encode("ascii"), timeout)
        head = b""
        # The server cannot speak before it is spoken to, so nothing but the head can arrive here.
        while not head.endswith(b"\r\n\r\n"):
            part = stream.read(_HEAD_BYTES, timeout)
            head += part
            if not part or len(head) > _HEAD_BYTES:
                raise DoorRefused("closed")
        status, *fields = head.decode("latin-1").split("\r\n")
        if not status.startswith("HTTP/1.1 200 "):
            prefix = f"{REFUSED_FIELD}: "
            raise DoorRefused(next((line[len(prefix) :] for line in fields if line.startswith(prefix)), "closed"))

    def set_deadline(self, seconds: float) -> None:
        """Limit everything that this thread does on sockets from now on."""
        self._here.deadline = time.monotonic() + seconds

    def time_left(self, timeout: float | None) -> float:
        """Return the seconds that one socket operation may take now."""
        left = float(getattr(self._here, "deadline", float("inf"))) - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request's deadline has passed")
        return min(left, _READ_SECONDS if timeout is None else timeout)

    def add(self, stream: _Socket) -> None:
        with self._lock:
            self._sockets.add(stream)
            cut = self._cut
        if cut:
            stream.cut()

    def discard(self, stream: _Socket) -> None:
        with self._lock:
            self._sockets.discard(stream)

    def cut(self) -> None:
        """Wake every thread that waits for a socket, now and in the future."""
        with self._lock:
            self._cut = True
            sockets = tuple(self._sockets)
        for stream in sockets:
            stream.cut()


class Line:
    """Pooled connections through the door; usable from several threads.

    Parameters
    ----------
    pass_
        The job's pass.
    connections
        How many connections it opens at most.
    """

    def __init__(self, pass_: Pass, *, connections: int = 7) -> None:
        self._backend = _DoorBackend(pass_)
        self._connections = connections
        self._pools: dict[str, httpcore2.ConnectionPool] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def get(self, url: str, fields: Mapping[str, str], *, seconds: float) -> Iterator[httpcore2.Response]:
        """Send a ``GET`` and yield the response, its body not yet read.

        Parameters
        ----------
        url
            What :func:`~cutaway_server.fetch.urls.check_url` returned.
        fields
            Header fields besides ``Host``, ``User-Agent``, ``Accept`` and ``Accept-Encoding: identity``.
        seconds
            Longest time until the block is left, as far as it is spent on sockets: a server that drips bytes
            is within every limit of a single read.

        Raises
        ------
        httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError
            As they happen; :class:`DoorRefused` among them.
        """
        self._backend.set_deadline(seconds)
        scheme, _, rest = url.partition("://")
        netloc, _, path = rest.partition("/")
        match = _NETLOC.fullmatch(netloc)
        if match is None:
            raise ValueError("not a checked URL")
        # From its parts: httpcore2 reads a whole URL with urlparse, which loses what follows a ";" in the
        # path.
        target = httpcore2.URL(
            scheme=scheme,
            host=match[1] or match[2],
            port=int(match[3]) if match[3] else None,
            target=f"/{path}",
        )
        headers: dict[bytes | str, bytes | str] = {"Host": netloc, "User-Agent": _USER_AGENT, "Accept": "*/*"}
        headers["Accept-Encoding"] = "identity"
        headers.update(fields.items())
        timeout = {
            "connect": _CONNECT_SECONDS,
            "read": _READ_SECONDS,
            "write": _READ_SECONDS,
            "pool": seconds,
        }
        with self._pool(scheme).stream("GET", target, headers=headers, extensions={"timeout": timeout}) as response:
            yield response

    def extend(self, seconds: float) -> None:
        """Give the response that this thread reads another limit, from now on."""
        self._backend.set_deadline(seconds)

    def cut(self) -> None:
        """Fail everything that is under way in other threads; nothing can be sent afterwards."""
        self._backend.cut()

    def close(self) -> None:
        """Close every connection; the threads that used them have ended."""
        self.cut()
        for pool in self._pools.values():
            pool.close()

    def _pool(self, scheme: str) -> httpcore2.ConnectionPool:
        with self._lock:
            if scheme not in self._pools:
                self._pools[scheme] = httpcore2.ConnectionPool(
                    ssl_context=_tls() if scheme == "https" else None,
                    max_connections=self._connections,
                    keepalive_expiry=_KEEPALIVE_SECONDS,
                    network_backend=self._backend,
                )
            return self._pools[scheme]
