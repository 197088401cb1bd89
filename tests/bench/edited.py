"""Films edited from single shots, with exact labels: what shot boundaries are measured on.

Comes in: a folder of films from which known single shots are taken, and numbers for the chance. Goes out: short H.264
films in which these shots are joined by hard cuts, or by dissolves, fades and wipes of 8 to 40 frames, and disturbed by
what is no boundary: flashes, whip pans, explosions, changes of light. Shots drawn here, textures under a moving camera,
need no folder. That the real shots are single ones was told by no detector seeing anything in them at its lowest
threshold, and by eye.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from material import FFMPEG, made
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 320, 180, 25
LENGTHS = (8, 40)
"""Frames of a gradual transition."""
LEAST_PURE = 14
MOST_PURE = 60

Picture = NDArray[np.uint8]
"""A yuv420p frame: its three planes as one array of 3/2 HEIGHT x WIDTH."""
Shot = NDArray[np.uint8]
Random = np.random.Generator

REAL: dict[str, dict[str, tuple[tuple[int, int], ...]]] = {
    "tuning": {
        "bbb_full_252p.mp4": (
            *((290, 375), (383, 480), (1150, 1300), (1351, 1453), (1536, 1663), (1818, 1916), (2199, 2330)),
            *((2399, 2491), (2499, 2649), (2709, 2828), (3050, 3200), (3583, 3733), (3749, 3857), (4085, 4189)),
            *((5136, 5286), (5584, 5734), (5860, 6010)),
        ),
        "tos_battle_70s.webm": ((56, 118), (225, 305), (719, 784), (905, 983)),
    },
    "quoted": {
        "bbb_full_252p.mp4": (
            *((6393, 6485), (6493, 6620), (6838, 6988), (7245, 7322), (7405, 7497), (7774, 7862), (8164, 8309)),
            *((8442, 8525), (8548, 8698), (9153, 9303), (9598, 9699), (9896, 9984), (10473, 10571), (10683, 10833)),
            *((10883, 10996), (11354, 11504), (13947, 14097)),
        ),
        "tos_battle_70s.webm": ((162, 217), (313, 463), (991, 1123), (1300, 1341)),
        "sintel_trailer_truncated.webm": ((577, 617),),
    },
}
"""First frame of each single shot, and the frame after its last."""


@dataclass(frozen=True)
class Join:
    """A transition: its first mixed frame, and the first frame that shows the new shot alone (the same in a cut)."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Edited:
    """A film and all its shot boundaries."""

    path: Path
    joins: tuple[Join, ...]
    disturbed: tuple[Join, ...]
    """The shots, from first to last frame alone, in which there is something that is no boundary."""


# --- single shots ----------------------------------------------------------------------------------------------------


def real_shots(folder: Path, part: str) -> list[Shot]:
    """The single shots of one part of the films; empty when a film is absent."""
    shots: list[Shot] = []
    for name, spans in REAL[part].items():
        if not (folder / name).exists():
            return []
        shots += _shots_of(folder / name, spans)
    return shots


def _shots_of(path: Path, spans: Sequence[tuple[int, int]]) -> Iterator[Shot]:
    kept: list[list[Picture]] = [[] for _ in spans]
    with av.open(str(path)) as film:
        for number, frame in enumerate(film.decode(video=0)):
            for (first, end), pictures in zip(spans, kept, strict=True):
                if first <= number < end:
                    pictures.append(frame.reformat(WIDTH, HEIGHT, "yuv420p").to_ndarray())
            if number >= spans[-1][1]:
                break
    yield from (np.stack(pictures) for pictures in kept)


def drawn_shots(random: Random, count: int) -> list[Shot]:
    """Textures under a panning and zooming camera, with something that moves in front, and grain."""
    return [_drawn_shot(random) for _ in range(count)]


