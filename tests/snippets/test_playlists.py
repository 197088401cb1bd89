"""Properties of what reads playlists: what is written is read, and whatever else it is, the answer is a value or a
fault in words."""

from __future__ import annotations

import contextlib
import struct
from itertools import accumulate, pairwise
from urllib.parse import urljoin
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.snippets.streams import dash, hls
from cutaway_server.snippets.streams.hls import timestamp_offset
from cutaway_server.snippets.streams.naming import listed_by
from cutaway_server.snippets.streams.playlists import is_playlist
from cutaway_server.snippets.streams.segments import (
    MAX_NAMED_CHARACTERS,
    BadPlaylist,
    Choice,
    Part,
    Period,
    Segment,
    Track,
    absolute,
    choose,
    joined,
)
from cutaway_server.snippets.subtitles import read_cues

URL = "http://origin/a/b/list?token=1"
seconds = st.integers(1, 20_000).map(lambda n: n / 1000)


@given(st.lists(st.tuples(seconds, st.booleans(), st.booleans(), st.integers(1, 1 << 30)), min_size=1, max_size=40))
def test_hls_segments_are_read_as_written(rows: list[tuple[float, bool, bool, int]]) -> None:
    """(seconds, after a discontinuity?, in a byte range?, bytes)."""
    lines = ["#EXTM3U"]
    expected: list[tuple[float, float, int, Part]] = []
    time, run, place = 0.0, 0, 0
    for n, (length, broken, ranged, size) in enumerate(rows):
        run += broken and n > 0
        lines += ["#EXT-X-DISCONTINUITY"] * broken + [f"#EXTINF:{length},"]
        if ranged:
            # Without an offset a range follows the one before it, if that was of the same file.
            lines.append(f"#EXT-X-BYTERANGE:{size}" + ("" if n and rows[n - 1][2] else f"@{place}"))
            part = Part("http://origin/a/b/all.ts", place, place + size)
            place += size
        else:
            part = Part(f"http://origin/a/b/{n}.ts")
        lines.append("all.ts" if ranged else f"{n}.ts")
        expected.append((time, length, run, part))
        time += length
    found = hls.read_segments("\n".join([*lines, "#EXT-X-ENDLIST"]), URL)
    assert [(s.duration, s.run, s.part) for s in found] == [row[1:] for row in expected]
    assert [s.start for s in found] == pytest.approx([row[0] for row in expected])


@given(
    st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 5)), min_size=1, max_size=12),
    st.integers(0, 1 << 40),
    st.sampled_from([1, 1000, 90_000]),
    st.integers(0, 3600),
)
def test_dash_timelines_are_read_as_written(rows: list[tuple[int, int]], offset: int, scale: int, start: int) -> None:
    """(ticks, repetitions); the media begin at an offset that the manifest tells."""
    ticks = [length for length, again in rows for _ in range(again + 1)]
    times = list(accumulate(ticks, initial=offset))
    listed = "".join(
        f'<S {f"t={quoteattr(str(offset))}" if n == 0 else ""} d="{length}" r="{again}"/>'
        for n, (length, again) in enumerate(rows)
    )
    manifest = (
        f'<MPD type="static"><Period start="PT{start}S"><AdaptationSet contentType="video"><SegmentTemplate '
        f'timescale="{scale}" presentationTimeOffset="{offset}" media="$RepresentationID$/$Number%03d$-$Time$$$">'
        f'<SegmentTimeline>{listed}</SegmentTimeline></SegmentTemplate><Representation id="v"/></AdaptationSet>'
        "</Period></MPD>"
    )
    (period,) = dash.read(manifest.encode(), URL)
    found = period.pictures[0].segments
    assert [s.part.url for s in found] == [
        f"http://origin/a/b/v/{n:03d}-{time}$" for n, time in enumerate(times[:-1], 1)
    ]
    assert [s.start for s in found] == pytest.approx([start + (t - offset) / scale for t in times[:-1]], abs=1e-6)
    assert [s.duration for s in found] == pytest.approx([t / scale for t in ticks])
    assert {s.origin for s in found} == {offset / scale - start}


@given(st.lists(st.tuples(st.integers(1, 1 << 30), st.integers(1, 1 << 20)), min_size=1, max_size=30), st.booleans())
def test_sidx_boxes_are_read_as_written(rows: list[tuple[int, int]], wide: bool) -> None:
    """(bytes, ticks) of segments that begin at the box's end."""
    body = struct.pack(">B3xII", wide, 1, 1000) + struct.pack(">QQ" if wide else ">II", 500, 0)
    body += struct.pack(">HH", 0, len(rows)) + b"".join(
        struct.pack(">III", size, ticks, 1 << 31) for size, ticks in rows
    )
    box = struct.pack(">I4s", len(body) + 8, b"sidx") + body
    whole = Segment(10.0, 60.0, Part("http://origin/film.mp4"), run=3, origin=-10.0)
    found = listed_by(box, 700, whole)
    places = list(accumulate((size for size, _ in rows), initial=700 + len(box)))
    assert [(s.part.start, s.part.stop) for s in found] == list(pairwise(places))
    assert [s.duration for s in found] == pytest.approx([ticks / 1000 for _, ticks in rows])
    assert found[0].start == pytest.approx(10.5)
    assert found[0].init == Part("http://origin/film.mp4", 0, 700)


