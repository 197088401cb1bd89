"""The films of the tests, by name: each a way in which real files differ. Made once per run, from one lossless film."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np

from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.remote import RemoteFile
from cutaway_server.snippets.container import ContainerMedia
from snippets import film
from snippets.film import AAC, X264, ffmpeg

Make = Callable[["Films", Path], None]
_RECIPES: dict[str, Make] = {}

SHORT = ("-t", "14")
COPY = ("-c", "copy")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-threads", "2", "-b:v", "500k", "-g", "60")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "12")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
SENTENCES = (
    (1.2, 4.4, "The harbour sleeps under heavy snow."),
    (5.0, 7.0, "Every fishing boat stays home"),
    (7.0, 10.8, "until the northern lights fade."),
    (12.6, 15.9, "A lighthouse keeper counts penguins."),
    (17.5, 21.0, "Her telescope finds a distant volcano."),
    (23.2, 25.1, "Volcanic ash paints"),
    (25.1, 28.3, "the glacier black."),
    (31.0, 34.6, "Orchestra musicians tune their violins."),
    (36.4, 40.3, "Conductors wave a silver baton."),
    (42.0, 46.5, "Thunderstorms gather behind the cathedral."),
    (48.8, 52.2, "Children build sandcastles on the beach."),
    (54.0, 57.5, "Seagulls steal the picnic."),
)
"""Captions as (start, end, text); some sentences go on in a second caption."""
CHAPTERS = tuple((60.0 * n, 60.0 * (n + 1), name) for n, name in enumerate(("Dawn", "Noon", "Storm", "Dusk", "Night")))


class Films:
    """Makes films when they are asked for.

    Parameters
    ----------
    folder
        Where to; an empty folder that somebody else removes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._master: Path | None = None

    @property
    def master(self) -> Path:
        if self._master is None:
            self._master = film.make_master(self.folder)
        return self._master

    def __getitem__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            _RECIPES[name](self, path)
        return path

    def data(self, name: str) -> bytes:
        return self[name].read_bytes()


def open_here(path: Path) -> ContainerMedia:
    """A film, opened in this process as a worker opens its local copy."""
    nowhere = Pass("127.0.0.1", 9, "")
    return ContainerMedia(RemoteFile("", nowhere, path.stat().st_size, local=path).open(), scan=True)


def _recipe(name: str) -> Callable[[Make], Make]:
    def keep(make: Make) -> Make:
        _RECIPES[name] = make
        return make

    return keep


def _from_master(name: str, *arguments: str) -> None:
    _RECIPES[name] = lambda films, path: ffmpeg("-i", films.master, *arguments, path)


def _from_film(name: str, *arguments: str, before: tuple[str, ...] = (), source: str = "film.mp4") -> None:
    _RECIPES[name] = lambda films, path: ffmpeg(*before, "-i", films[source], *arguments, path)


# --- containers --------------------------------------------------------------------------------------------

KEYFRAMES = ",".join(f"{cut / film.RATE:.2f}" for cut in film.CUTS)
"""Where shots begin, as most encoders do by themselves."""

