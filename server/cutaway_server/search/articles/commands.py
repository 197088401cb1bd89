"""``cutaway articles``: fill the store of articles, look into it, empty it.

Comes in: arguments; goes out: lines on stdout, a live bar, and an exit status: 0 for done, 1 when something failed
(each failure is a line on stderr), 2 for wrong usage, 130 for Ctrl-C. What was said to be kept is kept, whatever comes
afterwards. A server may run on the same folder: then it brings the search index up to what was done here; without one,
the command does that itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from cutaway.errors import CutawayError, InvalidRequest
from cutaway_server.errors import Fault
from cutaway_server.search.articles.canonical import web_url
from cutaway_server.search.articles.kept import Put
from cutaway_server.search.articles.listing import NO_FEEDS, articles_of, show_articles, show_feeds, show_stats
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.rows import Rows, export_line
from cutaway_server.search.articles.subscriptions import Subscription, Subscriptions
from cutaway_server.search.articles.terminal import Terminal
from cutaway_server.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

_PROG = "cutaway articles"
_BATCH = 1_000
"""Articles of one transaction: others wait for 50 ms."""
_COMPLAINTS = 10
"""Bad lines that are told one by one."""


def main(arguments: Sequence[str]) -> int:
    """Run the command with these arguments; its exit status.

    Raises
    ------
    CutawayError, click.ClickException, KeyboardInterrupt
        For the command line to tell.
    """
    # What is logged on the way (an index that is built anew) is no news to who asked for it.
    logging.getLogger("cutaway_server").setLevel(logging.ERROR)
    try:
        status = articles.main(list(arguments), prog_name=_PROG, standalone_mode=False)
    except Fault as fault:
        raise CutawayError(fault.message) from fault
    return status if isinstance(status, int) else 0


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def articles() -> None:
    """The articles that searches find: fill the store, look into it, empty it.

    All of it works while a server runs on the same folder, and without one.
    """


def _options(*, network: bool = False, json: bool = False) -> Callable[[Command], Command]:
    """The options that commands have in common."""
    listed = [
        click.option(
            "--data-dir",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            envvar="CUTAWAY_DATA_DIR",
            show_envvar=True,
            help="Where the articles are kept.  [default: the user's folder for data]",
        )
    ]
    if network:
        listed += [
            click.option("--allow-network", multiple=True, metavar="NETWORK", help="A private network of feeds."),
            click.option(
                "--allow-address", multiple=True, metavar="IP:PORT", help="An exact private address of feeds."
            ),
        ]
    if json:
        listed.append(click.option("--json", "as_json", is_flag=True, help="Print JSON lines."))

    def decorate(command: Command) -> Command:
        for option in reversed(listed):
            command = option(command)
        return command

    return decorate


@articles.command()
@click.argument("sources", metavar="FEED_URL|FILE.opml...", nargs=-1, required=True)
@_options(network=True, json=True)
def add(sources: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Follow feeds: RSS, Atom, JSON Feed, or the feed that a web page names.

    A file is a list of subscriptions (OPML), as feed readers export it. A feed that cannot be read is not added; one of
    a list is, and tried again.
    """
    from cutaway_server.search.articles.following import add_all, read_lists

    settings = _settings(given)
    terminal = Terminal(as_json=as_json)
    urls, outlines = read_lists(sources)
    failed = asyncio.run(add_all(settings, urls, outlines, terminal))
    _bring_up(settings.data_dir, terminal)
    return int(failed)


