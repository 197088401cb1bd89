"""How the server and a worker talk: one letter and one open file per message, over a Unix socket of their
own.

A value travels as a pickle in an anonymous file in memory whose descriptor is sent, so a message of 40 MB and
one of 40 bytes are the same single, atomic ``sendmsg``: nobody ever reads half a message, a sender that is
killed in the middle leaves nothing behind, and the receiver may read the value in a thread, in system calls
that release the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
from typing import Any, BinaryIO

HELLO = b"H"
"""Worker: ready; the value is its process id."""
JOB = b"J"
"""Server: the value is ``(job, args, cpu_seconds)``."""
STARTED = b"S"
"""Worker: the job was received; from here on a death is the job's."""
RESULT = b"R"
"""Worker: the value is what the job returned."""
RAISED = b"E"
"""Worker: the value is the exception that the job raised."""


class Closed(Exception):
    """The other side is gone."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends. Sequenced packets: a message is received whole or not at all."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(end: socket.socket, kind: bytes, value: object = None) -> None:
    """Send one message. Never blocks for long: a letter and a descriptor always fit.

    Raises
    ------
    OSError
        The other side is gone.
    Exception
        Whatever ``pickle`` raises for `value`; nothing was sent then.
    """
    with sheet() as file:
        write(file, value)
        post(end, kind, file)


def sheet() -> BinaryIO:
    """An empty file in memory, for :func:`write` and :func:`post`: :func:`send` in steps, of which the slow one
    may run in a thread.
    """
    return os.fdopen(os.memfd_create("cutaway", os.MFD_CLOEXEC), "w+b")


def write(file: BinaryIO, value: object) -> None:
    """Pickle `value` into a :func:`sheet`."""
    # Protocol 5 writes a large bytes object straight to the file, without a copy of it in memory.
    pickle.dump(value, file, protocol=5)
    file.flush()


def post(end: socket.socket, kind: bytes, file: BinaryIO) -> None:
    """Send a written :func:`sheet`; the caller closes it."""
    socket.send_fds(end, [kind], [file.fileno()])


def receive(end: socket.socket) -> tuple[bytes, BinaryIO]:
    """Receive one message: its letter and the file for :func:`load`.

    Raises
    ------
    Closed
        The other side is gone.
    BlockingIOError
        `end` does not block and there is no message.
    """
    try:
        kind, descriptors, _, _ = socket.recv_fds(end, 1, 1, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError as error:
        raise Closed from error
    if not kind or not descriptors:
        raise Closed
    return kind, os.fdopen(descriptors[0], "rb")


async def receive_soon(end: socket.socket) -> tuple[bytes, BinaryIO]:
    """:func:`receive` for an event loop. Cancelling it loses no message."""
    loop = asyncio.get_running_loop()
    # Not the socket: the selector writes its repr into an exception of its own each time, 50 us.
    descriptor = end.fileno()
    while True:
        try:
            return receive(end)
        except BlockingIOError:
            readable: asyncio.Future[None] = loop.create_future()
            loop.add_reader(descriptor, _wake, readable)
            try:
                await readable
            finally:
                loop.remove_reader(descriptor)


def _wake(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)


def size_bytes(file: BinaryIO) -> int:
    """Size of the value that :func:`load` would read."""
    return os.fstat(file.fileno()).st_size


def load(file: BinaryIO) -> Any:
    """Read the value of a message and close its file."""
    with file:
        # The sender's position is shared with this descriptor: it stands at the end.
        file.seek(0)
        return pickle.load(file)  # noqa: S301 - both ends are this program
