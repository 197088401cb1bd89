"""Sources that are unusual in one way each, cut in this process."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest

from cutaway_server.snippets.bounds import Wish
from cutaway_server.snippets.clip import Clip, Order
from cutaway_server.snippets.cut import cut
from cutaway_server.snippets.media import Media
from snippets import film
from snippets.films import Films, open_here


def cut_at(media: Media, anchor: float, shortest: float, longest: float, folder: Path, height: int | None) -> Clip:
    wish = Wish(anchor, (shortest + longest) / 2, shortest, longest)
    order = Order(wish, max(anchor - longest, 0), min(anchor + longest, media.index.duration), lenient=True)
    return cut(media, order, max_height=height, max_bytes=32 << 20, scratch=folder)


@pytest.mark.parametrize("height", [None, 90], ids=["free", "encoded"])
@pytest.mark.parametrize("name", ["two_a_second.mp4", "seldom.mp4"])
def test_sound_beside_few_pictures(films: Films, name: str, height: int | None, tmp_path: Path) -> None:
    """Every beep is there, and when it should be: not with the frame before, nor only until the last frame."""
    beeps = [beep / film.RATE for beep in film.BEEPS]
    with open_here(films[name]) as media:
        for anchor in (5, 15, 25, 35, 45):
            clip = cut_at(media, anchor, 3, 6, tmp_path, height)
            heard = film.onsets(clip.data)
            length = clip.end - clip.start
            for at in [beep - clip.start for beep in beeps if 0.1 < beep - clip.start < length - 0.2]:
                assert min(abs(at - onset) for onset in heard) < 0.02, (clip.start, at, heard)


@pytest.mark.parametrize("name", ["film.mp4", "ntsc.mp4"])
@pytest.mark.parametrize("seconds", [3.0, 7.3, 10.0])
def test_one_length_only(films: Films, name: str, seconds: float, tmp_path: Path) -> None:
    """To half a frame, since no number of frames may be just as long."""
    with open_here(films[name]) as media:
        for anchor in (12, 30, 45):
            clip = cut_at(media, anchor, seconds, seconds, tmp_path, None)
            assert clip.end - clip.start == pytest.approx(seconds, abs=0.5001 / media.index.video.frames_per_second)


def test_wide_pixels_are_turned_with_their_picture(films: Films, tmp_path: Path) -> None:
    with open_here(films["squeezed_turned.mp4"]) as media:
        clip = cut_at(media, 7, 2, 6, tmp_path, 160)
    with av.open(io.BytesIO(clip.data)) as opened:
        video = opened.streams.video[0]
        shape = video.width * float(video.sample_aspect_ratio or 1) / video.height
    assert shape == pytest.approx(180 / 320 * 3 / 4, rel=0.03)


@pytest.mark.parametrize("name", ["ffv1.mkv", "qtrle.mov"])
def test_codecs_of_which_the_container_tells_more(films: Films, name: str, tmp_path: Path) -> None:
    with open_here(films[name]) as media:
        clip = cut_at(media, 2, 1, 3, tmp_path, None)
    numbers = [frame.number for frame in film.read_frames(clip.data)]
    first = round(clip.start * film.RATE)
    assert numbers == list(range(first, first + len(numbers)))


def test_sound_that_ends_early_is_not_looked_for(films: Films, tmp_path: Path) -> None:
    """No more of the file is read than without it, and the end of the file is not that of the window."""
    with open_here(films["brief_sound.mp4"]) as media:
        read: list[int] = []
        demux = media.container.demux

        def counted(*streams: av.stream.Stream) -> object:
            for packet in demux(*streams):
                read.append(packet.size)
                yield packet

        media.container = _Counting(media.container, counted)  # type: ignore[assignment]
        window = media.window(3, 7.0)
        assert not window.at_end
        assert len(read) < 2 * len(window.video)


class _Counting:
    """A container whose packets are counted."""

    def __init__(self, container: object, demux: object) -> None:
        self._container = container
        self.demux = demux

    def __getattr__(self, name: str) -> object:
        return getattr(self._container, name)
