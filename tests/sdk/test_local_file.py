"""A file of this machine in the place of a URL."""

from __future__ import annotations

import asyncio
import http.client
import os
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import cutaway
from cutaway import AsyncClient, Client, EmbeddedServer
from cutaway.localfile import find_local_file, shared

from .fake_server import FakeServer, Hang, Wait, complete, error, progress, snippet

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "my film #1 ü.mp4"
    path.write_bytes(CONTENT)
    return path


def as_embedded(fake: FakeServer) -> EmbeddedServer:
    """A server that clients take for one of their own, without the child process."""
    server = EmbeddedServer.__new__(EmbeddedServer)
    server.url = fake.url
    return server


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request(method, parts.path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def test_a_shared_file_is_served_with_ranges(film: Path) -> None:
    with shared(film) as url:
        status, headers, body = fetch(url)
        assert (status, body) == (200, CONTENT)
        assert headers["Accept-Ranges"] == "bytes"
        assert headers["Content-Type"] == "video/mp4"
        status, headers, body = fetch(url, Range="bytes=1000-1999")
        assert (status, body) == (206, CONTENT[1000:2000])
        assert headers["Content-Range"] == f"bytes 1000-1999/{len(CONTENT)}"
        assert fetch(url, Range="bytes=-10")[2] == CONTENT[-10:]
        assert fetch(url, Range=f"bytes={len(CONTENT)}-")[0] == 416
        status, headers, body = fetch(url, "HEAD")
        assert (status, headers["Content-Length"], body) == (200, str(len(CONTENT)), b"")
        assert fetch(url, "POST")[0] == 405
    assert fetch(url)[0] == 404


def test_nothing_else_is_served(film: Path) -> None:
    (film.parent / "secret.mp4").write_bytes(b"secret")
    with shared(film) as url:
        base, token, name = url.rsplit("/", 2)
        for path in [
            "",
            "/",
            f"/{token}",
            f"/{token}/",
            f"/{token[:-1]}x/{name}",
            f"/{'a' * 43}/{name}",
            "/etc/passwd",
            "/../../etc/passwd",
        ]:
            assert fetch(base + path)[0] == 404, path
        # What follows the token is only a name for show.
        assert fetch(f"{base}/{token}/../secret.mp4")[2] != b"secret"
        assert len(token) == 43
    assert urlsplit(url).hostname == "127.0.0.1"


@pytest.mark.parametrize("name", ["index.m3u8", "manifest.MPD"])
def test_a_playlist_brings_the_files_of_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "stream"
    (folder / "720p").mkdir(parents=True)
    (folder / name).write_bytes(b"list")
    (folder / "720p" / "1.ts").write_bytes(b"segment")
    (tmp_path / "secret.ts").write_bytes(b"secret")
    (folder / "link.ts").symlink_to(tmp_path / "secret.ts")
    with shared(folder / name) as url:
        base = url.rpartition("/")[0]
        assert fetch(url)[2] == b"list"
        assert fetch(f"{base}/720p/1.ts", Range="bytes=1-3")[2] == b"egm"
        for other in ("../secret.ts", "720p/../../secret.ts", "link.ts", "720p", f"{tmp_path}/secret.ts", "none.ts"):
            assert fetch(f"{base}/{other}")[0] == 404, other
    assert fetch(f"{base}/720p/1.ts")[0] == 404


def test_each_sharing_has_its_own_url(film: Path) -> None:
    with shared(film) as one, shared(film) as other:
        assert one != other


@pytest.mark.parametrize("kind", ["path", "text", "relative", "home", "file URL"])
def test_what_is_a_local_file(kind: str, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(film.parent)
    monkeypatch.setenv("HOME", str(film.parent))
    given = {
        "path": film,
        "text": str(film),
        "relative": film.name,
        "home": f"~/{film.name}",
        "file URL": film.as_uri(),
    }[kind]
    assert find_local_file(given) == film


def test_a_file_url_is_decoded_once(tmp_path: Path) -> None:
    (tmp_path / "a%20b.mp4").touch()
    assert find_local_file(f"file://{tmp_path}/a%2520b.mp4") == tmp_path / "a%20b.mp4"


def test_web_addresses_are_no_files() -> None:
    assert find_local_file("https://example.com/a.mp4") is None
    assert find_local_file("HTTP://example.com") is None


def test_the_server_gets_a_url_that_works_and_the_caller_gets_the_path_back(film: Path) -> None:
    go = Wait()
    with FakeServer(progress(), go, snippet(), complete()) as server, Client(as_embedded(server)) as client:
        stream = client.snippets(str(film), on_progress=lambda _: check())

        def check() -> None:
            url = server.queries[0]["video_url"]
            assert fetch(url)[2] == CONTENT
            go.event.set()

        received = stream.result()
        assert received[0].src_video_url == str(film)
        assert fetch(server.queries[0]["video_url"])[0] == 404


def test_an_error_names_the_path_instead_of_the_secret_url(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "t" * 43
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: token)
    with shared(film) as url:
        pass
    with FakeServer(error(f"cannot fetch {url}", url)) as server:
        with pytest.raises(cutaway.ServerError) as caught:
            Client(as_embedded(server)).snippets(film).result()
        assert server.queries[0]["video_url"] == url
    assert caught.value.message == f"cannot fetch {film}"
    assert caught.value.src_video_url == str(film)


def test_the_url_ends_with_an_abandoned_stream(film: Path) -> None:
    with FakeServer(snippet(), Hang()) as server:

        async def main() -> None:
            async with AsyncClient(as_embedded(server)).snippets(film) as stream:
                await anext(stream)
                assert (await asyncio.to_thread(fetch, server.queries[0]["video_url"]))[0] == 200
            assert (await asyncio.to_thread(fetch, server.queries[0]["video_url"]))[0] == 404

        asyncio.run(main())


@pytest.mark.parametrize("server", ["wss://example.com", "ws://[::1]:1", "ws://localhost:1"])
def test_only_an_embedded_server_can_read_it(server: str, film: Path) -> None:
    with pytest.raises(cutaway.InvalidRequest) as caught:
        Client(server).snippets(film)
    assert f"{server} cannot read" in str(caught.value)


def test_unreadable_files_are_refused(film: Path) -> None:
    film.chmod(0)
    if os.access(film, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(cutaway.InvalidRequest, match="cannot read"):
        Client().snippets(film)


def test_it_is_found_in_a_thread_without_a_loop(film: Path) -> None:
    urls: list[str] = []

    def work() -> None:
        with shared(film) as url:
            urls.append(url)
            assert fetch(url)[0] == 200

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(urls) == 1
