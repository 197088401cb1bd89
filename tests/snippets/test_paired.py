"""Picture and sound in two files, with what a page says about them: through the jobs, as workers run them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from cutaway import protocol
from cutaway_server.fetch.answers import Denied
from cutaway_server.fetch.sites import CaptionTrack, Choice, Site, Stream
from cutaway_server.snippets import jobs
from cutaway_server.snippets.moments import Limits
from cutaway_server.snippets.sites import AnnotatedSource, PairedSource, _Finding
from servers import OpenDoor, Origin, Resource
from snippets import film
from snippets.film import ffmpeg
from snippets.films import SENTENCES, SHORT, Films
from snippets.test_sources import FRAME, check_clips
from snippets.watch import Answer

Finds = Callable[..., _Finding]
FRAGMENTS = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof+global_sidx", "-frag_duration", "2000000")
LATE = ("-output_ts_offset", "7.3", "-avoid_negative_ts", "disabled")
PARTS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    # What is added to the picture, the sound's file, and how it is made.
    "plain": ((), "sound.m4a", ("-c:a", "copy")),
    "fragmented": ((), "sound.mp4", ("-c:a", "copy", *FRAGMENTS)),
    "webm": ((), "sound.webm", ("-c:a", "libopus")),
    "one late clock": (LATE, "sound.m4a", ("-c:a", "copy", *LATE)),
    "sound's own clock": ((), "sound.m4a", ("-c:a", "copy", *LATE)),
    "picture's own clock": (LATE, "sound.m4a", ("-c:a", "copy")),
}


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture
def finding(origin: Origin, tmp_path: Path) -> Iterator[_Finding]:
    with OpenDoor(origin.policy) as door, door.admit() as pass_:
        yield _Finding(origin.url("page"), pass_, tmp_path, 100 << 20)


def snippets(finding: _Finding, site: Site, *, most: int, longest: float) -> Answer:
    """All that the server's pipeline does, but in this process."""
    limits = Limits(most, 2, longest)
    source, media = finding._open(site)
    source = pickle.loads(pickle.dumps(source))
    known = jobs._survey(source, media, limits)
    request = protocol.SnippetRequest(video_url=finding.url, max_snippets=most, min_seconds=2, max_seconds=longest)
    moments = [known.first] if known.short else [known.first, *jobs.plan(known, limits)]
    messages: list[protocol.VideoMessage] = []
    for moment in moments[:most]:
        order = jobs.SnippetOrder(moment, request, 32 << 20, whole=known.short)
        frame = jobs.make_snippet(source, known.index, order, finding.scratch).frame
        messages += [protocol.decode_video(frame)] if frame else []
    metadata = protocol.SourceMetadata(src_video_url=finding.url)
    return Answer([*messages, protocol.SnippetComplete(metadata=metadata)], 0.0)


@pytest.mark.parametrize("kind", PARTS)
def test_two_files_are_one_video(finding: _Finding, origin: Origin, films: Films, kind: str) -> None:
    """The beeps are where they are in the film that both were made from."""
    late, name, how = PARTS[kind]
    picture, sound = finding.scratch / "picture.mp4", finding.scratch / name
    ffmpeg("-i", films["film.mp4"], *SHORT, "-an", "-c:v", "copy", *late, picture)
    ffmpeg("-i", films["film.mp4"], *SHORT, "-vn", *how, sound)
    video, audio = (Stream(origin.serve(path.name, path)) for path in (picture, sound))
    answer = snippets(finding, Site((Choice(video, audio),)), most=3, longest=5)
    check_clips(answer, films["moov_last.mp4"])
    if kind == "plain":
        packets = film.packets(sound.read_bytes(), "audio")
        for clip in answer.clips:
            assert film.packets(clip, "audio")[0] in packets


def test_a_sound_that_begins_later(finding: _Finding, origin: Origin, films: Films) -> None:
    """On the same clock: it is not moved to the picture's beginning."""
    sound = finding.scratch / "sound.m4a"
    kept = ("-ss", "0.7", "-i", films["film.mp4"], "-t", "13", "-vn", "-c:a", "aac", "-output_ts_offset", "0.7")
    ffmpeg(*kept, "-avoid_negative_ts", "disabled", sound)
    with av.open(str(sound)) as opened:
        assert (opened.start_time or 0) > 600_000
    video, audio = Stream(origin.serve("picture.mp4", films["silent.mp4"])), Stream(origin.serve("sound", sound))
    answer = snippets(finding, Site((Choice(video, audio),)), most=3, longest=5)
    heard = film.onsets(films.data("moov_last.mp4"))
    checked = 0
    for clip, (start, end) in zip(answer.clips, answer.spans, strict=True):
        measured = film.onsets(clip)
        for beep in heard:
            if start + 0.1 < beep < end - 0.1 and beep > 1:
                checked += 1
                assert min(abs(beep - start - m) for m in measured) < 0.05
    assert checked


