"""Where one shot gives way to the next: hard cuts, fades through black or white, dissolves and wipes.

Comes in: frames as small fields, at 30 a second or fewer. Goes out: for each transition its first frame that is not the
old shot alone and its first frame that is the new shot alone; a hard cut has both in one. What changes light but not
the form of the picture (a photographer's flash, a lamp), what is soon as it was before (a flash, an explosion) and what
moves (a whip pan) is none.

A hard cut is a step much larger than its neighbours, the adaptive rule of Truong and Venkatesh (ACM TOMM 3(1), 2007,
section 3), in the fields and in their form: the fields without the mean and the contrast. A fade is a run of frames of
one colour with the slopes beside it. For dissolves and wipes, frames far apart are compared as in the twin comparison
of Zhang, Kankanhalli and Smoliar (Multimedia Systems 1, 1993), and the model of linear mixing (Hampapur, Jain and
Weymouth, 1995) is tested as betweenness: in a dissolve as in a wipe every field lies between what it was and what it
becomes, so the distances from a frame to both ends add up to that between the ends. Motion goes a longer way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Flags = NDArray[np.bool_]

NEIGHBOURS = 4
"""Frames on either side whose steps say how much the picture moves."""
OUTLIERS = 2
"""Steps among these that may be large: there is a flash beside the cut."""
LEAST_STEP = 0.07
LEAST_RATIO = 3.0
"""A cut's step in usual ones."""
LEAST_LEAD = 1.5
"""The same in the largest usual one."""
LEAST_SUDDENNESS = 1.4
"""A cut's step in the larger one beside it: explosions grow for some frames."""
LEAST_CUT_FORM = 0.2
"""Two shots differ at least as much in form."""
LEAST_CUT_SCORE = 0.6
FLASH_FRAMES = 3
RETURN_FRAMES = 30
"""Within so many frames an explosion is over."""
LEAST_STAY_CUT = 0.47
LEAST_STAY = 0.55
"""How far from the old shot the new one stays, as a share of the change."""
FADE_FRAMES = 50
FADE_RISE = 1.05
"""How much farther from its colour a fading picture is after four frames."""
LASTING_FRAMES = 5
"""When it is black for as long, the shot is over, whatever comes next."""
LENGTHS = (5, 7, 10, 14, 20, 28, 38, 48)
"""Frames from end to end of dissolves and wipes; each finds those a little shorter or longer, too."""
LONGEST_SECONDS = 2.5
STEADY_FRAMES = 8
MOST_UNSTEADY = 0.3
"""How much a shot may move before or after a transition, as a share of the change."""
MOST_EXCESS = 0.3
"""How much longer than straight the way over a frame in between may be."""
LEAST_FORM = 0.33
LEAST_CHANGE = 0.05
MOST_STEP = 0.5
"""The share of a gradual change that one step may have."""
MOST_DRIFT = 0.25
"""How far a shot may go on changing, or return, in the direction of the change, as a share of it."""
MOST_MOVED = 0.38
"""The same in any direction, for as long as the transition."""
DETOUR_FRAMES = 20
"""In so many frames, motion may double the way from one end to the other."""


@dataclass(frozen=True)
class Pictures:
    """Frames in display order, one row each."""

    fields: Matrix
    """Means of small fields of luma and chroma, 0 to 1."""
    form: Matrix
    """The same regardless of brightness and contrast, of the order of 1."""
    steps: NDArray[np.float64]
    """How much each differs from the one before, 0 to 1."""
    colour: NDArray[np.int8]
    """-1 where all is black, 1 where all is of another colour, else 0."""
    frame_seconds: float

    def __len__(self) -> int:
        return len(self.steps)


def find(pictures: Pictures) -> list[tuple[int, int]]:
    """All transitions, in order, as described above."""
    if len(pictures) < 2:
        return []
    taken = np.zeros(len(pictures), bool)
    found: list[tuple[int, int]] = []
    for search in (_fades, _cuts, _gradual):
        for start, end in search(pictures, taken):
            taken[start : end + 1] = True
            found.append((start, end))
    joined: list[tuple[int, int]] = []
    for start, end in sorted(found):
        # A title between two fades may have no frame that neither has touched.
        if joined and (start < joined[-1][1] or end == joined[-1][1]):
            start, end = joined[-1][0], max(joined.pop()[1], end)
        joined.append((start, end))
    return joined


# --- hard cuts -------------------------------------------------------------------------------------------------------


def _cuts(pictures: Pictures, taken: Flags) -> list[tuple[int, int]]:
    form = np.zeros(len(pictures))
    form[1:] = np.abs(np.diff(pictures.form, axis=0)).mean(1)
    jumps = [n for n in np.flatnonzero(pictures.steps >= LEAST_STEP).tolist() if _stands_out(pictures.steps, n)]
    new = [n for n in jumps if not taken[n] and _new_form(form, n)]
    return [(n, n) for n in new if sum(_returns(pictures, n - 1, n, jumps)) / 2 >= LEAST_STAY_CUT]


