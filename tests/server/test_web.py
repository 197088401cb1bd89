"""The files of the page: what they say they are, who may read them, and what they weigh."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

import cutaway_server

FOLDER = Path(cutaway_server.__file__).parent / "web"
MIME_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
MOST_BYTES = 60_000


async def get(server, path: str, **options) -> HTTPResponse:
    return await AsyncHTTPClient().fetch(server.url(path), raise_error=False, **options)


def policy(answer: HTTPResponse) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


def test_the_page_is_light() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir() if path.suffix in (".html", ".css", ".js")}
    assert {"index.html", "app.css", "cutaway.js"} <= set(sizes)
    assert sum(sizes.values()) <= MOST_BYTES, sizes


def test_nothing_is_from_other_hosts_and_nothing_reads_html() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text()
        hosts = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}
        assert hosts <= {"https://example.com", "http://localhost"}, path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)


@pytest.mark.gen_test
@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
async def test_each_file(serve_fake, name: str) -> None:
    server = serve_fake()
    answer = await get(server, f"/{name}")
    assert answer.code == 200
    assert answer.body == (FOLDER / name).read_bytes()
    assert answer.headers["Content-Type"].split(";")[0] == MIME_TYPES[Path(name).suffix]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert policy(answer)["default-src"] == "'none'"
    assert "Access-Control-Allow-Origin" not in answer.headers
    again = await get(server, f"/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.code, again.body) == (304, b"")
    assert (await get(server, f"/{name}", headers={"If-None-Match": '"other"'})).code == 200
    head = await get(server, f"/{name}", method="HEAD")
    assert (head.code, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(answer.body))


@pytest.mark.gen_test
async def test_the_page_allows_only_itself(serve_fake) -> None:
    server = serve_fake()
    answer = await get(server, "/")
    assert answer.body == (FOLDER / "index.html").read_bytes()
    allowed = policy(answer)
    for what in ("script-src", "style-src", "connect-src", "frame-src"):
        assert allowed[what] == "'self'"
    assert allowed["img-src"] == "'self' https: data:"
    assert allowed["media-src"] == "'self' blob:"
    for what in ("frame-ancestors", "base-uri", "form-action"):
        assert allowed[what] == "'none'"
    framed = policy(await get(server, "/entry.html"))
    assert "allow-same-origin" not in framed["sandbox"]
    assert framed["script-src"] == "'self'"
    assert framed["frame-ancestors"] == "'self'"


@pytest.mark.gen_test
async def test_only_allowed_origins_may_read(serve_fake) -> None:
    server = serve_fake(allow_origin=("https://app.example",))
    for origin, told in (("https://app.example", "https://app.example"), ("https://evil.example", None)):
        answer = await get(server, "/cutaway.js", headers={"Origin": origin})
        assert answer.headers.get("Access-Control-Allow-Origin") == told
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.gen_test
@pytest.mark.parametrize(
    "path", ["/app.py", "/..", "/__init__.py", "/index.html/", "/%2e%2e/app.py", "/.css", "/App.css"]
)
async def test_other_names_are_not_there(serve_fake, path: str) -> None:
    assert (await get(serve_fake(), path)).code == 404