def test_only_what_is_needed_of_the_sound_is_fetched(finding: _Finding, origin: Origin, films: Films) -> None:
    sound, picture = finding.scratch / "sound.m4a", finding.scratch / "picture.mp4"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=300:a=0.2", "-c:a", "aac", "-b:a", "192k", sound)
    ffmpeg("-i", films["long.mp4"], "-an", "-c:v", "copy", "-movflags", "+faststart", picture)
    video, audio = (Stream(origin.serve(path.name, path)) for path in (picture, sound))
    answer = snippets(finding, Site((Choice(video, audio),)), most=2, longest=4)
    assert answer.snippets
    spans = [r for r in origin.asked("sound.m4a") if r is not None]
    assert sum(b - a for a, b in spans) < sound.stat().st_size / 2


def test_what_the_page_says(finding: _Finding, origin: Origin, films: Films) -> None:
    video = Stream(origin.serve("film.mp4", films["film.mp4"]))
    said = film.srt(SENTENCES)
    chapters = ((0.0, 30.0, "Snow"), (30.0, 600.0, "Tide\nand storm"))
    heat = tuple((float(n), float(n + 1), 1.0 if n == 40 else 0.1) for n in range(60))
    track = CaptionTrack("srt", "en", False, None, said)
    site = Site((Choice(video),), "Harbour", "In the snow.", track, chapters, heat)
    source, media = finding._open(site)
    with media:
        index = media.index
        assert isinstance(source, AnnotatedSource)
        assert (index.title, index.description, media.language) == ("Harbour", "In the snow.", "en")
        assert [(c.start, round(c.end), c.title) for c in index.chapters] == [
            (0, 30, "Snow"),
            (30, 60, "Tide and storm"),
        ]
        assert index.has_text
        assert len(index.heat) == len(index.video_rate)
        assert int(index.heat.argmax()) == 40
        (cues,) = media.cues([(30.0, 37.0)])
        assert [cue.text for cue in cues] == [text for start, end, text in SENTENCES if start < 37 and end > 30]
        key = int((index.keyframe_times <= 30).sum()) - 1
        assert {cue.text for cue in media.window(key, 37.0).cues} >= {cue.text for cue in cues}
    with pickle.loads(pickle.dumps(source)).open(index) as again:
        assert again.index.chapters == index.chapters


@pytest.mark.parametrize("hot", [90, 210])
def test_what_is_watched_again_is_shown_first(finding: _Finding, origin: Origin, films: Films, hot: int) -> None:
    video = Stream(origin.serve("plain.mp4", films["plain.mp4"]))
    heat = tuple((n * 3.0, n * 3.0 + 3, 0.9 if abs(n * 3 - hot) < 9 else 0.2 + 0.01 * (n % 3)) for n in range(100))
    source, media = finding._open(Site((Choice(video),), heat=heat))
    first = jobs._survey(source, media, Limits(4, 5, 10)).first
    assert first.low < hot < first.high


def test_captions_that_cannot_be_had_do_no_harm(finding: _Finding, origin: Origin, films: Films) -> None:
    video = Stream(origin.serve("film.mp4", films["moov_last.mp4"]))
    missing = CaptionTrack("vtt", "en", False, Stream(origin.url("missing.vtt")))
    answer = snippets(finding, Site((Choice(video),), captions=missing), most=1, longest=5)
    check_clips(answer, films["moov_last.mp4"])


def test_the_next_choice_when_one_fails(finding: _Finding, origin: Origin, films: Films) -> None:
    good = Stream(origin.serve("film.mp4", films["moov_last.mp4"]))
    bad = Stream(origin.serve("bad.mp4", Resource(b"no video " * 100)))
    gone = Stream(origin.url("gone.mp4"))
    silent = Stream(origin.serve("silent.mp4", films["silent.mp4"]))
    site = Site((Choice(bad), Choice(silent, gone), Choice(good)))
    check_clips(snippets(finding, site, most=1, longest=5), films["moov_last.mp4"])
    with pytest.raises(Denied, match="404"):
        finding._open(Site((Choice(bad), Choice(silent, gone))))


def test_a_pair_is_opened_again_with_what_is_known(finding: _Finding, origin: Origin, films: Films) -> None:
    video = Stream(origin.serve("silent.mp4", films["silent.mp4"]))
    audio = Stream(origin.serve("sound.mp4", films["sound_only.mp4"]))
    source, media = finding._open(Site((Choice(video, audio),)))
    with media:
        index = media.index
        assert index.audio is not None
        assert index.audio.codec == "aac"
        assert len(index.audio_rate) == len(index.video_rate)
        first = media.sound([(2.0, 4.0)])[0]
    assert isinstance(source, AnnotatedSource)
    assert isinstance(source.video, PairedSource)
    with source.open(index) as again:
        assert (again.sound([(2.0, 4.0)])[0] == first).all()
        window = again.window(0, 3.0)
        times = [float(s.pts * window.audio_base) - window.origin for s in window.audio]
    assert times[0] < FRAME
    assert 2.9 < times[-1] < 3.3
