"""What yt-dlp makes of pages, in a real worker: what is found, what is never contacted, and what it may cost."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pickle
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cutaway_server.errors import Fault
from cutaway_server.fetch import sites
from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.sites import NoVideo, Site, SiteFailed, resolve_site
from cutaway_server.snippets import jobs
from cutaway_server.snippets.moments import Limits
from cutaway_server.work.apart import run_apart
from cutaway_server.work.limits import Limits as Bounds
from cutaway_server.work.pool import OutOfMemory, OutOfTime, WorkerDied
from processes import wait_until
from servers import Canary, OpenDoor, OpenWorkers, Origin, Resource

MEMORY = 2 << 30
OG = '<html><head><meta property="og:title" content="Harbour"><meta property="og:video" content="{0}"></head></html>'
JSON_LD = (
    '<html><script type="application/ld+json">{{"@context": "https://schema.org", "@type": "VideoObject", "name": '
    '"Harbour", "description": "In the snow.", "contentUrl": "{0}", "uploadDate": "2024-01-01"}}</script></html>'
)
TAG = "<!DOCTYPE html><title>Harbour</title><video src='{0}'></video>"
SOURCES = "<html><title>Harbour</title><video><source src='{0}' type='video/mp4'></video></html>"
RSS = (
    '<?xml version="1.0"?><rss version="2.0"><channel><title>Feed</title><item><title>Harbour</title>'
    '<enclosure url="{0}" type="video/mp4"/></item><item><title>Second</title><enclosure url="{0}2"/></item>'
    "</channel></rss>"
)
SMIL = '<?xml version="1.0"?><smil><head><title>Harbour</title></head><body><video src="{0}"/></body></smil>'
XSPF = (
    '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track>'
    "<title>Harbour</title><location>{0}</location></track></trackList></playlist>"
)
REFRESH = '<html><head><meta http-equiv="refresh" content="0; url={0}"></head></html>'
IFRAME = '<html><iframe src="{0}"></iframe></html>'
KNOWN_IFRAME = '<html><iframe src="{0}/Mediasite/Play/2db6c271681e4f199af3c60d1f82869b"></iframe></html>'
PAGES = {"og": OG, "json-ld": JSON_LD, "tag": TAG, "sources": SOURCES, "rss": RSS, "smil": SMIL, "xspf": XSPF}
LEADING = {"refresh": REFRESH, "iframe": IFRAME, "known iframe": KNOWN_IFRAME}


@pytest.fixture(scope="module")
def workers() -> Iterator[OpenWorkers]:
    with OpenWorkers(bounds=Bounds(memory_bytes=MEMORY)) as pool:
        yield pool


def page(text: str, **more: Any) -> Resource:
    return Resource(text.encode(), content_type="text/html; charset=utf-8", ranges=False, **more)


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_with_a_video(workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path, kind: str) -> None:
    film = origin.serve("film.mp4", b"what it is does not matter here")
    url = origin.serve("page", page(PAGES[kind].format(film)))
    site = workers.job(resolve_site, url, pass_, scratch=tmp_path)
    assert [choice.video.url for choice in site.choices] == [film]
    assert site.choices[0].sound is None
    # A playlist of SMIL or XSPF has no title of its own that the first entry would get.
    assert site.title == "Harbour" or kind in ("smil", "xspf")
    assert pickle.loads(pickle.dumps(site)) == site


def test_what_a_page_says(workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path) -> None:
    text = (
        '<html><title>T</title><meta property="og:title" content="Harbour &amp; snow">'
        '<meta property="og:description" content="All\n of it"><video><source src="/film.mp4" type="video/mp4">'
        '<track src="/de.vtt" kind="subtitles" srclang="de"><track src="/en.vtt" kind="subtitles" srclang="en"></video>'
    )
    url = origin.serve("page", page(text, headers={"Set-Cookie": "ticket=secret; Path=/"}))
    site = workers.job(resolve_site, url + "?a=b", pass_, scratch=tmp_path)
    assert (site.title, site.description) == ("Harbour & snow", "All of it")
    assert site.captions is not None
    assert site.captions.stream is not None
    assert (site.captions.language, site.captions.kind) == ("en", "vtt")
    assert site.captions.stream.url == origin.url("en.vtt")
    fields = dict(site.choices[0].video.fields)
    assert fields["Cookie"] == "ticket=secret"
    assert "Mozilla" in fields["User-Agent"]
    assert not {"Host", "Range", "Accept-Encoding", "Connection"} & set(fields)
    assert "secret" not in repr(site)


def test_of_several_videos_the_first(workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path) -> None:
    text = "<html><title>Two</title>" + "".join(f"<video src='/{n}.mp4'></video>" for n in range(3))
    site = workers.job(resolve_site, origin.serve("page", page(text)), pass_, scratch=tmp_path)
    assert [choice.video.url for choice in site.choices] == [origin.url("0.mp4")]


def test_five_thousand_formats(workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path) -> None:
    sources = "".join(f'<source src="/{n}.mp4" type="video/mp4">' for n in range(5000))
    url = origin.serve("page", page(f"<html><title>Many</title><video>{sources}</video></html>"))
    site = workers.job(resolve_site, url, pass_, scratch=tmp_path)
    assert 1 <= len(site.choices) <= 3


@pytest.mark.parametrize(
    "body",
    ["<html><title>Nothing</title><p>no film</html>", "<html>", "<html>" + "x" * 300_000, "<html><video></html>"],
)
def test_a_page_without_a_video(workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path, body: str) -> None:
    url = origin.serve("page", page(body))
    with pytest.raises(NoVideo, match="no video on this page"):
        workers.job(resolve_site, url, pass_, scratch=tmp_path)


def test_unknown_sites_are_not_asked_when_only_known_ones_shall_be(
    workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path
) -> None:
    with pytest.raises(NoVideo):
        workers.job(resolve_site, origin.url("page"), pass_, scratch=tmp_path, anywhere=False)
    assert not origin.requests


@pytest.mark.parametrize("kind", [*PAGES, *LEADING])
@pytest.mark.parametrize("way", ["straight", "redirected", "renamed"])
def test_pages_that_lead_inside(
    workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path, kind: str, way: str
) -> None:
    """The whole first job: neither yt-dlp nor what reads the video afterwards contacts the canary."""
    with Canary() as canary:
        inside = f"http://127.0.0.1:{canary.port}/film.mp4"
        if way == "redirected":
            inside = origin.serve("hop.mp4", Resource(redirect=inside))
        elif way == "renamed":
            inside = inside.replace("127.0.0.1", "2130706433")
        url = origin.serve("page", page({**PAGES, **LEADING}[kind].format(inside)))
        with pytest.raises(Fault) as caught:
            workers.job(jobs.survey, url, pass_, Limits(4, 2, 6), tmp_path, 1 << 20)
        assert canary.contacts == 0
        assert str(canary.port) not in caught.value.message
        assert "127.0.0.1" not in caught.value.message


def test_a_page_that_redirects_inside(workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path) -> None:
    """Only on the second request, which is yt-dlp's."""
    with Canary() as canary:
        away = Resource(redirect=f"http://127.0.0.1:{canary.port}/")
        url = origin.serve("page", page("<html><title>x", then=away))
        with pytest.raises(SiteFailed, match="not public"):
            workers.job(jobs.survey, url, pass_, Limits(4, 2, 6), tmp_path, 1 << 20)
        assert canary.contacts == 0


