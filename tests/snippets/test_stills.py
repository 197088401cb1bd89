"""What a model is shown of a video: pictures of the right times, small, upright, none of them twice."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.remote import RemoteFile
from cutaway_server.gemini.video import Still
from cutaway_server.snippets.annotated import Notes
from cutaway_server.snippets.captions import Cue
from cutaway_server.snippets.index import Index
from cutaway_server.snippets.sites import AnnotatedSource
from cutaway_server.snippets.source import FileSource
from cutaway_server.snippets.stills import LEAST_SPACING_SECONDS, LONG_SIDE, MOST_BYTES, Part, look, spread, told
from snippets import film
from snippets.films import SENTENCES, Films, open_here


def here(path: Path) -> tuple[FileSource, Index]:
    """A local copy, as workers get it."""
    with open_here(path) as media:
        index = media.index
    return FileSource(RemoteFile("", Pass("127.0.0.1", 9, ""), path.stat().st_size, local=path)), index


def stills(source: FileSource, index: Index, start: float, end: float, most: int) -> list[Still]:
    return list(look(source, index, Part(start, end, most)).stills)


def opened(still: Still) -> av.VideoFrame:
    assert still.jpeg.startswith(b"\xff\xd8")
    assert len(still.jpeg) <= MOST_BYTES
    with av.open(io.BytesIO(still.jpeg)) as picture:
        frame = next(picture.decode(video=0))
    assert max(frame.width, frame.height) <= LONG_SIDE
    return frame


@pytest.mark.parametrize(
    "name", ["film.mp4", "film.mkv", "moov_last.mp4", "sidx.mp4", "mfra.mp4", "vp9.webm", "hevc.mp4"]
)
def test_they_are_keyframes_of_their_times(films: Films, name: str) -> None:
    source, index = here(films[name])
    end = index.duration
    found = stills(source, index, 0.0, end, 8)
    assert 2 <= len(found) <= 8
    assert all(still.time in index.keyframe_times for still in found)
    times = [still.time for still in found]
    assert times == sorted(set(times))
    for still in found:
        # The index of some formats tells a decoding time, which is a frame or two before the picture's.
        assert film.read_number(opened(still)) / film.RATE == pytest.approx(still.time, abs=0.13)


def test_they_are_of_the_stretch_alone(films: Films) -> None:
    source, index = here(films["film.mp4"])
    found = stills(source, index, 20.0, 40.0, 50)
    assert 4 <= len(found) <= 20 / LEAST_SPACING_SECONDS + 1
    assert all(20 <= still.time < 40 for still in found)
    assert stills(source, index, 20.0, 20.5, 1) == [] or 20 <= stills(source, index, 20.0, 20.5, 1)[0].time < 20.5
    assert stills(source, index, 70.0, 80.0, 5) == []


def test_one_of_each_slide(films: Films) -> None:
    source, index = here(films["slides.mp4"])
    assert len(index.keyframe_times) >= 20
    found = stills(source, index, 0.0, index.duration, 64)
    assert [int(still.time // 20) for still in found] == list(range(6))


@pytest.mark.parametrize("name", ["slides.mp4", "film.mp4", "film.mkv"])
@pytest.mark.parametrize("count", [2, 5, 40])
def test_parts_are_together_what_the_whole_is(films: Films, name: str, count: int) -> None:
    """Of a slide that two parts have, too, there is one still."""
    source, index = here(films[name])
    whole = look(source, index, Part(0.0, index.duration, 12))
    parts = [look(source, index, Part(0.0, index.duration, 12, number=n, count=count)) for n in range(count)]
    assert whole.stills
    assert [still for part in parts for still in part.stills] == list(whole.stills)


def test_they_are_upright_with_square_pixels(films: Films) -> None:
    source, index = here(films["squeezed_turned.mp4"])
    frame = opened(stills(source, index, 0.0, 14.0, 1)[0])
    assert frame.width / frame.height == pytest.approx(180 / 320 * 3 / 4, rel=0.03)
    picture = film.luma_of(frame)
    # The blocks of the number, at the bottom of the film, are at a side of it when it is turned.
    assert np.abs(np.diff(picture.astype(int), axis=0)).max() > 80


@pytest.mark.parametrize("name", ["large.mp4", "heavy.mp4", "ten_bit.mp4", "hdr.mp4", "odd.webm", "tiny", "fields.mp4"])
def test_they_are_small(films: Films, name: str) -> None:
    source, index = here(films["half_second.mp4" if name == "tiny" else name])
    found = stills(source, index, 0.0, index.duration, 4)
    assert found
    for still in found:
        opened(still)


def test_what_is_said_comes_with_them(films: Films) -> None:
    source, index = here(films["said.mp4"])
    said = told(source, index, 0.0, 60.0)
    assert len(said) == 10
    assert said[1].text == "Every fishing boat stays home until the northern lights fade."
    assert (said[1].start, said[1].end) == (pytest.approx(5.0, abs=0.1), pytest.approx(10.8, abs=0.1))
    inside = told(source, index, 20.0, 30.0)
    assert [s.text for s in inside] == [
        "Her telescope finds a distant volcano.",
        "Volcanic ash paints the glacier black.",
    ]
    silent, index = here(films["film.mp4"])
    assert told(silent, index, 0.0, 60.0) == []


def test_what_a_page_says_comes_with_them(films: Films) -> None:
    source, index = here(films["film.mp4"])
    cues = tuple(Cue(*row) for row in SENTENCES)
    said = told(AnnotatedSource(source, Notes(cues=cues)), index, 0.0, 60.0)
    assert len(said) == 10


@given(
    st.lists(st.floats(0.04, 15), min_size=1, max_size=200), st.floats(0, 500), st.floats(0.1, 600), st.integers(1, 64)
)
def test_they_are_spread_evenly(gaps: list[float], start: float, length: float, most: int) -> None:
    times = np.cumsum(gaps) - gaps[0]
    chosen = spread(times, start, start + length, most)
    assert len(chosen) <= most
    assert chosen == sorted(set(chosen))
    assert all(start - 1e-5 <= times[key] < start + length for key in chosen)
    inside = times[(times >= start - 1e-6) & (times < start + length)]
    assert bool(chosen) == bool(len(inside))
    # Nowhere is it farther to a chosen one than there are keyframes, or than even spreading makes it.
    step = length / min(most, int(length / LEAST_SPACING_SECONDS) + 1)
    for time in inside:
        nearest = min(abs(time - times[key]) for key in chosen)
        assert nearest <= 1.5 * step + max(gaps) + 1e-6
