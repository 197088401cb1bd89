"""A local copy with an index, of a local file that has none: MPEG-TS and MPEG-PS, FLV, AVI that was cut off.

Comes in: a file. Goes out: an MP4 (or MOV, or Matroska, for what that cannot hold) with the same packets of picture and
sound. Reading the file through once is what its index costs in any case; afterwards the copy is read like any other.
Decoding times that jump, as where two recordings were joined, go on evenly.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet

from cutaway_server.snippets.index import NotAVideo, picture_stream, sound_stream

JUMP_SECONDS = 10
"""Decoding times that are farther apart belong to two recordings."""
CONTAINERS = ("mp4", "mov", "matroska")


def rewrite(path: Path, options: dict[str, str], scratch: Path) -> Path:
    """Write the packets of a file into a new one in the scratch folder, which has an index.

    Parameters
    ----------
    options
        How the file is opened: the demuxers and protocols that are allowed.

    Raises
    ------
    NotAVideo
        There is nothing in it that could be copied.
    """
    for kind in CONTAINERS:
        with tempfile.NamedTemporaryFile(dir=scratch, prefix="source-", delete=False) as file:
            copy = Path(file.name)
        written = False
        try:
            with path.open("rb") as source, av.open(source, "r", options=options) as container:
                written = _write(container, copy, kind)
        except OSError:  # The disk is full.
            raise
        except (av.FFmpegError, ValueError):  # It cannot hold these codecs.
            continue
        finally:
            if not written:
                copy.unlink()
        if written:
            return copy
    raise NotAVideo("This video has no index, and what is in it cannot be given one.")


@dataclass
class _Track:
    """A stream of the copy: the decoding time (ticks) of the last packet that was written to it, when that ends, and
    when all that is shown ends (seconds)."""

    stream: Any
    base: Fraction
    last: int | None = None
    end: Fraction = field(default_factory=Fraction)
    shown_end: Fraction = field(default_factory=Fraction)


def _write(container: InputContainer, path: Path, kind: str) -> bool:
    """Copy all packets; False when there were no pictures."""
    video, audio = picture_stream(container), sound_stream(container)
    with av.open(str(path), "w", kind) as output:
        tracks = {
            s.index: _Track(output.add_stream_from_template(s, opaque=True), Fraction(s.time_base or 1))
            for s in (video, audio)
            if s is not None
        }
        shift = -Fraction(container.start_time or 0, av.time_base)
        begun = False
        for packet in _packets(container, [s for s in (video, audio) if s is not None]):
            begun |= packet.stream is video and packet.is_keyframe
            if packet.stream is video and not begun:  # What comes before the first keyframe cannot be decoded.
                continue
            track = tracks[packet.stream.index]
            assert packet.dts is not None
            at = packet.dts * track.base + shift
            shown = packet.pts if packet.pts is not None else packet.dts
            if track.last is not None and not -1 < at - track.end < JUMP_SECONDS:
                # Neither decoded nor shown before what is there, of which frames may be shown after they are decoded.
                shift += max(track.end - at, track.shown_end - shown * track.base - shift)
            offset = round(shift / track.base)
            dts = packet.dts + offset if track.last is None else max(packet.dts + offset, track.last + 1)
            track.last, track.end = dts, (dts + (packet.duration or 0)) * track.base
            track.shown_end = max(track.shown_end, (shown + offset + (packet.duration or 0)) * track.base)
            packet.pts, packet.dts, packet.stream = max(shown + offset, dts), dts, track.stream
            output.mux(packet)
    return begun


def _packets(container: InputContainer, streams: list[Any]) -> Iterator[Packet[Any]]:
    """The packets of some streams; a damaged file ends where it is damaged."""
    with contextlib.suppress(av.FFmpegError):
        for packet in container.demux(streams):
            if packet.size and packet.dts is not None:
                yield packet