def test_a_smuggled_fragment_is_not_obeyed(workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path) -> None:
    url = origin.serve("page", page(TAG.format("/film.mp4")))
    smuggled = json.dumps({"referer": "http://example.com/smuggled", "to_generic": True})
    site = workers.job(resolve_site, f"{url}#__youtubedl_smuggle={quote(smuggled)}", pass_, scratch=tmp_path)
    assert "smuggled" not in repr(site.choices[0].video.fields)
    assert all("smuggled" not in str(seen.headers) for seen in origin.requests)


def test_a_bomb(workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path) -> None:
    """One megabyte that unpacks to one gibibyte, sent to a client that did not ask for it packed."""
    packed = gzip.compress(b"<html>" + bytes(1 << 30), compresslevel=1)
    headers = {"Content-Encoding": "gzip"}
    bomb = Resource(packed, content_type="text/html", ranges=False, headers=headers)
    before = time.monotonic()
    with pytest.raises(SiteFailed, match="too large"):
        workers.job(resolve_site, origin.serve("page", bomb), pass_, scratch=tmp_path)
    assert time.monotonic() - before < 10


def test_a_page_that_does_not_end(workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    endless.write_bytes(b"<html>")
    os.truncate(endless, 1 << 30)
    url = origin.serve("page", Resource(endless, content_type="text/html", ranges=False))
    with pytest.raises(SiteFailed, match="too large"):
        workers.job(resolve_site, url, pass_, scratch=tmp_path)


@pytest.mark.parametrize("slow", [{"drip": (1, 0.05)}, {"stall_after": 20}, {"head_drip": 0.3}])
def test_a_slow_page(workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path, slow: dict[str, Any]) -> None:
    url = origin.serve("page", page("<html>" + "x" * 100_000, **slow))
    before = time.monotonic()
    with pytest.raises(SiteFailed, match=r"longer than|in time"):
        workers.job(resolve_site, url, pass_, scratch=tmp_path, seconds=3)
    assert time.monotonic() - before < 6
    origin.wait_for(lambda: origin.open_connections == 0)


@pytest.mark.parametrize(("status", "words"), [(403, "403"), (404, "removed"), (429, "robot"), (500, "500")])
def test_statuses(workers: OpenWorkers, origin: Origin, pass_: Pass, tmp_path: Path, status: int, words: str) -> None:
    url = origin.serve("page", page("<html>secret words</html>", status=status))
    with pytest.raises(SiteFailed, match=words) as caught:
        workers.job(resolve_site, url, pass_, scratch=tmp_path)
    assert "secret" not in caught.value.message


def test_a_certificate_that_nobody_knows(workers: OpenWorkers, certificate: Path, tmp_path: Path) -> None:
    """And that https goes through the door, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Origin(tls=context) as secure, OpenDoor(secure.policy) as door, door.admit() as pass_:
        url = secure.serve("page", page(TAG.format("/film.mp4")))
        with pytest.raises(SiteFailed, match="certificate"):
            workers.job(resolve_site, url, pass_, scratch=tmp_path)
        assert not secure.requests
        assert door.usage(pass_).connections


# --- the cage ----------------------------------------------------------------------------------------------


def caged(attempt: Any, pass_: Pass, scratch: Path) -> Any:
    """In a worker: do something in yt-dlp's cage."""
    return run_apart(_attempt, attempt, pass_, scratch, seconds=5, more_bytes=sites.MORE_BYTES, result_bytes=1 << 20)


def _attempt(attempt: Any, pass_: Pass, scratch: Path) -> Any:
    from cutaway_server.fetch import extraction

    extraction._confine(pass_, extraction.javascript_engine(), scratch)
    return attempt()


def connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 1)