TAGS = ["INF:9,", "INF:-1", "-X-KEY:METHOD=AES-128", "-X-MAP:URI=x", "-X-BYTERANGE:9@", "-X-ENDLIST", "-X-GAP"]
TAGS += ["-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=x", "-X-MEDIA:TYPE=AUDIO", "-X-DISCONTINUITY"]
lines = st.one_of(st.sampled_from(TAGS).map(lambda tag: f"#EXT{tag}"), st.text(max_size=20), st.just("a.ts"))


@given(st.lists(lines, max_size=20))
def test_any_hls_is_a_value_or_a_fault(found: list[str]) -> None:
    text = "\n".join(["#EXTM3U", *found])
    assert is_playlist(text.encode("utf-8", "replace"))
    for read in hls.read, hls.read_segments:
        try:
            read(text, URL)
        except BadPlaylist as fault:
            assert fault.message.endswith(".")


numbers = st.sampled_from(["0", "1", "-1", "9" * 30, "1.5", "", "x", "PT1S", "PT9999999999999S"])
names = ["timescale", "duration", "startNumber", "presentationTimeOffset", "media", "indexRange"]
names += ["t", "d", "r", "start"]
attributes = st.dictionaries(st.sampled_from(names), numbers, max_size=4).map(
    lambda d: " ".join(f"{k}={quoteattr(v)}" for k, v in d.items())
)
kinds = st.sampled_from(["SegmentTemplate", "SegmentList", "SegmentBase"])


@given(kinds, attributes, attributes, attributes, attributes)
def test_any_dash_is_a_value_or_a_fault(kind: str, above: str, period: str, naming: str, row: str) -> None:
    manifest = (
        f'<MPD type="static" {above.replace("start=", "mediaPresentationDuration=")}><Period {period}>'
        f'<AdaptationSet contentType="video"><{kind} {naming}><SegmentTimeline><S {row}/></SegmentTimeline></{kind}>'
        "<Representation/></AdaptationSet></Period></MPD>"
    )
    assert is_playlist(manifest.encode())
    try:
        dash.read(manifest.encode(), URL)
    except BadPlaylist as fault:
        assert fault.message.endswith(".")


@given(st.binary(max_size=200).map(lambda data: struct.pack(">I4s", len(data) + 8, b"sidx") + data))
def test_any_sidx_is_a_value_or_a_fault(box: bytes) -> None:
    with contextlib.suppress(BadPlaylist):
        assert listed_by(box, 0, Segment(0.0, 1.0, Part("http://origin/film.mp4")))


@given(st.text(alphabet="ab/.~-?#:$%é", max_size=12))
def test_plain_names_are_joined_as_all_are(name: str) -> None:
    for base in (URL, "http://origin", "http://origin/", "http://origin/a/", "http://origin/a/b.mpd#c"):
        assert absolute(base, name) == urljoin(base, name)


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 10**5)), max_size=20), st.integers(0, 1 << 33))
def test_cues_are_read_as_written(cues: list[tuple[int, int]], stamp: int) -> None:
    def clock(ms: int) -> str:
        return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"

    head = f"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:10.000,MPEGTS:{stamp}\n\n"
    text = head + "".join(
        f"name\n{clock(a)} --> {clock(a + n)} line:0\n<b>{k}</b>\ntwo\n\n" for k, (a, n) in enumerate(cues)
    )
    found = read_cues(text.replace("\n", "\r\n").encode(), "vtt")
    assert [(round(c.start * 1000), round(c.end * 1000), c.text) for c in found] == [
        (a, a + n, f"{k} two") for k, (a, n) in sorted(enumerate(cues), key=lambda cue: (cue[1][0], sum(cue[1])))
    ]
    assert timestamp_offset(text) == pytest.approx(stamp / 90_000 - 10)


@given(st.text(alphabet="0123:.-> \nWEBVTTé<", max_size=200))
def test_any_captions_can_be_read(text: str) -> None:
    assert all(c.end > c.start for c in read_cues(text.encode(), "vtt"))


def track(height: int, bandwidth: int, codecs: str = "avc1.64001f", sound_group: str | None = None) -> Track:
    return Track(bandwidth=bandwidth, height=height, codecs=codecs, sound_group=sound_group)