def _drawn_shot(random: Random, frames: int = 120) -> Shot:
    tall, wide = 2 * HEIGHT, 2 * WIDTH
    texture = np.stack([_texture(random, tall, wide, low, high) for low, high in _ranges(random)])
    thing = _texture(random, HEIGHT, WIDTH, 16, 235)
    zoom = 1 + random.uniform(0, 0.6) * np.linspace(0, 1, frames)[:: random.choice((-1, 1))]
    start, speed = random.uniform((0, 0), (40, 60)), random.uniform((0, 0), (0.7, 1.8)) * (random.random() < 0.7)
    place, step = random.uniform((0, 0), (HEIGHT, WIDTH)), random.uniform(-4, 4, 2)
    size = random.uniform(20, 60)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pictures = []
    for n in range(frames):
        rows = np.clip((start[0] + speed[0] * n + y[:, 0] * zoom[n]).astype(int), 0, tall - 1)
        columns = np.clip((start[1] + speed[1] * n + x[0] * zoom[n]).astype(int), 0, wide - 1)
        seen = texture[:, rows][:, :, columns]
        at = (place + step * n) % (HEIGHT + 2 * size, WIDTH + 2 * size) - size  # it comes back on the other side
        inside = np.hypot(y - at[0], x - at[1]) < size
        luma = np.where(inside, thing, seen[0]) + random.normal(0, 2, (HEIGHT, WIDTH))
        pictures.append(_picture(luma, seen[1, ::2, ::2], seen[2, ::2, ::2]))
    return np.stack(pictures)


def _ranges(random: Random) -> list[tuple[float, float]]:
    """Darkest and brightest value of luma and chroma."""
    low = random.uniform(16, 110)
    hues = random.uniform(95, 150, 2)
    return [(low, low + random.uniform(60, 125)), *((hue - 12, hue + 12) for hue in hues)]


