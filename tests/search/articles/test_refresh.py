"""Feeds that are followed, over real HTTP: what is asked, what is kept, and what happens when it fails."""

from __future__ import annotations

import asyncio
import gzip
import time

import pytest

from cutaway_server.errors import Fault
from cutaway_server.search.articles import refresh
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.refresh import Looker, Refresher
from cutaway_server.search.articles.subscriptions import Subscriptions
from servers import Canary, Origin, Resource

from .conftest import Desk, rss


@pytest.mark.gen_test
async def test_subscribing_keeps_the_articles_newest_last(desk: Desk, origin: Origin) -> None:
    look = await desk.looker.subscribe(origin.serve("feed", Resource(rss(3, 2, 1))))
    assert (look.title, look.put.added, look.known, look.fault) == ("The Daily Loaf", 3, False, "")
    assert desk.titles() == ["Loaf number 3", "Loaf number 2", "Loaf number 1"]
    feed = desk.followed(origin.url("feed"))
    assert (feed.title, feed.etag, feed.failures) == ("The Daily Loaf", '"v1"', 0)
    assert 0.8 * 1800 < feed.next_look - time.time() < 1.2 * 1800
    again = await desk.looker.subscribe(origin.url("feed") + "?utm_source=x")
    assert (again.known, again.put.same) == (True, 3)


@pytest.mark.gen_test
async def test_a_page_leads_to_its_feed_once(desk: Desk, origin: Origin) -> None:
    page = "<html><head><link rel=alternate type='application/atom+xml' href='/{}'></head></html>"
    origin.serve("feed", Resource(rss(1)))
    look = await desk.looker.subscribe(origin.serve("blog", Resource(page.format("feed").encode())))
    assert look.url == origin.url("feed")
    origin.serve("other", Resource(page.format("blog").encode()))
    with pytest.raises(Fault, match="is a web page, too"):
        await desk.looker.subscribe(origin.url("other"))


@pytest.mark.gen_test
async def test_what_cannot_be_read_is_not_followed(desk: Desk, origin: Origin) -> None:
    for resource, said in ((Resource(b"hello"), "no feed"), (Resource(b"", status=404), "404")):
        with pytest.raises(Fault, match=said):
            await desk.looker.subscribe(origin.serve("feed", resource))
    with Record.open(desk.data_dir) as record:
        assert Subscriptions(record).all() == []


HOSTILE = (
    (Resource(gzip.compress(bytes(200 << 20)), headers={"Content-Encoding": "gzip"}), "more than the 10 MiB"),
    (Resource(rss(1), endless=True, content_length=False), "more than the 10 MiB"),
    (Resource(b"<html><body>" + b"<p>hello" * 100_000), "web page"),
    (Resource(gzip.compress(rss(1))[:-20], headers={"Content-Encoding": "gzip"}), "not complete"),
    (Resource(b"\0" * 100_000), "empty|no feed"),
    (Resource(raw=b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 200_000), "not proper HTTP|broke off"),
)


@pytest.mark.gen_test
async def test_hostile_feeds_are_one_clear_error_each(desk: Desk, origin: Origin) -> None:
    for resource, said in HOSTILE:
        with pytest.raises(Fault, match=said):
            await desk.looker.subscribe(origin.serve("feed", resource))
    assert (await desk.looker.subscribe(origin.serve("good", Resource(rss(1))))).put.added == 1


@pytest.mark.gen_test
async def test_only_news_are_asked_for(desk: Desk, origin: Origin) -> None:
    modified = {"Last-Modified": "Mon, 02 Mar 2026 10:00:00 GMT"}
    url = origin.serve("feed", Resource(rss(1), conditional=True, headers=modified))
    await desk.looker.subscribe(url)
    look = await desk.looker.look(desk.claimed(url))
    assert (look.unchanged, look.fault, look.known) == (True, "", True)
    asked = origin.requests[-1].headers
    assert (asked["if-none-match"], asked["if-modified-since"]) == ('"v1"', modified["Last-Modified"])
    assert desk.followed(url).etag == '"v1"'
    origin.serve("feed", Resource(rss(2, 1), etag='"v2"', conditional=True))
    look = await desk.looker.look(desk.claimed(url))
    assert (look.put.added, look.put.same) == (1, 1)
    assert desk.followed(url).etag == '"v2"'