@articles.command()
@click.argument("urls", metavar="[FEED_URL]...", nargs=-1)
@_options(network=True, json=True)
def refresh(urls: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Look for new articles now: in these feeds, or in all."""
    from cutaway_server.search.articles.following import refresh_all

    settings = _settings(given)
    terminal = Terminal(as_json=as_json)
    with Record.open(settings.data_dir) as record:
        subscriptions = Subscriptions(record)
        wanted = [_followed(subscriptions, url) for url in urls] or [
            each for each in subscriptions.all() if not each.gone
        ]
        if not wanted:
            terminal.note(NO_FEEDS)
            return 0
        failed = asyncio.run(refresh_all(settings, subscriptions, wanted, terminal))
    _bring_up(settings.data_dir, terminal)
    return int(failed)


@articles.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@_options(json=True)
def import_(file: Path, as_json: bool, **given: Any) -> int:
    """Take articles from a file: JSON lines with the fields of an article, or CSV with named columns.

    FILE may be - for standard input. Known columns: title, author, date, description, image, url, comments, likes,
    emojis, hasVideo, and many other names for them. An article that is there already is brought up to date.
    """
    settings = _settings(given)
    terminal = Terminal(as_json=as_json)
    complaints = 0

    def complain(line: int, problem: str) -> None:
        nonlocal complaints
        complaints += 1
        if complaints <= _COMPLAINTS:
            terminal.complain(f"line {line}: {problem}; skipped")

    put, read = Put(), 0
    with _opened(file) as (stream, size), Record.open(settings.data_dir) as record:
        rows = Rows(stream, complain)
        found = iter(rows)
        try:
            with terminal.bar("reading articles", size, count=False) as bar:
                while batch := list(islice(found, _BATCH)):
                    put += record.put(batch)
                    read += len(batch)
                    bar.at(rows.bytes_read, size)
        except (KeyboardInterrupt, Fault) as error:
            if read or isinstance(error, KeyboardInterrupt):
                terminal.note(f"Interrupted: the first {read:,} articles are kept.", style="")
            raise
    if complaints > _COMPLAINTS:
        terminal.complain(f"… and {complaints - _COMPLAINTS:,} more lines that are no articles")
    if not read and not complaints:
        terminal.complain(f"{file}: nothing is in it")
    if as_json:
        terminal.json({"read": read, "added": put.added, "changed": put.changed, "skipped": complaints})
    else:
        _tell_import(terminal, rows.understood, list(rows.ignored), read, put, complaints)
    _bring_up(settings.data_dir, terminal)
    return int(not read)


def _tell_import(
    terminal: Terminal, understood: Mapping[str, str], ignored: list[str], read: int, put: Put, skipped: int
) -> None:
    if understood:
        columns = ", ".join(
            name if name == _shown(to) else f"{name} as {_shown(to)}" for to, name in understood.items()
        )
        left = f"; not used: {', '.join(ignored[:8])}{' …' * (len(ignored) > 8)}" if ignored else ""
        terminal.note(f"Understood {columns}{left}.")
    again = read - put.added - put.changed
    parts = [f"{put.added:,} new"]
    parts += [f"{put.changed:,} changed"] * bool(put.changed) + [f"{again:,} known already"] * bool(again)
    parts += [f"{skipped:,} lines skipped"] * bool(skipped)
    terminal.line((f"{read:,} articles", "bold"), (f": {', '.join(parts)}", ""))


def _shown(field: str) -> str:
    return {"published": "date", "has_video": "hasVideo"}.get(field, field)


@articles.command()
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Not to stdout.")
@_options()
def export(out: Path | None, **given: Any) -> None:
    """Write all articles as JSON lines, which `import` takes again."""
    with Record.open(_settings(given).data_dir) as record:
        stream = out.open("wb") if out else sys.stdout.buffer
        try:
            before = None
            while page := record.latest(_BATCH, before=before):
                stream.writelines(export_line(each.entry, each.id) + b"\n" for each in page)
                before = page[-1].id
            stream.flush()
        finally:
            if out:
                stream.close()


@articles.command("list")
@click.option("--feeds", is_flag=True, help="The feeds that are followed, not the articles.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1 << 40), default=20, metavar="N", help="The last so many articles."
)
@_options(json=True)
def list_(feeds: bool, limit: int, as_json: bool, **given: Any) -> None:
    """Show the articles that came last, or the feeds."""
    with Record.open(_settings(given).data_dir) as record:
        terminal = Terminal(as_json=as_json)
        if feeds:
            show_feeds(record, terminal)
        else:
            show_articles(record, limit, terminal)


@articles.command()
@click.argument("targets", metavar="ID|FEED_URL...", nargs=-1, required=True)
@click.option("--keep-articles", is_flag=True, help="Of a feed, which is only no longer followed.")
@_options()
def remove(targets: tuple[str, ...], keep_articles: bool, **given: Any) -> int:
    """Remove articles by their ids, or feeds together with what they brought."""
    settings = _settings(given)
    terminal = Terminal()
    failed = False
    with Record.open(settings.data_dir) as record:
        subscriptions = Subscriptions(record)
        for target in targets:
            if target.isascii() and target.isdecimal() and len(target) < 19:
                if record.remove([int(target)]):
                    terminal.line(("article ", ""), (target, "cyan"), (": removed", ""))
                    continue
            elif feed := subscriptions.find(target):
                # Interrupted, it leaves no articles without their feed; a server may bring some until it is removed.
                gone = 0 if keep_articles else record.remove_feed_articles(feed.id)
                subscriptions.remove(feed.id)
                gone += 0 if keep_articles else record.remove_feed_articles(feed.id)
                terminal.line(
                    (feed.title or feed.url, "bold"), (f": no longer followed, {articles_of(gone)} removed", "")
                )
                continue
            terminal.complain(
                f"{target}: no article has this id" if target.isdecimal() else f"{target}: this feed is not followed"
            )
            failed = True
    _bring_up(settings.data_dir, terminal)
    return int(failed)


@articles.command()
@_options(json=True)
def stats(as_json: bool, **given: Any) -> None:
    """Tell how much there is."""
    data_dir = _settings(given).data_dir
    with Record.open(data_dir) as record:
        show_stats(record, data_dir, Terminal(as_json=as_json))


@articles.command()
@_options()
def reindex(**given: Any) -> None:
    """Build the search index anew from the articles."""
    from cutaway_server.search.articles import keeper

    data_dir = _settings(given).data_dir
    terminal = Terminal()
    began = time.monotonic()
    with terminal.bar("indexing", None) as bar:
        ours = keeper.reindex(data_dir, bar.at)
    with Record.open(data_dir) as record:
        count = record.count()
    if ours:
        terminal.line((f"{articles_of(count)} indexed", "bold"), (f" in {time.monotonic() - began:.1f} s", ""))
    else:
        terminal.line((f"A server is running: it builds the index of {articles_of(count)} anew.", ""))


# --- shared ------------------------------------------------------------------------------------------------


def _settings(given: dict[str, Any]) -> Settings:
    """The server's settings, with what was given here: flags, variables and ``.env`` mean the same to both."""
    arguments = [] if given["data_dir"] is None else ["--data-dir", str(given["data_dir"])]
    for name in ("allow_network", "allow_address"):
        for value in given.get(name, ()):
            arguments += [f"--{name.replace('_', '-')}", value]
    return Settings.from_arguments(arguments, prog=_PROG)


def _followed(subscriptions: Subscriptions, url: str) -> Subscription:
    found = subscriptions.find(url)
    if found is None:
        raise InvalidRequest(f"{url} is not followed: cutaway articles add {url if web_url(url) else 'FEED_URL'}")
    return found


def _bring_up(data_dir: Path, terminal: Terminal) -> None:
    """Bring the index up to what was done, unless a server does."""
    from cutaway_server.search.articles import keeper

    with terminal.bar("indexing", None) as bar:
        keeper.catch_up(data_dir, bar.at)


@contextmanager
def _opened(file: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    if str(file) == "-":
        yield sys.stdin.buffer, None
        return
    with file.open("rb", buffering=1 << 20) as stream:
        status = os.fstat(stream.fileno())
        yield stream, status.st_size if stat.S_ISREG(status.st_mode) else None
