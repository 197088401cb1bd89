"""Rows of a benchmark's table: what was measured, against what, and whether the goal is met."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One line of the table.

    ``most`` and ``least`` bound the value, ``most_ratio`` and ``least_ratio`` the value divided by the baseline. A row
    without bounds is for information.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    against: str = ""
    """What the baseline is."""
    most: float | None = None
    least: float | None = None
    most_ratio: float | None = None
    least_ratio: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The value in baselines."""
        return self.value / self.baseline if self.baseline else None

    @property
    def goal(self) -> str:
        """The bounds in words."""
        bounds = [
            f"{sign} {number(bound)}{unit}"
            for sign, bound, unit in (
                ("<=", self.most, f" {self.unit}"),
                (">=", self.least, f" {self.unit}"),
                ("<=", self.most_ratio, "x"),
                (">=", self.least_ratio, "x"),
            )
            if bound is not None
        ]
        return " and ".join(bounds)

    @property
    def met(self) -> bool | None:
        """Whether all bounds are kept; None without any."""
        if not self.goal:
            return None
        ratio = self.ratio
        within = [
            self.most is None or self.value <= self.most,
            self.least is None or self.value >= self.least,
            self.most_ratio is None or (ratio is not None and ratio <= self.most_ratio),
            self.least_ratio is None or (ratio is not None and ratio >= self.least_ratio),
        ]
        return all(within)


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    material: Path
    quick: bool
    films: Path | None = None
    collections: Path | None = None

    def count(self, usual: int) -> int:
        """How many repetitions: fewer when in a hurry."""
        return max(usual // 2, 1) if self.quick else usual


Run = Callable[[Options], Iterable[Row]]


def number(value: float) -> str:
    """Three significant digits without an exponent."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def table(rows: Iterable[Row]) -> str:
    """The rows as text."""
    head = ("what", "measured", "baseline", "ratio", "goal", "", "")
    lines = [head]
    for row in rows:
        baseline = "" if row.baseline is None else f"{number(row.baseline)} {row.unit} {row.against}"
        ratio = "" if row.ratio is None else f"{number(row.ratio)}x"
        verdict = {True: "ok", False: "MISSED", None: "-"}[row.met]
        lines.append(
            (row.name, f"{number(row.value)} {row.unit}", baseline.strip(), ratio, row.goal, verdict, row.note)
        )
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def options(description: str | None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter videos and fewer repetitions; goals stay")
    parser.add_argument(
        "--material",
        type=Path,
        default=Path(tempfile.gettempdir()) / "cutaway-bench",
        help="folder in which the videos are made once and kept (up to 9 GB; default: %(default)s)",
    )
    parser.add_argument("--films", type=Path, help="folder of real films, for the benchmarks that can use them")
    parser.add_argument("--collections", type=Path, help="folder of judged collections of articles and questions")
    given = parser.parse_args()
    given.material.mkdir(parents=True, exist_ok=True)
    return Options(given.material, given.quick, given.films, given.collections)


def collect(runs: Iterable[Run], given: Options) -> Iterator[Row]:
    """Run benchmarks, telling on stderr what goes on."""
    for run in runs:
        print(f"{sys.modules[run.__module__].__name__} ...", file=sys.stderr, flush=True)
        for row in run(given):
            print(table([row]).splitlines()[1], file=sys.stderr, flush=True)
            yield row


def main(description: str | None, *runs: Run) -> int:
    """Run benchmarks as a program: print one table; 1 when a goal is missed."""
    given = options(description)
    rows = list(collect(runs, given))
    load = os.getloadavg()[0]
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}\n")
    print(table(rows))
    missed = [row.name for row in rows if row.met is False]
    if missed:
        print(f"\nmissed: {'; '.join(missed)}")
    return int(bool(missed))