@pytest.mark.gen_test
async def test_a_move_for_good_is_remembered(desk: Desk, origin: Origin) -> None:
    url = origin.serve("old", Resource(redirect="/new", status=301))
    origin.serve("new", Resource(rss(1)))
    await desk.looker.subscribe(url)
    feed = desk.followed(origin.url("new"))
    assert (feed.url, feed.address) == (url, origin.url("new"))
    await desk.looker.look(desk.claimed(url))
    assert [seen.name for seen in origin.requests] == ["old", "new", "new"]


@pytest.mark.gen_test
async def test_failures_wait_longer_each_time(desk: Desk, origin: Origin) -> None:
    url = origin.serve("feed", Resource(rss(1)))
    await desk.looker.subscribe(url)
    origin.serve("feed", Resource(b"broken", status=500))
    waits = []
    for number in range(1, 9):
        look = await desk.looker.look(desk.claimed(url))
        feed = desk.followed(url)
        assert "500" in look.fault == feed.error
        assert feed.failures == number
        waits.append(feed.next_look - time.time())
    for number, wait in enumerate(waits):
        expected = min(1800 * 2**number, 86_400)
        assert 0.85 * expected < wait < 1.15 * expected
    assert len({round(wait / 1800 / 2**number, 3) for number, wait in enumerate(waits[:5])}) > 1
    origin.serve("feed", Resource(rss(1)))
    await desk.looker.look(desk.claimed(url))
    assert (desk.followed(url).failures, desk.followed(url).error) == (0, "")


@pytest.mark.gen_test
async def test_a_servers_wish_to_rest_is_honoured(desk: Desk, origin: Origin) -> None:
    url = origin.serve("feed", Resource(b"", status=429, headers={"Retry-After": "7200"}))
    await desk.looker.look(desk.claimed(url))
    assert 7100 < desk.followed(url).rest_until - time.time() < 7300
    with Record.open(desk.data_dir) as record:
        record.connection.execute("UPDATE feeds SET next_look = 0")
    assert await desk.looker.due(5) == []


@pytest.mark.gen_test
async def test_what_is_gone_is_not_asked_again(desk: Desk, origin: Origin) -> None:
    url = origin.serve("feed", Resource(b"", status=410))
    look = await desk.looker.look(desk.claimed(url))
    assert look.gone
    assert desk.followed(url).gone
    with Record.open(desk.data_dir) as record:
        record.connection.execute("UPDATE feeds SET next_look = 0")
    assert await desk.looker.due(5) == []


@pytest.mark.gen_test
async def test_what_was_gone_and_is_added_again_is_followed(desk: Desk, origin: Origin) -> None:
    url = origin.serve("feed", Resource(b"", status=410))
    await desk.looker.look(desk.claimed(url))
    origin.serve("feed", Resource(rss(1)))
    assert (await desk.looker.subscribe(url)).known
    assert not desk.followed(url).gone


