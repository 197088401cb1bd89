"""When pictures are shown, by timestamps, timebases and edit lists, against a model; and lists that few files have."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from cutaway_server.snippets.bounds import Wish
from cutaway_server.snippets.clip import Clip, Declined, Order
from cutaway_server.snippets.cut import cut
from snippets import film
from snippets.films import Films, open_here
from snippets.surgery import Mp4, retime
from snippets.test_sources import FRAME

PICTURES = 40
"""In the film ``few.mp4``."""


@dataclass(frozen=True)
class Timeline:
    """What an edit list makes of a film: ticks per second of the track and of the movie, how long (ticks) each picture
    is shown, in how many movie ticks it begins, and the first and the last picture that are shown."""

    scale: int
    movie_scale: int
    lengths: list[int]
    later: int
    first: int
    last: int

    def shown(self) -> list[tuple[int, float]]:
        """The number of each picture that is shown, and when, in seconds."""
        times = [sum(self.lengths[:n]) for n in range(len(self.lengths))]
        begin = self.later / self.movie_scale
        return [(n, begin + (times[n] - times[self.first]) / self.scale) for n in range(self.first, self.last + 1)]

    def write(self, source: Path, path: Path) -> None:
        movie = Mp4.of(source)
        with av.open(str(source)) as opened:
            stamps = [p.pts for p in opened.demux(video=0) if p.size and p.pts is not None]
        order = {stamp: n for n, stamp in enumerate(sorted(stamps))}
        times = [sum(self.lengths[:n]) for n in range(len(self.lengths) + 1)]
        delay = retime(movie, self.scale, [times[order[stamp]] for stamp in stamps], times[-1])
        # It ends in the middle of the last picture.
        seconds = (times[self.last] - times[self.first] + self.lengths[self.last] / 2) / self.scale
        mvhd = movie.moov.find("mvhd")
        mvhd.data = mvhd.data[:12] + self.movie_scale.to_bytes(4, "big") + mvhd.data[16:]
        sound = [(round(1.6 * self.movie_scale), 1024)]
        parts = [(self.later, -1)] * bool(self.later)
        movie.set_edits("vide", [*parts, (round(seconds * self.movie_scale), times[self.first] + delay)])
        movie.set_edits("soun", sound)
        movie.save(path)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    scale = draw(st.sampled_from([600, 1000, 12_800, 30_000, 90_000]))
    lengths = draw(st.lists(st.integers(scale // 100, scale // 6), min_size=PICTURES, max_size=PICTURES))
    movie_scale = draw(st.sampled_from([600, 1000, 90_000]))
    first = draw(st.just(0) | st.integers(0, 25))
    last = draw(st.just(PICTURES - 1) | st.integers(first + 8, PICTURES - 1))
    return Timeline(scale, movie_scale, lengths, draw(st.just(0) | st.integers(1, 2 * movie_scale)), first, last)


@settings(max_examples=30, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.data())
def test_pictures_are_shown_when_the_list_says(films: Films, data: st.DataObject) -> None:
    timeline = data.draw(timelines())
    shown = timeline.shown()
    with TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        timeline.write(films["few.mp4"], path)
        with open_here(path) as media:
            long = media.index.duration
            anchor, length = data.draw(st.floats(0, long)), data.draw(st.floats(0.3, long))
            whole = data.draw(st.booleans())
            wish = Wish(long / 2, long, 0, long) if whole else Wish(anchor, length, length / 2, 2 * length)
            low, high = (0, long) if whole else (max(anchor - length, 0), anchor + length)
            height = data.draw(st.sampled_from([None, None, None, 90]))
            order = Order(wish, low, high, lenient=True, keep_whole=whole)
            try:
                clip = cut(media, order, max_height=height, max_bytes=1 << 24, scratch=Path(folder))
            except Declined:
                assume(False)
    check_clip(clip, shown, tolerance=1.5 / timeline.movie_scale + 1 / timeline.scale)
    if whole:
        numbers = [frame.number for frame in film.read_frames(clip.data)]
        assert numbers[0] - shown[0][0] <= 2, "or a keyframe within 20 ms"
        assert shown[-1][0] - numbers[-1] <= 8, "no more than the pictures that a copy cannot end with"


def test_long_and_short_frames_are_encoded_as_they_are(films: Films) -> None:
    """B-frames put the header's length, which goes by decoding times, two long frames off."""
    # fmt: off
    lengths = [
        147, 166, 34, 86, 20, 57, 87, 34, 147, 166, 83, 100, 84, 102, 11, 138, 100, 73, 154, 50, 11, 93, 78, 49, 37,
        101, 93, 152, 24, 10, 59, 115, 10, 44, 146, 152, 115, 160, 132, 103,
    ]
    # fmt: on
    timeline = Timeline(scale=1000, movie_scale=90_000, lengths=lengths, later=577, first=23, last=38)
    with TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        timeline.write(films["few.mp4"], path)
        with open_here(path) as media:
            order = Order(Wish(1.4, 0.89, 0.445, 1.78), 0.51, 2.29, lenient=True)
            clip = cut(media, order, max_height=None, max_bytes=1 << 24, scratch=Path(folder))
    check_clip(clip, timeline.shown(), tolerance=1.5 / timeline.movie_scale + 1 / timeline.scale)


