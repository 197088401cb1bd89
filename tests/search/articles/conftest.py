"""Feeds and their origin, and a door and workers to look at them with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from cutaway_server.fetch.door import Door
from cutaway_server.fetch.guard import Policy
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.refresh import Looker
from cutaway_server.search.articles.subscriptions import Subscription, Subscriptions
from cutaway_server.work.pool import Workers
from servers import Origin

PRELOAD = (
    "cutaway_server.search.articles.refresh",
    "cutaway_server.search.articles.hackernews",
    "cutaway_server.search.articles.searxng",
)

RSS = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"
 xmlns:slash="http://purl.org/rss/1.0/modules/slash/" xmlns:media="http://search.yahoo.com/mrss/"
 xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel><title>The &lt;b&gt;Daily&lt;/b&gt; Loaf</title><link>https://loaf.example/</link>{items}</channel></rss>"""

ITEM = """<item><title>Loaf number {number}</title><link>https://loaf.example/{number}</link>
<guid isPermaLink="false">loaf-{number}</guid><dc:creator>Ann Baker</dc:creator>
<pubDate>Mon, 02 Mar 2026 10:00:00 GMT</pubDate><description>Bread of the day {number}.</description></item>"""


def rss(*numbers: int) -> bytes:
    """A feed of loaves."""
    return RSS.format(items="".join(ITEM.format(number=number) for number in numbers)).encode()


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@dataclass
class Desk:
    """A door and workers, and the folder that they work for."""

    door: Door
    workers: Workers
    data_dir: Path
    looker: Looker

    def followed(self, url: str) -> Subscription:
        """The subscription as it is now."""
        with Record.open(self.data_dir) as record:
            found = Subscriptions(record).find(url)
        assert found is not None
        return found

    def claimed(self, url: str) -> Subscription:
        """The subscription, claimed."""
        with Record.open(self.data_dir) as record:
            subscriptions = Subscriptions(record)
            return subscriptions.claim([subscriptions.add(url).id])[0]

    def titles(self) -> list[str]:
        """Of all articles but the samples, the last that came first."""
        with Record.open(self.data_dir) as record:
            return [] if record.stats().samples else [each.entry.title for each in record.latest(10_000)]


@pytest.fixture
def open_desk(io_loop: IOLoop, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Open a door by a policy, and start workers."""
    opened: list[Desk] = []

    def open_(policy: Policy, *, minutes: float = 30.0, preload: tuple[str, ...] = PRELOAD) -> Desk:
        door, workers = Door(policy, connect_seconds=1), Workers(2, preload=preload)
        data_dir = tmp_path / "data"
        desk = Desk(door, workers, data_dir, Looker(door, workers, data_dir, minutes=minutes, readers=2))
        opened.append(desk)
        io_loop.run_sync(door.start)
        io_loop.run_sync(workers.start)
        return desk

    yield open_
    for desk in opened:
        io_loop.run_sync(desk.workers.close)
        io_loop.run_sync(desk.door.stop)


@pytest.fixture
def desk(open_desk: Callable[..., Desk], origin: Origin) -> Desk:
    """A desk that may visit the origin."""
    return open_desk(origin.policy)


@pytest.fixture
def sealed(open_desk: Callable[..., Desk]) -> Desk:
    """A desk that may visit the public internet only."""
    return open_desk(Policy())
