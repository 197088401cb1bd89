"""From a URL to a recipe, against an origin that misbehaves: redirects, statuses, time, size, TLS."""

from __future__ import annotations

import dataclasses
import gzip
import os
import pickle
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cutaway_server.errors import Fault
from cutaway_server.fetch import dial, remote
from cutaway_server.fetch.answers import FetchFailed
from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.guard import AddressRefused, Policy, UnknownHost
from cutaway_server.fetch.ranges import RemoteFile, resolve
from cutaway_server.fetch.remote import WebPage
from cutaway_server.fetch.resource import fetch
from cutaway_server.fetch.urls import InvalidURL
from servers import Canary, OpenDoor, Origin, Resource

BODY = os.urandom(300_000)
MIB = 1 << 20


@pytest.fixture
def opens(pass_: Pass, tmp_path: Path) -> Callable[..., RemoteFile]:
    def call(url: str, *, max_download: int = MIB, **options: float) -> RemoteFile:
        return resolve(url, pass_, scratch=tmp_path, max_download=max_download, **options)

    return call


Opens = Callable[..., RemoteFile]


def test_ranges_work(origin: Origin, opens: Opens) -> None:
    url = origin.serve("film.mp4", Resource(BODY, content_type="Video/MP4; codecs=avc1"))
    found = opens(url + "?a=b;c#fragment")
    assert found.url == url + "?a=b;c"
    assert (found.size, found.content_type, found.validator) == (len(BODY), "video/mp4", 'etag "v1"')
    assert found.blocks == ((0, BODY[:65536]),)
    assert found.local is None
    assert pickle.loads(pickle.dumps(found)) == found
    assert len(repr(found)) < 500
    (seen,) = origin.requests
    assert seen.range == (0, 65536)
    assert seen.headers["accept-encoding"] == "identity"
    assert "Cutaway" in seen.headers["user-agent"]


def test_a_small_file_is_here_at_once(origin: Origin, opens: Opens) -> None:
    found = opens(origin.serve("film", b"tiny"))
    assert (found.size, found.blocks) == (4, ((0, b"tiny"),))
    with found.open() as reader:
        assert reader.read() == b"tiny"
        assert reader.requests == 0


@pytest.mark.parametrize(
    "resource",
    [
        Resource(BODY, ranges=False),
        Resource(BODY, ranges=False, content_length=False),
        Resource(BODY, ranges=False, chunked=True),
        Resource(BODY, content_range="bytes 0-65535/*", then=Resource(BODY, ranges=False)),
    ],
    ids=["length", "until closed", "chunked", "unknown total"],
)
def test_without_ranges_one_copy_is_made(origin: Origin, opens: Opens, tmp_path: Path, resource: Resource) -> None:
    found = opens(origin.serve("film", resource))
    assert found.local is not None and found.local.parent == tmp_path
    assert (found.size, found.blocks) == (len(BODY), ())
    with found.open() as reader:
        assert reader.read() == BODY
        reader.seek(-5, os.SEEK_END)
        assert reader.read(10) == BODY[-5:]
        reader.prefetch([(0, 100)])
        assert reader.snapshot(1000) == found
    assert {seen.name for seen in origin.requests} == {"film"}


@pytest.mark.parametrize("declared", [True, False])
def test_a_copy_is_capped(origin: Origin, opens: Opens, tmp_path: Path, declared: bool) -> None:
    url = origin.serve("film", Resource(bytes(2 * MIB), ranges=False, content_length=declared))
    with pytest.raises(FetchFailed, match="larger than the 1 MiB"):
        opens(url)
    assert not list(tmp_path.iterdir())


def test_a_copy_has_a_time_limit(origin: Origin, opens: Opens, tmp_path: Path) -> None:
    url = origin.serve("film", Resource(BODY, ranges=False, drip=(10, 0.02)))
    began = time.monotonic()
    with pytest.raises(FetchFailed, match="too slowly"):
        opens(url, download_seconds=0.2)
    assert time.monotonic() - began < 1
    assert not list(tmp_path.iterdir())


