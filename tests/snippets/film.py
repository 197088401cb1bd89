"""Test films whose every frame says which one it is, and the reading of that from any copy of it.

A frame carries its number as twelve black or white blocks in Gray code (one block changes from frame to frame), large
enough to survive encoding and scaling. Shots differ in colour, pattern and movement and begin at known frames; beeps
begin at known frames, at distances that never repeat, so that a shift in time cannot hide.
"""

from __future__ import annotations

import io
import subprocess
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 320, 180, 25
SOUND_RATE = 48_000
BITS = 12
BLOCK, BLOCK_LEFT, BLOCK_TOP = 24, 16, 148
CUTS = (0, 83, 161, 262, 330, 425, 509, 600, 668, 771, 850, 941, 1037, 1112, 1204, 1291, 1380, 1452)
"""The first frames of the shots."""
FRAMES = 1500
BEEPS = tuple(int(n) for n in np.cumsum([9, *(17 + (7 * k * k) % 23 for k in range(70))]) if n < FRAMES - 5)
BEEP_SECONDS = 0.08

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def draw(number: int, shot: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """One frame in yuv420p: moving waves, in the colours of its shot."""
    x = np.arange(width, dtype=np.float32)[None, :] * (320 / width)
    y = np.arange(height, dtype=np.float32)[:, None] * (180 / height)
    fx, fy, speed = 0.02 + 0.013 * (shot * 5 % 7), 0.02 + 0.017 * (shot * 3 % 5), 0.15 + 0.02 * (shot % 4)
    luma = 60 + 100 * ((shot * 7 % 10) / 10) + 30 * np.sin(x * fx + y * fy + number * speed)
    return _planes(luma, shot)


def _planes(luma: NDArray[np.float32], shot: int) -> bytes:
    height, width = luma.shape
    chroma = np.empty((2, height // 2, width // 2), np.uint8)
    chroma[0], chroma[1] = colour_of(shot)
    return np.clip(luma, 16, 235).astype(np.uint8).tobytes() + chroma.tobytes()


def number_on(frame: bytes, number: int) -> bytes:
    """The frame with its number on it."""
    pixels = np.frombuffer(frame, np.uint8).copy()
    luma = pixels[: WIDTH * HEIGHT].reshape(HEIGHT, WIDTH)
    code = number ^ (number >> 1)
    for bit in range(BITS):
        left = BLOCK_LEFT + BLOCK * bit
        luma[BLOCK_TOP : BLOCK_TOP + BLOCK, left : left + BLOCK] = 225 if code >> bit & 1 else 25
    return pixels.tobytes()


def luma_of(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """The brightness of each pixel."""
    if not frame.format.name.startswith("yuv4") or frame.format.components[0].bits != 8:
        return frame.to_ndarray(format="gray")
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:, : plane.width]


def read_number(frame: av.VideoFrame) -> int:
    """The number on a frame of any size and format."""
    grey = luma_of(frame)
    high, wide = grey.shape[0] / HEIGHT, grey.shape[1] / WIDTH
    code = 0
    for bit in range(BITS):
        x, y = (BLOCK_LEFT + BLOCK * bit + BLOCK / 2) * wide, (BLOCK_TOP + BLOCK / 2) * high
        part = grey[int(y - 6 * high) : int(y + 6 * high) + 1, int(x - 6 * wide) : int(x + 6 * wide) + 1]
        code |= int(part.mean() > 125) << bit
    number = 0
    while code:
        number ^= code
        code >>= 1
    return number


def shot_of(number: int) -> int:
    """Which shot a frame belongs to."""
    return sum(cut <= number for cut in CUTS) - 1


def sound(seconds: float, beeps: Iterable[int] = (), *, hum: float = 0.02, rate: int = SOUND_RATE) -> bytes:
    """A WAV file: a low hum, and beeps that begin with the given frames."""
    time = np.arange(int(seconds * rate)) / rate
    wave_form = hum * np.sin(2 * np.pi * 220 * time)
    for beep in beeps:
        a = round(beep * rate / RATE)
        b = min(a + int(BEEP_SECONDS * rate), len(time))
        wave_form[a:b] = 0.6 * np.sin(2 * np.pi * 1000 * (time[a:b] - beep / RATE))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((wave_form * 32000).astype(np.int16).tobytes())
    return file.getvalue()


def ffmpeg(*arguments: str | Path, stdin: bytes | None = None) -> None:
    """Run ffmpeg; its complaint is the error."""
    command = [FFMPEG, "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, stdin=None if stdin else subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}"


def raw_input(width: int = WIDTH, height: int = HEIGHT, rate: int = RATE) -> list[str]:
    """ffmpeg's arguments for raw frames on its standard input."""
    return ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-r", str(rate), "-i", "-"]


X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-g", "50", "-threads", "2")
AAC = ("-c:a", "aac", "-b:a", "64k")


def make_master(folder: Path) -> Path:
    """The film of 60 s without loss, from which the others are made."""
    (folder / "master.wav").write_bytes(sound(FRAMES / RATE, BEEPS))
    frames = b"".join(number_on(draw(n, shot_of(n)), n) for n in range(FRAMES))
    path = folder / "master.mkv"
    lossless = ("-c:v", "libx264", "-qp", "0", "-preset", "ultrafast", "-g", "25", "-c:a", "pcm_s16le")
    ffmpeg(*raw_input(), "-i", folder / "master.wav", *lossless, path, stdin=frames)
    return path


def srt(cues: Sequence[tuple[float, float, str]]) -> str:
    """Captions as SubRip."""

    def time(seconds: float) -> str:
        ms = round(seconds * 1000)
        return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d},{ms % 1000:03d}"

    return "".join(f"{n}\n{time(a)} --> {time(b)}\n{text}\n\n" for n, (a, b, text) in enumerate(cues, 1))


def chapters(title: str, parts: Sequence[tuple[float, float, str]]) -> str:
    """Metadata in ffmpeg's own format."""
    text = f";FFMETADATA1\ntitle={title}\n"
    for start, end, name in parts:
        text += f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={round(start * 1000)}\nEND={round(end * 1000)}\ntitle={name}\n"
    return text


@dataclass(frozen=True)
class Shown:
    """A decoded frame: its number, and when it is shown, in seconds."""

    number: int
    time: float


def frames_of(data: bytes, **options: str) -> list[av.VideoFrame]:
    """Every frame in the order of showing; an error of the decoder is an error here."""
    with av.open(io.BytesIO(data), options=options) as clip:
        clip.streams.video[0].codec_context.options = {"err_detect": "explode"}
        return list(clip.decode(video=0))


def read_frames(data: bytes, **options: str) -> list[Shown]:
    """The numbers of all frames."""
    frames = frames_of(data, **options)
    return [Shown(read_number(f), float(f.pts * (f.time_base or Fraction(0)))) for f in frames]


def onsets(data: bytes) -> list[float]:
    """When the beeps begin, in seconds of the presentation."""
    times: list[float] = []
    quiet_since = -1.0
    with av.open(io.BytesIO(data)) as clip:
        resampler = av.AudioResampler("flt", "mono")
        for frame in clip.decode(audio=0):
            assert frame.pts is not None
            start = float(frame.pts * (frame.time_base or Fraction(0)))
            for part in resampler.resample(frame):
                samples = np.abs(part.to_ndarray().reshape(-1))
                for n in np.flatnonzero(samples > 0.2):
                    at = start + n / frame.sample_rate
                    if at - quiet_since > 0.1:
                        times.append(at)
                    quiet_since = at
    return times


def packets(data: bytes, kind: str) -> list[bytes]:
    """The packets of the first stream of a kind, in the order of the file."""
    with av.open(io.BytesIO(data)) as clip:
        stream = getattr(clip.streams, kind)[0]
        return [bytes(p) for p in clip.demux(stream) if p.size]


def psnr(one: av.VideoFrame, other: av.VideoFrame) -> float:
    """Peak signal-to-noise ratio of two frames' luma, in dB."""
    a, b = (f.to_ndarray(format="gray").astype(np.float64) for f in (one, other))
    return float(10 * np.log10(255**2 / max(((a - b) ** 2).mean(), 1e-9)))


def colour_of(shot: int) -> tuple[int, int]:
    """The chroma that all of a shot has; the shots repeat their colours after eight."""
    return 60 + 136 * ((shot * 3) % 8) // 7, 60 + 136 * ((shot * 5 + 3) % 8) // 7


def read_colour(frame: av.VideoFrame) -> int:
    """Which of the first eight shots a frame is of, by its colour."""
    planes = frame.reformat(format="yuv420p").to_ndarray()
    height, width = frame.height, frame.width
    flat = planes.reshape(-1)[width * height :]
    u, v = (float(np.median(p)) for p in np.split(flat, 2))
    return min(range(8), key=lambda k: abs(colour_of(k)[0] - u) + abs(colour_of(k)[1] - v))
