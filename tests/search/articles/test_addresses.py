"""Names of articles, dates and plain texts: whatever comes in, what comes out has its shape."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.search.articles.canonical import canonical_url, web_url
from cutaway_server.search.articles.dates import iso_date, read_date
from cutaway_server.search.articles.piece import Piece, count
from cutaway_server.search.articles.prose import clean, cut, is_player, one_line, plain, read_html

HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z0-9](\.[a-z]{2,5}){1,2}", fullmatch=True)
PATHS = st.from_regex(r"(/[A-Za-z0-9._~%-]{1,8}){0,3}", fullmatch=True)
QUERIES = st.lists(st.from_regex(r"[a-z]{1,3}=[a-z0-9]{0,3}", fullmatch=True), max_size=4)


@pytest.mark.parametrize(
    "same",
    [
        "https://www.example.org/a/b/?x=1&utm_source=feed&b=2#top",
        "http://example.org/a/b?b=2&x=1",
        "HTTPS://EXAMPLE.ORG:443/a/b/?fbclid=abc&x=1&b=2",
        "http://www.example.org:80/a/b?gclid=1&b=2&x=1&UTM_Medium=x",
        " https://example.org./a/b?x=1&b=2 ",
    ],
)
def test_all_ways_to_write_an_address_have_one_name(same: str) -> None:
    assert canonical_url(same) == "example.org/a/b?b=2&x=1"


def test_what_is_another_page_has_another_name() -> None:
    names = {
        canonical_url(f"http://example.org{rest}")
        for rest in ("", "/a", "/A", "/a?id=1", "/a?id=2", "/a?utm=1", ":8080/a", "/b")
    }
    assert len(names) == 8


@pytest.mark.parametrize(
    "text",
    [
        "",
        "javascript:alert(1)",
        "mailto:a@b.c",
        "/relative",
        "http://",
        "http://user:pw@host/",
        "http://[::1",
        "http://a b/",
    ],
)
def test_what_cannot_be_shown_as_a_link_is_none(text: str) -> None:
    assert web_url(text) == canonical_url(text) == ""


def test_references_are_resolved_and_written_in_ascii() -> None:
    assert web_url("../bild ü.png", "https://Müller.example/a/b/") == (
        "https://xn--mller-kva.example/a/bild%20%C3%BC.png"
    )
    assert web_url("//cdn.example/x", "https://a.example/") == "https://cdn.example/x"


@given(HOSTS, PATHS, QUERIES, st.sampled_from(["http", "https"]), st.booleans())
def test_names_are_stable(host: str, path: str, query: list[str], scheme: str, www: bool) -> None:
    question = f"?{'&'.join(query)}" if query else ""
    name = canonical_url(f"{scheme}://{'www.' * www}{host}{path}{question}")
    assert name
    assert canonical_url(f"http://{name}") == name
    assert canonical_url(f"https://{host.upper()}{path}/?{'&'.join(reversed(query))}#x") == name


@given(st.text(max_size=60) | st.from_regex(r"https?://[\x00-\xff]{1,30}", fullmatch=True), st.text(max_size=20))
def test_addresses_never_fail_and_are_always_addresses(text: str, base: str) -> None:
    url = web_url(text, base)
    if url:
        assert urlsplit(url).scheme in ("http", "https")
        assert urlsplit(url).hostname
        assert url.isascii()
        assert not re.search(r"[\s<>\"\\^`{|}]", url)
        assert web_url(url) == url
        assert canonical_url("http://" + canonical_url(url)) == canonical_url(url)


# --- dates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("5/28/2016 19:51", "2016-05-28T19:51:00Z"),
        ("28/5/2016 19:51", "2016-05-28T19:51:00Z"),
        ("5/8/2016 7:05:09 PM", "2016-05-08T19:05:09Z"),
        ("8.5.2016", "2016-05-08T00:00:00Z"),
        ("2016/05/08", "2016-05-08T00:00:00Z"),
        ("2016-05-08", "2016-05-08T00:00:00Z"),
        ("2016-05-08T10:00:00+02:00", "2016-05-08T08:00:00Z"),
        ("2016-05-08 10:00:00 UTC", "2016-05-08T10:00:00Z"),
        ("Sun, 08 May 2016 10:00:00 -0500", "2016-05-08T15:00:00Z"),
        (1462701600, "2016-05-08T10:00:00Z"),
        ("1462701600", "2016-05-08T10:00:00Z"),
        (1462701600123, "2016-05-08T10:00:00Z"),
        ("1888-04-01", "1888-04-01T00:00:00Z"),
    ],
)
def test_dates_in_many_forms(written: object, meant: str) -> None:
    assert iso_date(read_date(written)) == meant


@pytest.mark.parametrize(
    "written",
    [
        "0000-00-00",
        "0001-01-01T00:00:00Z",
        "9999-12-31",
        "Mon, 00 Jan 0000 00:00:00 GMT",
        "soon",
        "",
        None,
        True,
        "13/13/2016",
        *(0, float("nan"), float("inf"), 10**30, [], {}, "1e999", "31/2/2020", "٢٠١٦-٠٥-٠٨T٩٩"),
    ],
)
def test_dates_that_cannot_be_are_none(written: object) -> None:
    assert read_date(written) is None


@given(st.text(max_size=40) | st.integers() | st.floats())
def test_dates_never_fail_and_are_never_of_the_future(written: object) -> None:
    found = read_date(written)
    assert found is None or found <= time.time() + 3 * 86_400


@given(st.datetimes(datetime(1970, 1, 2), datetime(2026, 1, 1)))
def test_dates_survive_being_written(moment: datetime) -> None:
    seconds = int(moment.replace(tzinfo=UTC).timestamp())
    assert read_date(iso_date(seconds)) == read_date(seconds) == seconds
    assert read_date(moment.strftime("%m/%d/%Y %H:%M:%S")) == seconds


# --- texts --------------------------------------------------------------------------------------------------

PAGE = """<style>p{}</style><h1>One &amp; two</h1><p>Fish&nbsp;&lt;3 <b>bo</b>ld<br>line
 two</p><script>if (a < b) alert("no")</script><div>Cell<td>by cell</td></div><ul><li>a</li><li>b</li></ul>
