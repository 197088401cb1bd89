"""Shot boundaries, on films whose cuts are known, and on pictures joined here with exact labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cutaway_server.snippets.shots import Shots, Transition
from snippets import film
from snippets.films import Films

WIDTH, HEIGHT, RATE = 128, 72, 25

Pictures = NDArray[np.float32]
"""Frames, luma only, and the tint of a shot as two more rows: count x (HEIGHT + 2) x WIDTH."""


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


# --- pictures made here ----------------------------------------------------------------------------------------------


def shot(seed: int, count: int, speed: float = 0.5) -> Pictures:
    """A random landscape under a camera that pans, with grain."""
    random = np.random.default_rng(seed)
    wide = 0.7 * texture(random, 40) + 0.3 * texture(random, 9)
    places = [round(speed * n) for n in range(count)]
    pictures = np.stack([wide[:, at : at + WIDTH] for at in places]) + random.normal(0, 1.5, (count, HEIGHT, WIDTH))
    tint = np.broadcast_to(random.uniform(100, 156, 2)[None, :, None], (count, 2, WIDTH))
    return np.concatenate((np.clip(pictures, 16, 235), tint), axis=1).astype(np.float32)


def texture(random: np.random.Generator, patch: int) -> NDArray[np.float64]:
    coarse = random.uniform(16, 235, (HEIGHT // patch + 2, 4 * WIDTH // patch + 2))
    y, x = np.arange(HEIGHT) / patch, np.arange(4 * WIDTH) / patch
    r, c = y.astype(int), x.astype(int)
    fy, fx = (y - r)[:, None], (x - c)[None]
    upper = coarse[r][:, c] * (1 - fx) + coarse[r][:, c + 1] * fx
    lower = coarse[r + 1][:, c] * (1 - fx) + coarse[r + 1][:, c + 1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy)


def plain(luma: float, count: int) -> Pictures:
    return np.concatenate((np.full((count, HEIGHT, WIDTH), luma), np.full((count, 2, WIDTH), 128)), 1, dtype=np.float32)


def mixed(one: Pictures, other: Pictures, share: float | Pictures) -> Pictures:
    return np.asarray(one * (1 - share) + other * share, np.float32)


def shares(count: int) -> Pictures:
    """From just after 0 to just before 1."""
    return (np.arange(1, count + 1, dtype=np.float32) / (count + 1))[:, None, None]


def dissolve(old: Pictures, new: Pictures) -> Pictures:
    return mixed(old, new, shares(len(old)))


def fade(luma: float) -> Callable[[Pictures, Pictures], Pictures]:
    def made(old: Pictures, new: Pictures) -> Pictures:
        half = len(old) // 2
        colour = plain(luma, half)
        out = mixed(old[:half], colour, shares(half))
        return np.concatenate((out, colour[:2], mixed(colour, new[-half:], shares(half)))).astype(np.float32)

    return made


def wipe(order: NDArray[np.float64]) -> Callable[[Pictures, Pictures], Pictures]:
    def made(old: Pictures, new: Pictures) -> Pictures:
        changed = (order[None] < shares(len(old))).astype(np.float32)
        changed[:, HEIGHT:] = shares(len(old))
        return mixed(old, new, changed)

    return made


_y, _x = np.mgrid[: HEIGHT + 2, :WIDTH]
GRADUAL = {
    "dissolve": dissolve,
    "fade black": fade(16),
    "fade white": fade(235),
    "wipe right": wipe(_x / WIDTH),
    "wipe left": wipe(1 - _x / WIDTH),
    "wipe down": wipe(_y / HEIGHT),
    "wipe from the middle": wipe(np.hypot(_x - WIDTH / 2, _y - HEIGHT / 2) / 76),
}


def seen(pictures: Pictures | Sequence[Pictures], rate: float = RATE) -> Shots:
    shots = Shots()
    for n, picture in enumerate(pictures):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        planes = picture[:HEIGHT], *(np.broadcast_to(row, (HEIGHT // 2, WIDTH // 2)) for row in picture[HEIGHT:, ::2])
        for plane, values in zip(frame.planes, planes, strict=True):
            padded = np.zeros((plane.height, plane.line_size), np.uint8)
            padded[:, : plane.width] = values.round()
            plane.update(padded)
        shots.add(frame, n / rate)
    return shots


def in_frames(transitions: Sequence[Transition], rate: float = RATE) -> list[tuple[int, int]]:
    return [(round(t.start * rate), round(t.end * rate)) for t in transitions]


def joined(kind: str, length: int, seeds: tuple[int, int], before: int = 40, after: int = 40) -> tuple[Pictures, int]:
    """Two shots, and the first frame of the second alone."""
    old, new = shot(seeds[0], before + length), shot(seeds[1], length + after)
    between = GRADUAL[kind](old[before:], new[:length])
    return np.concatenate((old[:before], between, new[length:])), before + len(between)


@pytest.mark.parametrize("seeds", [(1, 2), (3, 4)])
@pytest.mark.parametrize("length", [10, 20, 36])
@pytest.mark.parametrize("kind", GRADUAL)
def test_gradual_transitions_are_found_with_both_ends(kind: str, length: int, seeds: tuple[int, int]) -> None:
    pictures, end = joined(kind, length, seeds)
    shots = seen(pictures)
    found = in_frames(shots.transitions())
    assert len(found) == 1
    # The first and last mixed frames may hardly differ, the more the slower the transition.
    tolerance = 2 + length // 4
    assert abs(found[0][0] - 40) <= tolerance
    assert abs(found[0][1] - end) <= tolerance
    assert shots.boundaries() == [shots.transitions()[0].end]


@given(st.integers(1, 39), st.integers(0, 500))
@example(1, 0)
@example(39, 0)
@settings(max_examples=25, deadline=None)
def test_a_cut_is_found_wherever_it_is(position: int, seed: int) -> None:
    pictures = np.concatenate((shot(2 * seed, position), shot(2 * seed + 1, 40 - position)))
    assert in_frames(seen(pictures).transitions()) == [(position, position)]


@pytest.mark.parametrize("rate", [12.5, 24, 30, 50, 60, 120])
@pytest.mark.parametrize("cut", [37, 38])
def test_cuts_are_exact_at_any_frame_rate(rate: float, cut: int) -> None:
    pictures = np.concatenate((shot(5, cut, 15 / rate), shot(6, 40, 15 / rate)))
    assert in_frames(seen(pictures, rate).transitions(), rate) == [(cut, cut)]


def test_a_dissolve_at_60_frames_a_second() -> None:
    pictures, end = joined("dissolve", 40, (7, 8), 80, 80)
    [(start, found)] = in_frames(seen(pictures, 60).transitions(), 60)
    assert abs(start - 80) <= 4
    assert abs(found - end) <= 4


def flash(pictures: Pictures, random: np.random.Generator) -> Pictures:
    at, count = int(random.integers(5, 50)), int(random.integers(1, 4))
    return np.concatenate((pictures[:at], plain(232, count), pictures[at + count :]))


def photographers(pictures: Pictures, random: np.random.Generator) -> Pictures:
    result = pictures.copy()
    for at in (10, 22, 31, 48):
        for n, strength in enumerate((0.8, 0.5, 0.2)[: int(random.integers(1, 4))]):
            result[at + n] = mixed(pictures[at + n], plain(232, 1)[0], strength)
    return result


def black_frames(pictures: Pictures, random: np.random.Generator) -> Pictures:
    return np.concatenate((pictures[:30], plain(16, 2), pictures[32:]))


def flicker(pictures: Pictures, random: np.random.Generator) -> Pictures:
    result = pictures.copy()
    result[:, :HEIGHT] *= random.uniform(0.8, 1, (len(pictures), 1, 1))
    return result


def lamp(pictures: Pictures, random: np.random.Generator) -> Pictures:
    result = pictures.copy()
    gains = np.interp(np.arange(len(pictures)), (30, 30 + int(random.integers(1, 15))), (1, 0.5))
    result[:, :HEIGHT] = 16 + (result[:, :HEIGHT] - 16) * gains[:, None, None]
    return result


def explosion(pictures: Pictures, random: np.random.Generator) -> Pictures:
    ball = np.clip(1.6 - np.hypot(_y - 36, _x - random.uniform(40, 90)) / random.uniform(30, 60), 0, 1)
    strength = np.interp(np.arange(len(pictures)), (19, 19 + int(random.integers(2, 6)), 40), (0, 1, 0))
    return mixed(pictures, plain(230, len(pictures)), (strength[:, None, None] * ball).astype(np.float32))


def whip(pictures: Pictures, random: np.random.Generator) -> Pictures:
    """Faster and faster to the mirror image, and there slower and slower."""
    count = int(random.integers(6, 13))
    result = np.concatenate((pictures, pictures[:, :, ::-1]), axis=2)
    places = WIDTH * (1 - np.cos(np.pi * np.arange(count + 2) / (count + 1))) / 2
    for n in range(len(pictures)):
        k = int(np.clip(n - 25, 0, count + 1))
        blur = np.linspace(places[max(k - 1, 0)], places[k], 6 if 0 < k <= count else 1)
        result[n] = np.mean([np.roll(result[n], -round(at), 1) for at in blur], axis=0)
    return result[:, :, :WIDTH]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("disturbed", [flash, photographers, black_frames, flicker, lamp, explosion, whip])
def test_what_is_no_boundary(disturbed: Callable[..., Pictures], seed: int) -> None:
    shots = seen(disturbed(shot(seed + 20, 60), np.random.default_rng(seed)))
    assert shots.differences().max() > 0.03, "something happens"
    assert in_frames(shots.transitions()) == []


@given(st.integers(0, 1000), st.floats(0, 1.2))
@settings(max_examples=25, deadline=None)
def test_a_panning_camera_makes_no_boundary(seed: int, speed: float) -> None:
    """The picture may pass by within four seconds."""
    assert seen(shot(seed, 60, speed)).transitions() == []


def test_black_between_shots_is_a_part_of_the_transition() -> None:
    pictures = np.concatenate((shot(1, 30), plain(16, 20), shot(2, 30)))
    assert in_frames(seen(pictures).transitions()) == [(30, 50)]


def test_black_at_the_ends_is_a_shot() -> None:
    pictures = np.concatenate((plain(16, 20), shot(1, 30), plain(16, 20)))
    assert in_frames(seen(pictures).transitions()) == [(20, 20), (50, 50)]


@given(
    st.lists(st.tuples(st.sampled_from("abckwn"), st.integers(1, 12), st.booleans()), max_size=12),
    st.sampled_from([1, 12, 25, 60]),
)
@settings(max_examples=60, deadline=None)
def test_transitions_ascend_whatever_is_shown(parts: list[tuple[str, int, bool]], rate: int) -> None:
    """Shots, black, white and noise, cut and dissolved."""
    random = np.random.default_rng(len(parts))
    kinds: dict[str, Callable[[int], Pictures]] = {
        **{name: (lambda count, seed=seed: shot(seed, count)) for seed, name in enumerate("abc")},  # type: ignore[misc]
        "k": lambda count: plain(16, count),
        "w": lambda count: plain(235, count),
        "n": lambda count: random.uniform(16, 235, (count, HEIGHT + 2, WIDTH)).astype(np.float32),
    }
    pictures: list[Pictures] = []
    for kind, count, mix in parts:
        new = kinds[kind](count)
        if mix and pictures:
            new = mixed(np.broadcast_to(pictures[-1], new.shape), new, shares(count))
        pictures += list(new)
    shots = seen(pictures, rate)
    transitions = shots.transitions()
    times = [s.time for s in shots.signatures]
    assert all(t.start <= t.end and t.start in times and t.end in times for t in transitions)
    assert all(one.end <= other.start and one.end < other.end for one, other in pairwise(transitions))
    assert shots.boundaries() == sorted(t.end for t in transitions)
