"""Real files of every kind, with the truth that was published with them; skipped where they are absent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import av
import pytest

from cutaway_server.snippets.check import top_boxes
from cutaway_server.snippets.shots import Shots
from snippets.film import frames_of
from snippets.watch import Watched

ENDS = {
    "awkward/audio_only_eac3_51.mp4": "sound but no video",
    "awkward/av1_hdr10_vertical.mp4": "snippets",
    "awkward/bad_keyframe_flags.mp4": "snippets",
    "awkward/black_silent_25s.mp4": "nothing",
    "awkward/d_bitflips.mp4": "snippets",
    "awkward/d_empty.mp4": "empty",
    "awkward/d_html_named.mp4": "no video on this page",
    "awkward/d_long_gop_60s.mp4": "snippets",
    "awkward/d_odd_321x181.webm": "snippets",
    "awkward/d_one_second.mp4": "snippets",
    "awkward/d_truncated_faststart.mp4": "snippets",
    "awkward/d_vfr_15_30.mp4": "snippets",
    "awkward/failing_audio.mp4": "snippets",
    "awkward/first_pts_10s.mp4": "snippets",
    "awkward/frag_51.mp4": "snippets",
    "awkward/h264_1080p_6min_lowbitrate.mp4": "nothing",
    "awkward/hevc_1080p.mp4": "snippets",
    "awkward/malformed_free_box.mp4": "not a video file",
    "awkward/mkv_chapters.mkv": "snippets",
    "awkward/mkv_srt.mkv": "snippets",
    "awkward/mp4_chapters.mp4": "snippets",
    "awkward/no_duration.webm": "nothing",
    "awkward/rot90_reflect.mp4": "snippets",
    "awkward/tiny_10x6.mp4": "snippets",
    "awkward/vfr_gaps.mp4": "snippets",
    "awkward/vp9_noaudio.webm": "snippets",
    "films/bikes.mp4": "snippets",
    "films/oc_scene_change.mov": "snippets",
    "films/psd_fades.mp4": "snippets",
    "films/sintel_trailer_truncated.webm": "snippets",
    "films/tos_battle_70s.webm": "snippets",
    "speech/jfk.flac": "not a video file|no video",
}
"""``snippets``, ``nothing`` (complete without one: all of it is black and silent), or words of the error."""


def existing(media: Path, name: str) -> Path:
    path = media / name
    if not path.exists():
        pytest.skip(f"{name} is absent")
    return path


@pytest.mark.parametrize("name", ENDS)
def test_each_ends_as_it_should(watched: Watched, media: Path, name: str) -> None:
    answer = watched.ask(existing(media, name), max_snippets=2, max_height=240)
    end = ENDS[name]
    if end not in ("snippets", "nothing"):
        assert re.search(end, answer.error), answer.error
        assert answer.seconds < 20
        return
    assert answer.complete, answer.error
    assert bool(answer.snippets) == (end == "snippets")
    for clip, (start, end_seconds) in zip(answer.clips, answer.spans, strict=True):
        boxes = top_boxes(clip)
        assert boxes.index("moov") < boxes.index("mdat")
        frames = frames_of(clip, ignore_editlist="1")
        assert frames[0].pts == 0
        assert frames[0].height <= 240
        shown = float(frames[-1].pts * frames[-1].time_base)
        assert 0 <= start < end_seconds
        assert -0.05 <= end_seconds - start - shown <= max(2.0, (end_seconds - start) / 4)


def shots_of(path: Path) -> Shots:
    shots = Shots()
    with av.open(str(path)) as opened:
        for frame in opened.decode(video=0):
            assert frame.time is not None
            shots.add(frame, frame.time)
    return shots


def test_shots_of_a_published_test(media: Path) -> None:
    truth = json.loads(existing(media, "films/bikes.cuts.json").read_text())
    shots = shots_of(existing(media, "films/bikes.mp4"))
    assert [round(t * truth["fps"]) for t in shots.boundaries()] == truth["shot_starts_frames"][1:]


def test_fades_of_a_published_test(media: Path) -> None:
    """It fades from black to white and back: through black at the published places, and white in between."""
    truth = json.loads(existing(media, "films/pyscenedetect.cuts.json").read_text())["psd_fades.mp4"]
    transitions = shots_of(existing(media, "films/psd_fades.mp4")).transitions()
    for black in truth["scene_start_frames_fade_to_black"][1:]:
        assert any(t.start < black / 25 < t.end for t in transitions)
    for white in truth["scene_start_frames_fade_to_white"][1:]:
        assert not any(t.start < white / 25 < t.end for t in transitions)


def test_a_published_cut_at_one_frame_a_second(media: Path) -> None:
    assert shots_of(existing(media, "films/oc_scene_change.mov")).boundaries() == pytest.approx([12.0], abs=0.01)


def test_a_truncated_film_is_shown_until_there(watched: Watched, media: Path) -> None:
    """Its header says 52.66 s; there are 27.2."""
    answer = watched.ask(existing(media, "films/sintel_trailer_truncated.webm"), max_snippets=2, max_height=240)
    assert answer.snippets
    assert all(end <= 27.5 for _, end in answer.spans)