def check_clip(clip: Clip, shown: list[tuple[int, float]], *, tolerance: float) -> None:
    """A clip has some of the pictures that are shown, all of a stretch, when they are shown."""
    frames = film.read_frames(clip.data)
    begin = min(
        (n for n, (number, _) in enumerate(shown) if number == frames[0].number),
        key=lambda n: abs(shown[n][1] - clip.start),
    )
    meant = shown[begin : begin + len(frames)]
    assert [frame.number for frame in frames] == [number for number, _ in meant]
    assert abs(clip.start - meant[0][1]) <= tolerance
    assert frames[0].time == 0
    for frame, (_, time) in zip(frames, meant, strict=True):
        assert abs(frame.time - (time - meant[0][1])) <= tolerance + 0.001
    if begin + len(frames) < len(shown):
        assert abs(clip.end - shown[begin + len(frames)][1]) <= tolerance


SECONDS = 24.0
"""Of ``last_moov.mp4`` that lists are made for."""
LISTS: dict[str, list[tuple[float, float | None]]] = {
    "later": [(2.0, None), (SECONDS, 0.0)],
    "middle": [(12.0, 5.32)],
    "end": [(9.2, 0.0)],
    "two parts": [(8.0, 2.4), (10.0, 12.52)],
    "two parts, turned": [(8.0, 12.52), (8.0, 2.4)],
    "again and again": [(6.0, 3.0), (6.0, 3.0), (6.0, 3.0)],
    "a gap": [(6.0, 3.0), (3.0, None), (6.0, 12.2)],
}


@pytest.mark.parametrize("height", [None, 90], ids=["copied", "encoded"])
@pytest.mark.parametrize("name", LISTS)
def test_lists_of_several_parts(films: Films, name: str, height: int | None, tmp_path: Path) -> None:
    """Each clip has what any player shows: nothing that the list hides, all in its time, sound and picture together."""
    movie = Mp4.of(films["last_moov.mp4"])
    for kind in ("vide", "soun"):
        movie.edit(kind, LISTS[name])
    path = tmp_path / "film.mp4"
    movie.save(path)
    with av.open(str(path)) as opened:
        origin = (opened.start_time or 0) / av.time_base
        frames = list(opened.decode(video=0))
    shown = [(film.read_number(frame), (frame.time or 0) - origin) for frame in frames]
    beeps = [at - origin for at in film.onsets(path.read_bytes())]
    long = shown[-1][1]
    made = 0
    with open_here(path) as media:
        for anchor in range(3, int(long) - 1, 3):
            order = Order(Wish(anchor, 3, 1.5, 5), max(anchor - 3, 0), anchor + 3, lenient=True)
            try:
                clip = cut(media, order, max_height=height, max_bytes=1 << 24, scratch=tmp_path)
            except Declined:  # Too near to the end of a part.
                continue
            made += 1
            check_clip(clip, shown, tolerance=0.003)
            heard = film.onsets(clip.data)
            for one, other in pairwise(at - clip.start for at in beeps):
                if one > 0.1 and other < clip.end - clip.start - 0.2:
                    assert min(abs(one - at) for at in heard) < FRAME
    assert made >= long / 6
