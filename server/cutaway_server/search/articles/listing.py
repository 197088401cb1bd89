"""What is in the store, shown: the last articles, the feeds, numbers. Comes in: a record; goes out: tables or JSON."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from cutaway_server.search.articles.dates import iso_date
from cutaway_server.search.articles.prose import cut
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.rows import export_line
from cutaway_server.search.articles.subscriptions import Subscription, Subscriptions
from cutaway_server.search.articles.terminal import Terminal

NO_FEEDS = "No feeds are followed yet: cutaway articles add FEED_URL"


def show_articles(record: Record, limit: int, terminal: Terminal) -> None:
    """The articles that came last."""
    found = record.latest(limit)
    if terminal.as_json:
        for each in found:
            terminal.raw(export_line(each.entry, each.id))
        return
    columns = [("id", ">cyan"), ("date", "dim"), ("title", "=bold"), ("by", ""), ("likes", ">"), ("comments", ">")]
    rows = [
        (
            str(each.id),
            iso_date(each.entry.published)[:10],
            each.entry.title,
            cut(each.entry.author, 24),
            f"{each.entry.likes:,}" if each.entry.likes else "",
            f"{each.entry.comments:,}" if each.entry.comments else "",
        )
        for each in found
    ]
    terminal.table(columns, rows)
    stats = record.stats()
    if stats.samples:
        terminal.note("These are samples, until the first articles of your own: cutaway articles add FEED_URL")
    elif not found:
        terminal.note("No articles yet: cutaway articles add FEED_URL")
    elif stats.articles > len(found):
        terminal.note(f"The last {len(found):,} of {stats.articles:,}; more with --limit.")


def show_feeds(record: Record, terminal: Terminal) -> None:
    """The feeds that are followed."""
    found = Subscriptions(record).all()
    if terminal.as_json:
        for each in found:
            terminal.json(
                {
                    "url": each.url,
                    "title": each.title,
                    "articles": record.count(each.id),
                    "read": iso_date(int(each.looked) if each.looked else None),
                    "error": each.error,
                    "gone": each.gone,
                }
            )
        return
    if not found:
        terminal.note(NO_FEEDS)
    columns = [("title", "=bold"), ("articles", ">"), ("read", "dim"), ("url", "~cyan"), ("problem", "~red")]
    terminal.table(columns, [_feed(each, record.count(each.id)) for each in found])


def show_stats(record: Record, data_dir: Path, terminal: Terminal) -> None:
    """How much there is."""
    known = record.stats()
    feeds = Subscriptions(record).all()
    failing = sum(bool(each.failures) for each in feeds)
    size = _size_of(data_dir)
    if terminal.as_json:
        terminal.json(
            {
                "articles": known.articles,
                "samples": known.samples,
                "feeds": len(feeds),
                "failing_feeds": failing,
                "record_bytes": known.size_bytes,
                "bytes": size,
                "data_dir": str(data_dir),
            }
        )
        return
    followed = f"{len(feeds):,}"
    if read := max((each.looked for each in feeds if each.looked), default=None):
        followed += f", read {_ago(read)}"
    if failing:
        followed += f", {failing:,} failing (list --feeds says why)"
    for name, value in (
        ("articles", f"{known.articles:,}{' (samples)' * known.samples}"),
        ("feeds", followed),
        ("on disk", f"{_in_words(size)}, of which {_in_words(known.size_bytes)} are the articles, the rest is derived"),
        ("folder", str(data_dir)),
    ):
        terminal.line((f"{name:>9}  ", "dim"), (value, "bold" if name == "articles" else ""))


def articles_of(count: int) -> str:
    """``1 article``, ``2 articles``."""
    return f"{count:,} article{'s' * (count != 1)}"


def _feed(feed: Subscription, count: int) -> tuple[str, ...]:
    return cut(feed.title, 32), f"{count:,}", _ago(feed.looked), feed.address, feed.error


def _size_of(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a server merges its index meanwhile
            size += path.stat().st_size * path.is_file()
    return size


def _in_words(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _ago(moment: float | None) -> str:
    if moment is None:
        return "never"
    seconds = max(time.time() - moment, 0)
    for size, unit in ((86_400, "days"), (3_600, "hours")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{seconds // 60:.0f} min ago" if seconds >= 60 else "just now"
