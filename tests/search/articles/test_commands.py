"""``cutaway articles`` as users and pipes see it: real processes, real feeds on a local server."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cutaway_server.search.articles import keeper
from cutaway_server.search.articles.index import Index
from cutaway_server.search.articles.record import Record
from cutaway_server.search.articles.samples import samples
from cutaway_server.search.articles.subscriptions import Subscriptions
from processes import alive, descendants_of, wait_until
from servers import Origin, Resource

from .conftest import rss

CUTAWAY = [sys.executable, "-c", "from cutaway.cli import main; main()", "articles"]


class Shell:
    """A user's shell, with a folder for the articles of its own."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.cwd = folder
        self.data_dir = folder / "data"
        self.allowed = f"{origin.host}:{origin.port}"
        self.environment = {**os.environ, "CUTAWAY_DATA_DIR": str(self.data_dir), "COLUMNS": "120"}
        self.environment["CUTAWAY_ALLOW_ADDRESS"] = self.allowed

    def run(self, *arguments: str | Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*CUTAWAY, *map(str, arguments)],
            input=stdin,
            cwd=self.cwd,
            env={**self.environment, **environment},
            capture_output=True,
            timeout=60,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *arguments: str | Path, stdin: bytes = b"") -> str:
        """The output of a command that succeeds without a complaint."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        assert "cutaway:" not in done.stderr
        return done.stdout

    @contextmanager
    def started(self, *arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            [*CUTAWAY, *map(str, arguments)],
            cwd=self.cwd,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def titles(self) -> list[str]:
        with Record.open(self.data_dir) as record:
            return [] if record.stats().samples else [each.entry.title for each in record.latest(100_000)]

    def indexed(self) -> int:
        """Articles that a search sees."""
        index = Index(self.data_dir)
        index.refresh()
        return index.count


@pytest.fixture
def shell(tmp_path: Path, origin: Origin) -> Shell:
    return Shell(tmp_path, origin)


def test_three_feeds_are_added_listed_refreshed_and_removed(shell: Shell, origin: Origin) -> None:
    one = origin.serve("one.xml", Resource(rss(1, 2), conditional=True))
    link = b"<html><head><link rel=alternate type='application/rss+xml' href='/two.xml'>"
    page = origin.serve("blog", Resource(link))
    two = origin.serve("two.xml", Resource(rss(3).replace(b"Daily", b"Weekly"), conditional=True))
    items = [{"id": 1, "title": "In JSON", "content_text": "Text", "url": "https://json.example/1"}]
    three = origin.serve("three.json", Resource(json.dumps({"title": "J", "items": items}).encode()))
    lines = shell.ok("add", one, page, three).splitlines()
    assert sorted(line.split("  ")[0] for line in lines) == [
        "J: added, 1 new article",
        "The Daily Loaf: added, 2 new articles",
        "The Weekly Loaf: added, 1 new article",
    ]
    assert shell.indexed() == 4
    assert sorted(shell.titles()) == ["In JSON", "Loaf number 1", "Loaf number 2", "Loaf number 3"]
    feeds = [json.loads(line) for line in shell.ok("list", "--feeds", "--json").splitlines()]
    assert {(each["url"], each["articles"]) for each in feeds} == {(one, 2), (two, 1), (three, 1)}
    assert not any(each["error"] for each in feeds)

    origin.serve("one.xml", Resource(rss(4, 1, 2), etag='"v2"', conditional=True))
    said = shell.ok("refresh")
    assert "The Daily Loaf: 1 new article " in said
    assert "The Weekly Loaf: nothing new" in said
    assert shell.titles()[0] == "Loaf number 4"
    (looked,) = [json.loads(line) for line in shell.ok("refresh", one, "--json").splitlines()]
    assert looked == {"url": one, "title": "The Daily Loaf", "added": 0, "changed": 0, "error": ""}

    listed = [json.loads(line) for line in shell.ok("list", "--json").splitlines()]
    done = shell.run("remove", listed[0]["id"], one, "999999", "https://other.example/")
    assert done.returncode == 1
    assert "The Daily Loaf: no longer followed, 2 articles removed" in done.stdout
    assert "cutaway: 999999: no article has this id\n" in done.stderr
    assert "cutaway: https://other.example/: this feed is not followed\n" in done.stderr
    assert sorted(shell.titles()) == ["In JSON", "Loaf number 3"]
    assert shell.indexed() == 2
    assert "no longer followed, 0 articles removed" in shell.ok("remove", "--keep-articles", two)
    assert len(shell.titles()) == 2
    assert re.search(r"articles  2\n +feeds  1, read just now\n", shell.ok("stats"))


def test_what_cannot_be_added_is_told_and_the_rest_is_added(shell: Shell, origin: Origin) -> None:
    good = origin.serve("good", Resource(rss(1)))
    bad = [origin.serve("html", Resource(b"<html>")), origin.url("missing")]
    bad.append(origin.serve("cut", Resource(rss(2), reset_after=9)))
    done = shell.run("add", *bad, good)
    assert done.returncode == 1
    assert shell.titles() == ["Loaf number 1"]
    assert len(done.stderr.splitlines()) == 3
    assert f"cutaway: {bad[0]}: This is a web page, not a feed" in done.stderr
    assert f"cutaway: {bad[1]}: The server answered 404 (not found)" in done.stderr
    assert "Traceback" not in done.stderr
    done = shell.run("add", good, CUTAWAY_ALLOW_ADDRESS="")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"--allow-address {shell.allowed}" in done.stderr
    assert shell.run("add", good, "--allow-address", shell.allowed, CUTAWAY_ALLOW_ADDRESS="").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add"], "Missing argument"),
        (["add", "loaf.example/feed"], "do you mean https://loaf.example/feed?"),
        (["refresh", "https://loaf.example/"], "is not followed"),
        (["import", "missing.csv"], "does not exist"),
        (["list", "--limit", "0"], "0"),
        (["add", "https://loaf.example/", "--allow-address", "nonsense"], "an address is a literal IP address"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_usage_is_status_2(shell: Shell, arguments: list[str], said: str) -> None:
    done = shell.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_list_of_subscriptions(shell: Shell, origin: Origin) -> None:
    urls = [origin.serve(f"feed{n}", Resource(rss(n))) for n in range(6)]
    urls.append(origin.serve("down", Resource(b"", status=503)))
    outlines = "".join(f"<outline text='Feed {n}' xmlUrl='{url}'/>" for n, url in enumerate(urls))
    (shell.cwd / "mine.opml").write_text(f"<opml version='2.0'><body><outline>{outlines}</outline></body></opml>")
    done = shell.run("add", "mine.opml")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 6
    assert "Feed 6: The server answered 503" in done.stderr
    assert len(shell.titles()) == 6
    with Record.open(shell.data_dir) as record:
        feeds = Subscriptions(record).all()
    assert [each.url for each in feeds] == urls
    assert "503" in feeds[-1].error
    (shell.cwd / "other.txt").write_text("hello")
    done = shell.run("add", "other.txt")
    assert done.returncode == 1
    assert "not a list of subscriptions" in done.stderr


def test_import_from_files_and_pipes_and_export_again(shell: Shell) -> None:
    rows = "title,points\n" + "".join(f"Row {n},{n}\n" for n in range(2500)) + ",\nbad,1,2\n"
    (shell.cwd / "rows.csv").write_text(rows)
    done = shell.run("import", "rows.csv")
    assert done.returncode == 0
    assert done.stdout == "2,500 articles: 2,500 new, 2 lines skipped\n"
    assert "Understood title, points as likes." in done.stderr
    assert "cutaway: line 2502: neither a title nor a description; skipped" in done.stderr
    assert shell.indexed() == 2500
    exported = shell.ok("export")
    assert len(exported.splitlines()) == 2500
    assert shell.ok("import", "-", stdin=exported.encode()) == "2,500 articles: 0 new, 2,500 known already\n"
    again = {**json.loads(exported.splitlines()[0]), "likes": 77}
    told = json.loads(shell.ok("import", "-", "--json", stdin=json.dumps(again).encode()))
    assert told == {"read": 1, "added": 0, "changed": 1, "skipped": 0}
    done = shell.run("import", "-", stdin=b"nothing\nof this\n")
    assert done.returncode == 1
    assert "no column for a title" in done.stderr


def test_an_index_that_cannot_be_written_is_told(shell: Shell) -> None:
    shell.data_dir.mkdir()
    (shell.data_dir / "index.new").touch()  # in the place of a folder
    done = shell.run("import", "-", stdin=b'{"title": "Zebra"}')
    assert done.returncode == 1
    assert re.fullmatch(r"Understood title\.\ncutaway: The articles are kept, but .*\n", done.stderr)
    assert shell.titles() == ["Zebra"]


def test_an_empty_file_is_told(shell: Shell) -> None:
    done = shell.run("import", "-")
    assert (done.returncode, done.stderr) == (1, "cutaway: -: nothing is in it\n")


def test_many_bad_lines_are_counted(shell: Shell) -> None:
    done = shell.run("import", "-", stdin=b'{"title": "a"}\n' + b"bad\n" * 500)
    assert done.returncode == 0
    assert len([line for line in done.stderr.splitlines() if "not valid JSON" in line]) == 10
    assert "and 490 more lines" in done.stderr


def test_a_new_store_shows_samples_until_the_first_article(shell: Shell) -> None:
    done = shell.run("list", "--limit", "100")
    assert len(done.stdout.splitlines()) == len(samples())
    assert "These are samples" in done.stderr
    shell.ok("import", "-", stdin=b'{"title": "Mine"}')
    assert shell.titles() == ["Mine"]


def test_reindex_and_a_lost_index(shell: Shell) -> None:
    shell.ok("import", "-", stdin=b"".join(b'{"title": "%d"}\n' % n for n in range(30)))
    assert shell.ok("reindex").startswith("30 articles indexed in ")
    for each in (shell.data_dir / "index").iterdir():
        each.unlink()
    done = shell.run("import", "-", stdin=b'{"title": "one more"}')
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert shell.indexed() == 31


def test_a_server_on_the_folder_keeps_the_index(shell: Shell) -> None:
    with keeper.keeping(shell.data_dir) as kept:
        assert kept is not None
        before = kept.record.count()
        shell.ok("import", "-", stdin=b"".join(b'{"title": "%d"}\n' % n for n in range(30)))
        assert "A server is running" in shell.ok("reindex")
        assert shell.indexed() == before  # it was left to who has the lock
        kept.follow()
    keeper.catch_up(shell.data_dir)
    assert shell.indexed() == 30


def test_two_commands_at_once(shell: Shell) -> None:
    lines = {name: b"".join(b'{"title": "%s %d"}\n' % (name, n) for n in range(3000)) for name in (b"a", b"b", b"c")}
    done: list[str] = []

    def import_(text: bytes) -> None:
        done.append(shell.ok("import", "-", stdin=text))

    threads = [threading.Thread(target=import_, args=[each]) for each in lines.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == ["3,000 articles: 3,000 new\n"] * 3
    assert len(shell.titles()) == 9000
    keeper.catch_up(shell.data_dir)
    assert shell.indexed() == 9000


def test_a_server_that_wants_to_be_left_alone_is(shell: Shell, origin: Origin) -> None:
    url = origin.serve("feed", Resource(rss(1)))
    shell.ok("add", url)
    origin.serve("feed", Resource(b"", status=429, headers={"Retry-After": "7200"}))
    assert "429" in shell.run("refresh").stderr
    assert re.search(r"The Daily Loaf: its server wants no visit for 1(20|19) min", shell.ok("refresh", url))
    assert len(origin.requests) == 2
    assert "1 failing" in shell.ok("stats")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_leaving_while_a_feed_is_waited_for(shell: Shell, origin: Origin, number: int, status: int) -> None:
    good = origin.serve("good", Resource(rss(1)))
    slow = origin.serve("slow", Resource(rss(2), latency=60))
    shell.ok("add", good)
    with Record.open(shell.data_dir) as record:
        Subscriptions(record).add(slow)
    with shell.started("refresh", slow) as process:
        origin.wait_for(lambda: any(seen.name == "slow" for seen in origin.requests))
        below = descendants_of(process.pid)
        assert below
        began = time.monotonic()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=10)
        assert (process.returncode, b"Traceback" in stderr) == (status, False)
        assert time.monotonic() - began < 3
        wait_until(lambda: not any(map(alive, below)))
    assert shell.titles() == ["Loaf number 1"]
    origin.serve("slow", Resource(rss(2)))
    assert "Loaf: 1 new article" in shell.ok("refresh", slow)  # it is nobody's any more


def test_ctrl_c_in_an_import_keeps_what_was_told(shell: Shell) -> None:
    with shell.started("import", "-") as process:
        assert process.stdin is not None
        process.stdin.write(b"".join(b'{"title": "%d"}\n' % n for n in range(60_000)))
        process.stdin.flush()
        wait_until(lambda: (shell.data_dir / "articles.db").exists() and len(shell.titles()) > 0, 20)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    told = re.search(rb"the first ([\d,]+) articles are kept", stderr)
    assert told, stderr
    count = int(told[1].replace(b",", b""))
    assert len(shell.titles()) >= count >= 1000


def test_a_reader_that_leaves_ends_an_export(shell: Shell) -> None:
    with shell.started("export") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) in (0, 1)
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def on_terminal(shell: Shell, *arguments: str) -> str:
    """What a command shows on a terminal of 80 columns, without colours."""
    master, slave = pty.openpty()
    streams = {"stdin": slave, "stdout": slave, "stderr": slave}
    with subprocess.Popen([*CUTAWAY, *arguments], env={**shell.environment, "COLUMNS": "80"}, **streams) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                shown += os.read(master, 4096)
            except OSError:
                break
        os.close(master)
        assert process.wait() == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_on_a_terminal_there_are_tables_and_no_controls(shell: Shell, origin: Origin) -> None:
    evil = rss(1).replace(b"Loaf number 1", b"[red]Evil \xc2\x9b31m&#x202e; bread[/red]")
    shell.ok("add", origin.serve("feed", Resource(evil)))
    text = on_terminal(shell, "list")
    assert "[red]Evil" in text
    assert re.search(r"id +date +title +by +\r\n─+\r\n", text)  # and no column without a value
    assert "\x9b" not in text
    assert "\u202e" not in text


def test_on_a_narrow_terminal_addresses_and_problems_are_whole(shell: Shell, origin: Origin) -> None:
    name = "a/rather/long/address/of/a/feed/that/nobody/would/type.xml"
    url = origin.serve(name, Resource(rss(1)))
    shell.ok("add", url)
    origin.serve(name, Resource(b"", status=410))
    assert shell.run("refresh").returncode == 1
    head, _, *lines = on_terminal(shell, "list", "--feeds").splitlines()
    at, behind = head.index("url"), head.index("problem")
    assert "".join(line[at:behind].strip() for line in lines) == url
    problem = " ".join(line[behind:].strip() for line in lines).strip()
    assert problem == "The feed's server says that it is gone for good: it is not asked again."


def test_without_the_servers_libraries_it_says_what_to_install(shell: Shell) -> None:
    code = "import sys; sys.modules['cutaway_server'] = None; from cutaway.cli import main; main()"
    command = [sys.executable, "-c", code, "articles", "list"]
    done = subprocess.run(command, capture_output=True, text=True, env=shell.environment)
    assert done.returncode == 1
    assert "pip install 'cutaway[server]'" in done.stderr
