"""Captions in files of their own."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest

from cutaway_server.snippets.captions import Cue, sentences
from cutaway_server.snippets.subtitles import read_cues, unrolled

VTT = """WEBVTT
Kind: captions

STYLE
::cue { color: red }

NOTE a note

1
00:01.000 --> 00:02.500 align:start position:0%
<v Ann><i>Hello</i> there.

01:00:00.000 --> 01:00:01.000
One hour
on &amp; on
"""
SRT = """\ufeff1
00:00:01,000 --> 00:00:02,500
{\\an8}<i>Hello</i> there.

2
01:00:00,000 --> 01:00:01,000
One hour
on & on
""".replace("\n", "\r\n")
TTML = """<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml"><body><div>
<p begin="00:00:01.000" end="00:00:02.500"><span>Hello</span> there.</p>
<p begin="3600s" end="3601s">One hour<br/>on &amp; on</p></div></body></tt>"""
JSON3 = json.dumps(
    {
        "events": [
            {"tStartMs": 0, "dDurationMs": 5000, "id": 1},
            {"tStartMs": 1000, "dDurationMs": 1500, "segs": [{"utf8": "Hello"}, {"utf8": " there.", "tOffsetMs": 500}]},
            {"tStartMs": 2500, "aAppend": 1, "segs": [{"utf8": "\n"}]},
            {"tStartMs": 3_600_000, "dDurationMs": 1000, "segs": [{"utf8": "One hour\non & on"}]},
        ]
    }
)
SAID = [Cue(1.0, 2.5, "Hello there."), Cue(3600.0, 3601.0, "One hour on & on")]

# As YouTube sends what a machine heard: two lines, of which the first repeats, and steps of 10 ms between.
ROLLING = """WEBVTT

00:00:00.000 --> 00:00:02.000 align:start position:0%
BLANK
the<00:00:00.500><c> harbour</c><00:00:01.000><c> sleeps</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
the harbour sleeps
BLANK

00:00:02.010 --> 00:00:04.000 align:start position:0%
the harbour sleeps
under<00:00:02.500><c> heavy</c><00:00:03.000><c> snow</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
under heavy snow

00:00:04.010 --> 00:00:06.000 align:start position:0%
under heavy snow
snow<00:00:04.500><c> again</c>

00:00:06.000 --> 00:00:06.010 align:start position:0%
snow again
""".replace("BLANK", " ")


@pytest.mark.parametrize(
    ("text", "kind"), [(VTT, "vtt"), (SRT, "srt"), (TTML, "ttml"), (TTML, "dfxp"), (JSON3, "json3")]
)
def test_each_kind_says_the_same(text: str, kind: str) -> None:
    assert read_cues(text.encode(), kind) == SAID


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ('begin="01:00:00.250" end="01:00:01.500"', (3600.25, 3601.5)),
        ('begin="00:00:01:05" end="00:00:02:20"', (1.2, 2.8)),
        ('begin="500ms" dur="1.5s"', (0.5, 2.0)),
        ('begin="1s" end="9s" dur="2s"', (1.0, 3.0)),
        ('begin="10000000t" end="25000000t"', (1.0, 2.5)),
        ('begin="25f" end="1m"', (1.0, 60.0)),
        ('begin="1h" dur="2"', (3600.0, 3602.0)),
        ('begin="soon" end="2s"', None),
        ('begin="1s"', None),
        ('end="1s"', None),
    ],
)
def test_times_of_ttml(times: str, seconds: tuple[float, float] | None) -> None:
    told = 'xmlns:p="http://www.w3.org/ns/ttml#parameter" p:frameRate="25" p:tickRate="10000000"'
    cues = read_cues(
        f"<tt {told}><body><p {times}>A<span>ll <b>is</b></span><br/>well.</p></body></tt>".encode(), "ttml"
    )
    assert [cue.text for cue in cues] == ["All is well."] * (seconds is not None)
    assert [(cue.start, cue.end) for cue in cues] == [pytest.approx(seconds)] * (seconds is not None)


def test_a_style_that_is_not_there() -> None:
    styles = '<head><styling><style xml:id="a" style="missing" color="red"/></styling></head><body>'
    assert read_cues(TTML.replace("<body>", styles).encode(), "ttml") == SAID


def test_what_is_broken_off_is_read_so_far() -> None:
    assert read_cues(TTML.partition("One hour")[0].encode(), "ttml") == SAID[:1]


MANY = 1 << 20


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n" + MANY * "<", "vtt"),
        ("1\n00:00:01,000 --> 00:00:02,000\n" + MANY // 2 * "{\\", "srt"),
        (json.dumps({"events": [{"tStartMs": 0, "dDurationMs": 1, "segs": [{"utf8": MANY * "<"}]}]}), "json3"),
        ("<tt>" + MANY // 24 * '<p begin="1s" end="2s">a', "ttml"),
        ("".join(f"<a xmlns:n{n}='u{n}'>" for n in range(MANY // 24)), "ttml"),
    ],
)
def test_what_would_take_for_ever(data: str, kind: str) -> None:
    begun = time.process_time()
    read_cues(data.encode(), kind)
    assert time.process_time() - begun < 1.5


def test_a_block_without_a_time_is_left_out() -> None:
    assert read_cues(VTT.replace("<v Ann>", "\n<v Ann>").encode(), "vtt") == SAID[1:]


def test_captions_that_roll_are_said_once() -> None:
    cues = read_cues(ROLLING.encode(), "vtt")
    assert [cue.text for cue in cues] == ["the harbour sleeps", "under heavy snow", "snow again"]
    assert all(before.end <= after.start for before, after in pairwise(cues))
    (sentence,) = sentences(cues)
    assert sentence.text == "the harbour sleeps under heavy snow snow again"


def test_what_people_say_twice_stays() -> None:
    cues = [Cue(float(n), n + 0.9, text) for n, text in enumerate(["No.", "No.", "Never again.", "Yes.", "And you?"])]
    assert unrolled(cues) == cues


BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{10 * f"&{chr(97 + n)};"}">' for n in range(9)
)
FILE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("kind", ["vtt", "srt", "ttml", "json3"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"<html><title>no</title></html>",
        b"WEBVTT",
        b"#EXTM3U\nfile:///etc/passwd\n",
        b'{"events": [{"segs": 3}, 4, {"tStartMs": 1e999, "segs": [{"utf8": 5}]}]}',
        b"[" * 100_000,
        b'{"events": [{"tStartMs": 1' + b"0" * 400 + b', "dDurationMs": 5, "segs": [{"utf8": "late"}]}]}',
        f'{BOMB}]><tt><body><div><p begin="1s" end="2s">&j;</p></div></body></tt>'.encode(),
        f'{FILE}<tt><body><div><p begin="1s" end="2s">&a;</p></div></body></tt>'.encode(),
        b"00:00:09.000 --> 00:00:01.000\nbackwards\n",
    ],
)
def test_what_is_no_caption(data: bytes, kind: str) -> None:
    assert all("root:" not in cue.text and cue.end > cue.start for cue in read_cues(data, kind))
