"""Reading feeds: every format, every field, and everything that strangers do to them."""

from __future__ import annotations

import io
import json
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.search.articles import feeds
from cutaway_server.search.articles.dates import iso_date
from cutaway_server.search.articles.entry import Entry
from cutaway_server.search.articles.feeds import MAX_ENTRIES, NotAFeed, read_feed

from .conftest import RSS, rss

URL = "https://loaf.example/feeds/all.xml"
REAL = Path(__file__).resolve().parents[4] / "shared" / "media" / "articles" / "feeds"


def read(body: str | bytes, content_type: str = "application/xml", url: str = URL) -> list[Entry]:
    data = body.encode() if isinstance(body, str) else body
    return list(read_feed(data, content_type, url).entries)


def one(item: str) -> Entry:
    """The article of one RSS item."""
    (entry,) = read(RSS.format(items=f"<item><title>T</title>{item}</item>"))
    return entry


ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:thr="http://purl.org/syndication/thread/1.0"
 xml:base="/blog/">
<title type="html">Caf&amp;eacute; &amp;amp; more</title><author><name>The house</name></author>
<entry><id>urn:1</id><title>Using &lt;canvas&gt; well</title><link rel="alternate" href="one"/>
<link rel="replies" href="one#c" thr:count="12"/><published>2026-02-03T04:05:06+01:00</published>
<summary>Short.</summary>
<content type="html">&lt;p&gt;Long &lt;em&gt;content&lt;/em&gt; of it.&lt;/p&gt;&lt;img src="/i/1.png"&gt;</content>
</entry>
<entry><id>urn:2</id><title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">Two <b>bold</b></div></title>
<author><name>Ann</name></author><author><name>Bo</name></author><updated>2026-02-03T04:05:06Z</updated></entry>
</feed>"""

RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:slash="http://purl.org/rss/1.0/modules/slash/">
<channel rdf:about="https://old.example/"><title>Old news</title></channel>
<item rdf:about="https://old.example/1"><title>First</title><link>https://old.example/1</link><dc:creator>Al</dc:creator>
<dc:date>2026-01-02T03:04:05Z</dc:date><slash:comments>7</slash:comments><description>Text</description></item></rdf:RDF>"""

JSON_FEED = {
    "version": "https://jsonfeed.org/version/1.1",
    "title": "JSON\u202e news",
    "authors": [{"name": "The house"}],
    "items": [
        {
            "id": 7,
            "url": "/posts/7?utm_source=json",
            "title": "Seven",
            "content_html": "<p>Seven <i>things</i>.</p><iframe src='https://player.vimeo.com/video/7'></iframe>",
            "summary": "S",
            "image": "/seven.png",
            "date_published": "2026-03-01T00:00:00Z",
            "comments_count": 3,
            "_loaf": {"like_count": "1,200"},
        },
        {"id": "8", "content_text": "No title here, only a text.", "author": {"name": "Al"}},
        {"id": "9", "title": "Clip", "attachments": [{"url": "https://x.example/9.mp4", "mime_type": "video/mp4"}]},
        "nonsense",
        {"id": [], "title": {}, "url": 5, "authors": "x", "attachments": {}, "content_html": None},
    ],
}


def test_rss_gives_what_it_has() -> None:
    feed = read_feed(rss(1), "application/rss+xml", URL)
    assert feed.title == "The Daily Loaf"
    assert feed.entries == (
        Entry(
            key="loaf.example/1",
            title="Loaf number 1",
            author="Ann Baker",
            published=1772445600,
            description="Bread of the day 1.",
            url="https://loaf.example/1",
        ),
    )


def test_atom_gives_what_it_has() -> None:
    feed = read_feed(ATOM.encode(), "application/atom+xml", URL)
    assert feed.title == "Café & more"
    first, second = feed.entries
    assert first.title == "Using <canvas> well"
    assert first.url == "https://loaf.example/blog/one"
    assert (first.description, first.image) == ("Long content of it.", "https://loaf.example/i/1.png")
    assert (first.author, first.comments) == ("The house", 12)
    assert iso_date(first.published) == "2026-02-03T03:05:06Z"
    assert (second.title, second.author, second.url) == ("Two bold", "Ann, Bo", "")
    assert second.key.startswith("id:")


def test_rdf_gives_what_it_has() -> None:
    (entry,) = read(RDF)
    assert (entry.title, entry.author, entry.comments, entry.description) == ("First", "Al", 7, "Text")
    assert iso_date(entry.published) == "2026-01-02T03:04:05Z"


