"""Files of articles and lists of subscriptions: what is understood, what is told, and that nothing breaks it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from pathlib import Path
from xml.sax.saxutils import quoteattr

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.search.articles.dates import iso_date
from cutaway_server.search.articles.entry import Entry
from cutaway_server.search.articles.opml import NotOPML, Outline, looks_like_opml, read_opml
from cutaway_server.search.articles.rows import MAX_LINE_BYTES, NotRows, Rows, export_line
from cutaway_server.search.articles.samples import samples

REAL = Path(__file__).resolve().parents[4] / "shared" / "media" / "articles"


def read(data: bytes | str) -> tuple[list[Entry], list[tuple[int, str]], Rows]:
    """The articles, the complaints, and the reader."""
    complaints: list[tuple[int, str]] = []
    rows = Rows(io.BytesIO(data.encode() if isinstance(data, str) else data), lambda *told: complaints.append(told))
    return list(rows), complaints, rows


def test_json_lines_with_the_names_of_an_item() -> None:
    line = {
        "id": "1",
        "title": "A &amp; b",
        "author": "Ann",
        "date": "2026-03-02T10:00:00Z",
        "type": "article",
        "description": "<p>One</p><p>Two</p>",
        "image": "https://x.example/i.png",
        "comments": 3,
        "likes": "1,200",
        "emojis": ["🍞"],
        "hasVideo": True,
        "url": "https://www.x.example/a/",
    }
    (entry,), complaints, rows = read(json.dumps(line))
    assert entry == Entry(
        key="x.example/a",
        title="A & b",
        author="Ann",
        published=1772445600,
        description="One\nTwo",
        image="https://x.example/i.png",
        url="https://www.x.example/a/",
        comments=3,
        likes=1200,
        emojis=("🍞",),
        has_video=True,
    )
    assert not complaints
    assert not rows.ignored


def test_csv_with_other_names() -> None:
    text = "id,Title,url,num_points,num_comments,author,created_at,nonsense\n"
    text += '7,"Bread, again",http://x.example/7,18,2,al,5/28/2016 19:51,?\n8,"Two\nlines",,,,,,\n'
    (first, second), complaints, rows = read(text)
    assert (first.title, first.likes, first.comments, first.author) == ("Bread, again", 18, 2, "al")
    assert iso_date(first.published) == "2016-05-28T19:51:00Z"
    assert (second.title, second.published, second.url) == ("Two lines", None, "")
    assert rows.understood["likes"] == "num_points"
    assert rows.understood["published"] == "created_at"
    assert list(rows.ignored) == ["nonsense"]
    assert not complaints


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_csv_as_programs_write_it(delimiter: str, encoding: str) -> None:
    text = f"headline{delimiter}summary\r\nCafé{delimiter}“Good”\r\n"
    (entry,), _, _ = read(text.encode(encoding))
    assert (entry.title, entry.description) == ("Café", "“Good”")


def test_bad_lines_are_told_by_number_and_skipped() -> None:
    too_long = '{"title": "' + "x" * MAX_LINE_BYTES + '"}'
    lines = ['{"title": "1"}', "nonsense", "", '["title"]', '{"url": "https://x.example/"}', too_long]
    lines += ["[" * 100_000, '{"title": 5, "likes": [1, 2], "date": {}, "author": [{"name": "A"}, "B"]}']
    found, complaints, _ = read("\n".join(lines))
    assert [each.title for each in found] == ["1", "5"]
    assert (found[1].likes, found[1].author) == (2, "A, B")
    assert [number for number, _ in complaints] == [2, 4, 5, 6, 7]
    assert complaints[3][1] == "longer than 1 MiB"


def test_bad_rows_are_told_and_skipped() -> None:
    found, complaints, _ = read(
        'title,url\nOne,\n,https://x.example\na,b,c\n"' + ("x" * 600_000 + "\n") * 3 + "Three,\n"
    )
    assert [each.title for each in found][:1] == ["One"]
    assert found[-1].title == "Three"
    assert [number for number, _ in complaints][:2] == [3, 4]
    assert any("does not end" in problem for _, problem in complaints)


def test_a_quote_that_does_not_end_is_told() -> None:
    found, complaints, _ = read('title,url\nOne,\n"Two,\n' + "Three,\n" * 10)
    assert [each.title for each in found] == ["One"]
    assert complaints == [(3, "a quote that does not end")]
    assert [each.title for each in read('title,url\nOne,\n"Two\nhalves","a"')[0]] == ["One", "Two halves"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ('[{"title": "a"}]', "one object per line"),
        ("<rss>", "cutaway articles add"),
        ("a,b\n1,2\n", "no column for a title"),
        ("title".encode("utf-16"), "UTF-16"),
        ("title".encode("utf-16-le"), "UTF-16"),
        ("title,url\rA,https://x.example\rB,\r", "old Macs"),
        ('{\n  "title": "a"\n}', "jq -c"),
        (gzip.compress(b"title"), "unpack it"),
        (b"\x89PNG\r\n\x1a\n\0\0", "no column for a title"),
    ],
)
def test_what_is_neither_is_told(data: bytes | str, said: str) -> None:
    with pytest.raises(NotRows, match=said):
        read(data)


def test_an_empty_file_holds_nothing() -> None:
    assert read("") == ([], [], read("")[2]) or read("")[0] == []
    assert read(b"\n \n")[0] == []


def test_ids_of_two_files_do_not_meet() -> None:
    (one,), (other,) = read('{"id": 1, "title": "A"}')[0], read('{"id": 1, "title": "B"}')[0]
    assert one.key != other.key
    assert one.key == read("id,title,likes\n1,A,5\n")[0][0].key


WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
TEXTS = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)
ENTRIES = st.builds(
    Entry,
    key=TEXTS,
    title=TEXTS,
    author=WORDS,
    published=st.none() | st.integers(10**5, 1_790_000_000),
    description=TEXTS,
    url=st.sampled_from(["", "https://x.example/a?b=1"]),
    image=st.sampled_from(["", "https://x.example/a.png"]),
    comments=st.integers(0, 10**6),
    likes=st.integers(0, 10**6),
    emojis=st.lists(st.sampled_from("🍞🥖"), max_size=2).map(tuple),
    has_video=st.booleans(),
)


def is_plain(entry: Entry) -> bool:
    """Whether nothing in it can be taken for markup."""
    return entry.title != entry.description and not set("<&") & set(entry.title + entry.description)


@given(st.lists(ENTRIES.filter(is_plain), max_size=5))
def test_what_is_exported_is_imported(entries: list[Entry]) -> None:
    found, complaints, _ = read(b"\n".join(export_line(each, n) for n, each in enumerate(entries, 1)))
    assert found == entries
    assert not complaints


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_no_bytes_break_it(data: bytes) -> None:
    for before in (b"", b'{"title": "a"}\n', b"title,date,likes\n"):
        try:
            found, _, _ = read(before + data)
        except NotRows:
            continue
        assert all(each.title and each.key for each in found)


@given(st.lists(st.tuples(TEXTS, st.integers(0, 999)), max_size=6))
def test_csv_survives_being_written(rows: list[tuple[str, int]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("title", "likes"), *rows])
    found, _, _ = read(out.getvalue())
    plain = [(title, likes) for title, likes in rows if not set("<&") & set(title)]
    assert [(each.title, each.likes) for each in found if not set("<&") & set(each.title)][: len(plain)] == plain


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the collection of real articles")
def test_a_real_dump_is_understood() -> None:
    began = time.monotonic()
    found, complaints, rows = read((REAL / "hn" / "hacker_news_2016.csv").read_bytes())
    assert len(found) == 20_000
    assert not complaints
    assert not rows.ignored
    assert all(each.published for each in found)
    assert sum(each.has_video for each in found) > 100
    assert time.monotonic() - began < 10
    found, complaints, rows = read((REAL / "cranfield" / "docs.jsonl").read_bytes())
    assert len(found) == len({each.key for each in found}) == 1398
    assert len(complaints) == 2


# --- OPML ---------------------------------------------------------------------------------------------------

NESTED = """<?xml version="1.0"?><opml version="2.0"><head><title>Mine</title></head><body>
<outline text="Bread"><outline text="Loaf &amp; crumb" type="rss" xmlUrl="https://loaf.example/feed"/>
<outline text="Rye"><outline title="Rye daily" text="x" xmlurl="http://rye.example/feed/" htmlUrl="http://rye.example/"/></outline>
</outline><outline text="Again" xmlUrl="http://www.loaf.example/feed/"/><outline text="No feed" htmlUrl="http://a.example"/>
<outline text="Bad" xmlUrl="file:///etc/passwd"/></body></opml>"""


def test_nested_outlines() -> None:
    assert looks_like_opml(NESTED.encode())
    assert read_opml(NESTED.encode()) == [
        Outline("https://loaf.example/feed", "Loaf & crumb"),
        Outline("http://rye.example/feed/", "Rye daily"),
    ]
    assert read_opml(NESTED.replace('version="1.0"', 'version="1.0" encoding="utf-16"').encode("utf-16"))


BOMB = '<!DOCTYPE opml [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "broken"),
        ("<opml><body>", "broken"),
        ("<rss/>", "no list"),
        ("<opml><body><outline text='a'/></body></opml>", "holds no feed"),
        (f"{BOMB}<opml><body><outline xmlUrl='https://x.example/&b;'/></body></opml>", "forbidden"),
        ("<opml>" + "<outline>" * 100_000, "inside of one another"),
    ],
)
def test_what_is_no_list_is_told(text: str, said: str) -> None:
    with pytest.raises(NotOPML, match=said):
        read_opml(text.encode())


FEEDS = st.tuples(st.from_regex(r"https?://[a-z]{1,9}\.example/[a-z0-9]{0,9}", fullmatch=True), TEXTS)


def name_of(feed: tuple[str, str]) -> str:
    """What makes a feed's address another one."""
    return feed[0].partition("://")[2].rstrip("/")


