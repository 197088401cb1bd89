"""Images on their way in and out: what a request may carry, and the bytes behind an ``image`` message."""

from __future__ import annotations

import asyncio
import base64
import io
import pickle
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import cutaway
from cutaway import AsyncClient, Client
from cutaway.connection import Limits
from cutaway.download import download, http_url
from processes import wait_until

from .fake_search import ANSWER, PATH, PNG, FakeSearch, File, done, image
from .test_errors import closed_port, raw_server
from .test_stream import reach, run

# --- generated ones -----------------------------------------------------------------------------------------


def fetched(file: File, path: str = PATH, mime_type: str = "image/png") -> bytes:
    with FakeSearch(image(path, mime_type), done(), files={PATH: file}) as server, Client(server.url) as client:
        (found,) = client.search("comets").images
        return found.bytes()


@pytest.mark.parametrize("file", [File(), File(chunked=True), File(PNG, "image/png; charset=binary")])
def test_the_bytes_are_those_of_the_server(file: File) -> None:
    assert fetched(file) == PNG


@pytest.mark.parametrize(
    ("file", "kind", "words"),
    [
        (File(status=404), cutaway.ServerError, "search again"),
        (File(status=500), cutaway.ServerError, "HTTP 500"),
        (File(status=302), cutaway.ServerError, "HTTP 302"),
        (File(b"<svg/>", "image/svg+xml"), cutaway.ProtocolError, "svg"),
        (File(b"<script>", "text/html"), cutaway.ProtocolError, "text/html"),
        (File(length=10_000), cutaway.ConnectionLost, "before the image was complete"),
        (File(length=33 * 2**20), cutaway.ProtocolError, "more than 32 MiB"),
    ],
)
def test_what_is_no_such_image_is_refused_in_words(file: File, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        fetched(file)


def test_a_body_that_outgrows_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutaway.download.MAX_DOWNLOAD_BYTES", 2**20)
    with pytest.raises(cutaway.ProtocolError, match="more than 1 MiB"):
        fetched(File(bytes(2**20 + 1), chunked=True))


@pytest.mark.parametrize("path", ["//evil.example/x.png", "https://evil.example/x.png", "", "/a b", "/a\r\nX: y", "/ä"])
def test_what_is_no_path_is_not_asked_for(path: str) -> None:
    with pytest.raises(cutaway.ProtocolError, match="no path"):
        fetched(File(), path)


def test_a_type_that_nobody_knows_is_refused() -> None:
    with pytest.raises(cutaway.ProtocolError, match="unknown type"):
        fetched(File(), mime_type="image/svg+xml")


def test_a_server_that_stays_silent_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutaway.download.DOWNLOAD_SECONDS", 0.1)
    with pytest.raises(cutaway.Timeout, match=r"within 0\.1 s"):
        fetched(File(hang=True))


def test_a_server_that_is_gone_is_no_connection() -> None:
    with FakeSearch(*ANSWER) as server, Client(server.url) as client:
        (found,) = client.search().images
    with pytest.raises(cutaway.ConnectError, match="nothing listens"):
        found.bytes()


def test_what_listens_without_http_or_tls_is_told() -> None:
    def told(url: str, kind: type[Exception], words: str) -> None:
        with pytest.raises(kind, match=words):
            run(download(url, "/generated/x", "image/png", Limits(1, 1, 0)))

    with raw_server(lambda each: each.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        told(url.replace("ws:", "wss:"), cutaway.ConnectError, "TLS")
    for answer in (b"", b"SSH-2.0-OpenSSH_9.9\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"):
        with raw_server(lambda each, answer=answer: each.sendall(answer)) as url:
            told(url, cutaway.ConnectionLost, "before the image was complete")
    told(f"wss://127.0.0.1:{closed_port()}", cutaway.ConnectError, "nothing listens")
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections and says nothing
        told(f"wss://127.0.0.1:{listener.getsockname()[1]}", cutaway.Timeout, "connect_timeout=1")


def test_cancelling_closes_the_connection_within_100_ms() -> None:
    with FakeSearch(*ANSWER, files={PATH: File(hang=True)}) as server:

        async def main() -> None:
            async with AsyncClient(server.url) as client:
                found = (await client.search().result()).images[0]
                task = asyncio.create_task(found.bytes())
                await asyncio.to_thread(wait_until, lambda: len(server.fetched) == 1)
                started = time.monotonic()
                task.cancel()
                await asyncio.wait([task])
                await reach(server.left)
                assert time.monotonic() - started < 0.1

        run(main())


def test_prefixes_passwords_and_tls_are_kept() -> None:
    with FakeSearch(*ANSWER, prefix="/behind/a/proxy") as server:
        address = server.url.replace("//", "//ada:secret@")
        with Client(address) as client:
            result = client.search().result()
            assert result.images[0].bytes() == PNG
        headers = server.fetched[0]
        assert headers["Host"] == f"127.0.0.1:{server.port}"
        assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"ada:secret"
    assert http_url("wss://e.com/prefix", "/generated/x") == "https://e.com/prefix/generated/x"


def test_they_are_saved_under_the_name_of_the_search(tmp_path: Path) -> None:
    with FakeSearch(*ANSWER) as server, Client(server.url) as client:
        (found,) = client.search("why / how?").result().images
        assert repr(found) == "<GeneratedImage image/png (not fetched)>"
        names = [found.save(f"{tmp_path}/new/").name for _ in range(2)]
        assert names == ["why - how.png", "why - how (2).png"]
        assert (tmp_path / "new" / names[1]).read_bytes() == PNG
        assert found.save(tmp_path / "exact.png") == tmp_path / "exact.png"
        assert len(server.fetched) == 1
        assert client.search().result().images[0].save(tmp_path).name == "image.png"
        assert repr(found) == "<GeneratedImage image/png (2 kB)>"


def test_a_result_survives_pickling() -> None:
    with FakeSearch(*ANSWER) as server, Client(server.url) as client:
        result = client.search("comets").result()
        copy = pickle.loads(pickle.dumps(result))
        assert copy.articles == result.articles
        assert isinstance(copy.articles, cutaway.Articles)
        assert copy.images[0].bytes() == PNG
        assert pickle.loads(pickle.dumps(copy)).images[0].data == PNG
        events = list(client.search())
        assert pickle.loads(pickle.dumps(events))[:3] == events[:3]


def test_in_a_notebook_the_blocking_one_shows_itself() -> None:
    with FakeSearch(*ANSWER) as server:
        with Client(server.url) as client:
            (found,) = client.search().result().images
            bundle = found._repr_mimebundle_()
            assert base64.b64decode(bundle["image/png"]) == PNG
            assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in bundle["text/html"]
            assert len(bundle["text/plain"]) < 100
            (late,) = client.search().result().images

        async def main() -> tuple[dict[str, Any], dict[str, Any]]:
            async with AsyncClient(server.url) as client:
                (found,) = (await client.search().result()).images
                before = found._repr_mimebundle_()
                await found.bytes()
                return before, found._repr_mimebundle_()

        before, after = run(main())
        assert "image/png" not in before
        assert base64.b64decode(after["image/png"]) == PNG
    gone = late._repr_mimebundle_()
    assert "image/png" not in gone
    assert "nothing listens" in gone["text/html"]


# --- in a request -------------------------------------------------------------------------------------------


def picture(kind: str, mode: str = "RGB", **save: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (8, 8)).save(buffer, kind, **save)
    return buffer.getvalue()


def sent(given: Any) -> bytes:
    with FakeSearch(done()) as server, Client(server.url) as client:
        client.search("what is this?", image=given).result()
        (request,) = server.requests
    assert request.image is not None
    return base64.b64decode(request.image, validate=True)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_an_image_goes_on_the_wire_from_whatever_holds_it(kind: str, tmp_path: Path) -> None:
    content = picture(kind)
    path = tmp_path / "picture"
    path.write_bytes(content)
    text = base64.b64encode(content).decode()
    data_url = f"data:image/{kind.lower()};base64,{text}"
    wrapped = "\n".join(text[start : start + 60] for start in range(0, len(text), 60))
    for given in (content, bytearray(content), memoryview(content), path, str(path), data_url, text, wrapped):
        assert sent(given) == content, type(given)
    with path.open("rb") as file:
        assert sent(file) == content
    assert sent(io.BytesIO(content)) == content


def test_a_pil_image_keeps_its_format_and_what_was_written_into_it() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a comet over the sea"
    opened = Image.open(io.BytesIO(picture("JPEG", exif=exif)))
    with Image.open(io.BytesIO(sent(opened))) as received:
        assert received.format == "JPEG"
        assert received.getexif()[0x010E] == "a comet over the sea"
    for mode, kind in (("RGBA", "PNG"), ("1", "PNG"), ("CMYK", "JPEG"), ("F", "JPEG")):
        with Image.open(io.BytesIO(sent(Image.new(mode, (8, 8))))) as received:
            assert (received.format, received.size) == (kind, (8, 8))
    noise = Image.frombytes("RGB", (2000, 2000), random.Random(1).randbytes(12_000_000))
    with Image.open(io.BytesIO(sent(noise))) as received:  # 12 MB as PNG
        assert (received.format, received.size) == ("JPEG", (2000, 2000))
    with pytest.raises(cutaway.InvalidRequest, match="cannot be encoded"):
        sent(Image.new("F", (70_000, 1)))  # PNG has no such mode, JPEG no such width


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("missing.png", "'missing.png': no such file"),
        (Path("missing.png"), "no such file"),
        ("https://example.com/a.png", "is a URL"),
        (".", "directory"),
        ("nul\0.png", "cannot read"),
        ("x" * 5000, "cannot read"),
        (b"", "is empty"),
        (b"<svg/>", "not a PNG"),
        (b"RIFF0000AVI ", "not a PNG"),
        ("data:image/png;base64,%%%", "base64"),
        ("data:image/png;base64,", "is empty"),
        ("iVBORw0KGgo!", "base64"),
        (io.StringIO("text"), "mode 'rb'"),
        (42, "image=int"),
        (PNG + bytes(10 * 2**20), "more than 10 MiB"),
    ],
    ids=range(15),
)
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_what_cannot_be_sent_is_refused_at_once(client: Callable[[], Any], given: Any, words: str) -> None:
    with pytest.raises(cutaway.InvalidRequest, match=words) as caught:
        client().search(image=given)
    assert len(str(caught.value)) < 400


def test_a_file_is_not_read_further_than_needed() -> None:
    endless = io.BytesIO(PNG + bytes(20 * 2**20))
    with pytest.raises(cutaway.InvalidRequest, match="more than 10 MiB"):
        Client().search(image=endless)
    assert endless.tell() == 10 * 2**20 + 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source": "away"}, "source='away'"),
        ({"text": 42}, "text=42"),
        ({"text": "a\ud800b"}, "surrogate"),
        ({"text": "x" * 10_001}, "10,001 characters; 10,000 are allowed"),
    ],
)
def test_words_that_cannot_be_sent_are_refused_at_once(given: dict[str, Any], words: str) -> None:
    with pytest.raises(cutaway.InvalidRequest, match=words):
        Client().search(**given)
