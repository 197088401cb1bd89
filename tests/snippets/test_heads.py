"""Frame-exact beginnings of copies: a head encoded here, followed by the source's own packets."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.snippets.check import BadClip, check
from cutaway_server.snippets.h264 import ParameterSets, UnknownFormat, is_idr, nal_units
from cutaway_server.snippets.head import NoHead, encode_head, splices, with_head
from cutaway_server.snippets.remux import clean_ends, copy_packets
from cutaway_server.snippets.window import Window
from snippets import film
from snippets.films import Films, open_here
from snippets.test_sources import FRAME
from snippets.watch import Watched

FILMS = [
    *("heads.mp4", "heads.mkv", "heads_no_b.mp4", "heads_baseline.mp4", "heads_b.mp4", "heads_slices.mp4"),
    *("heads.avi", "heads_vfr.mp4", "heads_late.mp4", "heads_wide_ids.mp4"),
]


def head_clip(window: Window, start: int, path: Path) -> tuple[bytes, int]:
    """A clip that begins at a frame (ticks), and the number of packets that were encoded for it."""
    head = encode_head(window, start)
    window = with_head(window, head)
    kept, end = clean_ends(window.video, at_end=window.at_end)[-1]
    copy_packets(window, start, kept, end, path, sound=None, extradata=head.extradata)
    data = path.read_bytes()
    seconds = float((end - start) * window.video_base)
    check(data, seconds=seconds, frame_seconds=2 * FRAME, frames=kept, sound=False, decode="all")
    return data, len(head.samples)


@pytest.mark.parametrize("name", FILMS)
def test_a_clip_can_begin_at_any_frame(films: Films, name: str, tmp_path: Path) -> None:
    """From a frame after a keyframe, from the middle, and from the last frame before the next keyframe."""
    source = film.frames_of(films.data(name))
    numbers = [film.read_number(f) for f in source]
    original = film.packets(films.data(name), "video")
    with open_here(films[name]) as media:
        window = media.window(1, float(media.index.keyframe_times[1]) + 5.5)
        shown = sorted(s.pts for s in window.video)
        second = window.video[splices(window)[1]].pts
        before = [t for t in shown if t < second]
        for start in (before[1], before[len(before) // 2], before[-1]):
            clip, made = head_clip(window, start, tmp_path / "clip.mp4")
            frames = film.frames_of(clip)
            at = [n for n, f in enumerate(source) if f.key_frame][1] + shown.index(start)
            assert made == len([t for t in before if t >= start])
            assert [film.read_number(f) for f in frames] == numbers[at : at + len(frames)], "0 frames off, none missing"
            assert film.read_frames(clip, ignore_editlist="1")[0].time == 0
            gaps = [(b.pts - a.pts) * (a.time_base or 0) for a, b in pairwise(frames)]
            steps = [(b.pts - a.pts) * (a.time_base or 0) for a, b in pairwise(source[at:])]
            assert [round(float(g), 3) for g in gaps] == [round(float(s), 3) for s in steps[: len(gaps)]], "uniform"
            assert min(film.psnr(a, b) for a, b in zip(frames[:made], source[at:], strict=False)) >= 40
            copied = film.packets(clip, "video")[made:]
            where = original.index(copied[0])
            assert original[where : where + len(copied)] == copied, "the rest is the source's own"


def test_snippets_begin_with_shots_between_keyframes(watched: Watched, films: Films) -> None:
    """The first one does not wait for a head; the others begin where shots do, and are the source's own after it."""
    answer = watched.ask(films["unaligned.mp4"])
    assert answer.complete, answer.error
    assert len(answer.snippets) >= 4
    source = film.packets(films.data("unaligned.mp4"), "video")
    made = []
    for clip, (start, end) in zip(answer.clips, answer.spans, strict=True):
        own = [packet in source for packet in film.packets(clip, "video")]
        made.append(own.count(False))
        assert own == [False] * made[-1] + [True] * (len(own) - made[-1])
        assert len(own) == round((end - start) * 5)
        assert made[-1] < 35, "less than a GOP"
        assert not made[-1] or round(start * 5) % 60 == 0, "a head is only made for a shot"
    assert made[0] == 0
    assert sum(n > 0 for n in made) >= 2


def test_open_gops_have_no_splice(films: Films) -> None:
    """Their keyframes are no IDR pictures: what follows may refer to what was before."""
    with open_here(films["open_gop.mp4"]) as media:
        window = media.window(1, 8.0)
        assert sum(s.keyframe for s in window.video) > 2
        assert splices(window) == []
        with pytest.raises(NoHead):
            encode_head(window, window.video[3].pts)


def test_a_clash_of_parameter_sets_would_be_seen(films: Films, tmp_path: Path) -> None:
    """The check is no formality: with the source's parameter sets alone, the head cannot be decoded."""
    with open_here(films["heads.mp4"]) as media:
        window = media.window(1, float(media.index.keyframe_times[1]) + 5.0)
        start = sorted(s.pts for s in window.video)[10]
        head = encode_head(window, start)
        window = with_head(window, head)
        kept, end = clean_ends(window.video, at_end=False)[-1]
        path = tmp_path / "clip.mp4"
        copy_packets(window, start, kept, end, path, sound=None)
        seconds = float((end - start) * window.video_base)
        with pytest.raises(BadClip):
            check(path.read_bytes(), seconds=seconds, frame_seconds=FRAME, frames=kept, sound=False, decode="all")


# --- bytes -------------------------------------------------------------------------------------------------

units = st.binary(min_size=1, max_size=40).map(lambda b: bytes([b[0] & 0x7F]) + b[1:] + b"\x80")
sps = units.map(lambda b: b"\x67\x64\x00\x1e" + b)
pps = units.map(lambda b: b"\x68" + b)


@given(st.lists(sps, min_size=1, max_size=5), st.lists(pps, min_size=1, max_size=5), st.binary(max_size=4))
def test_extradata_round_trip(sequence: list[bytes], picture: list[bytes], tail: bytes) -> None:
    sets = ParameterSets(tuple(sequence), tuple(picture), 4, b"\x01\x64\x00\x1e\xff", tail)
    other = ParameterSets((b"\x67\x64\x00\x1e\x80",), (b"\x68\x80",), 0)
    joined = ParameterSets.parse(sets.joined(other))
    assert joined == ParameterSets(sets.sps + other.sps, sets.pps + other.pps, 4, sets.head, tail)


@given(st.binary(max_size=200))
def test_any_extradata_is_read_or_refused(data: bytes) -> None:
    try:
        sets = ParameterSets.parse(data)
    except UnknownFormat:
        return
    assert sets.sps and sets.pps


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.sampled_from([1, 2, 4]))
def test_nal_units_by_length(found: list[bytes], size: int) -> None:
    data = b"".join(len(u).to_bytes(size, "big") + u for u in found)
    assert list(nal_units(data, size)) == found


def test_idr_pictures_are_told_from_others(films: Films) -> None:
    packets = film.packets(films.data("heads.mp4"), "video")
    assert [n for n, p in enumerate(packets) if is_idr(p, 4)] == list(range(0, len(packets), 50))