def test_a_copy_that_breaks(origin: Origin, opens: Opens, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match=r"closed the connection|broke off"):
        opens(origin.serve("film", Resource(BODY, ranges=False, reset_after=1000)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(origin: Origin, opens: Opens, status: int) -> None:
    film = origin.serve("b/film", BODY)
    origin.serve("a/two", Resource(status=status, redirect="../b/film"))
    origin.serve("one", Resource(status=status, redirect="/a/two#x"))
    assert opens(origin.url("one")).url == film


def test_five_redirects_and_no_more(origin: Origin, opens: Opens) -> None:
    origin.serve("r0", BODY)
    for number in range(1, 51):
        origin.serve(f"r{number}", Resource(redirect=f"r{number - 1}"))
    assert opens(origin.url("r5")).size == len(BODY)
    for number in (6, 50):
        with pytest.raises(FetchFailed, match="more than 5 times"):
            opens(origin.url(f"r{number}"))


def test_redirects_in_a_loop(origin: Origin, opens: Opens) -> None:
    origin.serve("a", Resource(redirect="b"))
    origin.serve("b", Resource(redirect="a"))
    with pytest.raises(FetchFailed, match="loop"):
        opens(origin.url("a"))


def test_a_redirect_to_nowhere(origin: Origin, opens: Opens) -> None:
    with pytest.raises(FetchFailed, match="without saying where"):
        opens(origin.serve("a", Resource(status=301, redirect="")))


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        ("file:///etc/passwd", "file is not supported"),
        ("ftp://example.org/a", "ftp is not supported"),
        ("rtsp://example.org/a", "rtsp is not supported"),
        ("data:video/mp4;base64,AAAA", "data is not supported"),
        ("javascript:alert(1)", "javascript is not supported"),
        ("http://user:secret@example.org/", "User names"),
        ("http://[::1", "not a URL"),
        ("http://example.org:99999/", "port"),
        ("//" + "a" * 9000, "longer"),
    ],
)
def test_redirects_to_what_is_no_web_address(origin: Origin, opens: Opens, location: str, cause: str) -> None:
    with pytest.raises(InvalidURL, match=f"redirects to .*{cause}") as caught:
        opens(origin.serve("a", Resource(redirect=location)))
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "[::]",
        "0",
        "0.0.0.0",
        "localhost",
        "localhost.",
        "169.254.169.254",
        "10.0.0.1",
        "[64:ff9b::7f00:1]",
        "[fd00:ec2::254]",
        "127。0。0。1",
    ],
)
def test_redirects_to_private_addresses(origin: Origin, opens: Opens, host: str) -> None:
    with Canary() as canary:
        location = f"http://{host}:{canary.port}/".encode().decode("latin-1")
        url = origin.serve("a", Resource(redirect=location))
        with pytest.raises(AddressRefused) as caught:
            opens(url)
        assert "127.0.0.1" not in caught.value.message  # what a redirect names is not repeated
        with pytest.raises(AddressRefused, match="not a public address"):
            opens(f"http://{host}:{canary.port}/")
        assert canary.contacts == 0


def test_a_name_that_changes_its_answer(origin: Origin, tmp_path: Path) -> None:
    answers: list[str] = []

    async def rebinding(host: str) -> Sequence[str]:
        answers.append(host)
        return ["127.0.0.1"] if len(answers) == 1 else ["127.0.0.9"]

    origin.serve("film", BODY)
    with Canary("127.0.0.9") as canary, OpenDoor(origin.policy, resolver=rebinding) as door, door.admit() as pass_:
        url = f"http://films.example:{origin.port}/film"
        with resolve(url, pass_, scratch=tmp_path, max_download=MIB).open() as reader:
            assert reader.read() == BODY
        assert answers == ["films.example"]
        assert canary.contacts == 0


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (204, "empty"),
        (206, "another part"),
        (300, "300"),
        (304, "304"),
        (400, "400 .bad request"),
        (401, "401 .unauthorized.*login"),
        (403, "403 .forbidden"),
        (404, r"answered 404 \(not found\) for this URL\."),
        (407, "407 .*proxy"),
        (410, "410 .gone"),
        (416, "416"),
        (429, "429 .*later"),
        (451, "451"),
        (500, "500"),
        (503, "503 .*later"),
        (599, "599 .an unknown"),
    ],
)
def test_statuses(origin: Origin, opens: Opens, status: int, words: str) -> None:
    began = time.monotonic()
    with pytest.raises(FetchFailed, match=words):
        opens(origin.serve("film", Resource(b"sorry", status=status)))
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("resource", [Resource(b""), Resource(b"", ranges=False)])
def test_an_empty_file(origin: Origin, opens: Opens, resource: Resource) -> None:
    with pytest.raises(FetchFailed, match="empty"):
        opens(origin.serve("film", resource))


