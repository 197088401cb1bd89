"""What is no video, or a damaged one, through the real server: one terminal message, soon, and nothing left behind."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from servers import Canary, Resource
from snippets import film
from snippets.films import Films
from snippets.watch import Answer, Watched

SOON_SECONDS = 20.0
Body = Callable[[Films], bytes]


def moov_first(films: Films) -> bytes:
    return films.data("film.mp4")


def corrupted(films: Films, *, seed: int, count: int, part: str) -> bytes:
    """Random bytes of one box overwritten."""
    data = bytearray(moov_first(films))
    mdat = data.index(b"mdat")
    places = range(mdat + 4, len(data)) if part == "mdat" else range(data.index(b"moov") + 4, mdat - 8)
    chance = random.Random(seed)
    for _ in range(count):
        data[chance.choice(places)] = chance.randrange(256)
    return bytes(data)


PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile URL\n",
    "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="URL"/></svg>',
}
WORDS = {"svg": "XML"}

BODIES: dict[str, tuple[Body, str]] = {
    "random": (lambda films: random.Random(1).randbytes(200_000), "not a video file"),
    "text": (lambda films: b"hello, I am no film\n" * 1000, "not a video file"),
    "zeros": (lambda films: bytes(100_000), "not a video file"),
    "one byte": (lambda films: b"\0", "not a video file"),
    "a box and no more": (lambda films: b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "not a video file|no video"),
    "picture": (lambda films: b"\x89PNG\r\n\x1a\n" + bytes(1000), "not a video file"),
    "sound": (lambda films: film.sound(2), "not a video file|no video"),
    "moov missing": (lambda films: films.data("moov_last.mp4")[:100_000], "not a video file|damaged|cut off"),
    "half an index": (lambda films: moov_first(films)[:10_000], "not a video file|damaged|cut off|no pictures"),
    "sound only": (lambda films: films.data("sound_only.mp4"), "sound but no video"),
    "huge": (lambda films: films.data("huge.mp4"), "too large: 6000 x 4000"),
    "Matroska's head": (lambda films: films.data("film.mkv")[:300], "not a video file|no pictures|no video"),
    "only an index": (lambda films: (d := moov_first(films))[: d.index(b"mdat") + 4], "no pictures|cut off|damaged"),
}


def check_error(answer: Answer, words: str) -> None:
    assert re.search(words, answer.error), answer.error
    assert not answer.snippets
    assert answer.seconds < SOON_SECONDS
    assert "/" not in answer.error.replace("http://", "").replace("and/or", ""), "no paths of the server's"


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "whole"])
@pytest.mark.parametrize("name", BODIES)
def test_no_video_is_told(watched: Watched, films: Films, name: str, ranges: bool) -> None:
    make, words = BODIES[name]
    check_error(watched.ask(Resource(make(films), ranges=ranges)), words)


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_called_mp4_opens_nothing(watched: Watched, kind: str) -> None:
    with Canary() as canary:
        body = PLAYLISTS[kind].replace("URL", f"http://127.0.0.1:{canary.port}/a.mp4")
        answer = watched.ask(Resource(body.encode(), content_type="video/mp4"))
        check_error(answer, WORDS.get(kind, "not a video file"))
        assert canary.contacts == 0
    assert "root:" not in answer.error


@pytest.mark.parametrize("body", [b"", b"empty"], ids=["nothing", "headers only"])
def test_an_empty_file(watched: Watched, body: bytes) -> None:
    check_error(watched.ask(Resource(b"", ranges=bool(body))), "empty")


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "404|not found|no such"), (403, "403|refuse|forbid|allow"), (410, "410|gone|no longer"), (500, "500|fail")],
)
def test_a_status_is_told(watched: Watched, status: int, words: str) -> None:
    check_error(watched.ask(Resource(b"<html>no</html>", status=status)), f"(?i){words}")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "video_url is missing"),
        ("", "video_url is missing"),
        ("a film", "URL"),
        ("file:///etc/passwd", "http"),
        ("http://10.0.0.1/a.mp4", "public|not allowed|private"),
        ("http://127.0.0.1:1/a.mp4", "connect|refus|reach"),
        ("http://nowhere.invalid/a.mp4", "nowhere.invalid|host"),
    ],
)
def test_a_bad_url_is_told(watched: Watched, url: str | None, words: str) -> None:
    answer = watched.ask(url)
    assert re.search(words, answer.error), answer.error
    assert answer.seconds < SOON_SECONDS


# --- damaged: what is there is shown -----------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.3, 0.55, 0.9])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "whole"])
def test_a_film_that_is_cut_off_is_shown_until_there(
    watched: Watched, films: Films, share: float, ranges: bool
) -> None:
    data = moov_first(films)
    data = data[: int(len(data) * share)]
    answer = watched.ask(Resource(data, ranges=ranges), min_seconds=2, max_seconds=6)
    assert answer.complete, answer.error
    assert answer.snippets
    for clip, (start, end) in zip(answer.clips, answer.spans, strict=True):
        assert end <= 60 * share * 1.25
        numbers = [f.number for f in film.read_frames(clip)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert abs(start * film.RATE - numbers[0]) <= 1
        assert abs(end * film.RATE - numbers[-1] - 1) <= 1


def test_matroska_that_is_cut_off_is_shown_until_there(watched: Watched, films: Films) -> None:
    data = films.data("film.mkv")
    answer = watched.ask(Resource(data[: len(data) // 2]), min_seconds=2, max_seconds=6)
    assert answer.complete, answer.error
    assert answer.snippets
    assert all(end < 40 for _, end in answer.spans)
    for clip in answer.clips:
        assert film.read_frames(clip)


@pytest.mark.parametrize("count", [20, 400, 20_000])
def test_damaged_pictures(watched: Watched, films: Films, count: int) -> None:
    """Snippets are whole, or there is an error; both may be."""
    answer = watched.ask(Resource(corrupted(films, seed=count, count=count, part="mdat")), min_seconds=2, max_seconds=6)
    assert answer.seconds < 60
    if count < 1000:
        assert answer.complete, answer.error
        assert answer.snippets
    for clip in answer.clips:
        assert film.frames_of(clip)


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_index(watched: Watched, films: Films, seed: int) -> None:
    """Whatever comes of it: it ends in order, soon, and what comes can be decoded."""
    answer = watched.ask(Resource(corrupted(films, seed=seed, count=3 * 4**seed, part="moov")), max_snippets=2)
    assert answer.seconds < SOON_SECONDS
    assert answer.complete or len(answer.error) > 20
    for clip in answer.clips:
        assert film.frames_of(clip)


@pytest.mark.parametrize("after", [70_000, 400_000])
def test_a_server_that_hangs_up(watched: Watched, films: Films, after: int) -> None:
    """Once it is repaired by asking again; always, it is an error."""
    answer = watched.ask(Resource(moov_first(films), ranges=False, reset_after=after), max_snippets=2)
    check_error(answer, r"(?i)connection|broke|closed|ended|incomplete|lost|server")
