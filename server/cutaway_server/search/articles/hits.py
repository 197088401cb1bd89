"""What the sources beyond this machine have in common: ask a service, read its answer, make articles of it.

Comes in: the URL of a question, and the function that reads the answer. Goes out: hits. A service has five seconds and
two megabytes; its answer is read in a worker, and its texts are plain and bounded when they get here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import TypeVar

import msgspec

from cutaway_server.errors import Fault
from cutaway_server.fetch.document import ask
from cutaway_server.fetch.door import Door
from cutaway_server.fetch.guard import AddressRefused
from cutaway_server.search.articles.entry import Found
from cutaway_server.work.pool import OutOfMemory, OutOfTime, WorkerDied, Workers

T = TypeVar("T")

MAX_BYTES = 2 << 20
SECONDS = 4.5
"""A search waits no longer for one of its sources."""
_READ_SECONDS = 1.0


class NoAnswer(Fault):
    """A service cannot be asked, or what it answers is no answer."""


def each_of(data: bytes, list_name: str, kind: type[T], whose: str) -> Iterator[T]:
    """The entries of the list in a JSON object; those that are not of their kind are left out.

    Raises
    ------
    NoAnswer
        There is no such list.
    """
    try:
        answer = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        entries = msgspec.json.decode(answer.get(list_name, b""), type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise NoAnswer(f"{whose} answered something that is not its JSON.") from None
    for each in entries:
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            yield msgspec.json.decode(each, type=kind)


async def ask_service(
    door: Door,
    workers: Workers,
    url: str,
    read: Callable[[bytes], list[Found]],
    name: str,
    statuses: Mapping[int, str] | None = None,
) -> list[Found]:
    """Ask a service; cancelling ends it within milliseconds.

    Parameters
    ----------
    read
        Reads the answer; a top-level function, for it runs in a worker.
    name
        What the service is called in messages.
    statuses
        What certain HTTP statuses mean there.

    Raises
    ------
    NoAnswer
        It does not answer, or not in time, or with nothing that it should.
    """
    fields = {"Accept": "application/json"}
    try:
        document = await ask(door, url, max_bytes=MAX_BYTES, seconds=SECONDS, fields=fields, whose=f"{name}'s server")
    except AddressRefused:
        raise NoAnswer(
            f"{name} is not at a public address: the operator of this server has to allow that (--allow-address)."
        ) from None
    except Fault as fault:
        raise NoAnswer(f"{name} cannot be asked. {fault.message}") from None
    if document.status != HTTPStatus.OK:
        told = (statuses or {}).get(document.status)
        raise NoAnswer(told or f"{name} cannot be asked: its server answered {document.status}. Try again later.")
    try:
        return await workers.run(read, document.data, seconds=_READ_SECONDS, cpu_seconds=_READ_SECONDS)
    except (OutOfTime, OutOfMemory, WorkerDied):
        raise NoAnswer(f"{name} gave an answer that takes too long to read.") from None