@pytest.mark.parametrize(
    "claimed", ["bytes 5-65540/300000", "bytes 0-299999/300000", "bytes 9-2/300000", "pages 1-2/3", ""]
)
def test_a_wrong_content_range(origin: Origin, opens: Opens, claimed: str) -> None:
    resource = Resource(BODY, content_range=claimed) if claimed else Resource(BODY, status=206)
    with pytest.raises(FetchFailed, match="another part"):
        opens(origin.serve("film", resource))


@pytest.mark.parametrize("coding", ["br", "zstd, gzip", "x" * 500])
@pytest.mark.parametrize("ranges", [True, False])
def test_most_compressed_bodies_are_refused(origin: Origin, opens: Opens, coding: str, ranges: bool) -> None:
    with pytest.raises(FetchFailed, match="compressed"):
        opens(origin.serve("film", Resource(BODY, ranges=ranges, headers={"Content-Encoding": coding})))


def zipped(coding: str, body: bytes = BODY, **more: object) -> Resource:
    data = gzip.compress(body, 1) if "gzip" in coding else zlib.compress(body, 1)
    return Resource(data, headers={"Content-Encoding": coding}, **more)


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "GZIP"])
@pytest.mark.parametrize("chunked", [True, False])
def test_zipped_although_it_was_not_asked_for(origin: Origin, opens: Opens, coding: str, chunked: bool) -> None:
    coded = zipped(coding.lower(), ranges=False, chunked=chunked)
    found = opens(origin.serve("film", dataclasses.replace(coded, headers={"Content-Encoding": coding})))
    assert found.local is not None and found.local.read_bytes() == BODY
    assert found.size == len(BODY)


def test_parts_of_what_is_zipped_are_of_no_use(origin: Origin, opens: Opens) -> None:
    whole = zipped("gzip", ranges=False)
    found = opens(origin.serve("film", dataclasses.replace(whole, ranges=True, then=whole)))
    assert found.local is not None and found.local.read_bytes() == BODY
    assert origin.asked("film") == [(0, 65536), None]


