"""Which addresses may be contacted: the one function that judges them, and the lookup that goes with it.

What comes in is a host and a port, what goes out are literal addresses, every one of which was judged. The
caller connects to these literals and never to the name, so that a name that changes its answer between the
check and the connection (DNS rebinding) gains nothing. ``ipaddress.is_private`` and ``is_global`` both miss
cases (mapped and translated addresses, 0.0.0.0/8, 100.64/10, multicast), hence the tables here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from cutaway_server.errors import Fault

__all__ = ["AddressRefused", "Policy", "Resolver", "UnknownHost", "find", "judge", "lookup", "resolve"]

Network: TypeAlias = IPv4Network | IPv6Network
Resolver: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""From a host name to literal addresses; raises :class:`UnknownHost`."""

_MAX_ADDRESSES = 16
_LOOKUPS_AT_ONCE = 32

# IANA's special-purpose registry (RFC 6890 and its updates), in words that a log reader understands.
_REFUSED_V4 = tuple(
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),  # Alibaba's metadata service is in it
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud metadata"),  # Azure's host agent, on an otherwise public address
        ("169.254.0.0/16", "link-local"),  # the metadata service of most clouds
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),  # Oracle's metadata service is in it
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
    )
)
# Of IPv6 only 2000::/3 is public at all: ::, ::1, fc00::/7, fe80::/10, fec0::/10, ff00::/8 and the
# IPv4-compatible ::/96 are outside of it. These are the exceptions inside.
_PUBLIC_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    (IPv6Network(network), kind)
    for network, kind in (
        ("2001::/23", "protocol assignments"),  # Teredo, ORCHID, benchmarking
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
    )
)
_TRANSLATED = IPv6Network("64:ff9b::/96")  # NAT64, RFC 6052: what is behind it is the IPv4 address
_TRANSLATED_LOCALLY = IPv6Network("64:ff9b:1::/48")  # RFC 8215: for private use
_COMPATIBLE = IPv6Network("::/96")
_6TO4 = IPv6Network("2002::/16")


class AddressRefused(Fault):
    """The host is, or one of its addresses is, not on the public internet."""


class UnknownHost(Fault):
    """The host's name has no address, or the lookup took too long."""


@dataclass(frozen=True)
class Policy:
    """What may be contacted besides the public internet.

    Attributes
    ----------
    allow_networks
        Networks that are allowed as a whole (an operator's own media servers).
    allow_addresses
        Exact pairs of literal address and port (a test's own server).
    """

    allow_networks: tuple[Network, ...] = ()
    allow_addresses: tuple[tuple[str, int], ...] = ()

    def refusal(self, address: str, port: int) -> str | None:
        """Judge a literal address: None when it may be contacted, otherwise why not (for logs, not for
        clients).

        Addresses that carry an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo) are judged by that one,
        too.
        """
        if "%" in address:
            return "zone identifier"
        if not 1 <= port <= 65535:
            return "port out of range"
        try:
            outer = ip_address(address)
        except ValueError:
            return "not a literal address"
        inner = _carried(outer) if isinstance(outer, IPv6Address) else ()
        if self._allowed(outer, port) or (inner and all(self._allowed(each, port) for each in inner)):
            return None
        if isinstance(outer, IPv4Address):
            return _refusal_v4(outer)
        return _refusal_v6(outer, inner)

    def _allowed(self, address: IPv4Address | IPv6Address, port: int) -> bool:
        return any(
            port == allowed_port and address == ip_address(allowed) for allowed, allowed_port in self.allow_addresses
        ) or any(address in network for network in self.allow_networks)