_from_master("film.mp4", *X264, "-force_key_frames", KEYFRAMES, *AAC, "-movflags", "+faststart")
_from_master("steady.mp4", "-t", "30", *X264, "-g", "25", "-sc_threshold", "0", *AAC)
_from_film("moov_last.mp4", *SHORT, *COPY)
_from_master("few.mp4", "-t", "1.6", *X264[:-4], "-g", "10", "-bf", "3", *AAC)
_from_film("last_moov.mp4", "-t", "25", *COPY, source="steady.mp4")
_from_film("film.mov", *SHORT, *COPY)
_from_film("film.mkv", *COPY)
_from_film("fragmented.mp4", *SHORT, *COPY, "-movflags", "frag_keyframe+empty_moov+default_base_moof")
_from_film("sidx.mp4", *COPY, "-movflags", "frag_keyframe+empty_moov+default_base_moof+global_sidx")
_from_film("mfra.mp4", *COPY, "-movflags", "frag_keyframe+empty_moov+default_base_moof")
_from_film("unlisted.mp4", *SHORT, *COPY, "-movflags", "frag_keyframe+empty_moov+default_base_moof+skip_trailer")
_from_film("film.ts", *SHORT, *COPY)
_from_film("film.flv", *SHORT, *COPY)
_from_film("film.avi", *SHORT, *X264, "-bf", "2", *AAC, source="steady.mp4")
_from_film("late.mp4", *SHORT, *COPY, "-output_ts_offset", "7.3", "-avoid_negative_ts", "disabled")
_from_film("late.mkv", *SHORT, *COPY, "-output_ts_offset", "7.3")
_from_film("rotated.mp4", *SHORT, *COPY, before=("-display_rotation", "90"))
_from_master("vfr.mp4", *SHORT, "-vf", "select='gte(n,200)+not(mod(n,2))'", "-fps_mode", "vfr", *X264, *AAC)
_from_film("trimmed.mp4", "-t", "10", *COPY, before=("-ss", "1.32"))
_from_film("half_second.mp4", "-t", "0.48", *X264, *AAC)
_from_film("one_frame.mp4", "-frames:v", "1", "-an", *X264)
_from_film("mp3.mp4", *SHORT, "-c:v", "copy", "-c:a", "libmp3lame")
_from_film("quicktime.mp4", *SHORT, "-c:v", "copy", "-c:a", "libmp3lame", "-video_track_timescale", "600")
_from_master("two_a_second.mp4", "-r", "2", *X264, "-c:a", "libmp3lame")
# Two seconds of moving pictures, then one every four seconds, as of a talk with slides.
SELDOM = ("-vf", "select='if(lt(mod(n,250),50),1,not(mod(n,100)))'", "-fps_mode", "vfr")
_from_master("seldom.mp4", *SELDOM, *X264, "-sc_threshold", "0", *AAC)
_from_film("ntsc.mp4", "-r", "30000/1001", *X264, *AAC)
_from_film("squeezed_turned.mp4", *COPY, before=("-display_rotation", "90"), source="squeezed.mp4")
_from_master("ffv1.mkv", "-t", "4", "-c:v", "ffv1", "-pix_fmt", "bgra", "-an")
_from_master("qtrle.mov", "-t", "4", "-c:v", "qtrle", "-pix_fmt", "rgb24", "-an")
_from_film("brief_sound.mp4", "-c:v", "copy", *AAC, "-af", "atrim=0:2", source="steady.mp4")
_from_film("sound_ends.mp4", *SHORT, "-c:v", "copy", "-c:a", "libmp3lame", "-af", "atrim=0:2")
_from_master("240_fps.mp4", "-t", "12", "-r", "240", "-c:v", "mpeg4", "-q:v", "9", "-an")
_from_film("silent.mp4", *SHORT, "-c:v", "copy", "-an")
_from_film("sound_only.mp4", *SHORT, "-vn", "-c:a", "copy")


def _joined(name: str, *second: str) -> None:
    """Two recordings in one transport stream, one after the other."""

    def make(films: Films, path: Path) -> None:
        parts = [path.with_suffix(".1.ts"), path.with_suffix(".2.ts")]
        ffmpeg("-i", films.master, "-t", "20", *X264, "-bf", "3", *AAC, parts[0])
        ffmpeg("-ss", "20", "-i", films.master, "-t", "20", *second, *X264, "-bf", "0", *AAC, parts[1])
        path.write_bytes(b"".join(part.read_bytes() for part in parts))

    _RECIPES[name] = make


_joined("joined.ts")
_joined("two_sizes.ts", "-vf", "scale=640:360")
_from_film("two_sizes.mp4", *COPY, source="two_sizes.ts")


@_recipe("no_cues.mkv")
def _(films: Films, path: Path) -> None:
    """As a stream is saved: neither cues nor a duration, because the end was not known."""
    command = [film.FFMPEG, "-v", "error", "-i", films["film.mp4"], *SHORT, *COPY, "-f", "matroska", "-"]
    path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)


# --- codecs ------------------------------------------------------------------------------------------------