def _usual(steps: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The steps around one, ascending, without those that a flash could have made."""
    around = np.concatenate((steps[max(n - NEIGHBOURS, 1) : n], steps[n + 1 : n + 1 + NEIGHBOURS]))
    return np.sort(around)[: max(len(around) - OUTLIERS, 1)]


def _stands_out(steps: NDArray[np.float64], n: int) -> bool:
    usual = _usual(steps, n)
    return bool(len(usual) and steps[n] >= max(LEAST_RATIO * max(usual.mean(), 0.008), LEAST_LEAD * usual[-1]))


def _new_form(form: NDArray[np.float64], n: int) -> bool:
    """The form changes: clearly where little moves, much where much does."""
    beside = max(form[n - 1], form[n + 1] if n + 1 < len(form) else 0.0)
    return bool(
        form[n] >= max(LEAST_CUT_FORM, LEAST_SUDDENNESS * beside)
        and form[n] ** 2 >= LEAST_CUT_SCORE * _usual(form, n)[-1]
    )


def _returns(pictures: Pictures, before: int, after: int, jumps: Sequence[int]) -> tuple[float, float]:
    """How near it comes later to what was seen before a change, as shares of the change in form and in the fields.

    Or how near it was before to what is seen after.

    Not beyond the next and the last jump, unless these are so near that they may be the two sides of a flash: of three
    shots, the third may well show the same as the first.
    """
    low = max([before - RETURN_FRAMES, 0, *(n for n in jumps if n <= before - FLASH_FRAMES)])
    high = min([after + RETURN_FRAMES, len(pictures), *(n for n in jumps if n > after + FLASH_FRAMES)])
    shares = []
    for rows in (pictures.form, pictures.fields):
        earlier, later = rows[low : before + 1], rows[after:high]
        pairs = ((earlier[-1 - FLASH_FRAMES :], later), (earlier, later[: 1 + FLASH_FRAMES]))
        nearest = min(float(np.abs(a[:, None] - b[None]).mean(2).min()) for a, b in pairs)
        shares.append(nearest / max(_distance(rows, before, after), 1e-6))
    return shares[0], shares[1]


# --- fades -----------------------------------------------------------------------------------------------------------


def _fades(pictures: Pictures, _taken: Flags) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(pictures.colour, prepend=0, append=0))
    for first, stop in pairwise(edges.tolist()):
        colour = pictures.colour[first]
        if not colour or (first == 0 and stop == len(pictures)):
            continue
        start = _full(pictures, first, -1) + 1
        end = _full(pictures, stop - 1, 1)
        if first == 0:
            yield stop, end
        elif stop == len(pictures):
            yield start, first
        elif (colour < 0 and stop - first >= LASTING_FRAMES) or (
            _distance(pictures.form, start - 1, end) >= LEAST_CUT_FORM
            and _distance(pictures.fields, start - 1, end) >= LEAST_CHANGE
        ):
            yield start, end


def _full(pictures: Pictures, plain: int, way: int) -> int:
    """The first frame that shows a picture undimmed, from a frame of one colour at the end of its run."""
    stop = max(plain - FADE_FRAMES, -1) if way < 0 else min(plain + FADE_FRAMES, len(pictures))
    frames = np.arange(plain, stop, way)
    if len(frames) == 1:
        return plain
    rise = np.abs(pictures.fields[frames] - pictures.fields[plain]).mean(1)
    top = 1
    while top < len(rise) - 1 and rise[top] * FADE_RISE < rise[top + 1 : top + 5].max():
        top += 1
    level = float(np.median(rise[top : top + STEADY_FRAMES]))
    return int(frames[max(_ramp(rise[: top + STEADY_FRAMES] / max(level, 1e-6))[1], 1)])


# --- dissolves and wipes ---------------------------------------------------------------------------------------------


def _gradual(pictures: Pictures, taken: Flags) -> Iterator[tuple[int, int]]:
    taken = taken.copy()
    tried: list[tuple[int, int]] = []
    for old, new in _candidates(pictures, taken):
        if taken[old + 1 : new + 1].any() or any(4 * (abs(old - a) + abs(new - b)) <= new - old for a, b in tried):
            continue
        if len(tried) >= len(pictures) // 4:  # What is made to look like nothing but transitions costs no more.
            return
        tried.append((old, new))
        a, b = _ends(pictures, old, new)
        if _is_transition(pictures, a, b, taken):
            taken[min(old, a) + 1 : max(new, b) + 1] = True
            yield a + 1, b


def _candidates(pictures: Pictures, taken: Flags) -> list[tuple[int, int]]:
    """Pairs of frames with a change of form between them and little before and after, best first."""
    count = len(pictures)
    lengths = [n for n in LENGTHS if n * pictures.frame_seconds <= LONGEST_SECONDS and n < count - 2 * STEADY_FRAMES]
    if not lengths:
        return []
    form, fields = (_distances(rows, lengths[-1]) for rows in (pictures.form, pictures.fields))
    near = np.arange(1, STEADY_FRAMES + 1)[:, None]
    # From each frame that has as many on that side.
    after = np.median(form[near, np.arange(count - STEADY_FRAMES)], axis=0)
    before = np.median(form[near, np.arange(STEADY_FRAMES, count) - near], axis=0)
    passed = np.concatenate(([0], np.cumsum(taken)))
    rated = []
    for length in lengths:
        old = np.arange(STEADY_FRAMES, count - length - STEADY_FRAMES)
        change = np.maximum(form[length, old], 1e-6)
        whole = np.maximum(fields[length, old], 1e-6)
        unsteady = (before[old - STEADY_FRAMES] + after[old + length]) / 2 / change
        fits = (change >= LEAST_FORM) & (whole >= LEAST_CHANGE) & (unsteady <= MOST_UNSTEADY)
        fits &= passed[old + length + 1] == passed[old + 1]
        old, change, whole, unsteady = old[fits], change[fits], whole[fits], unsteady[fits]
        inner = np.arange(1, length)[:, None]
        excess = np.median((fields[inner, old] + fields[length - inner, old + inner]) / whole - 1, axis=0)
        steps = fields[1, old + np.arange(length)[:, None]].max(axis=0, initial=0)
        score = change * (1 - excess - 2 * unsteady) / np.cbrt(length)
        straight = (excess <= MOST_EXCESS) & (steps <= MOST_STEP * whole)
        rated += [(score[n], old[n], old[n] + length) for n in np.flatnonzero(straight)]
    return [(int(old), int(new)) for _, old, new in sorted(rated, reverse=True)]


def _distances(rows: Matrix, longest: int) -> Matrix:
    """How far frame n is from frame n + k, at [k, n]."""
    far = np.zeros((max(longest, STEADY_FRAMES) + 1, len(rows)), np.float32)
    for k in range(1, min(len(far), len(rows))):
        far[k, :-k] = np.abs(rows[k:] - rows[:-k]).mean(1)
    return far


def _ends(pictures: Pictures, old: int, new: int) -> tuple[int, int]:
    """The last frame of the old shot alone and the first of the new one, from frames near these."""
    for _ in range(2):
        low, high = max(old - STEADY_FRAMES, 0), new + STEADY_FRAMES + 1
        one = pictures.fields[max(old - 5, low) : old + 1].mean(0)
        way = pictures.fields[new : new + 6].mean(0) - one
        share = (pictures.fields[low:high] - one) @ way / max(float(way @ way), 1e-9)
        a, b = _ramp(share)
        # A wipe need not be straight; where the line leaves the flat parts too early or late, these decide.
        flat_old, flat_new = share[max(a - 5, 0) : a + 1], share[b : b + 6]
        while a < b - 2 and share[a + 1] <= max(_deviation(flat_old), 0.015):
            a += 1
        while b > a + 2 and share[b - 1] >= 1 - max(_deviation(flat_new), 0.015):
            b -= 1
        old, new = low + a, low + b
    return old, new


def _deviation(values: Matrix) -> float:
    return float(np.abs(values - np.median(values)).mean())


def _ramp(share: NDArray[np.floating]) -> tuple[int, int]:
    """Last index at 0 and first index at 1 of the line from 0 to 1 that is nearest to a curve."""
    at = np.arange(len(share))
    a, b = np.triu_indices(len(share), 1)
    lines = np.clip((at - a[:, None]) / (b - a)[:, None], 0, 1)
    best = int(np.abs(lines - np.clip(share, -0.1, 1.1)).sum(1).argmin())
    return int(a[best]), int(b[best])


def _is_transition(pictures: Pictures, old: int, new: int, taken: Flags) -> bool:
    """Whether the change is large, steady and straight, and the shots before and after do not go the same way."""
    length = new - old
    change, form = _distance(pictures.fields, old, new), _distance(pictures.form, old, new)
    if length < LENGTHS[0] - 1 or change < LEAST_CHANGE or form < LEAST_FORM:
        return False
    steps = np.abs(np.diff(pictures.fields[old : new + 1], axis=0)).mean(1) / change
    if steps.max() > MOST_STEP or steps.sum() > 1 + length / DETOUR_FRAMES:
        return False
    way = pictures.fields[new] - pictures.fields[old]
    moved = 0.0
    reach = max(length, STEADY_FRAMES)
    for end, beside in ((old, slice(max(old - reach, 0), old)), (new, slice(new + 1, new + 1 + reach))):
        forms, fields = pictures.form[beside], pictures.fields[beside]
        if not len(forms):
            return False
        scale = reach / len(forms)  # at the ends of the stretch, there is less time to move
        moved += float(np.median(np.abs(forms - pictures.form[end]).mean(1))) * scale / 2
        drift = (fields - pictures.fields[end]) @ way / float(way @ way)
        if abs(float(np.median(drift))) * scale > MOST_DRIFT:
            return False
    stay = min(_returns(pictures, old, new, np.flatnonzero(taken).tolist()))
    return moved <= MOST_MOVED * form and stay >= LEAST_STAY


def _distance(rows: Matrix, one: int, other: int) -> float:
    return float(np.abs(rows[one] - rows[other]).mean())
