"""Videos on pages, through the real server: what the page says is used, what expires is found again, what is no video
is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from servers import Origin, Resource
from snippets.films import SENTENCES, Films
from snippets.test_sources import check_clips
from snippets.watch import Watched

ASKED = {"min_seconds": 2, "max_seconds": 6}
PRESENTATION = "2db6c271681e4f199af3c60d1f82869b"
"""A page of Mediasite, which many universities run: yt-dlp knows it by its path, on any host."""


def page(text: str, **more: object) -> Resource:
    resource = Resource(f"<!DOCTYPE html><html>{text}</html>".encode(), content_type="text/html", ranges=False)
    return replace(resource, **more)  # type: ignore[arg-type]


def video_tag(film: str, more: str = "") -> str:
    return f'<title>Harbour</title><video><source src="{film}" type="video/mp4">{more}</video>'


def webvtt() -> bytes:
    def clock(seconds: float) -> str:
        return f"00:{int(seconds // 60):02}:{seconds % 60:06.3f}"

    cues = [f"{clock(start)} --> {clock(end)}\n<i>{text}</i>\n" for start, end, text in SENTENCES]
    return "\n".join(["WEBVTT\n", *cues]).encode()


@pytest.mark.parametrize("kind", ["tag", "og", "json-ld", "rss"])
def test_a_video_on_a_page(watched: Watched, films: Films, kind: str) -> None:
    film = watched.origin.serve("on-page.mp4", films["moov_last.mp4"])
    text = {
        "tag": video_tag(film),
        "og": f'<meta property="og:title" content="Harbour"><meta property="og:video" content="{film}">',
        "json-ld": '<script type="application/ld+json">'
        + json.dumps({"@context": "https://schema.org", "@type": "VideoObject", "name": "H", "contentUrl": film})
        + "</script>",
        "rss": "",
    }[kind]
    resource = page(text)
    if kind == "rss":
        feed = f'<rss><channel><item><title>One</title><enclosure url="{film}"/></item></channel></rss>'
        resource = Resource(f'<?xml version="1.0"?>{feed}'.encode(), content_type="application/rss+xml")
    check_clips(watched.ask(resource, **ASKED), films["moov_last.mp4"])


def test_a_page_sent_packed_without_being_asked(watched: Watched, films: Films) -> None:
    import gzip

    film = watched.origin.serve("packed.mp4", films["moov_last.mp4"])
    resource = page(video_tag(film), headers={"Content-Encoding": "gzip"})
    assert isinstance(resource.body, bytes)
    answer = watched.ask(replace(resource, body=gzip.compress(resource.body)), max_snippets=1, **ASKED)
    check_clips(answer, films["moov_last.mp4"])


def test_captions_of_the_page_make_titles(watched: Watched, films: Films) -> None:
    """And sentences are not cut: each snippet ends with one."""
    film = watched.origin.serve("told.mp4", films["film.mp4"])
    watched.origin.serve("told.vtt", Resource(webvtt(), content_type="text/vtt"))
    track = '<track src="/told.vtt" kind="subtitles" srclang="en">'
    answer = watched.ask(page(video_tag(film, track)), max_snippets=3, min_seconds=3, max_seconds=9)
    check_clips(answer, films["film.mp4"])
    for told, (start, end) in zip(answer.metadata, answer.spans, strict=True):
        said = " ".join(text for begin, stop, text in SENTENCES if begin < end and stop > start).lower()
        words = {word.strip(".,:").lower() for word in told.title.split()}
        assert any(word in said for word in words if len(word) > 4), (told.title, said)


def test_without_captions_the_page_gives_the_name(watched: Watched, films: Films) -> None:
    film = watched.origin.serve("named.mp4", films["silent.mp4"])
    answer = watched.ask(page(video_tag(film)), max_snippets=1, **ASKED)
    assert answer.complete, answer.error
    assert "Harbour" in answer.metadata[0].title


def test_cookies_and_header_fields_go_to_their_server_alone(watched: Watched, films: Films) -> None:
    """The page sets a cookie that its server wants to see with the film, which it keeps on another one."""
    film = films.data("moov_last.mp4")
    with Origin(host="127.0.0.2") as other:
        moved = other.serve("film.mp4", film)
        away = watched.origin.serve("away.mp4", Resource(redirect=moved))
        resource = page(video_tag(away), headers={"Set-Cookie": "ticket=secret; Path=/"})
        answer = watched.ask(resource, max_snippets=2, **ASKED)
        check_clips(answer, films["moov_last.mp4"])
        asked = [seen for seen in watched.origin.requests if seen.name == "away.mp4"]
        assert asked
        assert all(seen.headers["cookie"] == "ticket=secret" for seen in asked)
        assert len(other.requests) > 2
        assert all("cookie" not in seen.headers and "referer" not in seen.headers for seen in other.requests)
    stayed = watched.origin.serve("stayed.mp4", film)
    resource = page(video_tag(stayed), headers={"Set-Cookie": "ticket=secret; Path=/"})
    check_clips(watched.ask(resource, max_snippets=2, **ASKED), films["moov_last.mp4"])
    asked = [seen for seen in watched.origin.requests if seen.name == "stayed.mp4"]
    assert len(asked) > 2
    assert all(seen.headers["cookie"] == "ticket=secret" for seen in asked)
    assert "secret" not in watched.server.errors.read_text()


def expiring(film: bytes, answers: int, status: int = 403) -> Resource:
    """A film that can be asked for a number of times."""
    resource = Resource(b"expired", status=status)
    for _ in range(answers):
        resource = Resource(film, then=resource)
    return resource


@pytest.mark.parametrize("answers", [0, 1, 3, 6])
@pytest.mark.parametrize("status", [403, 410])
def test_what_expires_is_found_again(watched: Watched, films: Films, answers: int, status: int) -> None:
    film = films.data("film.mp4")
    old = watched.origin.serve(f"old-{answers}-{status}.mp4", expiring(film, answers, status))
    new = watched.origin.serve(f"new-{answers}-{status}.mp4", film)
    # Asked twice: to see what it is, and by yt-dlp.
    first = page(video_tag(old), then=page(video_tag(old), then=page(video_tag(new))))
    check_clips(watched.ask(first, max_snippets=4, min_seconds=2, max_seconds=4), films["film.mp4"])
    assert [seen for seen in watched.origin.requests if new.endswith(seen.name)]


def test_what_expires_again_is_told(watched: Watched, films: Films) -> None:
    film = watched.origin.serve("refused.mp4", Resource(b"no", status=403))
    url = watched.origin.serve("refusing", page(video_tag(film)))
    answer = watched.ask(url)
    assert "403" in answer.error
    assert sum(seen.name == "refusing" for seen in watched.origin.requests) == 3
    assert sum(seen.name == "refused.mp4" for seen in watched.origin.requests) == 2


def test_what_became_another_video_is_not_mixed(watched: Watched, films: Films) -> None:
    old = watched.origin.serve("was.mp4", expiring(films.data("film.mp4"), 6))
    new = watched.origin.serve("is.mp4", films.data("moov_last.mp4"))
    first = page(video_tag(old), then=page(video_tag(old), then=page(video_tag(new))))
    assert "changed" in watched.ask(first, max_snippets=4, min_seconds=2, max_seconds=4).error


def test_a_plain_file_that_expires_behind_a_redirect(watched: Watched, films: Films) -> None:
    """No site, but the same: the URL leads to another address the next time."""
    old = watched.origin.serve("signed-old.mp4", expiring(films.data("film.mp4"), 5))
    new = watched.origin.serve("signed-new.mp4", films.data("film.mp4"))
    answer = watched.ask(Resource(redirect=old, then=Resource(redirect=new)), min_seconds=2, max_seconds=4)
    check_clips(answer, films["film.mp4"])


# --- sites that are known by their URL ---------------------------------------------------------------------


@pytest.fixture
def presentation(watched: Watched, films: Films) -> Iterator[str]:
    """A page that refuses whoever comes first, which is us, and answers a site's own questions."""
    film = watched.origin.serve("lecture.mp4", films["moov_last.mp4"])
    small = watched.origin.serve("small.mp4", films["silent.mp4"])
    videos = [{"Location": url, "MimeType": "video/mp4", "MediaType": "MP4"} for url in (small, film)]
    told = {"Presentation": {"Title": "Lecture", "Duration": 14_000, "Description": "On harbours."}}
    told["Presentation"]["Streams"] = [{"StreamType": 0, "VideoUrls": videos}]
    service = "Mediasite/PlayerService/PlayerService.svc/json/GetPlayerOptions"
    watched.origin.serve(service, Resource(json.dumps({"d": told}).encode(), content_type="application/json"))
    yield f"Mediasite/Play/{PRESENTATION}"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_known_site_that_refuses_a_plain_request(
    watched: Watched, films: Films, presentation: str, status: int
) -> None:
    resource = Resource(b"go away", status=status, then=page("<p>a player"))
    answer = watched.ask(watched.origin.serve(presentation, resource), max_snippets=2, **ASKED)
    check_clips(answer, films["moov_last.mp4"])


