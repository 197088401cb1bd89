"""The sound that a model is sent: what was read with the pictures anyway, as files that others can play, with the times
at which it is heard in the video."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway_server.fetch.door import Pass
from cutaway_server.gemini.video import Material, Sound
from cutaway_server.snippets.media import Heard
from cutaway_server.snippets.recordings import recordings
from cutaway_server.snippets.source import find_source
from cutaway_server.snippets.stills import Part, look
from fakes.gemini import FakeGemini
from fakes.replies import objects
from servers import OpenDoor, Origin, Resource
from snippets import film
from snippets.films import Films, open_here
from snippets.test_picked import KEY, item
from snippets.test_stills import here
from snippets.watch import Watched, running

ENOUGH = 3_000_000
BEEPS = [beep / film.RATE for beep in film.BEEPS]


def check_times(sound: Sound) -> None:
    """Every beep of the stretch is heard in it when it is heard in the film, and nothing else is."""
    heard = [sound.start + at for at in film.onsets(sound.recording.data)]
    # What begins in the middle of a beep begins with it.
    heard = [at for at in heard if at > sound.start + 0.15]
    meant = [at for at in BEEPS if sound.start + 0.15 < at < sound.end - 0.05]
    assert meant
    assert heard[: len(meant)] == pytest.approx(meant, abs=0.05)
    assert len(heard) <= len(meant) + 1


def check_order(sounds: tuple[Sound, ...]) -> None:
    assert all(one.end <= other.start + 0.001 for one, other in pairwise(sounds))
    assert all(sound.end - sound.start >= 5 for sound in sounds)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("film.mp4", "aac"), ("film.mkv", "aac"), ("mfra.mp4", "aac"), ("fragmented.mp4", "aac")),
        *(("late.mp4", "aac"), ("mp3.mp4", "mp3"), ("mpeg4.avi", "mp3"), ("vp9.webm", "ogg"), ("vp8.webm", "ogg")),
    ],
)
def test_all_of_a_local_copy_is_heard(films: Films, name: str, kind: str) -> None:
    source, index = here(films[name])
    [sound] = look(source, index, Part(0.0, index.duration, 4, ENOUGH)).sound
    assert (sound.start, sound.end) == (pytest.approx(0, abs=0.1), pytest.approx(index.duration, abs=0.3))
    assert sound.recording.mime_type == f"audio/{kind}"
    check_times(sound)
    halves = [look(source, index, Part(0.0, index.duration, 4, ENOUGH, n, 2)).sound for n in (0, 1)]
    check_order((*halves[0], *halves[1]))
    assert halves[0][0].end == pytest.approx(halves[1][0].start, abs=0.1)


def test_of_too_much_parts_are_taken(films: Films) -> None:
    source, index = here(films["film.mp4"])
    [whole] = look(source, index, Part(0.0, 60.0, 4, ENOUGH)).sound
    room = len(whole.recording.data) // 2
    sounds = look(source, index, Part(0.0, 60.0, 4, room)).sound
    check_order(sounds)
    assert [int(sound.start / 40) for sound in sounds] == [0, 1]
    assert 0.8 * room < sum(len(sound.recording.data) for sound in sounds) < 1.05 * room
    for sound in sounds:
        check_times(sound)
    assert not look(source, index, Part(0.0, 60.0, 4, room // 100)).sound


@given(st.lists(st.sampled_from([0.02, 0.02, 0.02, 0.3, 9.0]), max_size=3000), st.integers(1, 300_000))
def test_any_holes(films: Films, gaps: list[float], room: int) -> None:
    """What there is, is in order, between the holes, and no more than there is room."""
    with open_here(films["mp3.mp4"]) as media:
        assert isinstance(media.audio, av.AudioStream)
        packets = [(float(at), av.Packet(bytes(100))) for at in np.cumsum(gaps)]
        sounds = tuple(recordings(Heard(media.audio, packets), room))
    check_order(sounds)
    assert sum(len(sound.recording.data) for sound in sounds) <= room
    for sound in sounds:
        inside = [at for at, _ in packets if sound.start <= at < sound.end - 0.01]
        assert len(sound.recording.data) == 100 * len(inside)
        assert all(b - a < 0.25 for a, b in pairwise(inside))


@pytest.mark.parametrize("name", ["silent.mp4", "mjpeg.avi"])
def test_without_sound_or_where_it_would_have_to_be_encoded_there_is_none(films: Films, name: str) -> None:
    found = look(*here(films[name]), Part(0.0, 14.0, 4, ENOUGH))
    assert found.stills
    assert not found.sound


# --- of files that are read by byte ranges -------------------------------------------------------------------


@pytest.fixture(scope="module")
def pass_() -> Iterator[tuple[Origin, Pass]]:
    with Origin() as origin, OpenDoor(origin.policy) as door, door.admit() as admitted:
        yield origin, admitted


@pytest.fixture(scope="module")
def slight(films: Films) -> Path:
    """Two minutes in 100 kb/s, as of a talk."""
    path = films.folder / "slight.mkv"
    if not path.exists():
        small = ("-vf", "scale=160:90", "-c:v", "libx264", "-preset", "veryfast", "-b:v", "30k", "-g", "75")
        film.ffmpeg("-stream_loop", "1", "-i", films["film.mp4"], *small, "-c:a", "copy", path)
    return path


def looked_at(path: Path, place: tuple[Origin, Pass], scratch: Path, part: Part) -> tuple[Material, list[object]]:
    """What comes of it, and the byte ranges that it took."""
    origin, admitted = place
    url = origin.serve(f"looked-{len(origin.requests)}", Resource(path))
    source, media = find_source(url, admitted, scratch=scratch, max_download=1)
    index = media.index
    media.close()
    before = len(origin.requests)
    return look(source, index, part), sorted(seen.range or (0, 0) for seen in origin.requests[before:])


def test_of_what_is_read_anyway_the_sound_is_passed_on(
    slight: Path, pass_: tuple[Origin, Pass], tmp_path: Path
) -> None:
    """Without one request more. Where the index does not tell how large keyframes are, 192 kB are read of each."""
    without, ranges = looked_at(slight, pass_, tmp_path, Part(0.0, 120.0, 4))
    assert not without.sound
    found, again = looked_at(slight, pass_, tmp_path, Part(0.0, 120.0, 4, ENOUGH))
    assert again == ranges
    assert found.stills == without.stills
    check_order(found.sound)
    assert sum(sound.end - sound.start for sound in found.sound) > 30
    for sound in found.sound:
        if sound.end < 59:
            check_times(sound)


def test_where_only_pictures_are_read_there_is_no_sound(
    films: Films, pass_: tuple[Origin, Pass], tmp_path: Path
) -> None:
    found, _ = looked_at(films["heavy.mp4"], pass_, tmp_path, Part(0.0, 300.0, 8, ENOUGH))
    assert found.stills
    assert not found.sound


# --- as the model gets it ------------------------------------------------------------------------------------


def test_the_model_hears_what_nobody_wrote_down(films: Films, slight: Path, tmp_path: Path) -> None:
    with FakeGemini() as fake:
        flags = ("--gemini-base-url", fake.url)
        with running(tmp_path, *flags, variables={"GEMINI_API_KEY": KEY}) as server:
            heard = ask(server, fake, slight)
            assert heard
            for line, (kind, data) in heard:
                assert kind == "audio/aac"
                start, end = (float(word) for word in line.split() if word[0].isdecimal())
                with av.open(io.BytesIO(data)) as recording:
                    samples = sum(frame.samples for frame in recording.decode(audio=0))
                assert samples / film.SOUND_RATE == pytest.approx(end - start, abs=0.2)
            assert not ask(server, fake, films["said.mp4"]), "there are captions"


def ask(server: Watched, fake: FakeGemini, path: Path) -> list[tuple[str, tuple[str, bytes]]]:
    """The recordings in the question, each with the line before it."""
    fake.reset()
    fake.queue(*objects([item(20, 32), item(40, 52)]))
    answer = server.ask(path, max_snippets=2)
    assert [m.by for m in answer.metadata] == ["gemini"] * 2
    [asked] = fake.requests
    blobs = iter(asked.blobs)
    found = []
    for before, part in pairwise(asked.parts):
        if "inlineData" in part:
            blob = next(blobs)
            if blob[0].startswith("audio/"):
                found.append((before["text"], blob))
    return found
