"""Whether the moments that matter are found: loud, moving highlights planted into hours in which little happens.

Run it: ``python tests/bench/bench_highlights.py [--quick] [--material DIR]``. Each video has 8 highlights of 8 to 15 s,
and decoys: loud but still, moving but silent, black. One is found when a snippet shows at least 3 s of it. The baseline
is what as many snippets of the same lengths find on average when they are spread evenly. Exits with 1 when a goal is
missed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Iterator, Sequence

import material
import numpy as np
from origin import Origin
from report import Options, Row, main
from running import Cutaway, stream

LEAST_RECALL = 0.75
OVERLAP_SECONDS = 3.0
PHASES = 500

Span = tuple[float, float]


def recall(highlights: Sequence[Span], snippets: Sequence[Span]) -> float:
    """The share of highlights of which some snippet shows enough."""
    found = sum(any(min(end, b) - max(start, a) >= OVERLAP_SECONDS for a, b in snippets) for start, end in highlights)
    return found / len(highlights)


def uniform_recall(highlights: Sequence[Span], lengths: Sequence[float], seconds: float) -> float:
    """The mean recall of evenly spread snippets over all phases."""
    step = seconds / len(lengths)
    phases = np.linspace(0, step, PHASES, endpoint=False)
    spread = [[(n * step + phase, n * step + phase + length) for n, length in enumerate(lengths)] for phase in phases]
    return statistics.mean(recall(highlights, snippets) for snippets in spread)


def highlights(options: Options) -> Iterator[Row]:
    """Ask for as many snippets as there are highlights."""
    recalls, baselines, jobs = [], [], []
    with Cutaway() as server, Origin(options.material) as origin:
        for seed in material.SEEDS[: options.count(len(material.SEEDS))]:
            film = material.planted(options.material, seed)
            answer = asyncio.run(stream(server, origin.url(film.path.name), max_snippets=len(film.highlights)))
            shown = [(arrival.start, arrival.end) for arrival in answer.arrivals]
            recalls.append(recall(film.highlights, shown))
            baselines.append(uniform_recall(film.highlights, [end - start for start, end in shown], material.HOUR))
            jobs.append(answer.seconds)
    yield Row(
        f"planted highlights, recall@{material.HIGHLIGHTS}",
        statistics.mean(recalls),
        "",
        statistics.mean(baselines),
        "(uniform)",
        least=LEAST_RECALL,
        note=f"{' '.join(f'{value:.2f}' for value in recalls)}; jobs {statistics.median(jobs):.1f} s",
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, highlights))