_from_master("vp9.webm", "-t", "30", *VP9, "-c:a", "libopus")
_from_master("vp9_large.webm", "-t", "8", "-vf", "scale=1280:720,noise=alls=30:allf=t", *VP9, "-an")
_from_master("mpeg4.avi", *SHORT, "-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-c:a", "libmp3lame")
_from_master("mjpeg.avi", *SHORT, "-c:v", "mjpeg", "-q:v", "4", "-c:a", "pcm_s16le")
_from_master("mpeg2.mpg", *SHORT, *MPEG2, "-c:a", "mp2")
_from_master("mpeg2.ts", *SHORT, *MPEG2, "-c:a", "mp2")
_from_master("hevc.ts", *SHORT, *HEVC, *AAC)
_from_master("vp8.webm", *SHORT, "-c:v", "libvpx", *VP9[2:], "-c:a", "libvorbis")
_from_master("mpeg4.mp4", "-t", "30", "-c:v", "mpeg4", "-q:v", "3", "-bf", "2", *AAC)
_from_master("hevc.mp4", *SHORT, *HEVC, *AAC)
_from_master("yuv444.mp4", *SHORT, *X264, "-pix_fmt", "yuv444p", *AAC)
_from_master("ten_bit.mp4", *SHORT, *X264, "-pix_fmt", "yuv420p10le", *AAC)
_from_master("odd.webm", *SHORT, "-vf", "scale=321:181", *VP9, "-c:a", "libopus")
_from_master("no_b.mp4", *SHORT, *X264, "-bf", "0", *AAC)
_from_master("fields.mp4", *SHORT, *X264, "-flags", "+ilme+ildct", "-x264-params", "tff=1", *AAC)
_from_master("mpeg2.mkv", *SHORT, "-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-flags", "+ilme+ildct", *AAC)
_from_master("surround.mp4", *SHORT, *X264, "-af", "pan=5.1|FC=c0", *AAC)
_from_master("surround.webm", *SHORT, *VP9, "-af", "pan=5.1|FC=c0", "-c:a", "libopus", "-mapping_family", "1")
_from_master("squeezed.mp4", *SHORT, "-vf", "setsar=4/3", *X264, *AAC)
_from_master("squeezed.webm", *SHORT, "-vf", "setsar=4/3", *VP9, "-an")
PQ = ("-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc", "-pix_fmt", "yuv420p10le")
_from_master("hdr.mp4", *SHORT, *PQ, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", *AAC)
_from_master("long_gop.mp4", *SHORT, *X264, "-g", "9999", "-sc_threshold", "0", *AAC)


# Shots that begin anywhere between keyframes.
GOPS = ("-g", "50", "-sc_threshold", "0")
_from_master("heads.mp4", *X264, *GOPS, *AAC)
_from_film("heads.mkv", *COPY, source="heads.mp4")
_from_film("heads.avi", *COPY, source="heads_no_b.mp4")
_from_master("heads_no_b.mp4", *SHORT, *X264, *GOPS, "-bf", "0", "-profile:v", "main", *AAC)
_from_master("heads_baseline.mp4", *SHORT, *X264, *GOPS, "-profile:v", "baseline", "-an")
_from_master("heads_b.mp4", *SHORT, *X264, *GOPS, "-bf", "5", "-x264-params", "b-pyramid=normal:ref=5", *AAC)
_from_master("heads_slices.mp4", *SHORT, *X264, *GOPS, "-x264-params", "slices=4", *AAC)
_from_master("heads_wide_ids.mp4", *SHORT, *X264, *GOPS, "-x264-params", "sps-id=31", *AAC)
_from_master("heads_vfr.mp4", "-vf", "select='gte(n,200)+not(mod(n,2))'", "-fps_mode", "vfr", *X264, *GOPS, *AAC)
_from_film("heads_late.mp4", *COPY, "-output_ts_offset", "7.3", "-avoid_negative_ts", "disabled", source="heads.mp4")


CODECS = ("h264", "hevc", "vp9", "av1")


def codec_film(codec: str, gops: str, order: str, rate: str, bits: int) -> str:
    """The name of the film of one kind; VP9 and AV1 hide frames that are shown later where others have B-frames."""
    return f"{codec}-{gops}-{order}-{rate}-{bits}.mkv"


def _codec(codec: str, gops: str, order: str, rate: str, bits: int) -> None:
    is_open, b = int(gops == "open"), order == "b"
    x26 = f"open-gop={is_open}:keyint=25:min-keyint=25:scenecut=0:bframes={3 * b}:b-adapt=0"
    how = {
        "h264": ("-c:v", "libx264", "-preset", "veryfast", "-x264-params", x26),
        "hevc": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", f"log-level=none:{x26}"),
        "vp9": (*VP9[:-1], "25", "-auto-alt-ref", str(int(b)), "-lag-in-frames", str(12 * b)),
        "av1": (
            *("-c:v", "libsvtav1", "-preset", "12", "-g", "25", "-svtav1-params"),
            f"irefresh-type={2 - is_open}:pred-struct={1 + b}:lp=2",
        ),
    }[codec]
    vary = "select='gte(n,70)+not(mod(n,2))'," if rate == "vfr" else ""
    small = ("-vf", f"{vary}scale=160:90", "-fps_mode", "passthrough")
    depth = ("-pix_fmt", "yuv420p10le" if bits == 10 else "yuv420p")
    _from_master(codec_film(codec, gops, order, rate, bits), "-t", "5", *small, *how, *depth, *AAC)


for _kind in product(CODECS, ("closed", "open"), ("b", "no_b"), ("cfr", "vfr"), (8, 10)):
    _codec(*_kind)


DISSOLVE_FRAMES = 20
"""Before each cut of the usual film, in ``dissolves.mp4``."""


@_recipe("dissolves.mp4")
def _(films: Films, path: Path) -> None:
    """Shots dissolve into each other; keyframes come twice a second, wherever."""
    frames = []
    for n in range(750):
        shot = film.shot_of(n)
        until = film.CUTS[shot + 1] - n
        one, other = (np.frombuffer(film.draw(n, k), np.uint8).astype(np.float32) for k in (shot, shot + 1))
        share = max(DISSOLVE_FRAMES + 1 - until, 0) / (DISSOLVE_FRAMES + 1)
        frames.append(film.number_on((one * (1 - share) + other * share).astype(np.uint8).tobytes(), n))
    wav = path.with_suffix(".wav")
    wav.write_bytes(film.sound(30, film.BEEPS))
    gops = ("-g", "12", "-sc_threshold", "0")
    ffmpeg(*film.raw_input(), "-i", wav, *X264, *gops, *AAC, path, stdin=b"".join(frames))


@_recipe("open_gop.mp4")
def _(films: Films, path: Path) -> None:
    """One long shot; every keyframe but the first is followed by pictures that are shown before it."""
    frames = b"".join(film.number_on(film.draw(n, 0), n) for n in range(350))
    wav = path.with_suffix(".wav")
    wav.write_bytes(film.sound(14, film.BEEPS))
    gops = ("-x264-params", "open-gop=1:keyint=40:min-keyint=40:scenecut=0:bframes=3:b-adapt=0")
    ffmpeg(*film.raw_input(), "-i", wav, *X264, *gops, *AAC, path, stdin=frames)


# --- what is said and named --------------------------------------------------------------------------------


def _subtitled(name: str, codec: str) -> None:
    def make(films: Films, path: Path) -> None:
        (films.folder / "said.srt").write_text(film.srt(SENTENCES))
        text = ("-i", films.folder / "said.srt", *COPY, "-c:s", codec, "-metadata:s:s:0", "language=eng")
        ffmpeg("-i", films["film.mp4"], *text, path)

    _RECIPES[name] = make


_subtitled("said.mp4", "mov_text")
_subtitled("said.mkv", "srt")


# --- long ones, tiny and at five frames a second -----------------------------------------------------------

TINY = (128, 72, 5)


def tiny(shots: list[tuple[int, int]]) -> Iterator[bytes]:
    """Frames of 128 x 72: (shot, how many frames) after one another."""
    number = 0
    for shot, count in shots:
        for _ in range(count):
            yield film.draw(number, shot, *TINY[:2])
            number += 1


def _long(path: Path, frames: list[bytes], *arguments: str | Path, hum: float = 0.05) -> None:
    seconds = len(frames) / TINY[2]
    wav = path.with_suffix(".wav")
    wav.write_bytes(film.sound(seconds, hum=hum, rate=16_000))
    raw = film.raw_input(*TINY)
    picture = ("-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-c:a", "aac", "-b:a", "24k")
    ffmpeg(*raw, "-i", wav, *arguments, *picture, "-movflags", "+faststart", path, stdin=b"".join(frames))


@_recipe("long.mp4")
def _(films: Films, path: Path) -> None:
    """Five minutes in 25 shots; chapters and a title."""
    names = path.with_suffix(".txt")
    names.write_text(film.chapters("A Year in the Harbour", CHAPTERS))
    _long(path, list(tiny([(k, 60) for k in range(25)])), "-i", names, "-map_metadata", "2")


@_recipe("unaligned.mp4")
def _(films: Films, path: Path) -> None:
    """Five minutes in 25 shots of 12 s, and a keyframe every 7 s, wherever that is."""
    wav = path.with_suffix(".wav")
    wav.write_bytes(film.sound(300, hum=0.3, rate=16_000))
    gops = ("-c:v", "libx264", "-preset", "veryfast", "-g", "35", "-sc_threshold", "0", *AAC)
    frames = b"".join(tiny([(k, 60) for k in range(25)]))
    ffmpeg(*film.raw_input(*TINY), "-i", wav, *gops, "-movflags", "+faststart", path, stdin=frames)


@_recipe("plain.mp4")
def _(films: Films, path: Path) -> None:
    """The same with nothing but its pictures and sound."""
    ffmpeg("-i", films["long.mp4"], *COPY, "-map_metadata", "-1", "-map_chapters", "-1", path)


@_recipe("looped.mp4")
def _(films: Films, path: Path) -> None:
    """One lively minute, again and again for four, then a minute of other shots."""
    loop = list(tiny([(k, 75) for k in range(4)]))
    _long(path, loop * 4 + list(tiny([(5, 80), (6, 70), (7, 80), (4, 70)])))


@_recipe("black.mp4")
def _(films: Films, path: Path) -> None:
    """Two minutes of black silence."""
    black = b"\x10" * (128 * 72) + b"\x80" * (64 * 72)
    _long(path, [black] * 600, hum=0.0)


@_recipe("dark.mp4")
def _(films: Films, path: Path) -> None:
    """Two minutes of a voice (a tone) in the dark."""
    black = b"\x10" * (128 * 72) + b"\x80" * (64 * 72)
    _long(path, [black] * 600, hum=0.3)


@_recipe("still_silent.mp4")
def _(films: Films, path: Path) -> None:
    """One picture, no sound."""
    _long(path, [film.draw(0, 3, *TINY[:2])] * 600, hum=0.0)


@_recipe("slides.mp4")
def _(films: Films, path: Path) -> None:
    """Six slides of 20 s, each a still picture, and a voice (a tone)."""
    _long(path, [film.draw(0, k, *TINY[:2]) for k in range(6) for _ in range(100)], hum=0.3)


@_recipe("late_slides.mp4")
def _(films: Films, path: Path) -> None:
    """Slides of 30 s and a voice (a tone); each comes 2.4 s after a keyframe, and there is one every ten seconds."""
    slides = [film.draw(0, k, *TINY[:2]) for k in range(9) for _ in range(150)][138:]
    wav = path.with_suffix(".wav")
    wav.write_bytes(film.sound(len(slides) / TINY[2], hum=0.3, rate=16_000))
    gops = ("-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-sc_threshold", "0", *AAC)
    ffmpeg(*film.raw_input(*TINY), "-i", wav, *gops, path, stdin=b"".join(slides))


def _trailer(name: str, *picture: str) -> None:
    def make(films: Films, path: Path) -> None:
        black = b"\x10" * (128 * 72) + b"\x80" * (64 * 72)
        shots = [list(tiny([(k, 29 + 7 * (k % 3))])) + [black] * 9 for k in range(9)]
        wav = path.with_suffix(".wav")
        frames = [black] * 7 + [frame for shot in shots for frame in shot]
        wav.write_bytes(film.sound(len(frames) / TINY[2], hum=0.3, rate=16_000))
        ffmpeg(*film.raw_input(*TINY), "-i", wav, *picture, *AAC, path, stdin=b"".join(frames))

    _RECIPES[name] = make


# Shots of six to nine seconds with 1.8 s of black between them.
_trailer("trailer.mp4", "-c:v", "libx264", "-preset", "veryfast", "-g", "5", "-sc_threshold", "0")
_trailer("trailer.mkv", *VP9)


@_recipe("half_black.mp4")
def _(films: Films, path: Path) -> None:
    """A minute of black silence, a minute of shots, a minute of black silence."""
    black = [b"\x10" * (128 * 72) + b"\x80" * (64 * 72)] * 300
    frames = black + list(tiny([(k, 60) for k in range(5)])) + black
    sound = np.frombuffer(film.sound(180, hum=0.2, rate=16_000)[44:], np.int16).copy()
    sound[: 60 * 16_000] = sound[120 * 16_000 :] = 0
    wav = film.sound(180, hum=0, rate=16_000)[:44] + sound.tobytes()
    path.with_suffix(".wav").write_bytes(wav)
    picture = ("-c:v", "libx264", "-preset", "veryfast", "-g", "25", *AAC, "-movflags", "+faststart")
    ffmpeg(*film.raw_input(*TINY), "-i", path.with_suffix(".wav"), *picture, path, stdin=b"".join(frames))


@_recipe("flash.mp4")
def _(films: Films, path: Path) -> None:
    """One shot of six seconds with two flashes of one frame."""
    frames = [film.draw(n, 2) for n in range(150)]
    frames[60] = frames[101] = b"\xeb" * (320 * 180) + b"\x80" * (160 * 180)
    ffmpeg(*film.raw_input(), *X264, path, stdin=b"".join(frames))


@_recipe("huge.mp4")
def _(films: Films, path: Path) -> None:
    """Two frames of 24 megapixels in a few kilobytes."""
    ffmpeg("-f", "lavfi", "-i", "color=s=6000x4000:d=0.08", "-c:v", "libx264", "-preset", "ultrafast", path)


@_recipe("large.mp4")
def _(films: Films, path: Path) -> None:
    """Two seconds of 4K."""
    picture = ("-c:v", "libx264", "-preset", "ultrafast", "-threads", "2")
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=4096x2304:d=2:r=5", *picture, "-pix_fmt", "yuv420p", path)


@_recipe("heavy.mp4")
def _(films: Films, path: Path) -> None:
    """Thirty seconds of noise in motion, some 5 Mbit a second."""
    noisy = ("-vf", "noise=alls=60:allf=t", "-t", "30", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25")
    ffmpeg("-i", films.master, *noisy, "-b:v", "5M", "-maxrate", "5M", "-bufsize", "2M", *AAC, path)


_from_film(
    "heavy_sidx.mp4", *COPY, "-movflags", "frag_keyframe+empty_moov+default_base_moof+global_sidx", source="heavy.mp4"
)
_from_film("heavy_mfra.mp4", *COPY, "-movflags", "frag_keyframe+empty_moov+default_base_moof", source="heavy.mp4")
_from_film("heavy.avi", *COPY, source="heavy.mp4")


@_recipe("wide.mp4")
def _(films: Films, path: Path) -> None:
    """A minute of noise: too large to be fetched by the way, so that each job has to ask for its part."""
    noisy = ("-vf", "noise=alls=50:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25")
    ffmpeg(
        "-i",
        films.master,
        *noisy,
        "-b:v",
        "3M",
        "-maxrate",
        "3M",
        "-bufsize",
        "2M",
        *AAC,
        "-movflags",
        "+faststart",
        path,
    )
