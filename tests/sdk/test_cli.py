"""The command line as users and pipes see it: real child processes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import cutaway
from cutaway import protocol
from processes import alive, descendants_of, wait_until

from .fake_server import URL, Abort, FakeServer, Hang, complete, error, progress, snippet

CUTAWAY = [sys.executable, "-c", "from cutaway.cli import main; main()"]


def run(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CUTAWAY, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_snippets_are_saved_under_their_titles_and_listed(tmp_path: Path) -> None:
    with FakeServer(progress(), snippet(1), snippet(2), complete()) as server:
        done = run("snippets", URL, "--server", server.url, "--max-snippets", "2", cwd=tmp_path)
        assert server.queries[0]["max_snippets"] == "2"
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "Moment 1.mp4").read_bytes() == b"\x01" * 1000
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"\s+1:00–1:13\s+12\.5 s\s+1 kB  Moment 1  Moment 1\.mp4", lines[0])


def test_out_is_made_and_nothing_is_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with FakeServer(snippet(1), complete()) as server:
        for _ in range(2):
            assert run("snippets", URL, "--out", out, CUTAWAY_SERVER=server.url).returncode == 0
    assert sorted(path.name for path in out.iterdir()) == ["Moment 1 (2).mp4", "Moment 1.mp4"]


def test_json_is_the_messages_and_nothing_else(tmp_path: Path) -> None:
    script = [progress(), snippet(1), complete()]
    with FakeServer(*script) as server:
        done = run("snippets", URL, "--json", "--server", server.url, cwd=tmp_path)
    assert done.returncode == 0
    assert [protocol.decode_video(line) for line in done.stdout.splitlines()] == script
    assert not list(tmp_path.iterdir())
    with FakeServer(*script) as server:
        run("snippets", URL, "--json", "--out", tmp_path, "--server", server.url)
    assert [path.name for path in tmp_path.iterdir()] == ["Moment 1.mp4"]


def test_a_failure_is_one_line_on_stderr_and_status_1(tmp_path: Path) -> None:
    with FakeServer(snippet(1), error("no\nsuch \x1b[31mvideo")) as server:
        done = run("snippets", URL, "--server", server.url, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (1, "cutaway: no such [31mvideo\n")
        assert (tmp_path / "Moment 1.mp4").exists()
        done = run("snippets", URL, "--json", "--server", server.url)
        assert (done.returncode, done.stderr) == (1, "cutaway: no such [31mvideo\n")
        assert json.loads(done.stdout.splitlines()[-1])["type"] == "error"
    done = run("snippets", URL, "--server", server.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"cutaway: nothing listens at .*\n", done.stderr)


def test_a_directory_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with FakeServer(snippet(1), complete()) as server:
        done = run("snippets", URL, "--out", tmp_path / "file" / "x", "--server", server.url)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["snippets"],
        ["snippets", "missing.mp4"],
        ["snippets", "ftp://e.com/v"],
        ["snippets", URL, "--max-snippets", "0"],
        ["snippets", URL, "--max-snippets", "x"],
        ["snippets", URL, "--server", "nonsense"],
        ["demo", "missing.mp4"],
        ["demo", "--max-snippets", "0"],
        ["demo", "--server", "ws://localhost:1"],
        ["unknown"],
        ["--unknown"],
        ["serve", "--port", "nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_help_and_version() -> None:
    assert run("--version").stdout == f"cutaway, version {cutaway.__version__}\n"
    assert "snippets" in run("--help").stdout
    assert "current directory" in run("snippets", "-h").stdout
    served = run("serve", "--help")
    assert served.returncode == 0
    assert "--allow-network" in served.stdout


def test_nothing_found_is_not_a_failure(tmp_path: Path) -> None:
    with FakeServer(complete()) as server:
        done = run("snippets", URL, "--server", server.url, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no snippets" in done.stderr


def test_a_missing_extra_is_named() -> None:
    script = "import sys; sys.modules['pydantic_settings'] = None; from cutaway.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script, "serve"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'cutaway[server]'" in done.stderr
    assert done.stderr.count("\n") == 1


def _start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*CUTAWAY, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_keeps_whole_snippets_and_stops_the_server(number: int, status: int, tmp_path: Path) -> None:
    with FakeServer(snippet(1), Hang()) as server:
        process = _start("snippets", URL, "--server", server.url, cwd=tmp_path)
        assert process.stdout is not None
        assert "Moment 1" in process.stdout.readline()
        process.send_signal(number)
        _, complaints = process.communicate(timeout=10)
        assert server.left.wait(5)
    assert (process.returncode, complaints.strip()) == (status, "")
    assert [path.name for path in tmp_path.iterdir()] == ["Moment 1.mp4"]


def test_ctrl_c_takes_the_embedded_server_along(tmp_path: Path) -> None:
    process = _start("snippets", "https://10.255.255.1/v.mp4", cwd=tmp_path)
    wait_until(lambda: len(descendants_of(process.pid)) > 0, 20)
    family = descendants_of(process.pid)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=15)
    assert (process.returncode, complaints) == (130, "\n")  # ends the line with ^C
    wait_until(lambda: not any(map(alive, family)), 10)


def test_ctrl_c_while_the_sample_is_made_leaves_nothing(tmp_path: Path) -> None:
    process = _start("demo", cwd=tmp_path)
    wait_until(lambda: len(descendants_of(process.pid)) >= 2, 20)  # the maker and an ffmpeg
    family = descendants_of(process.pid)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=15)
    assert (process.returncode, complaints) == (130, "\n")  # ends the line with ^C
    wait_until(lambda: not any(map(alive, family)), 10)
    assert not list((tmp_path / "cutaway-demo").iterdir())


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    with FakeServer(*[snippet(number, size_bytes=2**20) for number in range(1, 9)], complete()) as server:
        process = _start("snippets", URL, "--json", "--server", server.url)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(10) == 1
        assert process.stderr.read() == ""
        process.stderr.close()
        assert server.left.wait(5)


def test_on_a_terminal_hostile_titles_are_only_text(tmp_path: Path) -> None:
    message = snippet(1)
    data = protocol.SnippetData(
        video_data=b"x",
        metadata=protocol.SnippetMetadata(src_video_url=URL, title="[red]\x1b]0;pwned\x07[/]\nx\u202e", description=""),
    )
    ours, theirs = pty.openpty()
    output = bytearray()

    def read() -> None:
        try:
            while chunk := os.read(ours, 4096):
                output.extend(chunk)
        except OSError:
            pass  # the other end is closed

    reader = threading.Thread(target=read)
    with FakeServer(progress(), protocol.Snippet(data=data), message, complete()) as server:
        process = subprocess.Popen(
            [*CUTAWAY, "snippets", URL, "--server", server.url],
            cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        os.close(theirs)
        reader.start()
        assert process.wait(20) == 0
        reader.join()
        os.close(ours)
    text = output.decode()
    assert "\x1b]0" not in text and "\x07" not in text and "\u202e" not in text
    assert "[red]]0;pwned[/] x" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Moment 1.mp4", "[red]]0;pwned[ - ] x.mp4"]


def test_a_lost_connection_keeps_what_was_saved(tmp_path: Path) -> None:
    with FakeServer(snippet(1), Abort()) as server:
        done = run("snippets", URL, "--server", server.url, cwd=tmp_path)
    assert done.returncode == 1
    assert "ended before the server was done" in done.stderr
    assert (tmp_path / "Moment 1.mp4").exists()
