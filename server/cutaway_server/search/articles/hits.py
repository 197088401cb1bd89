"""What the sources beyond this machine have in common: ask a service, read its answer, make articles of it.

Comes in: the URL of a question, and the function that reads the answer. Goes out: hits. A service has five seconds and
two megabytes; its answer is read in a worker, and its texts are plain and bounded when they get here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from cutaway import protocol
from cutaway_server.errors import Fault
from cutaway_server.fetch.document import ask
from cutaway_server.fetch.door import Door
from cutaway_server.fetch.guard import AddressRefused
from cutaway_server.search.articles.dates import iso_date
from cutaway_server.search.articles.entry import Found
from cutaway_server.search.articles.prose import cut, is_player
from cutaway_server.work.pool import OutOfMemory, OutOfTime, WorkerDied, Workers

MAX_BYTES = 2 << 20
SECONDS = 4.5
"""A search waits no longer for one of its sources."""
_READ_SECONDS = 1.0
_SENT_CHARACTERS = 1_000


class NoAnswer(Fault):
    """A service cannot be asked, or what it answers is no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An article that a service names; all texts plain, all addresses checked."""

    id: str
    title: str
    author: str = ""
    published: int | None = None
    description: str = ""
    image: str = ""
    url: str = ""
    comments: int = 0
    likes: int = 0
    has_video: bool = False

    def found(self) -> Found:
        """The article as it is sent."""
        article = protocol.Article(
            id=self.id,
            title=self.title,
            author=self.author,
            date=iso_date(self.published),
            type="article" if self.description or self.image else "simple",
            description=cut(self.description, _SENT_CHARACTERS),
            image=self.image,
            comments=self.comments,
            likes=self.likes,
            emojis=(),
            has_video=self.has_video or is_player(self.url),
            url=self.url,
        )
        return Found(article=article, text=self.description)


async def ask_service(
    door: Door,
    workers: Workers,
    url: str,
    read: Callable[[bytes], list[Hit]],
    name: str,
    statuses: Mapping[int, str] | None = None,
) -> list[Hit]:
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
