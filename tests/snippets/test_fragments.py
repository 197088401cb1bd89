"""Lists of fragments against the fragments that are there, and files that are put into another container."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.snippets.boxes import Box, walk
from cutaway_server.snippets.container import OPTIONS
from cutaway_server.snippets.fragments import Fragments, listed_by, read_mfra
from cutaway_server.snippets.index import NotAVideo
from cutaway_server.snippets.reading import in_order
from cutaway_server.snippets.rewrite import rewrite
from snippets import film
from snippets.films import Films


def lists(data: bytes) -> list[Fragments]:
    def read(at: int, size: int) -> bytes:
        return data[at : at + size]

    found = [listed_by(read, box, len(data)) for box in walk(read) if box.kind == "sidx"]
    return [each for each in found if each] or read_mfra(read, len(data))


@pytest.mark.parametrize("name", ["sidx.mp4", "mfra.mp4"])
def test_a_list_names_the_fragments_that_are_there(films: Films, name: str) -> None:
    data = films.data(name)
    places = [box.position for box in walk(lambda at, size: data[at : at + size]) if box.kind == "moof"]
    with av.open(str(films[name])) as opened:
        video = opened.streams.video[0]
        base = Fraction(video.time_base or 1)
        keys = [
            (p.pos, p.pts) for p in opened.demux(video) if p.is_keyframe and p.pts is not None and p.pos is not None
        ]
        (listed,) = (each for each in lists(data) if each.track == video.id)
    assert [each.position for each in listed.fragments] == places
    for n, place in enumerate(places):
        time = next(pts for position, pts in keys if position > place)
        assert listed.seconds(listed.fragments[n].time, base) == pytest.approx(float(time * base))
    if listed.end is not None:
        assert listed.seconds(listed.end, base) == pytest.approx(film.FRAMES / film.RATE, abs=0.2)


@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from(["sidx", "mfra"]))
def test_damaged_lists_are_harmless(films: Films, seed: int, count: int, kind: str) -> None:
    data = bytearray(films.data(f"{kind}.mp4"))
    at = data.index(kind.encode())
    chance = random.Random(seed)
    for _ in range(count):
        data[chance.randrange(at + 4, min(at + 300, len(data)))] = chance.choice((0, 1, 127, 128, 255))
    for each in lists(bytes(data)):
        assert len(each.fragments) <= len(data)
        assert [f.time for f in each.fragments] == sorted(f.time for f in each.fragments)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_may_pretend_to_be_a_list(data: bytes, size: int) -> None:
    def read(at: int, length: int) -> bytes:
        return data[at : at + length]

    listed_by(read, Box("sidx", 0, size), len(data))
    read_mfra(lambda at, length: (data + b"\0\0\0\x10mfro" + bytes(4) + size.to_bytes(4, "big"))[at : at + length], 216)


def numbers(path: Path) -> tuple[list[int], list[float]]:
    shown = film.read_frames(path.read_bytes())
    return [frame.number for frame in shown], [frame.time for frame in shown]


def test_two_recordings_in_one_file_follow_each_other(films: Films, tmp_path: Path) -> None:
    joined = tmp_path / "joined.ts"
    joined.write_bytes(films.data("film.ts") * 2)
    shown, times = numbers(rewrite(joined, OPTIONS, tmp_path))
    single, _ = numbers(films["film.ts"])
    assert shown[: len(single)] == single
    assert len(shown) >= 2 * len(single) - 5
    assert all(0.03 < b - a < 0.2 for a, b in pairwise(times))


def test_a_recording_that_begins_anywhere(films: Films, tmp_path: Path) -> None:
    cut = tmp_path / "cut.ts"
    data = films.data("film.ts")
    cut.write_bytes(data[188 * 500 + 77 :])
    shown, _ = numbers(rewrite(cut, OPTIONS, tmp_path))
    assert shown == list(range(shown[0], shown[-1] + 1))
    assert shown[0] > 10
    assert shown[-1] == numbers(films["film.ts"])[0][-1]


def test_what_holds_no_video_is_told(tmp_path: Path, films: Films) -> None:
    noise = tmp_path / "noise.ts"
    noise.write_bytes(films.data("film.ts")[: 188 * 3])
    with pytest.raises(NotAVideo):
        rewrite(noise, OPTIONS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["noise.ts"]


def test_the_order_of_showing_with_pictures_that_are_not_shown() -> None:
    assert in_order([0, 2, 1, 3], 4) == [0, 2, 1, 3]
    assert in_order([0, 5, 4, 3], 6) == [1, 2, 0, 5, 4, 3]  # An open GOP begins.
    assert in_order([0, 1, 3, 4], 5) == [0, 1, 2, 3, 4]  # One is damaged.
    assert in_order([], 3) == [0, 1, 2]
    assert in_order([1, 2], 3) == [0, 1, 2]


@given(st.permutations(range(12)), st.integers(0, 12))
def test_each_picture_is_shown_once(order: list[int], given: int) -> None:
    assert sorted(in_order(order[:given], 12)) == list(range(12))
