"""Every codec with every kind of GOP, frame order, rate and depth: each clip decodes, and shows what it says."""

from __future__ import annotations

from itertools import product

import pytest

from snippets.films import CODECS, Films, codec_film
from snippets.test_sources import check_clips
from snippets.watch import Watched

KINDS = list(product(CODECS, ("closed", "open"), ("b", "no_b"), ("cfr", "vfr"), (8, 10)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind)))
def test_every_clip_is_clean(watched: Watched, films: Films, kind: tuple[str, str, str, str, int]) -> None:
    answer = watched.ask(films[codec_film(*kind)], min_seconds=1, max_seconds=2.5)
    check_clips(answer, films[codec_film(*kind)])
