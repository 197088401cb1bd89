"""The guarded door: a filtering proxy on the loopback interface, one token per job.

What comes in are ``CONNECT`` requests (and absolute-form ``GET http://...``) from worker processes of this
server, what goes out are connections to judged, literal addresses. A :class:`Pass` admits one job; when its
block is left, the token is worthless and every connection of the job is cut. A worker needs to reach no other
address than the door, so nothing that hostile media or yt-dlp can do inside a worker reaches a private
network, or outlives the job.

Refusals are HTTP statuses with the reason in ``X-Cutaway-Refused``: ``token``, ``request``, ``address``,
``host``, ``connect``, ``timeout``, ``budget`` or ``busy``.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cutaway_server.fetch.guard import AddressRefused, Policy, Resolver, UnknownHost, find, judge, lookup
from cutaway_server.fetch.heads import BadHead, RequestHead
from cutaway_server.fetch.tunnel import Tunnel

__all__ = ["REFUSED_FIELD", "Door", "Pass", "Usage"]

REFUSED_FIELD = "X-Cutaway-Refused"
_log = logging.getLogger(__name__)
_MAX_HOSTS_PER_PASS = 64
_USAGES_KEPT = 256


@dataclass(frozen=True)
class Pass:
    """What a worker needs to go through the door: where it is, and the token of its job. Picklable."""

    host: str
    port: int
    token: str = field(repr=False)

    @property
    def proxy_url(self) -> str:
        """The door as a proxy URL, for software that takes one."""
        return f"http://{self.token}:@{self.host}:{self.port}"


@dataclass(frozen=True)
class Usage:
    """What one pass has used so far."""

    connections: int
    """Connections that were made to servers outside."""
    bytes: int
    """Bytes that passed in both directions."""


class _Refused(Exception):
    def __init__(self, status: int, phrase: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.phrase, self.reason = status, phrase, reason


@dataclass(eq=False)
class _Admission:
    """The door's side of a pass."""

    token: str
    max_bytes: int
    max_connections: int
    bytes: int = 0
    connections: int = 0
    exhausted: bool = False
    tunnels: set[Tunnel] = field(default_factory=set)
    pinned: dict[str, asyncio.Task[tuple[str, ...]]] = field(default_factory=dict)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def spend(self, size: int) -> bool:
        """Count bytes; False when they are more than the budget has left."""
        self.bytes += size
        self.exhausted = self.exhausted or self.bytes > self.max_bytes
        return not self.exhausted


