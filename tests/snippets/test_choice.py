"""Which moments are shown, where they begin and end, and what they are called, through the real server."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from cutaway_server.snippets.words import clock
from snippets import film
from snippets.films import CHAPTERS, DISSOLVE_FRAMES, SENTENCES, Films
from snippets.test_sources import FRAME, check_clips
from snippets.watch import Answer, Watched

ASKED = {"min_seconds": 2, "max_seconds": 6}


def check_spans(answer: Answer, *, duration: float, shortest: float, longest: float, most: int = 8) -> None:
    """The limits hold, nothing is shown twice, nothing is outside the video."""
    assert len(answer.snippets) <= most
    spans = sorted(answer.spans)
    assert all(0 <= start < end <= duration + 0.25 for start, end in spans)
    assert all(shortest - 0.001 <= end - start <= longest + 0.001 for start, end in spans)
    assert all(before[1] <= after[0] + 1e-6 for before, after in pairwise(spans))


def check_words(answer: Answer) -> None:
    titles = [m.title for m in answer.metadata]
    assert all(title.strip() for title in titles)
    assert len(set(titles)) == len(titles)
    assert all(m.description.strip() for m in answer.metadata)
    assert all(m.by == "local" for m in answer.metadata)
    assert all(m.poster and m.poster.startswith(b"\xff\xd8") and len(m.poster) <= 20_000 for m in answer.metadata)


ROOMY = {"min_seconds": 3, "max_seconds": 20}


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "vp9.webm", "mpeg4.mp4"])
def test_snippets_begin_and_end_with_shots(watched: Watched, films: Films, name: str) -> None:
    """Shots last three to four seconds and begin with keyframes, so there are boundaries near.

    A copy may stop up to four frames before one, where the next shot's packets are mixed with this shot's last.
    """
    answer = watched.ask(films[name], **ROOMY)
    check_clips(answer, films[name])
    for clip in answer.clips:
        numbers = [f.number for f in film.read_frames(clip)]
        assert numbers[0] in film.CUTS
        ends = {*film.CUTS, len(film.packets(films.data(name), "video"))}
        assert any(end - 4 <= numbers[-1] + 1 <= end for end in ends), numbers[-1]


@pytest.mark.parametrize("asked", [ROOMY, ASKED], ids=["roomy", "tight"])
def test_no_flash_of_another_shot(watched: Watched, films: Films, asked: dict[str, float]) -> None:
    """Keyframes that come once a second, wherever the shots are: no copy shows a bit of the shot before or after."""
    answer = watched.ask(films["steady.mp4"], **asked)
    check_clips(answer, films["steady.mp4"])
    for clip in answer.clips:
        numbers = [f.number for f in film.read_frames(clip)]
        first, last = film.shot_of(numbers[0]), film.shot_of(numbers[-1])
        assert sum(film.shot_of(n) == first for n in numbers) >= 20
        assert sum(film.shot_of(n) == last for n in numbers) >= 20


@pytest.mark.parametrize("asked", [ROOMY, ASKED], ids=["roomy", "tight"])
def test_no_snippet_begins_or_ends_in_a_dissolve(watched: Watched, films: Films, asked: dict[str, float]) -> None:
    """Where it can hardly be told, it may: the first and last mixed frames look like a shot alone."""
    answer = watched.ask(films["dissolves.mp4"], **asked)
    check_clips(answer, films["dissolves.mp4"])
    for clip in answer.clips:
        numbers = [f.number for f in film.read_frames(clip)]
        for cut in film.CUTS[1:]:
            assert not cut - DISSOLVE_FRAMES < numbers[0] < cut - 2
            assert not cut - DISSOLVE_FRAMES + 2 < numbers[-1] + 1 <= cut


def test_five_minutes_give_several_snippets_all_over(watched: Watched, films: Films) -> None:
    answer = watched.ask(films["long.mp4"])
    assert answer.complete, answer.error
    assert len(answer.snippets) >= 4
    check_spans(answer, duration=300, shortest=5, longest=30)
    check_words(answer)
    thirds = {int(start // 100) for start, _ in answer.spans}
    assert thirds == {0, 1, 2}
    shots = [frozenset(film.read_colour(f) for f in film.frames_of(clip)[::5]) for clip in answer.clips]
    assert len(set(shots)) > len(shots) / 2, shots


@pytest.mark.parametrize("most", [1, 3, 4, 20])
def test_no_more_than_asked_for(watched: Watched, films: Films, most: int) -> None:
    answer = watched.ask(films["plain.mp4"], max_snippets=most, max_height=40)
    assert answer.complete, answer.error
    check_spans(answer, duration=300, shortest=5, longest=30, most=most)
    assert len(answer.snippets) >= min(most, 4)
    check_words(answer)


@pytest.mark.parametrize(("shortest", "longest"), [(1, 1.5), (2, 3), (5, 5), (20, 25)])
def test_lengths_hold(watched: Watched, films: Films, shortest: float, longest: float) -> None:
    answer = watched.ask(films["film.mkv"], min_seconds=shortest, max_seconds=longest)
    assert answer.complete, answer.error
    assert answer.snippets
    check_spans(answer, duration=60, shortest=shortest, longest=longest)
    check_clips(answer, films["film.mkv"])


@pytest.mark.parametrize("height", [16, 90, 91, 500])
def test_heights_hold(watched: Watched, films: Films, height: int) -> None:
    answer = watched.ask(films["silent.mp4"], **ASKED, max_height=height)
    assert answer.complete, answer.error
    assert answer.snippets
    for clip in answer.clips:
        frame = film.frames_of(clip)[0]
        assert frame.height == min(height // 2 * 2, 180)
        assert abs(frame.width - frame.height * 320 / 180) <= 2
        assert frame.width % 2 == 0
    if height >= 90:
        check_clips(answer, films["silent.mp4"])


@pytest.mark.parametrize("seconds", [20, 14.5])
def test_a_short_video_is_shown_whole(watched: Watched, films: Films, seconds: float) -> None:
    answer = watched.ask(films["moov_last.mp4"], min_seconds=seconds)
    check_clips(answer, films["moov_last.mp4"])
    ((start, end),) = answer.spans
    frames = len(film.packets(films.data("moov_last.mp4"), "video"))
    assert (start, round(end * film.RATE)) == (0, frames)


# --- words -------------------------------------------------------------------------------------------------


def whole_sentences() -> list[tuple[float, float, str]]:
    """The captions joined to sentences."""
    found: list[tuple[float, float, str]] = []
    for start, end, text in SENTENCES:
        if found and not found[-1][2].endswith("."):
            start, text = found[-1][0], f"{found.pop()[2]} {text}"
        found.append((start, end, text))
    return found


@pytest.mark.parametrize("name", ["said.mp4", "said.mkv"])
def test_sentences_are_not_cut(watched: Watched, films: Films, name: str) -> None:
    answer = watched.ask(films[name], min_seconds=4, max_seconds=10)
    assert answer.complete, answer.error
    assert answer.snippets
    check_spans(answer, duration=60, shortest=4, longest=10)
    for span in answer.spans:
        for edge in span:
            assert not any(start + 0.15 < edge < end - 0.15 for start, end, _ in whole_sentences()), span
    check_words(answer)


@pytest.mark.parametrize("name", ["said.mp4", "said.mkv"])
def test_what_is_said_names_and_describes(watched: Watched, films: Films, name: str) -> None:
    answer = watched.ask(films[name], min_seconds=4, max_seconds=10)
    for m, (begin, stop) in zip(answer.metadata, answer.spans, strict=True):
        said = " ".join(text for a, b, text in whole_sentences() if a >= begin - 0.6 and b <= stop + 0.6)
        assert said, "a snippet without a word, though there are words everywhere"
        title = re.sub(r", at \d+:\d\d$", "", m.title)
        assert set(re.findall(r"\w+", title.lower())) <= set(re.findall(r"\w+", said.lower())), (m.title, said)
        assert m.description == f"“{said}”"


def test_chapters_name_their_snippets(watched: Watched, films: Films) -> None:
    answer = watched.ask(films["long.mp4"])
    names = [name for _, _, name in CHAPTERS]
    for m, (start, end) in zip(answer.metadata, answer.spans, strict=True):
        around = {name for a, b, name in CHAPTERS if a < end and b > start}
        assert any(m.title.startswith(name) for name in around), (m.title, around)
        assert any(f"“{name}”" in m.description for name in around)
    plain = [m.title for m in answer.metadata if m.title in names]
    assert len(plain) == len({m.title.split(",")[0].split(":")[0] for m in answer.metadata}), "one of each is plain"


def test_without_words_the_title_says_what_was_measured(watched: Watched, films: Films) -> None:
    answer = watched.ask(films["plain.mp4"])
    check_words(answer)
    for m, (start, end) in zip(answer.metadata, answer.spans, strict=True):
        assert m.title.endswith(f", at {clock(start)}")
        assert m.description.startswith(f"From {clock(start)} to {clock(end)} of 5:00: ")


# --- dull ones ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["black.mp4", "still_silent.mp4"])
def test_nothing_happens_nothing_is_sent(watched: Watched, films: Films, name: str) -> None:
    answer = watched.ask(films[name])
    assert answer.complete, answer.error
    assert not answer.snippets


@pytest.mark.parametrize("name", ["slides.mp4", "dark.mp4"])
def test_a_voice_is_something(watched: Watched, films: Films, name: str) -> None:
    answer = watched.ask(films[name])
    assert answer.complete, answer.error
    assert len(answer.snippets) >= 2
    check_spans(answer, duration=120, shortest=5, longest=30)
    check_words(answer)


def test_black_silence_is_left_out(watched: Watched, films: Films) -> None:
    answer = watched.ask(films["half_black.mp4"])
    assert answer.complete, answer.error
    assert answer.snippets
    for start, end in answer.spans:
        assert 58 <= start < end <= 122
    for clip in answer.clips:
        luma = [f.to_ndarray(format="gray").mean() for f in film.frames_of(clip)]
        assert sum(mean < 30 for mean in luma) < 0.4 * len(luma)


@pytest.mark.parametrize("name", ["trailer.mp4", "trailer.mkv"])
def test_no_snippet_begins_or_ends_black(watched: Watched, films: Films, name: str) -> None:
    answer = watched.ask(films[name], min_seconds=4, max_seconds=25)
    assert answer.complete, answer.error
    assert len(answer.snippets) >= 2
    for clip in answer.clips:
        luma = [f.to_ndarray(format="gray").mean() for f in film.frames_of(clip)]
        assert min(luma[0], luma[-1]) > 30, (luma[:12], luma[-12:])


def test_a_snippet_does_not_begin_with_the_rest_of_a_slide(watched: Watched, films: Films) -> None:
    answer = watched.ask(films["late_slides.mp4"])
    assert answer.complete, answer.error
    assert len(answer.snippets) >= 3
    changes = [2.4 + 30 * n for n in range(8)]
    for start, _ in answer.spans:
        assert not any(0.1 < change - start < 3 for change in changes), start


def test_a_loop_is_not_all_that_is_shown(watched: Watched, films: Films) -> None:
    answer = watched.ask(films["looped.mp4"])
    assert answer.complete, answer.error
    check_spans(answer, duration=300, shortest=5, longest=30)
    assert len(answer.snippets) >= 4
    assert any(end > 242 for _, end in answer.spans), "the only minute that is not repeated"
    shots = {film.read_colour(f) for clip in answer.clips for f in film.frames_of(clip)[::5]}
    assert len(shots) >= 5, shots


# --- messages ----------------------------------------------------------------------------------------------


def test_progress_is_told_when_asked_for(watched: Watched, films: Films) -> None:
    answer = watched.ask(films["film.mkv"], progress=1)
    assert answer.complete, answer.error
    stages = [p.stage for p in answer.progress]
    assert stages == sorted(stages, key=["resolve", "analyse", "cut"].index) or set(stages) == {
        "resolve",
        "analyse",
        "cut",
    }
    assert answer.messages[0] == answer.progress[0]
    assert (answer.progress[0].stage, answer.progress[0].fraction) == ("resolve", 0.0)
    for stage in ("resolve", "analyse", "cut"):
        fractions = [p.fraction for p in answer.progress if p.stage == stage]
        assert fractions == sorted(fractions)
        assert fractions
        assert 0 <= fractions[0] <= fractions[-1] <= 1
    assert answer.progress[-1].fraction == 1.0


@pytest.mark.parametrize("progress", [None, 0])
def test_no_progress_without_being_asked(watched: Watched, films: Films, progress: int | None) -> None:
    more = {} if progress is None else {"progress": progress}
    answer = watched.ask(films["film.mkv"], **ASKED, **more)
    assert answer.complete, answer.error
    assert not answer.progress
    assert len(answer.messages) == len(answer.snippets) + 1


def test_times_are_those_of_frames(watched: Watched, films: Films) -> None:
    for start, end in watched.ask(films["film.mp4"], **ASKED).spans:
        assert abs(start / FRAME - round(start / FRAME)) < 1e-3
        assert abs(end / FRAME - round(end / FRAME)) < 1e-3
