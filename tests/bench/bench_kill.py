"""Whether anything that was acknowledged is lost when writer and keeper are killed in the middle of their work.

Run it: ``python tests/bench/bench_kill.py [--quick]``. One folder is filled by one process and indexed by another; both
are killed at a random moment and started again, 50 times. After each time every acknowledged article must be in the
record, the index must not have to be built anew, and it must find them, with their last words. Exits with 1 when a goal
is missed.
"""

from __future__ import annotations

import logging
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from report import Options, Row, main

sys.path.insert(1, str(Path(__file__).parent.parent))  # what tests do too

from search.articles.killing import check_after_kill, consistent, kill_while_it_grows

ROUNDS = 50


class _Warnings(logging.Handler):
    """Counts what the keeper says of a broken index."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "built anew" in record.getMessage()


def killing(options: Options) -> Iterator[Row]:
    """Fill, kill, start and look, again and again."""
    rounds, chance, warnings = options.count(ROUNDS), random.Random(), _Warnings()
    log = logging.getLogger("cutaway_server.search.articles.keeper")
    log.addHandler(warnings)
    lost = broken = acknowledged = 0
    with tempfile.TemporaryDirectory() as name:
        for turn in range(rounds):
            last = kill_while_it_grows(Path(name), turn, chance)
            acknowledged += 20 * (last + 1)
            lost += check_after_kill(Path(name), turn, last)
            broken += not consistent(Path(name))
    log.removeHandler(warnings)
    yield Row(
        f"acknowledged articles lost in {rounds} kills", lost, "", most=0, note=f"of {acknowledged:,} acknowledged"
    )
    yield Row(f"starts with a broken index in {rounds} kills", broken + warnings.count, "", most=0)


if __name__ == "__main__":
    sys.exit(main(__doc__, killing))
