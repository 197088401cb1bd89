"""The videos that benchmarks run on, made once by the ffmpeg of imageio-ffmpeg and kept in a folder.

Long ones: a varied clip of two minutes (1080p, 25 frames/s, H.264 at 5 Mb/s with grain, AAC), looped to 10 and 60
minutes by copying packets. Planted ones: an hour in which little happens but for eight highlights whose times are
known, with decoys between them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
CLIP_SECONDS = 120
GOPS = {
    "gop2": ("-g", "50", "-keyint_min", "50", "-sc_threshold", "0"),
    "gop10": ("-g", "250", "-keyint_min", "250", "-sc_threshold", "0"),
    "cuts": ("-g", "250", "-keyint_min", "12"),
}
"""Keyframes every 2 s, every 10 s, and where the encoder sees a cut."""

# Seconds, a source of pictures, how it moves, its grain, its sound, and how loud that is.
_SHOTS = (
    (5.3, "testsrc2=s=960x540", "scroll=h=0.004", 5, "sine=f=330", 0.05),
    (9.1, "gradients=s=480x270:speed=0.02:seed=1", "null", 3, "anoisesrc=c=pink:seed=1", 0.1),
    (
        6.4,
        "mandelbrot=s=480x270:start_scale=0.3:end_scale=0.01:end_pts=300",
        "null",
        7,
        "anoisesrc=c=white:seed=2",
        0.5,
    ),
    (8.7, "smptehdbars=s=960x540", "rotate=a=t/3", 5, "sine=f=1000", 0.2),
    (
        7.2,
        "life=s=240x135:ratio=0.25:seed=3:mold=20:life_color=#ffd080:death_color=#203060",
        "null",
        5,
        "sine=f=220:b=4",
        0.4,
    ),
    (10.3, "perlin=s=480x270:octaves=3:tscale=0.6", "hue=h=t*20:s=3", 4, "anoisesrc=c=brown:seed=4", 0.3),
    (4.9, "zoneplate=s=480x270:kx2=40:ky2=40:kt=12", "null", 5, "sine=f=660:b=2", 0.7),
    (8.3, "colorspectrum=s=960x540", "scroll=h=0.02:v=0.01", 4, "anoisesrc=c=pink:seed=5", 0.02),
    (6.6, "sierpinski=s=480x270:seed=6:jump=60", "hue=h=120", 6, "anoisesrc=c=violet:seed=6", 0.4),
    (9.7, "gradients=s=480x270:type=spiral:speed=0.15:seed=7", "null", 6, "sine=f=440", 0.1),
    (5.8, "yuvtestsrc=s=960x540", "rotate=a=-t:fillcolor=gray", 5, "anoisesrc=c=white:seed=8", 0.9),
    (7.9, "cellauto=s=240x135:rule=110:seed=9", "hue=h=200:s=2", 4, "sine=f=150", 0.3),
    (8.1, "haldclutsrc=level=6", "scroll=v=0.03", 5, "anoisesrc=c=blue:seed=10", 0.15),
    (7.4, "pal100bars=s=960x540", "rotate=a=sin(t)", 5, "sine=f=880:b=3", 0.6),
    (6.9, "gradients=s=480x270:type=radial:speed=0.3:seed=11:n=8", "scroll=h=0.01", 7, "anoisesrc=c=pink:seed=11", 0.8),
    (7.4, "testsrc=s=960x540", "scroll=v=-0.01", 5, "sine=f=500", 0.0),
)


@contextmanager
def made(path: Path) -> Iterator[Path]:
    """A file under another name, renamed once it is complete."""
    print(f"making {path.name} ...", file=sys.stderr, flush=True)
    partial = path.with_name(f"part-{os.getpid()}-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _ffmpeg(*arguments: str, **options: object) -> None:
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-y", *arguments], check=True, **options)  # type: ignore[call-overload]


def clip(folder: Path, gop: str) -> Path:
    """The varied clip of two minutes."""
    path = folder / f"clip-{gop}.mp4"
    if not path.exists():
        assert abs(sum(shot[0] for shot in _SHOTS) - CLIP_SECONDS) < 1e-6
        parts, pads = [], ""
        for n, (seconds, picture, movement, grain, sound, volume) in enumerate(_SHOTS):
            separator = ":" if "=" in picture else "="
            parts.append(
                f"{picture}{separator}r=25,trim=duration={seconds},{movement},scale=1920:1080:flags=fast_bilinear,"
                f"setsar=1,format=yuv420p,noise=alls={grain}:allf=t:all_seed={n}[v{n}]"
            )
            parts.append(
                f"{sound},atrim=duration={seconds},volume={volume},aformat=sample_rates=44100:channel_layouts=stereo[a{n}]"
            )
            pads += f"[v{n}][a{n}]"
        graph = ";".join(parts) + f";{pads}concat=n={len(_SHOTS)}:v=1:a=1[v][a]"
        with made(path) as partial:
            _ffmpeg(
                *("-filter_complex", graph, "-map", "[v]", "-map", "[a]", "-c:v", "libx264", "-preset", "veryfast"),
                *("-b:v", "5M", "-maxrate", "7M", "-bufsize", "10M", *GOPS[gop], "-pix_fmt", "yuv420p"),
                *("-c:a", "aac", "-b:a", "128k", "-t", str(CLIP_SECONDS), str(partial)),
            )
    return path


def long(folder: Path, gop: str, minutes: int) -> Path:
    """The clip again and again, copied, with its index in front."""
    path = folder / f"long-{gop}-{minutes}min.mp4"
    if not path.exists():
        source = clip(folder, gop)
        turns = minutes * 60 // CLIP_SECONDS
        _need(folder, 2 * turns * source.stat().st_size)  # moving the index to the front rewrites the file
        with made(path) as partial:
            _loop(source, turns, partial)
    return path


RENDITIONS = ((720, "3M"), (240, "300k"))
"""Lines and bits per second of the pictures of streams."""
SEGMENT_SECONDS = 4


def stream(folder: Path, kind: str, minutes: int) -> Path:
    """The clip again and again as a stream: ``hls`` or ``dash``; its playlist, beside its segments."""
    folder = folder / "streams"
    name = f"{kind}-{minutes}min"
    playlist = folder / (f"{name}.m3u8" if kind == "hls" else f"{name}.mpd")
    if playlist.exists():
        return playlist
    folder.mkdir(exist_ok=True)
    sources = [_rendition(folder, *rendition) for rendition in RENDITIONS]
    _need(folder, minutes * 60 * 500_000)
    turns = str(minutes * 60 // CLIP_SECONDS - 1)
    with made(playlist) as partial:
        inputs = [part for source in sources for part in ("-stream_loop", turns, "-i", str(source))]
        if kind == "dash":
            names = ("-init_seg_name", f"{name}-$RepresentationID$.mp4")
            names += ("-media_seg_name", f"{name}-$RepresentationID$-$Number%05d$.m4s")
            copied = ("-map", "0:v", "-map", "1:v", "-map", "0:a", "-c", "copy", "-f", "dash")
            _ffmpeg(*inputs, *copied, "-seg_duration", str(SEGMENT_SECONDS), *names, str(partial))
            return playlist
        lines = ["#EXTM3U"]
        for n, (height, rate) in enumerate(RENDITIONS):
            listed = folder / f"{name}-{height}.m3u8"
            pieces = ("-hls_playlist_type", "vod", "-hls_segment_filename", str(listed.with_suffix("")) + "-%05d.ts")
            copied = ("-map", f"{n}:v", "-map", f"{n}:a", "-c", "copy", "-f", "hls", "-hls_time", str(SEGMENT_SECONDS))
            _ffmpeg(*inputs, *copied, *pieces, str(listed))
            bits = int(rate.replace("M", "000000").replace("k", "000"))
            lines += [f"#EXT-X-STREAM-INF:BANDWIDTH={bits},RESOLUTION={height * 16 // 9}x{height}", listed.name]
        partial.write_text("\n".join([*lines, ""]))
    return playlist


def _rendition(folder: Path, height: int, rate: str) -> Path:
    path = folder / f"clip-{height}.mp4"
    if not path.exists():
        with made(path) as partial:
            _ffmpeg(
                *("-i", str(clip(folder.parent, "gop2")), "-vf", f"scale=-2:{height}", "-c:v", "libx264"),
                *("-preset", "veryfast", "-b:v", rate, "-maxrate", rate, "-bufsize", rate, *GOPS["gop2"]),
                *("-c:a", "copy", str(partial)),
            )
    return path


def _loop(source: Path, turns: int, path: Path) -> None:
    copied = ("-c", "copy", "-movflags", "+faststart", str(path))
    _ffmpeg("-stream_loop", str(turns - 1), "-i", str(source), *copied)


def _need(folder: Path, size_bytes: int) -> None:
    if shutil.disk_usage(folder).free < size_bytes + (1 << 30):
        raise SystemExit(f"{folder} needs {size_bytes >> 30} GiB more; give another folder with --material")


# --- planted highlights ----------------------------------------------------------------------------------------------

WIDTH, HEIGHT, RATE, SOUND_RATE = 320, 180, 15, 16_000
HOUR = 3600
HIGHLIGHTS = 8
SEEDS = (11, 23, 47)


@dataclass(frozen=True)
class Planted:
    """A video and the highlights in it, as (start, end) in seconds."""

    path: Path
    highlights: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Event:
    kind: str
    """highlight; or a decoy: loud (but still), moving (but silent), black (and silent)."""
    start: float
    end: float
    strength: float
    """Of movement and sound: decoys have all of it, highlights a random share."""


def planted(folder: Path, seed: int, seconds: int = HOUR) -> Planted:
    """An hour in which little happens, with highlights."""
    path = folder / f"planted-{seed}-{seconds // 60}min.mp4"
    events = _events(np.random.default_rng(seed), seconds)
    if not path.exists():
        with made(path) as partial:
            _film(partial, events, seed, seconds)
    return Planted(path, tuple((e.start, e.end) for e in events if e.kind == "highlight"))


def hours(folder: Path, count: int) -> Path:
    """Many hours of little: what matters is how long the index is."""
    path = folder / f"hours-{count}.mp4"
    if not path.exists():
        with made(path) as partial:
            _loop(planted(folder, SEEDS[0]).path, count, partial)
    return path


def _events(random: np.random.Generator, seconds: int) -> list[_Event]:
    """Highlights and decoys at random places, at least 20 s apart and away from both ends."""
    kinds = ["highlight"] * HIGHLIGHTS + ["loud"] * 4 + ["moving"] * 3 + ["black"] * 2
    random.shuffle(kinds)
    lengths = [float(random.uniform(8, 15)) for _ in kinds]
    margin, gap = 45.0, 20.0
    free = seconds - 2 * margin - sum(lengths) - gap * (len(kinds) - 1)
    places = np.sort(random.uniform(0, free, len(kinds)))
    events, passed = [], margin
    for kind, length, place in zip(kinds, lengths, places, strict=True):
        start = float(place) + passed
        strength = float(random.uniform(0.3, 1)) if kind == "highlight" else 1.0
        events.append(_Event(kind, start, start + length, strength))
        passed += length + gap
    return events


def _film(path: Path, events: list[_Event], seed: int, seconds: int) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        sound = Path(folder) / "sound.wav"
        _write_sound(sound, events, np.random.default_rng(seed + 1), seconds)
        command = [
            *(FFMPEG, "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}"),
            *("-r", str(RATE), "-i", "-", "-i", str(sound), "-c:v", "libx264", "-preset", "veryfast", "-crf", "24"),
            *("-c:a", "aac", "-b:a", "64k", "-ac", "1", "-movflags", "+faststart", "-f", "mp4", str(path)),
        ]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert process.stdin is not None
        for frame in _frames(events, np.random.default_rng(seed + 2), seconds):
            process.stdin.write(frame)
        process.stdin.close()
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, command)


Picture = NDArray[np.float32]


def _scenery(random: np.random.Generator, detail: int) -> NDArray[np.uint8]:
    """A random picture, three planes of WIDTH x HEIGHT; more detail, finer patches."""
    planes = []
    for low, high in ((40, 200), (90, 166), (90, 166)):
        coarse = random.uniform(low, high, (HEIGHT // detail + 2, WIDTH // detail + 2))
        y, x = np.linspace(0, coarse.shape[0] - 1.01, HEIGHT), np.linspace(0, coarse.shape[1] - 1.01, WIDTH)
        rows, columns = y.astype(int), x.astype(int)
        fy, fx = (y - rows)[:, None], (x - columns)[None]
        top = coarse[rows][:, columns] * (1 - fx) + coarse[rows][:, columns + 1] * fx
        bottom = coarse[rows + 1][:, columns] * (1 - fx) + coarse[rows + 1][:, columns + 1] * fx
        planes.append(top * (1 - fy) + bottom * fy)
    return np.stack(planes).astype(np.uint8)


def _frames(events: list[_Event], random: np.random.Generator, seconds: int) -> Iterator[bytes]:
    """A static camera with faint noise, another view every few minutes, and the events."""
    noise = random.normal(0, 1.2, (16, HEIGHT, WIDTH)).round().astype(np.int16)
    at_event = {n: e for e in events for n in range(int(e.start * RATE), int(e.end * RATE))}
    view, until, action, step = _scenery(random, 60), 0.0, _scenery(random, 12), (0, 0)
    black = b"\x10" * (WIDTH * HEIGHT) + b"\x80" * (WIDTH * HEIGHT // 2)
    for n in range(seconds * RATE):
        event = at_event.get(n)
        if n / RATE >= until and event is None:
            view, until = _scenery(random, int(random.integers(30, 80))), n / RATE + float(random.uniform(120, 400))
        if event is not None and event.kind == "black":
            yield black
            continue
        picture = view
        if event is not None and event.kind in ("highlight", "moving"):
            since = n - int(event.start * RATE)
            if since % (3 * RATE) == 0:  # a cut every three seconds
                action, step = (
                    _scenery(random, 12),
                    (int(random.integers(-9, 10)), int(random.choice((-14, -9, 9, 14)))),
                )
            picture = view.copy()
            moving = np.s_[:, :, : round(WIDTH * event.strength)]
            picture[moving] = np.roll(action, (since * step[0], since * step[1]), (1, 2))[moving]
        luma = np.clip(picture[0] + noise[n % 16] + n // (20 * RATE) % 4, 16, 235).astype(np.uint8)
        yield luma.tobytes() + picture[1, ::2, ::2].tobytes() + picture[2, ::2, ::2].tobytes()


def _write_sound(path: Path, events: list[_Event], random: np.random.Generator, seconds: int) -> None:
    """A quiet hum; loud noise and tones in highlights and loud decoys; nothing in silent decoys."""
    t = np.arange(seconds * SOUND_RATE) / SOUND_RATE
    samples = 0.004 * np.sin(2 * np.pi * 100 * t) + random.normal(0, 0.001, len(t))
    for event in events:
        part = slice(int(event.start * SOUND_RATE), int(event.end * SOUND_RATE))
        if event.kind == "black":
            samples[part] = 0
        elif event.kind in ("highlight", "loud"):
            beat = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t[part])
            beat *= event.strength
            samples[part] = beat * (random.normal(0, 0.12, len(beat)) + 0.2 * np.sin(2 * np.pi * 440 * t[part]))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SOUND_RATE, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def main() -> None:
    """Make everything, say what there is."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    made = [long(folder, gop, minutes) for gop in GOPS for minutes in (10, 60)]
    made += [planted(folder, seed).path for seed in SEEDS]
    print(json.dumps({path.name: path.stat().st_size for path in made}, indent=1))


if __name__ == "__main__":
    main()