def test_a_zip_bomb_is_stopped_at_the_limit(origin: Origin, opens: Opens, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(FetchFailed, match="larger than the 1 MiB"):
        opens(origin.serve("film", zipped("gzip", bytes(200 * MIB), ranges=False)))
    assert time.monotonic() - began < 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("body", [BODY, gzip.compress(BODY)[:-20]], ids=["not zipped at all", "cut off"])
def test_what_cannot_be_unzipped(origin: Origin, opens: Opens, tmp_path: Path, body: bytes) -> None:
    with pytest.raises(FetchFailed, match=r"cannot be decoded|not complete"):
        opens(origin.serve("film", Resource(body, ranges=False, headers={"Content-Encoding": "gzip"})))
    assert not list(tmp_path.iterdir())


def test_identity_is_no_compression(origin: Origin, opens: Opens) -> None:
    found = opens(origin.serve("film", Resource(BODY, headers={"Content-Encoding": "identity"})))
    assert found.size == len(BODY)


def test_a_weak_etag_is_no_validator(origin: Origin, opens: Opens) -> None:
    date = "Sat, 01 Jan 2022 00:00:00 GMT"
    found = opens(origin.serve("a", Resource(BODY, etag='W/"1"', headers={"Last-Modified": date})))
    assert found.validator == f"last-modified {date}"
    assert opens(origin.serve("b", Resource(BODY, etag=None))).validator == ""


def test_slow_heads(origin: Origin, opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(FetchFailed, match="too long"):
        opens(origin.serve("film", Resource(BODY, head_drip=0.05)))
    with pytest.raises(FetchFailed, match="too long"):
        opens(origin.serve("late", Resource(BODY, latency=30)))
    assert time.monotonic() - began < 2


def test_a_reset_at_once(origin: Origin, opens: Opens) -> None:
    with pytest.raises(FetchFailed, match=r"closed the connection|broke off"):
        opens(origin.serve("film", Resource(BODY, reset_after=0)))


def test_what_cannot_be_reached(origin: Origin, opens: Opens, tmp_path: Path) -> None:
    with pytest.raises(UnknownHost, match=r"The host no-such-host\.invalid is unknown"):
        opens("http://no-such-host.invalid/film")
    with Canary() as canary:
        closed = canary.port
    with (
        OpenDoor(Policy(allow_addresses=(("127.0.0.1", closed),))) as door,
        door.admit() as pass_,
        pytest.raises(FetchFailed, match=r"127\.0\.0\.1 does not accept connections"),
    ):
        resolve(f"http://127.0.0.1:{closed}/", pass_, scratch=tmp_path, max_download=MIB)


def test_without_a_valid_pass(origin: Origin, tmp_path: Path) -> None:
    url = origin.serve("film", BODY)
    with OpenDoor(origin.policy) as door:
        with door.admit() as pass_:
            pass
        with pytest.raises(FetchFailed, match="ended while"):
            resolve(url, pass_, scratch=tmp_path, max_download=MIB)
    with pytest.raises(FetchFailed, match="ended while"):  # the door is closed altogether
        resolve(url, pass_, scratch=tmp_path, max_download=MIB)
    assert not origin.requests


def test_a_budget_that_is_too_small(origin: Origin, tmp_path: Path) -> None:
    url = origin.serve("film", Resource(BODY, ranges=False))
    with OpenDoor(origin.policy) as door, door.admit(max_bytes=50_000) as pass_:
        with pytest.raises(FetchFailed):
            resolve(url, pass_, scratch=tmp_path, max_download=MIB)
        with pytest.raises(FetchFailed, match="More data"):
            resolve(url, pass_, scratch=tmp_path, max_download=MIB)


@pytest.fixture
def secure(certificate: Path) -> Iterator[Origin]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Origin(tls=context) as server:
        yield server
    dial._tls.cache_clear()


def test_a_bad_certificate(secure: Origin, tmp_path: Path) -> None:
    url = secure.serve("film", BODY)
    with (
        OpenDoor(secure.policy) as door,
        door.admit() as pass_,
        pytest.raises(FetchFailed, match="certificate that cannot be verified"),
    ):
        resolve(url, pass_, scratch=tmp_path, max_download=MIB)
    assert not secure.requests


def test_a_good_certificate(secure: Origin, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    dial._tls.cache_clear()
    url = secure.serve("film", BODY)
    with (
        OpenDoor(secure.policy) as door,
        door.admit() as pass_,
        resolve(url, pass_, scratch=tmp_path, max_download=MIB).open() as reader,
    ):
        reader.prefetch([(70_000, 90_000), (200_000, 300_000)])
        assert reader.read() == BODY


def test_no_tls_where_tls_was_asked_for(origin: Origin, opens: Opens) -> None:
    with pytest.raises(FetchFailed, match="does not speak TLS"):
        opens(origin.serve("film", BODY).replace("http://", "https://"))


def test_every_failure_survives_a_process_border(origin: Origin, opens: Opens) -> None:
    for url in ("ftp://x/", "http://10.0.0.1/", "http://no-such-host.invalid/", origin.url("missing")):
        with pytest.raises(Fault) as caught:
            opens(url)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), again.message) == (type(caught.value), caught.value.message)


# --- pages, and what a server wants to see ------------------------------------------------------------------


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    ("body", "is_page"),
    [
        (b"<!DOCTYPE html>\n<html>", True),
        (b"\xef\xbb\xbf\n <html lang='en'>", True),
        (b"<!-- long " + b"x" * 9000 + b" --><html>", True),
        (b'<?xml version="1.0"?><rss version="2.0">', True),
        (b'<?xml version="1.0"?>\n<!-- made by a tool -->\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">', False),
        (b'<mpd:MPD xmlns:mpd="urn:mpeg:dash:schema:mpd:2011">', False),
        (b"<svg/>", False),
        (b"#EXTM3U\n", False),
        (b"words <html>", False),
        (b"<", False),
    ],
)
@pytest.mark.parametrize("drip", [None, (7, 0.0)])
def test_pages_are_told_from_files(
    origin: Origin, opens: Opens, body: bytes, is_page: bool, ranges: bool, drip: tuple[int, float] | None
) -> None:
    url = origin.serve("file", Resource(body, ranges=ranges, drip=drip))
    if is_page:
        with pytest.raises(WebPage):
            opens(url)
    else:
        assert opens(url).size == len(body)