REPRESENTATION = '<Representation id="{id}" bandwidth="9" width="640" height="360" codecs="avc1.640028"/>'


@pytest.mark.parametrize(
    ("base", "media", "id_", "words"),
    [
        ("", "$Number%099d$" * 2000, "1", "a URL longer"),
        ("", "$Number%099d$" * 100, "1", "a URL longer"),
        ("", "$RepresentationID$" * 400, "x" * 8000, "a URL longer"),
        ("", "$RepresentationID$", "x" * 10_000_000, "a URL longer"),
        ("a" * 200_000 + "/", "$Number$.m4s", "1", "a URL longer"),
        ("a" * 8000 + "/", "$Number$.m4s", "1", "come to more"),
    ],
)
def test_a_short_manifest_of_long_names(base: str, media: str, id_: str, words: str) -> None:
    naming = f'<SegmentTemplate duration="1" media="{media}" initialization="i"/>{REPRESENTATION.format(id=id_)}'
    group = f'<AdaptationSet mimeType="video/mp4">{naming}</AdaptationSet>'
    text = f'<MPD mediaPresentationDuration="PT50000S"><BaseURL>{base}</BaseURL><Period>{group}</Period></MPD>'
    with pytest.raises(BadPlaylist, match=words):
        dash.read(text.encode(), URL)


def test_a_short_playlist_of_long_names() -> None:
    rows = "#EXTINF:1,\ns.ts\n" * (MAX_NAMED_CHARACTERS // 8000 + 1)
    with pytest.raises(BadPlaylist, match="come to more"):
        hls.read_segments(f"#EXTM3U\n{rows}#EXT-X-ENDLIST\n", f"http://origin/{'a' * 8000}/list")
    with pytest.raises(BadPlaylist, match="a URL longer"):
        hls.read_segments(f"#EXTM3U\n#EXTINF:1,\n{'a' * 9000}\n#EXT-X-ENDLIST\n", URL)


@pytest.mark.parametrize("tag", ["KEY", "SESSION-KEY"])
def test_keys_for_many_segments(tag: str) -> None:
    def playlist(different: int, segments: int) -> str:
        rows = [f'#EXT-X-{tag}:METHOD=AES-128,URI="k{n % different}"\n#EXTINF:1,\n{n}.ts\n' for n in range(segments)]
        return "#EXTM3U\n" + "".join(rows) + "#EXT-X-ENDLIST\n"

    assert len(hls.read_segments(playlist(1000, 2000), URL)) == 2000
    assert len(hls.read_segments(playlist(1, 8000), URL)) == 8000
    with pytest.raises(BadPlaylist, match="names 8000 keys"):
        hls.read_segments(playlist(8000, 8000), URL)


def test_the_smallest_is_looked_at_and_the_best_up_to_720_cut() -> None:
    ladder = [track(1080, 6_000_000), track(720, 2_000_000), track(720, 3_000_000), track(240, 300_000)]
    choice = choose(Period((*ladder, track(720, 900_000, "hvc1.1.6.L93.B0"))))
    assert (choice.cut.height, choice.cut.bandwidth) == (720, 3_000_000)
    assert choice.look.height == 240


def test_what_is_larger_is_cut_where_there_is_nothing_else() -> None:
    assert choose(Period((track(2160, 9_000_000), track(1080, 6_000_000)))).cut.height == 1080
    assert choose(Period((track(480, 1, "hvc1.1"), track(1080, 2, "vp09.00")))).cut.height == 480


def test_sound_is_that_of_the_picture() -> None:
    sounds = (Track(group="low", bandwidth=1), Track(group="high", bandwidth=2), Track(group="high", default=True))
    choice = choose(Period((track(720, 9, sound_group="high"), track(240, 1, sound_group="low")), sounds))
    assert choice.sound is sounds[2]
    assert choose(Period((track(720, 9),), sounds)).sound is None


def test_periods_are_joined_in_order() -> None:
    def piece(run: int) -> Track:
        return Track((Segment(run * 10.0, 10.0, Part(f"http://origin/{run}"), run=run),))

    both = joined([Choice(piece(0), piece(0)), Choice(piece(1), piece(1), piece(1))])
    assert [s.run for s in both.cut.segments] == [0, 1]
    assert both.sound is not None
    assert [s.start for s in both.cut.between(5, 10)] == [0.0]
    assert [s.start for s in both.cut.between(5, 10.1)] == [0.0, 10.0]


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x18ftypisom", b"<html><MPD", b"# EXTM3U", b"\x1aE\xdf\xa3"])
def test_other_files_are_no_playlists(data: bytes) -> None:
    assert is_playlist(data) == data.startswith(b"<html><MPD")