class Door:
    """The proxy; one per server process, used from the thread of its event loop only.

    Parameters
    ----------
    policy
        Judges every address.
    connect_seconds
        Longest time for looking a host up, and again for connecting to it.
    idle_seconds
        A connection on which nothing moves for so long is cut.
    head_seconds
        Longest time that a client may take to send its request head.
    resolver
        Where addresses come from; tests bring their own.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        connect_seconds: float = 5.0,
        idle_seconds: float = 15.0,
        head_seconds: float = 5.0,
        resolver: Resolver = lookup,
    ) -> None:
        self._policy = policy
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._head_seconds = head_seconds
        self._resolver = resolver
        self._server: asyncio.Server | None = None
        self._address = ("127.0.0.1", 0)
        self._admissions: dict[str, _Admission] = {}
        self._ending: dict[str, _Admission] = {}
        self._ended: OrderedDict[str, Usage] = OrderedDict()
        self._tunnels: dict[Tunnel, _Admission | None] = {}
        self._all_gone = asyncio.Event()
        self._stopping = False

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", 0, backlog=256)
        self._address = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Stop listening, revoke every pass, cut every connection and wait until they are closed."""
        self._stopping = True
        for token in tuple(self._admissions):
            self._revoke(token)
        for _ in range(4):
            # What was accepted becomes a connection first: asyncio fails an assertion, and leaves a socket open,
            # when a server is closed between the two.
            await asyncio.sleep(0)
        if self._server is not None:
            self._server.close()
        for tunnel in tuple(self._tunnels):
            tunnel.cut()
        while self._tunnels:
            self._all_gone.clear()
            await self._all_gone.wait()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    @contextmanager
    def admit(self, *, max_bytes: int, max_connections: int = 32) -> Iterator[Pass]:
        """Admit one job for the length of a ``with`` block.

        Parameters
        ----------
        max_bytes
            Budget of bytes in both directions together; the connection that exceeds it is cut, further ones
            are refused.
        max_connections
            How many connections it may have at a time.

        Yields
        ------
        Pass
            To be given to the worker. Leaving the block cuts all of its connections; :meth:`gone` waits until
            the sockets are closed.
        """
        if self._server is None:
            raise RuntimeError("the door is not open: await start() first")
        token = secrets.token_urlsafe(24)
        self._admissions[token] = _Admission(token, max_bytes, max_connections)
        try:
            yield Pass(*self._address, token)
        finally:
            self._revoke(token)

    def connections(self, pass_: Pass) -> int:
        """Return how many connections of a pass are not fully closed."""
        admission = self._admissions.get(pass_.token) or self._ending.get(pass_.token)
        return len(admission.tunnels) if admission else 0

    def usage(self, pass_: Pass) -> Usage:
        """Return what a pass has used; the last 256 revoked passes are remembered.

        Raises
        ------
        KeyError
            When the pass is unknown.
        """
        admission = self._admissions.get(pass_.token) or self._ending.get(pass_.token)
        return Usage(admission.connections, admission.bytes) if admission else self._ended[pass_.token]

    async def gone(self, pass_: Pass) -> None:
        """Wait until a revoked pass has no connection left on either side."""
        if pass_.token in self._admissions:
            raise RuntimeError("the pass is still valid: leave its block first")
        if admission := self._ending.get(pass_.token):
            await admission.gone.wait()

    def _accept(self) -> asyncio.Protocol:
        return Tunnel(
            self._serve,
            head_seconds=self._head_seconds,
            idle_seconds=self._idle_seconds,
            opened=self._remember,
            closed=self._forget,
        ).client

    def _remember(self, tunnel: Tunnel) -> None:
        self._tunnels[tunnel] = None
        if self._stopping:
            tunnel.cut()

    def _revoke(self, token: str) -> None:
        admission = self._admissions.pop(token, None)
        if admission is None:
            return
        self._ending[token] = admission
        for finding in admission.pinned.values():
            finding.cancel()
        for tunnel in tuple(admission.tunnels):
            tunnel.cut()
        self._settle(admission)

    def _forget(self, tunnel: Tunnel) -> None:
        admission = self._tunnels.pop(tunnel)
        if not self._tunnels:
            self._all_gone.set()
        if admission is not None:
            admission.tunnels.discard(tunnel)
            self._settle(admission)

    def _settle(self, admission: _Admission) -> None:
        """Let go of a pass that is revoked and has no connection left."""
        if admission.tunnels or self._ending.pop(admission.token, None) is None:
            return
        admission.gone.set()
        self._ended[admission.token] = Usage(admission.connections, admission.bytes)
        while len(self._ended) > _USAGES_KEPT:
            self._ended.popitem(last=False)

    async def _serve(self, tunnel: Tunnel, head: bytes) -> None:
        """Decide about one request, and connect it or refuse it."""
        try:
            request = RequestHead.parse(head)
            admission = self._admitted(request.token)
            admission.tunnels.add(tunnel)
            self._tunnels[tunnel] = admission
            addresses = await self._addresses(admission, request)
            await self._dial(tunnel, addresses, request.port)
            admission.connections += 1
        except BadHead as error:
            tunnel.refuse(error.status, "Refused", {REFUSED_FIELD: "request"})
        except _Refused as error:
            fields = {REFUSED_FIELD: error.reason}
            if error.status == 407:
                fields["Proxy-Authenticate"] = 'Basic realm="cutaway"'
            tunnel.refuse(error.status, error.phrase, fields)
        else:
            tunnel.pump(admission.spend, forward=request.forward, body_bytes=request.body_bytes)

    def _admitted(self, token: str) -> _Admission:
        admission = self._admissions.get(token)
        if admission is None:
            raise _Refused(407, "Proxy Authentication Required", "token")
        if admission.exhausted:
            raise _Refused(403, "Forbidden", "budget")
        if len(admission.tunnels) >= admission.max_connections:
            raise _Refused(429, "Too Many Requests", "busy")
        return admission

    async def _addresses(self, admission: _Admission, request: RequestHead) -> tuple[str, ...]:
        """Return judged addresses; a host is looked up once per pass, so that its answer cannot change
        (rebinding)."""
        try:
            pinned = admission.pinned.get(request.host)
            if pinned is None:
                if len(admission.pinned) >= _MAX_HOSTS_PER_PASS:
                    raise _Refused(429, "Too Many Requests", "busy")
                found = find(request.host, resolver=self._resolver, seconds=self._connect_seconds)
                pinned = asyncio.ensure_future(found)
                admission.pinned[request.host] = pinned
            addresses = await asyncio.shield(pinned)
            return judge(request.host, request.port, addresses, self._policy)
        except AddressRefused:
            _log.info("refused a connection to %.100r: not a public address", request.host)
            raise _Refused(403, "Forbidden", "address") from None
        except UnknownHost:
            admission.pinned.pop(request.host, None)  # the next attempt may ask again
            raise _Refused(502, "Bad Gateway", "host") from None

    async def _dial(self, tunnel: Tunnel, addresses: tuple[str, ...], port: int) -> None:
        """Connect to the first address that answers; each gets its share of the time, so that a dead one
        costs little."""
        loop = asyncio.get_running_loop()
        reason = "connect"
        for address in addresses:
            try:
                async with asyncio.timeout(max(0.5, self._connect_seconds / len(addresses))):
                    await loop.create_connection(lambda: tunnel.upstream, address, port)
                    return
            except TimeoutError:
                reason = "timeout"
            except OSError:
                reason = "connect"
        if reason == "timeout":
            raise _Refused(504, "Gateway Timeout", reason)
        raise _Refused(502, "Bad Gateway", reason)
