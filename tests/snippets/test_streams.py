"""HLS and DASH through the real server: clips are exact on the stream's own timeline, and in sync."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from snippets.films import Films
from snippets.streams import Streams
from snippets.test_sources import ASKED, check_clips
from snippets.watch import Watched

HLS = ["hls_ts", "hls_fmp4", "hls_ts_ranges", "hls_fmp4_ranges", "hls_aes", "hls_aes_vector", "hls_separate"]
HLS += ["hls_separate_fmp4", "hls_renditions", "hls_packed", "hls_discontinuity", "hls_discontinuity_fmp4", "hls_wraps"]
HLS += ["hls_said"]
DASH = ["dash_timeline", "dash_number", "dash_list", "dash_list_ranges", "dash_time", "dash_sidx", "dash_periods"]
SOURCES = {"hls_open_gop": "open_gop.mp4", "hls_silent": "silent.mp4", "hls_hevc": "hevc.mp4"}


@pytest.fixture(scope="module")
def streams(films: Films, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streams]:
    return Streams(films, tmp_path_factory.mktemp("streams"))


@pytest.mark.parametrize("name", [*HLS, *DASH, *SOURCES])
def test_clips_show_what_they_say(watched: Watched, films: Films, streams: Streams, name: str) -> None:
    answer = watched.ask(streams.serve(watched.origin, name), **ASKED)
    check_clips(answer, films[SOURCES.get(name, "film.mp4")])
