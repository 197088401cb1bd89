"""Every kind of file, through the real server: what comes is a clip that shows just what it says."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import pytest

from cutaway_server.snippets.bounds import Wish
from cutaway_server.snippets.check import top_boxes
from cutaway_server.snippets.clip import Order
from cutaway_server.snippets.cut import cut
from servers import Resource
from snippets import film
from snippets.films import Films, open_here
from snippets.watch import Answer, Watched

ASKED = {"min_seconds": 2, "max_seconds": 6}
COPIED = [
    *("film.mp4", "moov_last.mp4", "film.mov", "film.mkv", "fragmented.mp4", "no_cues.mkv", "late.mp4", "late.mkv"),
    *("sidx.mp4", "mfra.mp4", "unlisted.mp4", "film.ts", "film.flv", "film.avi"),
    *("rotated.mp4", "mp3.mp4", "quicktime.mp4", "silent.mp4", "no_b.mp4", "open_gop.mp4"),
    *("surround.mp4", "squeezed.mp4"),
]
ENCODED = [
    *("vp9.webm", "vp8.webm", "mpeg4.mp4", "hevc.mp4", "yuv444.mp4", "ten_bit.mp4", "odd.webm"),
    *("mpeg4.avi", "mjpeg.avi", "mpeg2.mpg", "mpeg2.ts", "hevc.ts", "fields.mp4", "mpeg2.mkv"),
    *("surround.webm", "squeezed.webm"),
]
EITHER = ["long_gop.mp4", "hdr.mp4"]
FRAME = 1 / film.RATE


@dataclass(frozen=True)
class Truth:
    """What a source shows: the numbers of its frames; how much later than the presentation the first one is shown, and
    when the beeps begin after that, in seconds.

    Some files show their first frame later than their first sound: that is how they are, and stay.
    """

    numbers: list[int]
    lead: float
    beeps: list[float] | None


@cache
def truth_of(source: Path) -> Truth:
    with av.open(str(source)) as opened:
        frames = list(opened.decode(video=0))
        first = frames[0]
        origin = (opened.start_time or 0) / av.time_base
        # AVI has no times of showing: its n-th picture is shown at its n-th time, whatever a decoder makes of it.
        lead = float(first.pts * first.time_base) - origin if source.suffix != ".avi" else 0.0
        has_sound = bool(opened.streams.audio)
    beeps = [t - origin - lead for t in film.onsets(source.read_bytes())] if has_sound else None
    return Truth([film.read_number(f) for f in frames], lead, beeps)


def check_clips(answer: Answer, source: Path) -> None:
    """What has to be true of every clip of the numbered film."""
    assert answer.complete, answer.error
    assert answer.snippets
    truth = truth_of(source)
    has_sound = truth.beeps is not None
    for clip, (start, end) in zip(answer.clips, answer.spans, strict=True):
        boxes = top_boxes(clip)
        assert boxes[0] == "ftyp"
        assert boxes.index("moov") < boxes.index("mdat")
        shown = film.read_frames(clip)
        numbers = [frame.number for frame in shown]
        at = truth.numbers.index(numbers[0])
        assert numbers == truth.numbers[at : at + len(numbers)], "frames are missing or out of order"
        following = truth.numbers[at + len(numbers)] if at + len(numbers) < len(truth.numbers) else numbers[-1] + 1
        assert abs(start - truth.lead - numbers[0] * FRAME) < FRAME / 2, "0 frames off"
        assert abs(end - truth.lead - following * FRAME) < FRAME / 2
        for frame in shown:
            assert abs(frame.time - (frame.number - numbers[0]) * FRAME) < FRAME / 2
        assert film.read_frames(clip, ignore_editlist="1")[0].time == 0
        with av.open(io.BytesIO(clip)) as opened:
            context = opened.streams.video[0].codec_context
            assert (context.codec.canonical_name, context.pix_fmt.replace("yuvj", "yuv")) == ("h264", "yuv420p")
            assert [s.codec_context.codec.canonical_name for s in opened.streams.audio] == ["aac"] * has_sound
        if has_sound:
            begin = numbers[0] * FRAME
            inside = [t - begin for t in truth.beeps or () if 0.06 <= t - begin <= end - start - 0.1]
            assert inside or end - start < 2, "beeps are never two seconds apart"
            measured = film.onsets(clip)
            for beep in inside:
                assert min(abs(beep - m) for m in measured) <= 0.040, (beep, measured)


@pytest.mark.parametrize("name", [*COPIED, *ENCODED, *EITHER])
def test_clips_show_what_they_say(watched: Watched, films: Films, name: str) -> None:
    answer = watched.ask(films[name], **ASKED)
    check_clips(answer, films[name])


def length_prefixed(packet: bytes) -> bytes:
    """A packet as MP4 has it: with lengths in place of the start codes (Annex B) of MPEG-TS and AVI."""
    units = [unit for unit in re.split(b"\0*\0\0\x01", packet) if unit]
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def without_adts(packet: bytes) -> bytes:
    """A packet of AAC without the header that it has in MPEG-TS."""
    return packet[7:] if packet.startswith(b"\xff\xf1") else packet


@pytest.mark.parametrize("name", COPIED)
def test_packets_are_the_sources_own(watched: Watched, films: Films, name: str) -> None:
    answer = watched.ask(films[name], **ASKED)
    source = film.packets(films.data(name), "video")
    if name.endswith((".ts", ".avi")):
        source = [length_prefixed(packet) for packet in source]
    for clip in answer.clips:
        packets = film.packets(clip, "video")
        first = source.index(packets[0])
        # Leading pictures of an open GOP are left out; what is there is in order and unchanged.
        rest = iter(source[first:])
        assert all(packet in rest for packet in packets)
        if name not in ("silent.mp4", "mp3.mp4", "quicktime.mp4"):
            sounds = film.packets(clip, "audio")
            all_sounds = [without_adts(p) for p in film.packets(films.data(name), "audio")]
            runs = (all_sounds[n : n + len(sounds)] for n in range(len(all_sounds)))
            assert sounds in runs


@pytest.mark.parametrize("name", ENCODED)
def test_encoded_pictures_look_like_the_source(watched: Watched, films: Films, name: str) -> None:
    answer = watched.ask(films[name], **ASKED)
    source = film.frames_of(films.data(name))
    for clip in answer.clips:
        for frame in film.frames_of(clip)[::10]:
            original = source[film.read_number(frame)].reformat(frame.width, frame.height, "yuv420p")
            assert film.psnr(frame, original) > 30


def test_an_odd_picture_becomes_even_by_less_than_two_pixels(watched: Watched, films: Films) -> None:
    for clip in watched.ask(films["odd.webm"], **ASKED).clips:
        frame = film.frames_of(clip)[0]
        assert (frame.width, frame.height) == (320, 180)


@pytest.mark.parametrize("name", ["film.mp4", "moov_last.mp4", "film.mkv", "vp9.webm", "no_cues.mkv"])
def test_a_server_without_ranges(watched: Watched, films: Films, name: str) -> None:
    check_clips(watched.ask(Resource(films[name], ranges=False), **ASKED), films[name])


def test_a_server_that_answers_in_small_parts(watched: Watched, films: Films) -> None:
    check_clips(watched.ask(Resource(films["film.mp4"], cap=100_000), **ASKED), films["film.mp4"])


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/plain", "video/quicktime"])
def test_what_the_server_calls_it_does_not_matter(watched: Watched, films: Films, content_type: str) -> None:
    answer = watched.ask(Resource(films["silent.mp4"], content_type=content_type), **ASKED)
    check_clips(answer, films["silent.mp4"])


def test_a_rotated_film_stays_rotated(watched: Watched, films: Films) -> None:
    """Copied, the clip says how it is turned; encoded, its pixels are turned."""
    source = film.frames_of(films.data("rotated.mp4"))[0]
    assert source.rotation in (90, -90, 270)
    for clip in watched.ask(films["rotated.mp4"], **ASKED).clips:
        assert film.frames_of(clip)[0].rotation == source.rotation
    for clip in watched.ask(films["rotated.mp4"], **ASKED, max_height=160).clips:
        frame = film.frames_of(clip)[0]
        assert frame.rotation == 0
        assert frame.height > frame.width


@pytest.mark.parametrize("name", ["squeezed.mp4", "squeezed.webm"])
def test_a_picture_with_wide_pixels_keeps_its_shape(watched: Watched, films: Films, name: str) -> None:
    answer = watched.ask(films[name], **ASKED)
    for clip, metadata in zip(answer.clips, answer.metadata, strict=True):
        with av.open(io.BytesIO(clip)) as opened:
            video = opened.streams.video[0]
            aspect = video.width / video.height * float(video.sample_aspect_ratio or 1)
        assert aspect == pytest.approx(320 / 180 * 4 / 3, rel=0.01)
        with av.open(io.BytesIO(metadata.poster or b"")) as opened:
            picture = opened.streams.video[0]
            assert picture.width / picture.height == pytest.approx(320 / 180 * 4 / 3, rel=0.03)


def test_a_high_dynamic_range_becomes_an_ordinary_one(watched: Watched, films: Films) -> None:
    """PQ codes mid-grey far below where BT.709 has it: shown as they are, such pictures look dull and grey."""
    source = film.frames_of(films.data("hdr.mp4"))
    for clip in watched.ask(films["hdr.mp4"], **ASKED).clips:
        frame = film.frames_of(clip)[0]
        assert (frame.format.name, int(frame.color_trc), int(frame.colorspace)) == ("yuv420p", 1, 1)
        dull = source[film.read_number(frame)].reformat(format="gray").to_ndarray()
        assert film.luma_of(frame).mean() > dull.mean() + 20


def test_fields_become_whole_frames(watched: Watched, films: Films) -> None:
    assert film.frames_of(films.data("fields.mp4"))[0].interlaced_frame
    for clip in watched.ask(films["fields.mp4"], **ASKED).clips:
        assert not any(frame.interlaced_frame for frame in film.frames_of(clip))


@pytest.mark.parametrize("more", [{}, {"max_height": 90}], ids=["copied", "encoded"])
def test_a_rate_that_varies_stays_as_it_is(watched: Watched, films: Films, more: dict[str, int]) -> None:
    """Eight seconds of 12.5 frames a second, then 25: no frame is dropped, doubled or moved."""
    source = [frame.number for frame in film.read_frames(films.data("vfr.mp4"))]
    assert source[:3] == [0, 2, 4]
    answer = watched.ask(films["vfr.mp4"], min_seconds=12, max_seconds=13, **more)
    assert answer.complete, answer.error
    assert answer.snippets
    for clip, (start, end) in zip(answer.clips, answer.spans, strict=True):
        shown = film.read_frames(clip)
        first = source.index(shown[0].number)
        assert [frame.number for frame in shown] == source[first : first + len(shown)]
        assert abs(start - shown[0].number * FRAME) <= FRAME
        assert abs(end - (shown[-1].number + 1) * FRAME) <= 2 * FRAME
        for frame in shown:
            assert abs(frame.time - (frame.number - shown[0].number) * FRAME) < FRAME / 2


def test_a_very_short_video_is_one_whole_snippet(watched: Watched, films: Films) -> None:
    answer = watched.ask(films["half_second.mp4"])
    check_clips(answer, films["half_second.mp4"])
    ((start, end),) = answer.spans
    assert (start, round(end * film.RATE)) == (0, 12)


def test_a_single_picture(watched: Watched, films: Films) -> None:
    """Nothing happens in it; if it is shown all the same, then as it is."""
    answer = watched.ask(films["one_frame.mp4"])
    assert answer.complete, answer.error
    assert [f.number for clip in answer.clips for f in film.read_frames(clip)] in ([], [0])


def test_the_open_gops_are_open(films: Films) -> None:
    """Or the tests of them prove nothing: pictures shown before the keyframe that they follow in the file."""
    with av.open(str(films["open_gop.mp4"])) as opened:
        packets = [p for p in opened.demux(video=0) if p.size]
    keys = [n for n, p in enumerate(packets) if p.is_keyframe]
    assert sum(packets[n + 1].pts < packets[n].pts for n in keys[1:-1]) >= 2


@pytest.mark.parametrize("name", ["heavy.mp4", "heavy_sidx.mp4", "heavy_mfra.mp4", "heavy.avi"])
def test_little_of_a_file_is_read(watched: Watched, films: Films, name: str) -> None:
    """Invariant 2: the index, then what is needed. Half a minute of film with one snippet asked for."""
    data = films.data(name)
    url = watched.origin.serve(name, Resource(data))
    before = len(watched.origin.requests)
    assert watched.ask(url, max_snippets=1, min_seconds=2, max_seconds=3).complete
    asked = [r.range for r in watched.origin.requests[before:]]
    assert all(span is not None for span in asked)
    assert sum(min(stop, len(data)) - start for start, stop in asked if stop > 0) < len(data) / 2


@pytest.mark.parametrize("limits", [{}, {"min_seconds": 3, "max_seconds": 6}], ids=["whole", "part"])
def test_what_an_edit_list_hides_is_not_shown(watched: Watched, films: Films, limits: dict[str, int]) -> None:
    """A trimmed recording: its packets begin with the keyframe before the place where it was trimmed."""
    answer = watched.ask(films["trimmed.mp4"], **limits)
    assert answer.complete, answer.error
    assert answer.snippets
    for clip, (start, end) in zip(answer.clips, answer.spans, strict=True):
        numbers = [frame.number for frame in film.read_frames(clip)]
        assert start >= 0
        assert numbers[0] == 33 + round(start / FRAME)
        assert len(numbers) == round((end - start) / FRAME)


@pytest.mark.parametrize("name", ["joined.ts", "two_sizes.ts"])
def test_recordings_that_were_joined(watched: Watched, films: Films, name: str) -> None:
    answer = watched.ask(films[name], min_seconds=3, max_seconds=18)
    assert answer.complete, answer.error
    assert answer.snippets
    for clip in answer.clips:
        frames = film.frames_of(clip)
        numbers = [film.read_number(frame) for frame in frames]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len({(frame.width, frame.height) for frame in frames}) == 1


def test_no_clip_goes_beyond_a_change_of_size(films: Films, tmp_path: Path) -> None:
    with open_here(films["two_sizes.mp4"]) as media:
        order = Order(Wish(20.0, 12.0, 3.0, 16.0), 10.0, 30.0)
        clip = cut(media, order, max_height=None, max_bytes=32 << 20, scratch=tmp_path)
    assert 10 <= clip.start < clip.end <= 20 + FRAME
    assert len({(frame.width, frame.height) for frame in film.frames_of(clip.data)}) == 1


def test_sound_that_ends_before_the_picture(films: Films, tmp_path: Path) -> None:
    """Where nothing is to be heard there is nothing to encode."""
    with open_here(films["sound_ends.mp4"]) as media:
        order = Order(Wish(8.0, 4.0, 3.0, 4.0), 5.0, 12.0)
        clip = cut(media, order, max_height=None, max_bytes=32 << 20, scratch=tmp_path)
    assert clip.start >= 5.0
    with av.open(io.BytesIO(clip.data)) as opened:
        assert not opened.streams.audio


def test_slow_motion_keeps_all_its_frames(watched: Watched, films: Films) -> None:
    answer = watched.ask(films["240_fps.mp4"], **ASKED)
    assert answer.complete, answer.error
    for clip, said in zip(answer.clips, answer.metadata, strict=True):
        assert said.start is not None
        assert said.end is not None
        assert len(film.frames_of(clip)) == pytest.approx((said.end - said.start) * 240, abs=1)