def test_json_feed_gives_what_it_has() -> None:
    feed = read_feed(json.dumps(JSON_FEED).encode(), "application/feed+json", URL)
    assert feed.title == "JSON news"
    seven, eight, nine = feed.entries
    assert (seven.key, seven.url) == ("loaf.example/posts/7", "https://loaf.example/posts/7?utm_source=json")
    assert (seven.title, seven.author, seven.description) == ("Seven", "The house", "Seven things.")
    assert (seven.image, seven.has_video) == ("https://loaf.example/seven.png", True)
    assert (seven.comments, seven.likes) == (3, 1200)
    assert (eight.title, eight.author) == ("No title here, only a text.", "Al")
    assert nine.has_video


@pytest.mark.parametrize(
    "item",
    [
        '<enclosure type="video/mp4" url="https://x.example/a.mp4" length="1"/>',
        '<media:content url="https://x.example/a" medium="video"/>',
        '<media:group><media:content url="https://x.example/a" type="video/webm"/></media:group>',
        '<media:player url="https://x.example/watch"/>',
        "<link>https://www.youtube.com/watch?v=abc</link>",
        "<link>https://tube.example/w/9KGS5VpxYPNNAhmEnyzmAb</link>",
        "<description>&lt;iframe src='https://clips.twitch.tv/embed?clip=a'&gt;&lt;/iframe&gt;</description>",
    ],
)
def test_films_are_known(item: str) -> None:
    assert one(item).has_video


def test_what_is_no_film_is_none() -> None:
    assert not one(
        '<enclosure type="audio/mpeg" url="https://x.example/a.mp3"/><link>https://vimeo.com/about</link>'
    ).has_video


@pytest.mark.parametrize(
    ("item", "image"),
    [
        ('<media:thumbnail url="/t.jpg"/>', "https://loaf.example/t.jpg"),
        ('<media:content url="https://x.example/p.jpg" medium="image"/>', "https://x.example/p.jpg"),
        ('<enclosure type="image/png" url="https://x.example/e.png"/>', "https://x.example/e.png"),
        (
            '<i:image xmlns:i="http://www.itunes.com/dtds/podcast-1.0.dtd" href="https://x.example/i.jpg"/>',
            "https://x.example/i.jpg",
        ),
        ("<description>&lt;img src='a.png'&gt;text</description>", "https://loaf.example/feeds/a.png"),
        (
            "<link>https://b.example/x/y</link><description>&lt;img src='a.png'&gt;</description>",
            "https://b.example/x/a.png",
        ),
        ('<media:thumbnail url="javascript:alert(1)"/>', ""),
        ('<media:thumbnail url="file:///etc/passwd"/>', ""),
        ("<description>&lt;img src='data:image/png;base64,AAAA'&gt;</description>", ""),
    ],
)
def test_images(item: str, image: str) -> None:
    assert one(item).image == image


def test_comments_and_likes() -> None:
    entry = one(
        "<slash:comments>31</slash:comments>"
        "<media:community><media:starRating count='1200' average='5'/></media:community>"
    )
    assert (entry.comments, entry.likes) == (31, 1200)
    entry = one("<description>&lt;p&gt;Points: 12&lt;/p&gt;&lt;p&gt;# Comments: 4&lt;/p&gt;</description>")
    assert (entry.comments, entry.likes) == (4, 12)


def test_full_content_is_preferred_and_bounded() -> None:
    entry = one("<description>Short.</description><content:encoded>&lt;p&gt;" + "word " * 9000 + "</content:encoded>")
    assert 19_000 < len(entry.description) <= 20_000
    assert entry.description.endswith("…")


@pytest.mark.parametrize(
    "date", ["Mon, 01 Jan 0000 00:00:00 GMT", "9999-12-31T00:00:00Z", "yesterday", "0001-01-01T00:00:00Z"]
)
def test_dates_that_cannot_be_are_none(date: str) -> None:
    assert one(f"<pubDate>{date}</pubDate>").published is None


# --- hostile and broken -------------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
BOMB = f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY l0 "lol">{LAUGHS}]>' + RSS.partition("?>")[2].format(
    items="<item><title>A &l11; b</title><description>&l11;</description></item>"
)
QUADRATIC = f'<?xml version="1.0"?>\n<!DOCTYPE rss [\n<!ENTITY x "{"x" * 100_000}">\n]>' + RSS.partition("?>")[
    2
].format(items=f"<item><title>A</title><description>{'&x;' * 100_000}</description></item>")