def send(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(b"x", ("127.0.0.1", port))


def look_up(name: str) -> None:
    socket.getaddrinfo(name, 80)


def start(*program: str) -> None:
    subprocess.run(program, check=True)


def run_shell() -> None:
    os.system("true")


def environment() -> dict[str, str]:
    return dict(os.environ)


def run_script(script: str) -> str:
    """As yt-dlp's own provider for YouTube does."""
    from yt_dlp import YoutubeDL
    from yt_dlp.extractor.youtube.jsc._builtin.deno import DenoJCP

    from cutaway_server.fetch import extraction

    options = extraction._options(Pass("127.0.0.1", 9, "token"), extraction.javascript_engine())
    with YoutubeDL(options) as library:
        extractor = library.get_info_extractor("Youtube")
        provider = DenoJCP(ie=extractor, logger=_Quiet(), settings={})
        assert provider.is_available(), "the engine is not found"
        return str(provider._run_deno(script, [*DenoJCP._DENO_BASE_OPTIONS, "--no-npm", "--cached-only"]))


class _Quiet:
    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.mark.parametrize(
    "attempt",
    [
        partial(look_up, "localhost"),
        partial(start, sys.executable, "-c", ""),
        partial(start, "/bin/sh", "-c", "true"),
        run_shell,
    ],
    ids=["name", "python", "shell", "system"],
)
def test_the_cage_has_no_other_way_out(workers: OpenWorkers, pass_: Pass, tmp_path: Path, attempt: Any) -> None:
    with pytest.raises(PermissionError, match="not allowed here"):
        workers.job(caged, attempt, pass_, tmp_path)


@pytest.mark.parametrize("attempt", [connect, send])
def test_the_cage_reaches_only_the_door(workers: OpenWorkers, pass_: Pass, tmp_path: Path, attempt: Any) -> None:
    with Canary() as canary:
        with pytest.raises(PermissionError, match="not allowed here"):
            workers.job(caged, partial(attempt, canary.port), pass_, tmp_path)
        assert canary.contacts == 0
    workers.job(caged, partial(connect, pass_.port), pass_, tmp_path)


def test_the_cage_ends_with_its_process(workers: OpenWorkers, pass_: Pass, tmp_path: Path) -> None:
    with pytest.raises(PermissionError):
        workers.job(caged, run_shell, pass_, tmp_path)
    workers.job(run_shell)  # the same worker


def test_the_cage_has_a_clean_environment(workers: OpenWorkers, pass_: Pass, tmp_path: Path) -> None:
    found = workers.job(caged, environment, pass_, tmp_path)
    assert found["HOME"] == str(tmp_path)
    assert not [name for name in found if "proxy" in name.lower() or name.startswith(("PYTHON", "CUTAWAY"))]


def test_scripts_run_and_reach_nothing(workers: OpenWorkers, pass_: Pass, tmp_path: Path) -> None:
    """The engine that YouTube needs: found without configuration, and without network, files and environment."""
    with Canary() as canary:
        script = f"""
            const url = "http://127.0.0.1:{canary.port}/";
            const attempts = [
                () => fetch(url),
                () => Deno.connect({{ hostname: "127.0.0.1", port: {canary.port} }}),
                () => import(url + "x.js"),
                () => Deno.readTextFile("/etc/passwd"),
                () => Deno.env.get("HTTP_PROXY"),
                () => new Deno.Command("true").output(),
            ];
            for (const attempt of attempts) {{
                try {{ await attempt(); console.log("done"); }} catch (error) {{ console.log("refused"); }}
            }}
            console.log([1, 2, 3].map((n) => n * n).join(" "));
        """
        lines = workers.job(caged, partial(run_script, script), pass_, tmp_path).split("\n")
        assert lines == [*["refused"] * 6, "1 4 9", ""]
        assert canary.contacts == 0


@pytest.mark.parametrize(
    "script", ["for (;;) {}", "const a = []; for (;;) a.push(new Array(1e6).fill(1));"], ids=["time", "memory"]
)
def test_scripts_end_with_the_job(workers: OpenWorkers, pass_: Pass, tmp_path: Path, script: str) -> None:
    before = time.monotonic()
    with pytest.raises(Exception, match=r"(?s)process|engine|deno|crash|time"):
        workers.job(caged, partial(run_script, script), pass_, tmp_path)
    assert time.monotonic() - before < 12
    wait_until(lambda: not engines_of(tmp_path), 1)


def test_scripts_end_with_the_worker(pass_: Pass, tmp_path: Path) -> None:
    with OpenWorkers(bounds=Bounds(memory_bytes=MEMORY)) as workers:
        running = workers.begin(caged, partial(run_script, "for (;;) {}"), pass_, tmp_path)
        wait_until(lambda: bool(engines_of(tmp_path)), 10)
        running.cancel()
        wait_until(lambda: not engines_of(tmp_path), 1)


def engines_of(scratch: Path) -> list[Path]:
    """The running JavaScript engines of a job, told by their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text().strip() == "deno" and str(scratch) in (process / "environ").read_text():
                found.append(process)
    return found


def test_a_server_without_pages_has_no_yt_dlp_in_memory() -> None:
    code = (
        "import sys; from cutaway_server.snippets.pipeline import PRELOAD; import importlib; "
        "[importlib.import_module(name) for name in PRELOAD]; print('yt_dlp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


# --- a process apart ---------------------------------------------------------------------------------------


def apart(function: Any, *args: Any, seconds: float = 5.0, result_bytes: int = 1 << 20) -> Any:
    return run_apart(function, *args, seconds=seconds, more_bytes=64 << 20, result_bytes=result_bytes)


def grab(size: int) -> int:
    return len(bytearray(size))


def hang() -> None:
    time.sleep(60)


def crash() -> None:
    os.abort()


def test_apart(workers: OpenWorkers) -> None:
    assert workers.job(apart, grab, 1000) == 1000
    with pytest.raises(OutOfMemory):
        workers.job(apart, grab, 1 << 28)
    with pytest.raises(OutOfMemory):
        workers.job(apart, bytes, 2 << 20)
    with pytest.raises(WorkerDied):
        workers.job(apart, crash)
    with pytest.raises(ZeroDivisionError):
        workers.job(apart, divmod, 1, 0)
    before = time.monotonic()
    with pytest.raises(OutOfTime):
        workers.job(apart, hang, seconds=0.3)
    assert time.monotonic() - before < 3
    assert workers.job(apart, grab, 1000) == 1000


def test_a_site_is_one_value() -> None:
    site = Site((sites.Choice(sites.Stream("http://a/", (("Cookie", "secret"),))),))
    assert "secret" not in repr(site)
