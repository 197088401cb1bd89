"""Looking at feeds: ask what is new, read it, keep it, and note when to look again.

Comes in: a subscription, or the address of a feed that shall become one. Goes out: a :class:`Look`, and articles in the
record. The network is waited for in a thread, through the guarded door; feeds are parsed and articles written by a
worker, in one job, so that a hostile feed costs one worker and the event loop only waits. :class:`Refresher` does it in
the background of a server, the command line on demand.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from cutaway_server.errors import Fault
from cutaway_server.fetch.document import Document, RedirectRefused, ask
from cutaway_server.fetch.door import Door
from cutaway_server.fetch.guard import AddressRefused
from cutaway_server.fetch.urls import check_url, mask_url
from cutaway_server.search.articles.feeds import Feed, NotAFeed, read_feed
from cutaway_server.search.articles.kept import Put
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.subscriptions import Subscription, Subscriptions
from cutaway_server.work.pool import OutOfMemory, OutOfTime, WorkerDied, Workers, WorkersClosed

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

PRELOAD = ("cutaway_server.search.articles.refresh",)
"""For the pool of workers."""
MAX_BYTES = 10 << 20
"""Of a feed; the largest that are seen in the wild (podcasts with every episode) have 5 MiB."""
_FETCH_SECONDS = 30.0
_READ_SECONDS = 45.0
"""Reading 10 MiB takes 4 s; the rest is for another program that writes to the articles."""
_READ_CPU_SECONDS = 20.0
AT_ONCE = 4
"""Feeds that are looked at side by side."""
_POLL_SECONDS = 15.0
NOTHING = Put()
_ACCEPT = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, application/json;q=0.8,"
    " text/html;q=0.5, */*;q=0.3"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What became of a look at a feed.

    Attributes
    ----------
    url
        The feed's address; another than the one that was given where that was a web page which names its feed.
    put
        What its articles were to the record.
    unchanged
        Its server says that nothing is new.
    fault
        Why it could not be read, for the user; ``""`` when it could.
    known
        It was followed before.
    left_alone
        Why nobody looked, ``""`` if somebody did.
    """

    url: str
    title: str = ""
    put: Put = NOTHING
    unchanged: bool = False
    fault: str = ""
    gone: bool = False
    known: bool = False
    left_alone: str = ""


class Looker:
    """Looks at feeds.

    Parameters
    ----------
    door, workers
        How the outside is reached, and where feeds are read; both started, both the caller's to stop.
    data_dir
        The folder of the articles.
    minutes
        Time to the next look at a feed that could be read, and, doubled each time, at one that could not.
    readers
        How many workers it may take at a time: a hostile feed keeps one for as long as it may.
    """

    def __init__(self, door: Door, workers: Workers, data_dir: Path, *, minutes: float, readers: int) -> None:
        self._door = door
        self._workers = workers
        self._data_dir = data_dir
        self._seconds = max(minutes, 1.0) * 60
        self._turn = asyncio.Semaphore(readers)

    async def due(self, limit: int) -> list[Subscription]:
        """Claim feeds that are due."""
        async with self._turn:
            return await self._workers.run(_claim_due, self._data_dir, limit, seconds=_READ_SECONDS)

    async def look(self, subscription: Subscription) -> Look:
        """Look at a feed that is followed and was claimed. What goes wrong with it is noted and told, not raised."""
        url = subscription.address
        try:
            document = await self._ask(url, subscription)
            if document.status == HTTPStatus.NOT_MODIFIED:
                # Servers need not repeat what they said.
                document = replace(
                    document,
                    etag=document.etag or subscription.etag,
                    last_modified=document.last_modified or subscription.last_modified,
                )
                await self._run(_unchanged, subscription, document)
                return Look(url=subscription.url, title=subscription.title, unchanged=True, known=True)
            if document.status == HTTPStatus.OK:
                return await self._run(_take, subscription, document)
            fault, rest, gone = _refusal(document), document.rest_seconds, document.status == HTTPStatus.GONE
        except Fault as error:
            fault, rest, gone = error.message, 0.0, False
        await self._run(_failed, subscription, fault, rest, gone)
        return Look(url=subscription.url, title=subscription.title, fault=fault, gone=gone, known=True)

    async def subscribe(self, url: str) -> Look:
        """Follow a feed, or the one that a web page names, once it could be read.

        Raises
        ------
        Fault
            It cannot be read, so it is not followed.
        """
        for _ in range(2):
            document = await self._ask(url)
            if document.status != HTTPStatus.OK:
                raise NotAFeed(_refusal(document))
            look, elsewhere = await self._run(_subscribe, url, document)
            if not elsewhere:
                return look
            url = elsewhere
        raise NotAFeed("The feed that this web page names is a web page, too.")

    async def _ask(self, url: str, known: Subscription | None = None) -> Document:
        fields = {"Accept": _ACCEPT}
        if known is not None and known.etag:
            fields["If-None-Match"] = known.etag
        if known is not None and known.last_modified:
            fields["If-Modified-Since"] = known.last_modified
        try:
            return await ask(
                self._door, url, max_bytes=MAX_BYTES, seconds=_FETCH_SECONDS, fields=fields, whose="The feed's server"
            )
        except RedirectRefused:
            raise
        except AddressRefused:
            raise AddressRefused(
                f"The feed is not at a public address. Allow it with {_allowing(url)}, here and for the server."
            ) from None

    async def _run(self, job: Callable[..., Result], *args: object) -> Result:
        try:
            async with self._turn:
                return await self._workers.run(
                    job, self._data_dir, self._seconds, *args, seconds=_READ_SECONDS, cpu_seconds=_READ_CPU_SECONDS
                )
        except (OutOfTime, OutOfMemory, WorkerDied):
            raise NotAFeed("This feed cannot be read: it takes more time or memory than a feed may.") from None