@pytest.mark.parametrize("bomb", [BOMB, BOMB.replace("><!ENTITY", ">\n<!ENTITY"), QUADRATIC])
def test_entity_bombs_do_nothing(bomb: str) -> None:
    began = time.monotonic()
    (entry,) = read(bomb)
    assert entry.title.startswith("A")
    assert len(entry.description) < 2_000_000
    assert time.monotonic() - began < 10


def test_nothing_is_opened_or_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was opened")

    external = f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY s SYSTEM "{secret.as_uri()}">'
    external += '<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>'
    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    (entry,) = read(external + RSS.partition("?>")[2].format(items="<item><title>A &s;</title></item>"))
    assert "the secret" not in entry.title
    for body in (str(secret), secret.as_uri(), "http://127.0.0.1:9/feed"):
        with pytest.raises(NotAFeed):
            read(body)


def test_articles_that_link_to_one_page_are_told_apart() -> None:
    item = "<item><title>Version {n}</title><link>https://x.example/changes{anchor}</link><guid>{n}</guid></item>"
    for anchor in ("", "#v{n}"):
        items = [item.format(n=n, anchor=anchor.format(n=n)) for n in (3, 2, 1)]
        entries = read(RSS.format(items="".join(items)))
        assert [each.title for each in entries] == ["Version 3", "Version 2", "Version 1"]
        assert {each.url.partition("#")[0] for each in entries} == {"https://x.example/changes"}
        assert [each.key for each in read(RSS.format(items="".join(items[1:])))] == [each.key for each in entries[1:]]
    # One that was sent again is one.
    assert len(read(RSS.format(items=2 * item.format(n=1, anchor="")))) == 1


def test_a_hundred_thousand_articles_are_bounded() -> None:
    items = "".join(f"<item><title>{n}</title><link>http://x.org/{n}</link></item>" for n in range(100_000))
    began = time.monotonic()
    feed = read_feed(RSS.format(items=items).encode(), "text/xml", URL)
    assert len(feed.entries) == MAX_ENTRIES
    assert feed.title == "The Daily Loaf"
    assert time.monotonic() - began < 20
    many = {"items": [{"id": n, "title": f"{n}"} for n in range(20_000)]}
    assert len(read_feed(json.dumps(many).encode(), "", URL).entries) == MAX_ENTRIES


def test_deep_nesting_is_survived() -> None:
    assert [each.title for each in read(RSS.format(items="<item><title>A</title><description>" + "<a>" * 20_000))] == [
        "A"
    ]
    with pytest.raises(NotAFeed, match="not valid JSON"):
        read('{"items": ' + "[" * 100_000, "application/json")


@pytest.mark.parametrize(
    "body",
    [
        RSS.format(items="<item><title>Fish & chips</title></item><item><title>Two"),
        RSS.format(items="<item><title>Fish &nbsp; chips</title></item><item><title>Two</title></item>").replace(
            "xmlns:", "x-"
        ),
        "\n\n  " + RSS.format(items="<item><title>Fish &unknown; chips</title></item><item><title>Two</title></item>"),
        RSS.format(items="<item><title>Fish \x01\x0b chips</title></item><item><title>Two</title></item>"),
    ],
)
def test_broken_xml_gives_what_is_whole(body: str) -> None:
    titles = [each.title for each in read(body)]
    assert titles[0].startswith("Fish")
    assert titles[0].endswith("chips")
    assert len(titles) >= 1


@pytest.mark.parametrize("odd", ["&#x110000;", "&#xD800;", "&#99999999999;", "\ud800"])
def test_characters_that_are_none_cost_no_feed(odd: str) -> None:
    body = RSS.format(items=f"<item><title>Fish {odd}chips</title></item><item><title>Two</title></item>")
    assert len(read(body.encode(errors="surrogatepass"))) == 2


ODD = st.sampled_from(
    [
        "<",
        ">",
        "&",
        "]]>",
        "<![CDATA[",
        "</item>",
        "<item>",
        "&#x110000;",
        "<!DOCTYPE",
        "</media:player>",
        "</image>",
        "\0",
    ]
)


