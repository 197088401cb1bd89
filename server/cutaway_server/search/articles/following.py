"""Adding and refreshing feeds from the command line: a door, two workers, and a few looks at once, for one command.

Comes in: addresses or subscriptions; goes out: lines about each as they are done, articles in the record, and whether
something failed. Ctrl-C ends all of it at once and gives back what was claimed; what was told is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from cutaway.errors import CutawayError, InvalidRequest
from cutaway_server.errors import Fault
from cutaway_server.fetch.door import Door
from cutaway_server.fetch.guard import Policy
from cutaway_server.fetch.urls import check_url
from cutaway_server.search.articles.canonical import canonical_url, web_url
from cutaway_server.search.articles.opml import MAX_BYTES, Outline, looks_like_opml, read_opml
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.refresh import AT_ONCE, PRELOAD, Look, Looker
from cutaway_server.search.articles.subscriptions import Subscription, Subscriptions
from cutaway_server.search.articles.terminal import Bar, Terminal
from cutaway_server.settings import Settings
from cutaway_server.work.children import NurseryFailed
from cutaway_server.work.pool import Workers

_WORKERS = 2
_DEFAULT_MINUTES = 30.0


def read_lists(sources: Sequence[str]) -> tuple[list[str], list[Outline]]:
    """Tell addresses from files, and read the files.

    Raises
    ------
    InvalidRequest
        One is neither.
    CutawayError
        A file is no list of subscriptions.
    """
    urls: list[str] = []
    outlines: list[Outline] = []
    for source in sources:
        if web_url(source):
            urls.append(source)
        elif Path(source).is_file():
            with Path(source).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            if not looks_like_opml(data):
                raise CutawayError(f"{source}: not a list of subscriptions (OPML); `import` takes JSON lines and CSV")
            try:
                outlines += read_opml(data)
            except Fault as fault:
                raise CutawayError(f"{source}: {fault.message}") from None
        else:
            if "://" in source:
                _check(source)
            guess = f"https://{source}"
            hint = f": do you mean {guess}?" if "." in source and "://" not in source and web_url(guess) else ""
            raise InvalidRequest(f"{source} is neither an http(s) URL nor a file{hint}")
    return urls, outlines


def _check(url: str) -> None:
    """Tell what is wrong with a URL."""
    try:
        check_url(url)
    except Fault as fault:
        raise InvalidRequest(f"{url}: {fault.message}") from None


async def add_all(settings: Settings, urls: Sequence[str], outlines: Sequence[Outline], terminal: Terminal) -> bool:
    """Follow feeds by their addresses, and those of lists; whether one failed."""
    urls = list({canonical_url(url): url for url in reversed(urls)}.values())[::-1]
    with Record.open(settings.data_dir) as record:
        subscriptions = Subscriptions(record)
        listed = [subscriptions.add(each.url, each.title) for each in outlines]
        async with _looker(settings) as looker:

            async def subscribe(url: str) -> Look:
                try:
                    return await looker.subscribe(url)
                except Fault as fault:
                    return Look(url=url, fault=fault.message)

            failed = False
            if urls:
                with terminal.bar("looking at feeds", len(urls)) as bar:
                    failed = await _all([partial(subscribe, url) for url in urls], bar, terminal)
            if listed:
                failed |= await _look_at(looker, subscriptions, listed, terminal)
    return failed


async def refresh_all(
    settings: Settings, subscriptions: Subscriptions, wanted: Sequence[Subscription], terminal: Terminal
) -> bool:
    """Look at feeds that are followed; whether one failed."""
    async with _looker(settings) as looker:
        return await _look_at(looker, subscriptions, wanted, terminal)


async def _look_at(
    looker: Looker, subscriptions: Subscriptions, wanted: Sequence[Subscription], terminal: Terminal
) -> bool:
    claimed: set[int] = set()

    async def look(subscription: Subscription) -> Look:
        if rest := subscription.rest_seconds:
            return _left_alone(subscription, f"its server wants no visit for {rest / 60:.0f} min")
        # Claimed when its turn comes: a claim of a long list's end would lapse before that.
        ours = subscriptions.claim([subscription.id])
        if not ours:
            return _left_alone(subscription, "being looked at by a server or another command")
        claimed.add(subscription.id)
        look = await looker.look(ours[0])
        claimed.discard(subscription.id)
        return look

    try:
        with terminal.bar("looking at feeds", len(wanted)) as bar:
            return await _all([partial(look, each) for each in wanted], bar, terminal)
    finally:
        if claimed:
            subscriptions.release(claimed)


def _left_alone(subscription: Subscription, why: str) -> Look:
    return Look(url=subscription.url, title=subscription.title, known=True, left_alone=why)


async def _all(looks: Sequence[Callable[[], Awaitable[Look]]], bar: Bar, terminal: Terminal) -> bool:
    """Have a few of these looks under way at a time, and tell of each; whether one failed."""
    turn = asyncio.Semaphore(AT_ONCE)
    failed = False

    async def one(look: Callable[[], Awaitable[Look]]) -> None:
        nonlocal failed
        async with turn:
            done = await look()
        bar.add()
        failed |= bool(done.fault)
        _tell(done, terminal)

    try:
        async with asyncio.TaskGroup() as group:
            for look in looks:
                group.create_task(one(look))
    except* Fault as faults:
        raise faults.exceptions[0] from None
    return failed


def _tell(look: Look, terminal: Terminal) -> None:
    if terminal.as_json:
        terminal.json(
            {
                "url": look.url,
                "title": look.title,
                "added": look.put.added,
                "changed": look.put.changed,
                "error": look.fault,
            }
        )
    elif look.fault:
        terminal.complain(f"{look.title or look.url}: {look.fault}")
    else:
        name = look.title or look.url
        terminal.line((name, "bold"), (f": {_news(look)}", ""), (f"  {look.url}" if look.title else "", "dim"))


def _news(look: Look) -> str:
    if look.left_alone:
        return look.left_alone
    new, changed = look.put.added, look.put.changed
    words = [f"{new:,} new article{'s' * (new != 1)}"] * bool(new) + [f"{changed:,} changed"] * bool(changed)
    said = ", ".join(words) or ("nothing new" if look.known else "no articles yet")
    return said if look.known else f"added, {said}"


@asynccontextmanager
async def _looker(settings: Settings) -> AsyncIterator[Looker]:
    door = Door(Policy(allow_networks=settings.allow_network, allow_addresses=settings.allow_address))
    workers = Workers(_WORKERS, preload=PRELOAD)
    await door.start()
    try:
        await workers.start()
        minutes = settings.feed_minutes or _DEFAULT_MINUTES
        yield Looker(door, workers, settings.data_dir, minutes=minutes, readers=_WORKERS)
    except NurseryFailed as error:
        raise CutawayError(f"cannot start the processes that read feeds: {error}") from None
    finally:
        await workers.close()
        await door.stop()