def test_a_page_is_not_read_to_its_end(origin: Origin, opens: Opens) -> None:
    url = origin.serve("page", Resource(b"<html>" + bytes(5_000_000), ranges=False, stall_after=100_000))
    with pytest.raises(WebPage):
        opens(url, max_download=10 * MIB)


SEEN = (("Cookie", "ticket=secret"), ("Referer", "http://page/"), ("User-Agent", "Browser/1"), ("X-Key", "secret"))


def test_header_fields_stay_with_their_server(origin: Origin, tmp_path: Path) -> None:
    with Origin(host="127.0.0.2") as other:
        policy = Policy(allow_addresses=((origin.host, origin.port), (other.host, other.port)))
        back = origin.serve("film.mp4", BODY)
        away = other.serve("away", Resource(redirect=back))
        inner = origin.serve("inner", Resource(redirect=away))
        outer = origin.serve("outer", Resource(redirect=inner))
        with OpenDoor(policy) as door, door.admit() as pass_:
            straight = resolve(back, pass_, scratch=tmp_path, max_download=MIB, fields=SEEN)
            led = resolve(outer, pass_, scratch=tmp_path, max_download=MIB, fields=SEEN)
            with straight.open() as reader:
                reader.seek(200_000)
                reader.read(10)
            line = dial.Line(pass_, connections=1)
            fetch(line, outer, max_bytes=MIB, seconds=5, fields=dict(SEEN), stop=10)
            line.close()
    assert straight.fields == SEEN
    assert led.fields == (("User-Agent", "Browser/1"),), "it has been elsewhere: nobody knows who sent it back"
    assert "secret" not in repr(straight)
    with_secret = {(seen.name, "cookie" in seen.headers) for seen in origin.requests}
    assert with_secret == {("film.mp4", True), ("film.mp4", False), ("outer", True), ("inner", True)}
    assert {seen.headers["user-agent"] for seen in origin.requests + other.requests} == {"Browser/1"}
    assert not {"cookie", "referer", "x-key"} & {name for seen in other.requests for name in seen.headers}
    ranges = [seen.range for seen in origin.requests if seen.name == "film.mp4"]
    assert ranges[-1] == (0, 10)


def test_a_time_limit_is_for_all_redirects_together(origin: Origin, pass_: Pass) -> None:
    url = origin.serve("film", Resource(b"tiny", latency=0.3))
    for name in ("c", "b", "a"):
        url = origin.serve(name, Resource(redirect=url, latency=0.3))
    line = dial.Line(pass_, connections=1)
    try:
        assert fetch(line, url, max_bytes=MIB, seconds=5).data == b"tiny"
        begun = time.monotonic()
        with pytest.raises(FetchFailed):
            fetch(line, url, max_bytes=MIB, seconds=0.7)
        assert time.monotonic() - begun < 1.1
    finally:
        line.close()
