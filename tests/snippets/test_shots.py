"""Shot boundaries, on films whose cuts are known."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from cutaway_server.snippets.shots import Shots
from snippets import film
from snippets.films import Films


def watch(path: Path) -> Shots:
    shots = Shots()
    with av.open(str(path)) as opened:
        for frame in opened.decode(video=0):
            assert frame.time is not None
            shots.add(frame, frame.time)
    return shots


@pytest.mark.parametrize("name", ["moov_last.mp4", "hevc.mp4", "ten_bit.mp4", "odd.webm"])
def test_cuts_are_found_to_the_frame(films: Films, name: str) -> None:
    shots = watch(films[name])
    found = [round((time - shots.signatures[0].time) * film.RATE) for time in shots.boundaries()]
    assert found == [cut for cut in film.CUTS if 0 < cut < 350]
    assert shots.still() < 0.05
    assert shots.black() == 0


def test_a_flash_is_no_shot(films: Films) -> None:
    shots = watch(films["flash.mp4"])
    assert shots.differences()[60] > 0.2, "there is a flash"
    assert shots.boundaries() == []


@pytest.mark.parametrize(("name", "still", "black"), [("black.mp4", 1, 1), ("still_silent.mp4", 1, 0)])
def test_still_and_black(films: Films, name: str, still: float, black: float) -> None:
    shots = watch(films[name])
    assert shots.boundaries() == []
    assert shots.still() == pytest.approx(still, abs=0.02)
    assert shots.black() == black


def test_no_frames_and_one_frame() -> None:
    assert Shots().boundaries() == []
    frame = av.VideoFrame(320, 180, "yuv420p")
    shots = Shots()
    shots.add(frame, 0.0)
    assert shots.boundaries() == []
    assert shots.between(1, 2).black() == 0