def _carried(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses inside an IPv6 address."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _TRANSLATED or address in _TRANSLATED_LOCALLY or address in _COMPATIBLE:
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    if address in _6TO4:
        return (IPv4Address(int(address) >> 80 & 0xFFFFFFFF),)
    return address.teredo or ()


def _refusal_v4(address: IPv4Address) -> str | None:
    return next((kind for network, kind in _REFUSED_V4 if address in network), None)


def _refusal_v6(address: IPv6Address, carried: tuple[IPv4Address, ...]) -> str | None:
    for each in carried:
        if kind := _refusal_v4(each):
            return f"{kind}, carried in IPv6"
    if address.ipv4_mapped is not None or address in _TRANSLATED:
        return None
    if address not in _PUBLIC_V6:
        return "not global unicast"
    return next((kind for network, kind in _REFUSED_V6 if address in network), None)


_slots = threading.BoundedSemaphore(_LOOKUPS_AT_ONCE)


async def lookup(host: str) -> tuple[str, ...]:
    """Look a host up with the system's resolver, off the event loop, and return its addresses unjudged.

    Every numeric spelling (decimal, octal, hexadecimal, short) is understood exactly as ``connect`` would. A
    slow name holds one thread of its own until the system gives up, and never a thread of a pool that others
    wait for.

    Raises
    ------
    UnknownHost
        When the name has no address.
    """
    try:
        # No name is looked up with AI_NUMERICHOST, so this cannot block.
        return _literals(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except (OSError, ValueError):
        pass
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[str, ...]] = loop.create_future()
    if not _slots.acquire(blocking=False):
        raise UnknownHost(f"Too many names are being looked up right now to find {host}: try again.")

    def settle(result: tuple[str, ...] | None) -> None:
        if not answer.done():
            if result:
                answer.set_result(result)
            else:
                answer.set_exception(UnknownHost(f"The host {host} is unknown."))

    def work() -> None:
        result = None
        try:
            result = _literals(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except (OSError, ValueError):
            pass
        finally:
            _slots.release()
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=work, name="lookup", daemon=True).start()
    return await answer


def _literals(answers: Sequence[tuple[object, ...]]) -> tuple[str, ...]:
    """Return the distinct addresses of a ``getaddrinfo`` answer, in its order."""
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in answers if isinstance(answer[4], tuple)))


def judge(host: str, port: int, addresses: Sequence[str], policy: Policy) -> tuple[str, ...]:
    """Return the addresses of a host when every one of them may be contacted.

    One refused address refuses them all: who controls the name chooses which one is tried first.

    Raises
    ------
    AddressRefused
        When one may not; the message names the host only, not what it resolved to.
    """
    if not addresses or any(policy.refusal(address, port) for address in addresses):
        raise AddressRefused(f"{host} is not a public address: only the public internet can be fetched from.")
    return tuple(addresses[:_MAX_ADDRESSES])


async def find(host: str, *, resolver: Resolver = lookup, seconds: float = 5.0) -> tuple[str, ...]:
    """Return the addresses of a host, unjudged, within a time limit.

    Parameters
    ----------
    host
        A name or a literal address in any spelling; IPv6 without brackets.
    resolver
        Where the addresses come from.
    seconds
        Longest time to wait for the resolver.

    Raises
    ------
    AddressRefused
        For a literal with a zone identifier.
    UnknownHost
        When there is no address, or not in time.
    """
    plain = host.lower().removesuffix(".")
    if "%" in plain:  # getaddrinfo would hide the zone in a fourth field
        raise AddressRefused(f"{host} is not a public address: zone identifiers are not supported.")
    try:
        async with asyncio.timeout(seconds):
            addresses = tuple(await resolver(plain))
    except TimeoutError:
        raise UnknownHost(f"The name of the host {host} could not be looked up in time.") from None
    if not addresses:
        raise UnknownHost(f"The host {host} is unknown.")
    return addresses


async def resolve(
    host: str, port: int, policy: Policy, *, resolver: Resolver = lookup, seconds: float = 5.0
) -> tuple[str, ...]:
    """Look a host up once and judge every address: :func:`find`, then :func:`judge`.

    Returns
    -------
    tuple of str
        Literal addresses to connect to, at most 16, in the resolver's order.

    Raises
    ------
    AddressRefused
        When any address is not public.
    UnknownHost
        When there is none, or not in time.
    """
    return judge(host, port, await find(host, resolver=resolver, seconds=seconds), policy)
