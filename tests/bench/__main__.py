"""All benchmarks and one table: ``python -m tests.bench [--quick] [--material DIR] [--films DIR] [--collections DIR]``.

The exit code is 1 when a goal is missed.

Wants a machine with nothing else to do; the videos, made at the first run, take a few minutes and 9 GB.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the benchmarks also run as scripts, and import each other as such

from bench_articles import million
from bench_cut import cutting
from bench_exact import exact
from bench_first_snippet import first_snippet
from bench_highlights import highlights
from bench_kill import killing
from bench_lab import in_lab
from bench_leave import leaving
from bench_model import asking, relaying
from bench_model import leaving as leaving_model
from bench_model_moments import model_moments
from bench_model_search import model_search
from bench_model_video import model_video
from bench_page import in_page
from bench_relevance import relevance
from bench_search import searching
from bench_shots import boundaries
from bench_streams import streams
from bench_whole_job import whole_job
from bench_widgets import widgets
from report import main

if __name__ == "__main__":
    missed = main(
        __doc__,
        first_snippet,
        streams,
        whole_job,
        highlights,
        cutting,
        exact,
        leaving,
        relaying,
        asking,
        leaving_model,
        model_moments,
        model_video,
        boundaries,
        relevance,
        million,
        killing,
        searching,
        model_search,
        widgets,
        in_page,
        in_lab,
    )
    # A process of its own: a heap that other benchmarks have grown is worth 20 ms to the baseline.
    missed |= subprocess.call([sys.executable, str(Path(__file__).with_name("bench_protocol.py"))])
    sys.exit(missed)