def test_a_known_site_that_refuses_everybody(watched: Watched, presentation: str) -> None:
    url = watched.origin.serve(presentation, Resource(b"go away", status=404))
    assert "no such video" in watched.ask(url).error


# --- what is no video --------------------------------------------------------------------------------------


def test_a_page_without_a_video_is_told_soon(watched: Watched) -> None:
    for _ in range(watched.workers):
        watched.ask(page("<p>words"))  # the first page that a worker sees costs it an import
    for text in ("<title>Words</title><p>only words", "", "<video></video>", "<!-- x -->"):
        answer = watched.ask(page(text))
        assert "no video on this page" in answer.error
        assert answer.seconds < 3


def test_a_page_whose_video_is_none(watched: Watched) -> None:
    film = watched.origin.serve("words.mp4", Resource(b"words, no film " * 1000))
    assert "not a video file" in watched.ask(page(video_tag(film))).error


def test_pages_that_name_themselves_or_each_other(watched: Watched) -> None:
    watched.origin.serve("self", page(video_tag(watched.origin.url("self"))))
    assert watched.ask(watched.origin.url("self")).error
    for one, two in (("ping", "pong"), ("pong", "ping")):
        refresh = f'<meta http-equiv="refresh" content="0; url={watched.origin.url(two)}">'
        watched.origin.serve(one, page(refresh))
    answer = watched.ask(watched.origin.url("ping"))
    assert "from one to the next" in answer.error
    assert answer.seconds < 14


def test_a_plain_file_asks_no_site(watched: Watched, films: Films) -> None:
    """No request more, and no yt-dlp in a worker that saw none."""
    with_sites = watched.origin.serve("plain.mp4", films["moov_last.mp4"])
    assert watched.ask(with_sites, max_snippets=1, **ASKED).complete
    assert all(
        seen.headers["user-agent"].startswith("Mozilla/5.0 (compatible; Cutaway") for seen in _of(watched, "plain.mp4")
    )


def _of(watched: Watched, name: str) -> list:  # type: ignore[type-arg]
    return [seen for seen in watched.origin.requests if seen.name == name]
