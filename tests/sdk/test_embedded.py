"""A server in a child process: it starts, it works on local files, it never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cutaway
from cutaway import Client
from cutaway.embedded import _flags
from cutaway_server.sample import _SHOTS
from processes import alive, descendants_of, wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[cutaway.EmbeddedServer]:
    with cutaway.embedded(workers=2, log_level="warning") as server:
        yield server


def test_the_sample_is_a_film(sample: Path) -> None:
    import av

    with av.open(str(sample)) as film:
        assert (film.duration or 0) / 1e6 == pytest.approx(sum(shot.seconds for shot in _SHOTS), abs=0.2)
        assert film.metadata["title"]
        picture = film.streams.video[0]
        assert (picture.codec_context.name, picture.width, picture.height) == ("h264", 640, 360)
        assert film.streams.audio[0].codec_context.name == "aac"
        assert film.streams.subtitles[0].codec_context.name == "mov_text"
        keyframes = {
            round(float(packet.pts * packet.time_base), 2)
            for packet in film.demux(picture)
            if packet.is_keyframe and packet.pts is not None
        }
    starts = [sum(shot.seconds for shot in _SHOTS[:number]) for number in range(len(_SHOTS))]
    assert all(min(abs(start - each) for each in keyframes) < 0.05 for start in starts)


def test_an_embedded_server_finds_the_moments_of_a_local_file(
    sample: Path, server: cutaway.EmbeddedServer, tmp_path: Path
) -> None:
    stages = set()
    with Client(server) as client:
        snippets = client.snippets(
            sample, max_snippets=4, on_progress=lambda progress: stages.add(progress.stage)
        ).result()
    assert len(snippets) == 4
    assert stages >= {"analyse", "cut"}
    for snippet in snippets:
        assert snippet.src_video_url == str(sample)
        assert snippet.video[4:8] == b"ftyp"
        assert snippet.duration is not None
        assert 5 <= snippet.duration <= 30.5
        assert snippet.save(tmp_path).stat().st_size == len(snippet.video)


def test_an_embedded_server_searches_its_sample_articles(server: cutaway.EmbeddedServer) -> None:
    with Client(server) as client:
        result = client.search("bees in winter").result()
        assert result.articles[0].title == "What happens in a beehive in winter"
        assert "[1]" in result.summary
        assert result.errors == ()
        assert result.captions
        for image in result.images:
            assert image.bytes().startswith(b"\x89PNG")
        dip, again = (client.search(source="stumber").result().articles for _ in range(2))
        assert dip != again
        assert client.search().result().articles
        with pytest.raises(cutaway.ServerError) as caught:
            client.search(image=b"\x89PNG\r\n\x1a\n" + bytes(99)).result()
        assert caught.value.field == "image"
        assert len(client._client._idle) == 1  # all of it on one socket


def test_other_private_addresses_stay_out_of_its_reach(server: cutaway.EmbeddedServer) -> None:
    with pytest.raises(cutaway.ServerError):
        Client(server).snippets(f"{server.url}/health").result()


def test_it_listens_until_it_is_closed() -> None:
    server = cutaway.embedded(workers=1)
    with urllib.request.urlopen(f"{server.url}/health") as answer:
        assert answer.status == 200
    assert repr(server) == f"<EmbeddedServer {server.url}>"
    family = descendants_of(server._process.pid) | {server._process.pid}
    server.close()
    server.close()
    assert repr(server) == "<EmbeddedServer closed>"
    wait_until(lambda: not any(map(alive, family)))
    with pytest.raises(cutaway.ConnectError):
        Client(server, connect_retries=0).snippets("https://example.com/v.mp4").result()


SCRIPT = """
import cutaway, sys
server = cutaway.embedded(workers=1)
print(server.url, flush=True)
sys.stdin.read()
"""


def _parent() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_it_is_gone_with_its_parent(end: signal.Signals | None) -> None:
    parent = _parent()
    assert parent.stdout is not None
    assert parent.stdout.readline().startswith("http://127.0.0.1:")
    family = descendants_of(parent.pid)
    assert family
    if end is not None:
        parent.send_signal(end)
    _, complaints = parent.communicate(timeout=15)
    assert complaints == ""
    wait_until(lambda: not any(map(alive, family)), 10)


INTERRUPTED = """
import cutaway, sys, urllib.request
server = cutaway.embedded(workers=1)
try:
    print(server.url, flush=True)
    sys.stdin.read()
except KeyboardInterrupt:
    print(urllib.request.urlopen(server.url + "/health").status)
"""


def test_ctrl_c_for_the_parent_is_not_for_the_server() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does
    output, _ = parent.communicate(timeout=15)
    assert output == "200\n"


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a script in the place of the interpreter."""

    def pretend(script: str) -> None:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))

    return pretend


def test_a_missing_extra_is_named(pretend: Callable[[str], None]) -> None:
    pretend("echo \"ModuleNotFoundError: No module named 'pebble'\" >&2; exit 1")
    with pytest.raises(cutaway.ServerNotInstalled, match=r"'pebble'.*pip install 'cutaway\[server\]'"):
        cutaway.embedded()


def test_a_server_that_ends_at_once_leaves_its_last_words(pretend: Callable[[str], None]) -> None:
    pretend("echo some; echo 'cannot listen' >&2; exit 3")
    with pytest.raises(cutaway.ServerStartError, match=r"(?s)status 3.*cannot listen") as caught:
        cutaway.embedded()
    assert not isinstance(caught.value, cutaway.ServerNotInstalled)


def test_a_server_that_stays_silent_is_stopped(pretend: Callable[[str], None]) -> None:
    pretend("echo thinking >&2; exec cat")
    started = time.monotonic()
    with pytest.raises(cutaway.ServerStartError, match="thinking"):
        cutaway.embedded(start_timeout=0.3)
    assert time.monotonic() - started < 3


def test_wrong_settings_are_told_in_the_servers_words() -> None:
    with pytest.raises(cutaway.ServerStartError, match="workers"):
        cutaway.embedded(workers=-1)
    with pytest.raises(cutaway.InvalidRequest, match="host"):
        cutaway.embedded(host="0.0.0.0")


def test_settings_become_flags() -> None:
    assert _flags("--max-streams", 3) == ["--max-streams=3"]
    assert _flags("--x", None) == []
    assert _flags("--x-y", True) == ["--x-y"]
    assert _flags("--x-y", False) == ["--no-x-y"]
    assert _flags("--x", ["a", "b"]) == ["--x=a", "--x=b"]
