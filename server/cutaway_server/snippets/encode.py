"""Cutting by encoding: any window into an H.264/AAC MP4 with the ffmpeg of imageio-ffmpeg.

Comes in: a window of packets, which may be of any codec. Goes out: an MP4 file. The packets are first copied into a
local file, and a child process under limits, which can open nothing but local files of that format, decodes and
encodes them.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg  # type: ignore[import-untyped]

from cutaway_server.errors import Fault
from cutaway_server.snippets.decoding import MAX_PIXELS
from cutaway_server.snippets.index import VideoTrack
from cutaway_server.snippets.window import Packet, Sample, Window
from cutaway_server.work.limits import child_setup

log = logging.getLogger(__name__)

MOST_FOR_SOUND, LEAST_FOR_SOUND = 128_000, 24_000
"""Bits per second."""

LEAD_SECONDS = 0.002
"""More than the rounding to the milliseconds of Matroska."""

TO_LINEAR_LIGHT = "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709"
"""For the tone mapping, with BT.709's primaries; 100 cd/m2 is the white of ordinary video."""


class CannotEncode(Fault):
    """The encoder failed on this video."""


def encode(
    window: Window,
    start_ticks: int,
    end_ticks: int,
    path: Path,
    *,
    max_height: int | None = None,
    max_bytes: int = 32 << 20,
    track: VideoTrack | None,
) -> None:
    """Encode the frames from ``start_ticks`` until ``end_ticks`` (video ticks of the source) into ``path``.

    Interlaced pictures are made whole, those of a high dynamic range are mapped to the range and colours of BT.709.
    Without a ``track`` only the sound is encoded.

    Raises
    ------
    CannotEncode
        Nothing usable came out.
    """
    local, complaints = path.with_suffix(".window"), path.with_suffix(".log")
    try:
        kind = store(window, local)
        base = window.video_base
        seconds = float((end_ticks - start_ticks) * base)
        skip = max(float((start_ticks - window.video[0].pts) * base) - _lead(window, start_ticks), 0.0)
        bits = int(max_bytes * 0.9 / seconds * 8)
        sound = max(min(MOST_FOR_SOUND, bits // 4), LEAST_FOR_SOUND) if window.audio_stream else 0
        command = [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", "-threads", "2"),
            *("-protocol_whitelist", "file", "-format_whitelist", kind, "-max_pixels", str(MAX_PIXELS)),
            *("-ss", f"{skip:.6f}", "-i", str(local), "-t", f"{seconds:.6f}"),
            *("-map_metadata", "-1", "-map_chapters", "-1"),
        ]
        if track:
            frames = sum(start_ticks <= s.pts < end_ticks for s in window.video)
            rate = max(bits - sound, 20_000)
            command += [
                # Not -frames:v, which ends the sound as well when the last frame ends by the source's durations.
                *("-map", "0:v:0", "-vf", f"trim=end_frame={frames + 2},{_filters(track, max_height)}"),
                *("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p", "-threads", "2"),
                *("-maxrate", str(rate), "-bufsize", str(rate)),
                # Each frame keeps its own time: on the grid of an average rate, close ones would be dropped.
                *("-fps_mode", "passthrough", "-enc_time_base", "demux"),
            ]
        if window.audio_stream:
            command += [
                *("-map", "0:a:0?", "-af", "aresample=async=1:first_pts=0", "-c:a", "aac", "-b:a", str(sound)),
                *("-ac", str(min(window.audio_stream.channels, 2))),
            ]
        command += ["-movflags", "+faststart+negative_cts_offsets", "-f", "mp4", str(path)]
        with complaints.open("wb") as stderr:  # Not in memory: damaged video makes megabytes of them.
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=stderr, preexec_fn=child_setup)  # noqa: S603
        if done.returncode or not path.exists() or not path.stat().st_size:
            complaint = complaints.read_bytes()
            if os.strerror(errno.ENOSPC).encode() in complaint:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if re.search(rb"out of memory|Cannot allocate memory|malloc", complaint):
                raise MemoryError
            log.warning("ffmpeg ended with %d: %r", done.returncode, complaint[-300:])
            raise CannotEncode("This part of the video could not be encoded.")
    finally:
        local.unlink(missing_ok=True)
        complaints.unlink(missing_ok=True)


def _lead(window: Window, start_ticks: int) -> float:
    """How early (seconds) to begin, so that rounded timestamps fall on the right side: by so little that the sound,
    which begins then, is heard in time, and not with the frame before."""
    before = max((s.pts for s in window.video if s.pts < start_ticks), default=start_ticks)
    return min(float((start_ticks - before) * window.video_base) / 2, LEAD_SECONDS)


def store(window: Window, path: Path) -> str:
    """Copy the window's packets into a local file; the format's name is returned.

    MP4 and MOV keep exact timestamps; Matroska (in milliseconds) takes all the rest.
    """
    exact = any(kind in window.video_stream.container.format.name for kind in ("mov", "mpegts"))
    kinds = ("mp4", "mov", "matroska") if exact else ("matroska",)
    for kind in kinds:
        try:
            _store(window, path, kind)
        except OSError:  # The disk is full: another format does not help.
            raise
        except (av.FFmpegError, ValueError):
            continue
        return "matroska" if kind == "matroska" else "mov"
    raise CannotEncode("This part of the video could not be encoded: its format cannot be stored.")


def _store(window: Window, path: Path, kind: str) -> None:
    zero = window.video[0].pts * window.video_base
    with av.open(str(path), "w", kind) as output:
        streams: list[tuple[av.VideoStream | av.AudioStream, list[Sample], Fraction]] = [
            (output.add_stream_from_template(window.video_stream, opaque=True), window.video, window.video_base)
        ]
        if window.audio_stream:
            streams.append(
                (output.add_stream_from_template(window.audio_stream, opaque=True), window.audio, window.audio_base)
            )
        queue = []
        for stream, samples, base in streams:
            shift = round(zero / base)
            order = sorted(s.pts for s in samples)
            delay = max((time - s.pts for time, s in zip(order, samples, strict=True)), default=0)
            for time, sample in zip(order, samples, strict=True):
                if sample.pts >= shift - (0 if stream.type == "video" else sample.duration):
                    queue.append(
                        ((time - delay - shift) * base, stream, sample, time - delay - shift, sample.pts - shift)
                    )
        queue.sort(key=lambda entry: entry[0])
        opened = _open_keyframes(window.video[1:])
        for _, stream, sample, dts, pts in queue:
            # Muxing a packet rescales it and changes its time base; one may be muxed more than once.
            sample.packet.time_base = window.video_base if stream.type == "video" else window.audio_base
            sample.packet.pts, sample.packet.dts = pts, dts
            sample.packet.stream = stream
            # Searched by decoding times, an open GOP's keyframe would be begun at for the pictures shown before it.
            sample.packet.is_keyframe = sample.keyframe and sample.packet not in opened
            output.mux(sample.packet)
            sample.packet.is_keyframe = sample.keyframe


def _open_keyframes(samples: list[Sample]) -> set[Packet]:
    """The keyframes that pictures follow in the file which are shown before them."""
    found = set()
    earliest = None
    for sample in reversed(samples):
        if sample.keyframe and earliest is not None and earliest < sample.pts:
            found.add(sample.packet)
        earliest = sample.pts if earliest is None else min(earliest, sample.pts)
    return found


def _filters(track: VideoTrack, max_height: int | None) -> str:
    height = f"min(ih,{max_height // 2 * 2})" if max_height else "ih"
    # The size is even, as 4:2:0 needs; the width follows.
    scale = f"scale=w='max(trunc(iw*({height})/ih/2)*2,2)':h='max(trunc(({height})/2)*2,2)'"
    deinterlace = ["bwdif=mode=send_frame:deint=interlaced"] if track.interlaced else []
    tone_map = [TO_LINEAR_LIGHT, "tonemap=hable:desat=0", "zscale=t=bt709:m=bt709:r=tv"] if track.hdr else []
    # Not every container that a window is stored in keeps the shape of pixels; they have been turned with the picture.
    aspect = 1 / track.pixel_aspect if track.rotation % 180 else track.pixel_aspect
    shape = [f"setsar={Fraction(aspect).limit_denominator(1000)}"]
    return ",".join([*shape, *deinterlace, "setpts=PTS-STARTPTS", scale, *tone_map, "format=yuv420p"])
