"""Sound that is here anyway, as recordings that a model can listen to.

Comes in: packets of a stream of sound with their times, whatever holes there are between them. Goes out:
:class:`~cutaway_server.gemini.video.Sound` values: the packets as they are, in files of a kind that Gemini takes.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from itertools import pairwise

import av

from cutaway_server.gemini.ask import Blob
from cutaway_server.gemini.video import Sound
from cutaway_server.snippets.media import Heard
from cutaway_server.snippets.window import Packet

log = logging.getLogger(__name__)

LEAST_SECONDS = 5.0
"""Of less, nobody knows what it is about."""
PIECE_SECONDS = 40.0
"""Where there is too much, a part of each stretch so long is taken."""
HOLE_SECONDS = 0.25
"""Longer than any packet lasts."""
_KINDS = {
    "aac": ("adts", "audio/aac"),
    "mp3": ("mp3", "audio/mp3"),
    "opus": ("ogg", "audio/ogg"),
    "vorbis": ("ogg", "audio/ogg"),
}
"""For each codec, how its packets are put into a file, and what that is called."""

Timed = Sequence[tuple[float, Packet]]


def recordings(heard: Heard, most_bytes: int) -> list[Sound]:
    """Make recordings of the stretches without holes, ``most_bytes`` in all; of other codecs there are none."""
    kind, mime_type = _KINDS.get(heard.stream.codec_context.codec.canonical_name, ("", ""))
    if not kind:
        return []
    runs = _runs(heard.packets)
    total = sum(packet.size for run in runs for _, packet in run)
    if total > most_bytes:
        runs = [_beginning(piece, most_bytes / total) for run in runs for piece in _pieces(run)]
    made = []
    for run in runs:
        if _end(run) - run[0][0] < LEAST_SECONDS:
            continue
        try:
            made.append(Sound(run[0][0], _end(run), Blob(_file(heard.stream, run, kind), mime_type)))
        except (av.FFmpegError, ValueError) as error:
            log.info("the sound from %.1f s on is not recorded: %s", run[0][0], error)
    return made


def _runs(packets: Timed) -> list[Timed]:
    """The packets between holes."""
    starts = [n for n in range(len(packets)) if not n or packets[n][0] - packets[n - 1][0] > HOLE_SECONDS]
    return [packets[a:b] for a, b in pairwise([*starts, len(packets)])]


def _pieces(run: Timed) -> list[Timed]:
    starts = [n for n in range(len(run)) if not n or _piece(run, n) != _piece(run, n - 1)]
    return [run[a:b] for a, b in pairwise([*starts, len(run)])]


def _piece(run: Timed, n: int) -> int:
    return int((run[n][0] - run[0][0]) / PIECE_SECONDS)


def _beginning(run: Timed, share: float) -> Timed:
    """As much of it as is the share of its bytes."""
    room = share * sum(packet.size for _, packet in run)
    count = 0
    while count < len(run) and (room := room - run[count][1].size) >= 0:
        count += 1
    return run[: max(count, 1)]


def _end(run: Timed) -> float:
    """When its last packet, which is as long as the others, ends."""
    start, last = run[0][0], run[-1][0]
    return last + (last - start) / max(len(run) - 1, 1)


def _file(stream: av.AudioStream, run: Timed, kind: str) -> bytes:
    if kind == "mp3":  # Its packets are the file.
        return b"".join(bytes(packet) for _, packet in run)
    data = io.BytesIO()
    base = stream.time_base
    assert base is not None
    with av.open(data, "w", kind) as output:
        track = output.add_stream_from_template(stream)
        for at, packet in run:
            packet.stream, packet.time_base = track, base
            packet.pts = packet.dts = round((at - run[0][0]) / base)
            output.mux(packet)
    return data.getvalue()