<img src="/pixel.gif" width=1 height=1><img src="cat.jpg"><img src="dog.jpg">"""


def test_html_becomes_text_with_a_line_for_each_paragraph() -> None:
    found = read_html(PAGE, "https://example.org/a/")
    assert found.text == "One & two\nFish <3 bold line two\nCell by cell\na\nb"
    assert found.image == "https://example.org/a/cat.jpg"
    assert not found.has_video


@pytest.mark.parametrize(
    "html",
    [
        '<video poster="x.jpg"></video>',
        '<iframe src="https://www.youtube-nocookie.com/embed/abc"></iframe>',
        '<iframe src="//player.vimeo.com/video/1"></iframe>',
        '<iframe src="https://tube.example/videos/embed/9c9de5e8-0a1e-484a-b099-e80766180a6d"></iframe>',
        '<embed src="film.mp4">',
    ],
)
def test_players_are_films(html: str) -> None:
    assert read_html(html, "https://example.org/").has_video


def test_other_frames_and_links_are_none() -> None:
    html = (
        '<iframe src="https://example.org/map"></iframe><a href="https://youtu.be/x">see</a><audio src=a.mp3></audio>'
    )
    assert not read_html(html, "https://example.org/").has_video
    assert is_player("https://www.youtube.com/watch?v=abc")
    assert is_player("https://www.dailymotion.com/video/x1")
    assert not is_player("https://www.youtube.com/@channel")
    assert not is_player("https://notyoutube.com/watch?v=1")
    assert not is_player("")


def test_what_is_no_markup_stays() -> None:
    assert plain("if a < b and c > d: AT&T") == "if a < b and c > d: AT&T"
    assert plain("a &lt;b&gt; c") == "a <b> c"


def test_controls_and_directions_go_and_joiners_stay() -> None:
    assert one_line("a\x00b\x1b[31m\u202ec\ud800\n d 👩\u200d🔬\ufeff") == "ab[31mc d 👩\u200d🔬"


@given(
    st.text(max_size=300)
    | st.from_regex(r"(<[a-z/!]{1,4}[ =\"'>]{0,3}|&#?[a-z0-9]{0,4};?|[ab ]){0,60}", fullmatch=True)
)
def test_texts_never_fail_and_are_clean(text: str) -> None:
    for found in (plain(text), clean(text), read_html(text).text):
        assert found == clean(found)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", found)
        assert all(line == " ".join(line.split()) and line for line in found.splitlines())


@given(st.text(max_size=200), st.integers(2, 100))
def test_cut_is_a_beginning(text: str, limit: int) -> None:
    found = cut(text, limit)
    assert len(found) <= limit
    assert found == text or (found.endswith("…") and text.startswith(found[:-1]))


def test_long_texts_are_bounded() -> None:
    assert len(plain("<p>" + "word " * 100_000)) <= 20_000
    began = time.monotonic()
    assert len(read_html("<div><p>x" * 100_000).text) <= 20_000
    assert time.monotonic() - began < 5


def test_a_piece_without_words_is_no_article() -> None:
    assert Piece(url="https://example.org/").entry("feed") is None
    named = Piece(description="The first words stand in for a title. " * 9).entry("feed")
    assert named is not None
    assert named.title.startswith("The first words stand in")
    assert named.title.endswith("…")


def test_ids_mean_something_in_their_feed_only() -> None:
    one, other = (Piece(id="1", title="A").entry(feed) for feed in ("https://a.example/f", "https://b.example/f"))
    assert one is not None
    assert other is not None
    assert one.key != other.key
    assert one.key == getattr(Piece(id="1", title="A, corrected").entry("http://www.a.example/f/"), "key", "")


@given(st.text(max_size=20) | st.integers() | st.floats() | st.none() | st.lists(st.integers()))
def test_counts_are_small_numbers(value: object) -> None:
    assert 0 <= count(value) < 2**31


def test_counts_as_they_are_written() -> None:
    assert [count(each) for each in ("1,234", " 7 ", 3.9, "x", -2, None, True)] == [1234, 7, 3, 0, 0, 0, 1]
