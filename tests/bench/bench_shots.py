"""Whether shot boundaries are found, to the frame: single shots joined by hard cuts, dissolves, fades and wipes.

Run it: ``python tests/bench/bench_shots.py [--quick] [--material DIR] [--films DIR]``. The films are edited here, so
every label is exact, and disturbed by flashes, whip pans, explosions and changes of light. Half of the shots are real
ones, if the folder of films has them (bbb_full_252p.mp4, tos_battle_70s.webm, sintel_trailer_truncated.webm); the other
half is drawn. The rules were tuned on other shots of the same films and other drawn ones (the part called tuning).

A hard cut is found by a boundary at most one frame away; a gradual transition by one from a frame before its first
mixed frame to a frame after its last, that is where the new shot begins by ``Shots.boundaries``. Further boundaries in
the same transition are false. Beside it is PySceneDetect's AdaptiveDetector as it comes, if it is installed. Exits with
1 when a goal is missed.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import av
import edited
import material
import numpy as np
from edited import Edited, Join
from report import Options, Row, main

from cutaway_server.snippets.shots import Shots, sign

LEAST_F1 = {"cuts": 0.97, "gradual": 0.75}
KINDS = {"cuts": ("cut",), "gradual": edited.GRADUAL}
SEEDS = range(20, 25)
MOST_COST = 2.0
"""Finding boundaries may cost as much again as the signatures do."""

try:
    import scenedetect
except ImportError:
    scenedetect = None


@dataclass
class Score:
    """What was found in some films."""

    right: int = 0
    false: int = 0
    missed: Counter[str] = field(default_factory=Counter)

    @property
    def precision(self) -> float:
        return self.right / max(self.right + self.false, 1)

    @property
    def recall(self) -> float:
        return self.right / max(self.right + self.missed.total(), 1)

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-9)

    def add(self, joins: Sequence[Join], found: Sequence[int]) -> None:
        """Count the boundaries (frames) found in one film."""
        left = list(joins)
        for boundary in found:
            hit = next((j for j in left if j.start - 1 <= boundary <= j.end + 1), None)
            if hit is None:
                self.false += 1
            else:
                self.right += 1
                left.remove(hit)
        self.missed.update(join.kind for join in left)


def watched(film: Edited) -> Shots:
    """All frames of a film."""
    shots = Shots()
    with av.open(str(film.path)) as opened:
        for number, frame in enumerate(opened.decode(video=0)):
            shots.add(frame, number / edited.RATE)
    return shots


def ours(film: Edited) -> list[int]:
    return [round(at * edited.RATE) for at in watched(film).boundaries()]


def theirs(film: Edited) -> list[int]:
    video = scenedetect.open_video(str(film.path))
    manager = scenedetect.SceneManager()
    manager.add_detector(scenedetect.AdaptiveDetector())
    manager.detect_scenes(video)
    return [start.frame_num for start, _ in manager.get_scene_list()][1:]


def scored(films: Sequence[Edited], find: Callable[[Edited], list[int]]) -> Score:
    score = Score()
    for film in films:
        score.add(film.joins, find(film))
    return score


def boundaries(options: Options) -> Iterator[Row]:
    """Edit films, find the boundaries, compare."""
    shots = {"drawn": edited.drawn_shots(np.random.default_rng(2), 16)}
    if options.films and (real := edited.real_shots(options.films, "quoted")):
        shots = {"real": real, **shots}
    else:
        print("no real shots: --films names no folder with the three films", file=sys.stderr)
    if scenedetect is None:
        print("no PySceneDetect to compare with: scenedetect is not installed", file=sys.stderr)
    else:
        logging.getLogger("pyscenedetect").setLevel(logging.ERROR)
    for source, pictures in shots.items():
        for name, kinds in KINDS.items():
            seeds = SEEDS[: options.count(len(SEEDS))]
            films = edited.films(options.material, f"{source}-{name}", pictures, kinds, seeds)
            score = scored(films, ours)
            other = scored(films, theirs) if scenedetect else None
            yield Row(
                f"{name} between {source} shots, F1",
                score.f1,
                "",
                other.f1 if other else None,
                "(AdaptiveDetector)",
                least=LEAST_F1[name],
                note=f"of {score.right + score.missed.total()}: precision {score.precision:.3f}, recall "
                f"{score.recall:.3f}" + (f" (theirs {other.precision:.3f}, {other.recall:.3f})" if other else ""),
            )
            if name == "gradual":
                yield from ends(source, films)
    yield cost(options)


def ends(source: str, films: Sequence[Edited]) -> Iterator[Row]:
    """How far the two ends of gradual transitions are off, where one was found."""
    errors: list[tuple[int, int]] = []
    for film in films:
        found = [(round(t.start * edited.RATE), round(t.end * edited.RATE)) for t in watched(film).transitions()]
        for join in film.joins:
            errors += [
                (abs(a - join.start), abs(b - join.end))
                for a, b in found
                if a < b and a <= join.end and b >= join.start
            ][:1]
    for name, off in zip(("beginnings", "ends"), zip(*errors, strict=True), strict=True):
        note = f"of {len(off)}; {np.mean([error <= 2 for error in off]):.0%} at most 2, 90 % at most"
        note += f" {np.quantile(off, 0.9):.0f}"
        yield Row(f"{name} of gradual between {source} shots, off by", statistics.median(off), "frames", note=note)


def cost(options: Options) -> Row:
    """Milliseconds for a frame of 1080p, without decoding."""
    with av.open(str(material.clip(options.material, "gop2"))) as film:
        frames = [frame for frame, _ in zip(film.decode(video=0), range(300), strict=False)]
    signing, finding = [], []
    for _ in range(options.count(7)):
        begin = time.perf_counter()
        signatures = [sign(frame, n / 25) for n, frame in enumerate(frames)]
        signing.append((time.perf_counter() - begin) / len(frames) * 1000)
        begin = time.perf_counter()
        Shots(signatures).boundaries()
        finding.append((time.perf_counter() - begin) / len(frames) * 1000)
    return Row(
        "shots of a 1080p frame",
        statistics.median(signing) + statistics.median(finding),
        "ms",
        statistics.median(signing),
        "(signature)",
        most_ratio=MOST_COST,
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, boundaries))