@given(st.sampled_from([rss(1, 2), ATOM.encode(), RDF.encode(), json.dumps(JSON_FEED).encode()]), st.data())
def test_no_damage_breaks_it(whole: bytes, data: st.DataObject) -> None:
    damaged = whole
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(damaged)))
        new = data.draw(ODD.map(str.encode) | st.binary(max_size=3))
        damaged = damaged[:start] + new + damaged[start + data.draw(st.integers(0, 9)) :]
    try:
        entries = read(damaged)
    except NotAFeed:
        return
    assert all(each.title and each.key for each in entries)


def test_broken_json_gives_what_is_whole() -> None:
    text = json.dumps(JSON_FEED, indent=1)
    assert [each.title for each in read(text[: text.index("nonsense")])] == [
        "Seven",
        "No title here, only a text.",
        "Clip",
    ]


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (RSS.format(items="<item><title>naïve café</title></item>").encode("latin-1"), "application/xml"),
        (RSS.format(items="<item><title>naïve café</title></item>").encode(), "text/xml"),
        (RSS.format(items="<item><title>naïve café</title></item>").encode(), "text/xml; charset=us-ascii"),
        (RSS.format(items="<item><title>naïve café</title></item>").encode(), "text/html; charset=no-such-thing"),
        (RSS.format(items="<item><title>naïve café</title></item>").replace("utf-8", "utf-16").encode("utf-16"), ""),
        (RSS.format(items="<item><title>naïve café</title></item>").encode("utf-8-sig"), "application/rss+xml"),
        (json.dumps({"items": [{"title": "naïve café"}]}, ensure_ascii=False).encode("latin-1"), "application/json"),
        (json.dumps({"items": [{"title": "naïve café"}]}, ensure_ascii=False).encode("utf-16"), "application/json"),
        (json.dumps({"items": [{"title": "naïve café"}]}, ensure_ascii=False).encode("utf-8-sig"), "text/plain"),
    ],
)
def test_encodings_as_they_are_found(data: bytes, content_type: str) -> None:
    assert [each.title for each in read(data, content_type)] == ["naïve café"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("<!doctype html><title>Hello</title><p>Hi", "web page"),
        ("hello", "neither RSS"),
        ("<svg xmlns='http://www.w3.org/2000/svg'/>", "neither RSS"),
        ("{", "not valid JSON"),
        ("[1]", "no JSON Feed"),
        ('{"items": 5}', "no JSON Feed"),
        ("%PDF-1.7 \0\xff", "neither RSS"),
        ("<?xml version='1.0'?><opml version='2.0'><body/></opml>", "OPML"),
    ],
)
def test_what_is_no_feed_is_told(body: str, said: str) -> None:
    with pytest.raises(NotAFeed) as caught:
        read(body, "text/html")
    assert said in caught.value.message


def test_a_page_names_its_feed() -> None:
    page = """<html><head><LINK REL='stylesheet alternate' type=text/css href=/x.css>
    <link href="/comments.xml?a=1&amp;b=2" type="application/rss+xml" rel="alternate"></head>"""
    assert feeds.read_feed(page.encode(), "text/html", URL).elsewhere == "https://loaf.example/comments.xml?a=1&b=2"
    with pytest.raises(NotAFeed):
        read(page.replace("/comments.xml?a=1&amp;b=2", "javascript:x"))


JAMES = "James Dempsey and the Breakpoints Benefit App Camp for Girls"


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the collection of real feeds")
@pytest.mark.parametrize(
    ("name", "title", "count", "first", "author"),
    [
        ("atp.rss", "Accidental Tech Podcast", 100, "311: Mutually Assured Destruction", "Marco Arment, ATP"),
        ("russcox.atom", "research!rsc", 19, "Transparent Logs for Skeptical Clients", "Russ Cox"),
        ("inessential.json", "inessential.com", 20, JAMES, "Brent Simmons"),
        ("allthis-partial.json", "And now it’s all this", 2, "Last thoughts on modifier keys", "Dr. Drang"),
    ],
)  # fmt: skip
def test_real_feeds(name: str, title: str, count: int, first: str, author: str) -> None:
    feed = read_feed((REAL / name).read_bytes(), "", "https://example.org/feed")
    assert (feed.title, len(feed.entries)) == (title, count)
    assert (feed.entries[0].title, feed.entries[0].author) == (first, author)
    for entry in feed.entries:
        assert entry.url.startswith("http")
        assert entry.published
        assert entry.description
        assert "<p" not in entry.description
        assert "&amp;" not in entry.description