class Refresher:
    """Looks at the feeds that are due, in the background, for as long as :meth:`run` runs."""

    def __init__(self, looker: Looker) -> None:
        self._looker = looker

    async def run(self) -> None:
        """Look whenever a feed is due, at a few at once. Cancelling stops it at once, whatever it waits for."""
        async with asyncio.TaskGroup() as group:
            for number in range(AT_ONCE):
                group.create_task(self._lane(), name=f"refresh {number}")

    async def _lane(self) -> None:
        while True:
            try:
                while claimed := await self._looker.due(1):
                    for subscription in claimed:
                        _tell(subscription, await self._looker.look(subscription))
            except WorkersClosed:
                return
            except Fault as fault:
                _log.warning("feeds cannot be refreshed: %s", fault.message)
            except Exception:
                # Whatever it is, other feeds, and this one another time, shall not suffer from it.
                _log.exception("a look at a feed failed")
            await asyncio.sleep(_POLL_SECONDS)


def _tell(subscription: Subscription, look: Look) -> None:
    address = mask_url(subscription.url)
    if look.fault:
        _log.info("%s: %s", address, look.fault)
    elif look.put.added or look.put.changed:
        _log.info("%s: %d new articles, %d changed", address, look.put.added, look.put.changed)


def _allowing(url: str) -> str:
    """The flag that would let a feed through; who follows it may be told what it is at."""
    parts = urlsplit(check_url(url))
    try:
        ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return "--allow-network and the network that it is in"
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"--allow-address {parts.netloc if parts.port else f'{parts.netloc}:{port}'}"


def _refusal(document: Document) -> str:
    if document.status == HTTPStatus.GONE:
        return "The feed's server says that it is gone for good: it is not asked again."
    return document.fault().message


# --- jobs: they run in workers ------------------------------------------------------------------------------


def _claim_due(data_dir: Path, limit: int) -> list[Subscription]:
    with Record.open(data_dir) as record:
        return Subscriptions(record).claim_due(limit)


def _unchanged(data_dir: Path, seconds: float, subscription: Subscription, document: Document) -> None:
    with Record.open(data_dir) as record:
        _note(Subscriptions(record), subscription.id, seconds, "", document)


def _failed(
    data_dir: Path, seconds: float, subscription: Subscription, fault: str, rest_seconds: float, gone: bool
) -> None:
    with Record.open(data_dir) as record:
        Subscriptions(record).failed(subscription.id, fault, seconds=seconds, rest_seconds=rest_seconds, gone=gone)


def _take(data_dir: Path, seconds: float, subscription: Subscription, document: Document) -> Look:
    feed = read_feed(document.data, document.content_type, document.url, subscription.url)
    if feed.elsewhere:
        raise NotAFeed("This was a feed and is a web page now.")
    with Record.open(data_dir) as record:
        subscriptions = Subscriptions(record)
        put = _put(record, subscriptions, subscription.id, feed)
        _note(subscriptions, subscription.id, seconds, feed.title, document)
    return Look(url=subscription.url, title=feed.title or subscription.title, put=put, known=True)


def _subscribe(data_dir: Path, seconds: float, url: str, document: Document) -> tuple[Look, str]:
    with Record.open(data_dir) as record:
        subscriptions = Subscriptions(record)
        known = subscriptions.find(url)
        feed = read_feed(document.data, document.content_type, document.url, known.url if known else url)
        if feed.elsewhere:
            return Look(url=url), feed.elsewhere
        # Reading takes seconds, in which another program may have removed it.
        subscription = known if known and subscriptions.follows(known.id) else subscriptions.add(url, feed.title)
        put = _put(record, subscriptions, subscription.id, feed)
        _note(subscriptions, subscription.id, seconds, feed.title, document)
    return Look(url=subscription.url, title=feed.title, put=put, known=known is not None), ""


def _put(record: Record, subscriptions: Subscriptions, id_: int, feed: Feed) -> Put:
    """Keep what a feed holds as long as it is followed."""
    if not subscriptions.follows(id_):
        return NOTHING
    put = record.put(reversed(feed.entries), id_)  # the newest come last
    if not subscriptions.follows(id_):  # removed in between
        record.remove_feed_articles(id_)
        return NOTHING
    return put


def _note(subscriptions: Subscriptions, id_: int, seconds: float, title: str, document: Document) -> None:
    subscriptions.succeeded(
        id_,
        seconds=seconds,
        title=title,
        etag=document.etag,
        last_modified=document.last_modified,
        moved=document.moved,
    )