@given(st.lists(FEEDS, min_size=1, max_size=6, unique_by=name_of), st.integers(0, 5))
def test_lists_survive_being_written(feeds: list[tuple[str, str]], depth: int) -> None:
    outlines = "".join(f"<outline text={quoteattr(title)} xmlUrl={quoteattr(url)}/>" for url, title in feeds)
    nested = "<outline text='x'>" * depth + outlines + "</outline>" * depth
    assert read_opml(f"<opml><body>{nested}</body></opml>".encode()) == [Outline(url, title) for url, title in feeds]


@given(st.binary(max_size=300))
def test_no_bytes_break_a_list(data: bytes) -> None:
    for each in (data, b"<opml>" + data, NESTED.encode()[: len(data)] + data):
        try:
            assert read_opml(each)
        except NotOPML:
            continue


# --- samples ------------------------------------------------------------------------------------------------


def test_samples_are_articles_worth_reading() -> None:
    entries = samples()
    assert 48 <= len(entries) <= 60
    assert len({each.title for each in entries}) == len(entries)
    for each in entries:
        assert 60 <= len(each.description.split()) <= 150
        assert each.published is not None
        assert iso_date(each.published).startswith("2026-")
        assert each.url == "" or each.url.startswith("https://en.wikipedia.org/wiki/")
    assert sum(each.has_video for each in entries) > 5


@pytest.mark.parametrize(
    "topic",
    ["coffee", "space telescope", "bicycle", "bee", "machine learning|neural|language model", "video|H.264|streaming"],
)
def test_topics_have_several_samples(topic: str) -> None:
    words = topic.lower().split("|")
    about = [each for each in samples() if any(word in f"{each.title} {each.description}".lower() for word in words)]
    assert len(about) >= 4


def test_samples_can_be_imported() -> None:
    path = Path(__file__).resolve().parents[3] / "server/cutaway_server/search/articles/samples.jsonl"
    found, complaints, rows = read(path.read_bytes())
    assert [each.title for each in found] == [each.title for each in samples()]
    assert not complaints
    assert not rows.ignored
    assert msgspec.json.decode(path.read_bytes().splitlines()[0])["emojis"] == []
