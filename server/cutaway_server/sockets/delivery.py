"""How far a TCP peer has taken what was sent to it. What comes in is a connected socket; what goes out is the
number of bytes that the peer's kernel has acknowledged, whether some are still on their way, and how many came from it.

A slow reader must be told from one that has stopped, and Tornado's streams have no public measure: the future
of a write is done only when the whole message has left, and its private counter moves only when a third of
the kernel's send buffer (4 MB) is free again, at 50 kB/s once in 27 s. The kernel itself knows to the byte
and says so through ``getsockopt(TCP_INFO)``, whose layout is a stable interface: ``struct tcp_info`` in
``linux/tcp.h`` only ever grows.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_UNACKED = struct.Struct("=24xI")
_ACKED_AND_RECEIVED_BYTES = struct.Struct("=120xQQ")
_UNSENT_BYTES = struct.Struct("=144xI")
_INFO_BYTES = 256


@dataclass(frozen=True, slots=True)
class Delivery:
    """A moment of a connection."""

    acknowledged_bytes: int
    """All bytes that have arrived at the peer since the connection was made; never falls."""
    pending: bool
    """Some bytes that the kernel holds have not arrived."""
    received_bytes: int
    """All bytes that have come from the peer; never falls."""


def delivery(connection: socket.socket) -> Delivery | None:
    """Ask the kernel; None where it does not tell (not Linux, not TCP)."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None:
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, option, _INFO_BYTES)
    except OSError:
        return None
    if len(info) < _UNSENT_BYTES.size:
        return None
    (unacked,) = _UNACKED.unpack_from(info)
    acked_bytes, received_bytes = _ACKED_AND_RECEIVED_BYTES.unpack_from(info)
    (unsent_bytes,) = _UNSENT_BYTES.unpack_from(info)
    return Delivery(acked_bytes, bool(unacked or unsent_bytes), received_bytes)