def _texture(random: Random, tall: int, wide: int, low: float, high: float) -> NDArray[np.float32]:
    """Smooth noise of three sizes."""
    total = np.zeros((tall, wide), np.float32)
    for patch, share in ((90, 0.55), (30, 0.3), (8, 0.15)):
        coarse = random.random((tall // patch + 2, wide // patch + 2), np.float32)
        rows, columns = np.arange(tall) / patch, np.arange(wide) / patch
        r, c = rows.astype(int), columns.astype(int)
        fy, fx = (rows - r)[:, None], (columns - c)[None]
        upper = coarse[r][:, c] * (1 - fx) + coarse[r][:, c + 1] * fx
        lower = coarse[r + 1][:, c] * (1 - fx) + coarse[r + 1][:, c + 1] * fx
        total += share * (upper * (1 - fy) + lower * fy)
    return low + (high - low) * np.clip((total - 0.2) / 0.6, 0, 1)


def _picture(luma: NDArray[np.floating], u: NDArray[np.floating], v: NDArray[np.floating]) -> Picture:
    chroma = np.concatenate((u.ravel(), v.ravel())).reshape(-1, WIDTH)
    return np.clip(np.concatenate((luma, chroma)), 16, 240).astype(np.uint8)


def _planes(picture: Picture) -> list[NDArray[np.uint8]]:
    chroma = picture[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    return [picture[:HEIGHT], chroma[0], chroma[1]]


# --- transitions -----------------------------------------------------------------------------------------------------


def _mixed(one: Picture, other: Picture, share: float | NDArray[np.floating]) -> Picture:
    return np.asarray((one * (1 - share) + other * share).round(), np.uint8)


def _plain(luma: int) -> Picture:
    return _picture(np.full((HEIGHT, WIDTH), luma), np.full((HEIGHT // 2, WIDTH // 2), 128), np.full((90, 160), 128))


def _dissolve(old: Shot, new: Shot) -> list[Picture]:
    shares = np.arange(1, len(old) + 1) / (len(old) + 1)
    return [_mixed(a, b, share) for a, b, share in zip(old, new, shares, strict=True)]


def _fade(old: Shot, new: Shot, luma: int) -> list[Picture]:
    """Out, a few frames of one colour, in."""
    plain = _plain(luma)
    shares = np.abs(1 - 2 * np.arange(1, len(old) + 1) / (len(old) + 1))  # from one shot to nothing to the other
    shares = np.clip(1.1 * shares - 0.1, 0, 1)
    half = len(old) // 2
    shown = [*old[:half], *new[half:]]
    return [_mixed(plain, picture, share) for picture, share in zip(shown, shares, strict=True)]


def _wipe(old: Shot, new: Shot, order: NDArray[np.floating]) -> list[Picture]:
    """``order`` says when (0 to 1) a pixel changes."""
    pictures = []
    for n, (a, b) in enumerate(zip(old, new, strict=True), 1):
        changed = order < n / (len(old) + 1)
        chroma = changed[::2, ::2].ravel()
        mask = np.concatenate((changed, np.concatenate((chroma, chroma)).reshape(-1, WIDTH)))
        pictures.append(np.where(mask, b, a))
    return pictures


def _orders() -> dict[str, NDArray[np.floating]]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return {
        "wipe right": x / WIDTH,
        "wipe left": 1 - x / WIDTH,
        "wipe down": y / HEIGHT,
        "wipe clock": (np.arctan2(x - WIDTH / 2, HEIGHT / 2 - y) / (2 * np.pi)) % 1,
    }


def _gradual(kind: str, old: Shot, new: Shot) -> list[Picture]:
    if kind == "dissolve":
        return _dissolve(old, new)
    if kind.startswith("fade"):
        return _fade(old, new, 16 if kind == "fade black" else 235)
    return _wipe(old, new, _orders()[kind])


GRADUAL = ("dissolve", "fade black", "dissolve", "wipe right", "dissolve", "fade white", "wipe down", "wipe left")
GRADUAL += ("dissolve", "fade black", "wipe clock")


# --- what is no boundary ---------------------------------------------------------------------------------------------


def _flash(shot: Shot, random: Random) -> Shot:
    """One to three frames nearly white, or a photographer's flash that dies away in three."""
    shot = shot.copy()
    at = int(random.integers(8, len(shot) - 8))
    strengths = [0.9] * int(random.integers(1, 4)) if random.random() < 0.6 else [0.8, 0.45, 0.2]
    for n, strength in enumerate(strengths):
        shot[at + n] = _mixed(shot[at + n], _plain(235), strength)
    return shot


def _whip(shot: Shot, random: Random) -> Shot:
    """The camera swings to the picture's mirror image, blurred by its speed, and rests there."""
    frames = int(random.integers(6, 13))
    at = int(random.integers(8, len(shot) - 8 - frames))
    places = WIDTH * (1 - np.cos(np.pi * np.arange(frames + 2) / (frames + 1))) / 2
    pictures = []
    for n, picture in enumerate(shot):
        k = int(np.clip(n - at + 1, 0, frames + 1))
        blur = np.linspace(places[max(k - 1, 0)], places[k], 8) if 0 < k <= frames else places[k : k + 1]
        planes = []
        for plane in _planes(picture):
            around = np.concatenate((plane, plane[:, ::-1]), axis=1).astype(np.float32)
            scale = plane.shape[1] / WIDTH
            views = [np.roll(around, -round(place * scale), 1)[:, : plane.shape[1]] for place in blur]
            planes.append(np.mean(views, axis=0))
        pictures.append(_picture(planes[0], planes[1], planes[2]))
    return np.stack(pictures)


def _explosion(shot: Shot, random: Random) -> Shot:
    """A ball of fire that fills much of the picture within a few frames, and dies away."""
    shot = shot.copy()
    rise, fall = int(random.integers(2, 6)), int(random.integers(10, 20))
    at = int(random.integers(4, len(shot) - rise - fall - 4))
    centre, size = random.uniform((50, 80), (130, 240)), random.uniform(60, 150)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ball = np.clip(1.6 - np.hypot(y - centre[0], x - centre[1]) / size, 0, 1)
    mask = np.concatenate((ball, np.concatenate([ball[::2, ::2].ravel()] * 2).reshape(-1, WIDTH)))
    fire = _picture(np.full((HEIGHT, WIDTH), 225), np.full((90, 160), 95), np.full((90, 160), 160))
    for n in range(rise + fall):
        strength = min((n + 1) / rise, (rise + fall - n) / fall)
        shot[at + n] = _mixed(shot[at + n], fire, mask * strength)
    return shot


def _light(shot: Shot, random: Random) -> Shot:
    """The light goes down, within some frames, and stays so."""
    frames, at = int(random.integers(3, 20)), len(shot) // 3
    gains = np.interp(np.arange(len(shot)), (at, at + frames), (1, random.uniform(0.45, 0.7)))
    pictures = shot.astype(np.float32)
    pictures[:, :HEIGHT] = 16 + (pictures[:, :HEIGHT] - 16) * gains[:, None, None]
    pictures[:, HEIGHT:] = 128 + (pictures[:, HEIGHT:] - 128) * gains[:, None, None]
    return np.asarray(pictures.round(), np.uint8)


DISTRACTORS: tuple[tuple[str, Callable[[Shot, Random], Shot]], ...] = (
    ("flash", _flash),
    ("whip pan", _whip),
    ("flash", _flash),
    ("explosion", _explosion),
    ("change of light", _light),
)
_ROOM = 40
"""Frames that a distractor needs."""


# --- films -----------------------------------------------------------------------------------------------------------


def edit(shots: Sequence[Shot], random: Random, kinds: Sequence[str]) -> tuple[list[Picture], list[Join], list[Join]]:
    """Join the shots in a random order; two in three that are long enough are disturbed."""
    order = random.permutation(len(shots))
    lengths = [len(shots[n]) for n in order]
    joins: list[tuple[str, int]] = []
    for n in range(len(order) - 1):
        kind = kinds[n % len(kinds)]
        fits = (min(lengths[n], lengths[n + 1]) - LEAST_PURE) // 2
        joins.append((kind, 0 if kind == "cut" else min(int(random.integers(LENGTHS[0], LENGTHS[1] + 1)), fits)))
    pictures: list[Picture] = []
    labels: list[Join] = []
    disturbed: list[Join] = []
    tail: Shot | None = None
    for n, at in enumerate(order):
        lead = joins[n - 1][1] if n else 0
        trail = joins[n][1] if n < len(joins) else 0
        pure = min(lengths[n] - lead - trail, MOST_PURE)
        first = int(random.integers(0, lengths[n] - lead - trail - pure + 1))
        shot = shots[at][first : first + lead + pure + trail]
        if tail is not None:
            start = len(pictures)
            pictures += _gradual(joins[n - 1][0], tail, shot[:lead]) if lead else []
            labels.append(Join(joins[n - 1][0], start, len(pictures)))
        middle = shot[lead : lead + pure]
        if n % 3 and pure >= _ROOM:
            kind, disturb = DISTRACTORS[int(random.integers(len(DISTRACTORS)))]
            middle = disturb(middle, random)
            disturbed.append(Join(kind, len(pictures), len(pictures) + pure))
        pictures += list(middle)
        tail = shot[lead + pure :]
    return pictures, labels, disturbed


def films(folder: Path, name: str, shots: Sequence[Shot], kinds: Sequence[str], seeds: Sequence[int]) -> list[Edited]:
    """Films of all the shots, one for each seed, encoded as films are."""
    found = []
    for seed in seeds:
        pictures, joins, disturbed = edit(shots, np.random.default_rng(seed), kinds)
        path = folder / f"edited-{name}-{seed}.mp4"
        if not path.exists():
            with made(path) as partial:
                _encode(pictures, partial)
        found.append(Edited(path, tuple(joins), tuple(disturbed)))
    return found


def _encode(pictures: Sequence[Picture], path: Path) -> None:
    command = [
        *(FFMPEG, "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}"),
        *("-r", str(RATE), "-i", "-", "-c:v", "libx264", "-preset", "veryfast", "-crf", "25", "-f", "mp4", str(path)),
    ]
    subprocess.run(command, input=b"".join(p.tobytes() for p in pictures), check=True)