@pytest.mark.gen_test
async def test_a_clock_that_was_ahead_keeps_no_feed_waiting(
    desk: Desk, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Resource(b"", status=429, headers={"Retry-After": "3600"})
    urls = [origin.serve("good", Resource(rss(1))), origin.serve("bad", bad)]
    year = 366 * 86_400
    now = time.time()
    with Record.open(desk.data_dir) as record:
        subscriptions = Subscriptions(record)
        good, bad_ = (subscriptions.add(url) for url in urls)
        monkeypatch.setattr(time, "time", lambda: now + year)
        for each in subscriptions.claim_due(2):
            if each.id == good.id:
                subscriptions.succeeded(good.id, seconds=1800)
            else:
                subscriptions.failed(bad_.id, "429", seconds=1800, rest_seconds=3600)
        assert subscriptions.claim_due(2) == []
        monkeypatch.setattr(time, "time", lambda: now)
        assert {each.id for each in subscriptions.claim_due(2)} == {good.id, bad_.id}
        assert [each.rest_seconds for each in subscriptions.all()] == [0, 0]


@pytest.mark.gen_test
async def test_where_a_redirect_leads_today_makes_no_new_articles(desk: Desk, origin: Origin) -> None:
    nameless = rss(1).replace(b"<link>https://loaf.example/1</link>", b"")
    for day in ("monday", "tuesday"):
        url = origin.serve("feed", Resource(redirect=f"/{day}"))
        origin.serve(day, Resource(nameless))
        await desk.looker.look(desk.claimed(url))
        await desk.looker.subscribe(url)
    assert desk.titles() == ["Loaf number 1"]


@pytest.mark.gen_test
async def test_hostile_feeds_leave_workers_to_others(desk: Desk, origin: Origin) -> None:
    looker = Looker(desk.door, desk.workers, desk.data_dir, minutes=30, readers=1)
    slow = b"<rss version='2.0'><channel>" + b"<item><title>a</title></item>" * 300_000
    urls = [origin.serve(f"slow{number}", Resource(slow)) for number in range(2)]
    looks = [asyncio.create_task(looker.subscribe(url)) for url in urls]
    await asyncio.to_thread(origin.wait_for, lambda: not origin.busy and len(origin.requests) == 2)
    for _ in range(20):
        await desk.workers.run(int, seconds=1)
        await asyncio.sleep(0.01)
    assert not any(look.done() for look in looks)
    for look in looks:
        look.cancel()
    await asyncio.wait(looks)


@pytest.mark.gen_test
async def test_a_feed_that_became_a_page_keeps_its_articles(desk: Desk, origin: Origin) -> None:
    url = origin.serve("feed", Resource(rss(1)))
    await desk.looker.subscribe(url)
    for body in (b"<html><link rel=alternate type='application/rss+xml' href='/x'>", b"", b"\0\1\2"):
        origin.serve("feed", Resource(body))
        assert (await desk.looker.look(desk.claimed(url))).fault
    assert desk.titles() == ["Loaf number 1"]


@pytest.mark.gen_test
async def test_a_private_address_names_the_flag(sealed: Desk, origin: Origin) -> None:
    with pytest.raises(Fault, match=f"--allow-address 127.0.0.1:{origin.port}"):
        await sealed.looker.subscribe(origin.serve("feed", Resource(rss(1))))
    assert origin.requests == []


@pytest.mark.gen_test
async def test_a_feed_may_not_lead_inside(desk: Desk, origin: Origin) -> None:
    with Canary() as canary:
        url = origin.serve("feed", Resource(redirect=f"http://127.0.0.1:{canary.port}/"))
        with pytest.raises(Fault, match="redirects to an address that is not public"):
            await desk.looker.subscribe(url)
        assert not canary.contacts


@pytest.mark.gen_test
async def test_a_feed_that_takes_too_long_to_read_is_told(
    desk: Desk, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "_READ_SECONDS", 0.05)
    items = b"<item><title>" + b"<a>" * 300_000
    with pytest.raises(Fault, match="more time or memory than a feed may"):
        await desk.looker.subscribe(origin.serve("feed", Resource(b"<rss version='2.0'><channel>" + items)))


@pytest.mark.gen_test
async def test_two_programs_never_look_at_one_feed(desk: Desk, origin: Origin) -> None:
    with Record.open(desk.data_dir) as record:
        subscriptions = Subscriptions(record)
        for number in range(20):
            subscriptions.add(origin.url(f"feed{number}"))
    claims = await asyncio.gather(*(desk.looker.due(3) for _ in range(10)))
    ids = [each.id for claim in claims for each in claim]
    assert sorted(ids) == sorted(set(ids))
    assert len(ids) == 20
    with Record.open(desk.data_dir) as record:
        Subscriptions(record).release(ids[:2])
        assert len(Subscriptions(record).claim(ids)) == 2
        # The program that had claimed the others died some minutes ago.
        record.connection.execute("UPDATE feeds SET claimed_until = ?", (time.time() - 1,))
        assert len(Subscriptions(record).claim_due(100)) == 20


@pytest.mark.gen_test
async def test_the_refresher_looks_at_what_is_due_and_survives_everything(
    desk: Desk, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "_POLL_SECONDS", 0.02)
    for number in range(6):
        desk.claimed(origin.serve(f"feed{number}", Resource(rss(number))))
    for name, resource in (
        ("html", Resource(b"<html>")),
        ("reset", Resource(rss(9), reset_after=10)),
        ("bomb", Resource(b"<rss>" + b"<a>" * 100_000)),
        ("nothing", Resource(b"")),
    ):
        desk.claimed(origin.serve(name, resource))
    with Record.open(desk.data_dir) as record:
        record.connection.execute("UPDATE feeds SET claimed_until = 0")
    task = asyncio.create_task(Refresher(desk.looker).run())
    await asyncio.to_thread(origin.wait_for, lambda: len({seen.name for seen in origin.requests}) == 10)
    async with asyncio.timeout(20):
        failing = [origin.url(name) for name in ("html", "reset", "nothing")]
        while len(desk.titles()) < 6 or not all(desk.followed(url).error for url in failing):  # noqa: ASYNC110 - of files
            await asyncio.sleep(0.02)
    # A feed that is due later, and one that is added while it runs.
    desk.claimed(origin.serve("late", Resource(rss(77))))
    with Record.open(desk.data_dir) as record:
        record.connection.execute("UPDATE feeds SET claimed_until = 0")
    await asyncio.to_thread(origin.wait_for, lambda: any(seen.name == "late" for seen in origin.requests))
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


@pytest.mark.gen_test
async def test_the_refresher_stops_at_once(desk: Desk, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        desk.claimed(origin.serve(f"slow{number}", Resource(rss(1), latency=60)))
    with Record.open(desk.data_dir) as record:
        record.connection.execute("UPDATE feeds SET claimed_until = 0")
    task = asyncio.create_task(Refresher(desk.looker).run())
    await asyncio.to_thread(origin.wait_for, lambda: len(origin.requests) == 3)
    began = time.monotonic()
    task.cancel()
    await asyncio.wait([task])
    assert time.monotonic() - began < 0.1


@pytest.mark.gen_test
async def test_a_feed_that_is_removed_while_it_is_added_leaves_nothing_behind(desk: Desk, origin: Origin) -> None:
    url = origin.serve("feed", Resource(rss(1)))
    await desk.looker.subscribe(url)
    origin.serve("feed", Resource(rss(*range(2, 2000))))
    asked = len(origin.requests)
    adding = asyncio.create_task(desk.looker.subscribe(url))
    await asyncio.to_thread(origin.wait_for, lambda: len(origin.requests) > asked and not origin.busy)
    await asyncio.sleep(0.2)  # it is being read
    with Record.open(desk.data_dir) as record:
        (feed,) = Subscriptions(record).all()
        Subscriptions(record).remove(feed.id)
        record.remove_feed_articles(feed.id)
        look = await adding
        assert record.count() == record.count(desk.followed(url).id) == look.put.added == 1998


@pytest.mark.gen_test
async def test_a_feed_that_was_removed_meanwhile_brings_nothing(desk: Desk, origin: Origin) -> None:
    url = origin.serve("feed", Resource(rss(1), latency=0.3))
    claimed = desk.claimed(url)
    looking = asyncio.create_task(desk.looker.look(claimed))
    await asyncio.to_thread(origin.wait_for, lambda: len(origin.requests) == 1)
    with Record.open(desk.data_dir) as record:
        Subscriptions(record).remove(claimed.id)
    assert (await looking).put.added == 0
    assert desk.titles() == []
