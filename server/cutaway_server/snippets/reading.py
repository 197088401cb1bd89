"""Reading a window of packets out of a container.

Comes in: an open container, a keyframe to begin at and a time to end at. Goes out: a
:class:`~cutaway_server.snippets.window.Window`, from which a clip is copied or encoded and in which frames are looked
at. Just the bytes that hold these packets are fetched.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import av
import numpy as np

from cutaway_server.snippets.captions import Cue, plain_text
from cutaway_server.snippets.decoding import decoder_of
from cutaway_server.snippets.spans import Span, bounded, merged, packet_spans
from cutaway_server.snippets.window import MAX_WINDOW_BYTES, Packet, Sample, Window

if TYPE_CHECKING:
    from cutaway_server.snippets.container import ContainerMedia

STRAY_SECONDS = 0.5
"""Sound that lies longer before the first keyframe is of no use."""
LATE_SECONDS = 2.0
"""How much later in the file than the picture sound may come; more is not waited for."""


def window_spans(media: ContainerMedia, key: int, end: float) -> list[Span]:
    """The byte ranges that hold everything from a keyframe to a time: what :func:`read_window` reads."""
    index = media.index
    start = float(index.keyframe_times[key])
    if not index.exact:
        position = int(index.keyframe_positions[_reading_from(media, key)])
        later = index.keyframe_positions[(index.keyframe_times >= end) & (index.keyframe_positions > position)]
        return [(position, int(later.min()) if len(later) else media.file.size)]
    tables = [
        media.packets[stream.index].between(start - (0.0 if stream is media.video else 0.1), end + 0.2)
        for stream in media.streams()
    ]
    positions, sizes = [t.position for t in tables], [t.size for t in tables]
    return merged(np.concatenate(positions), np.concatenate(sizes))


def _reading_from(media: ContainerMedia, key: int) -> int:
    """The keyframe at which to begin reading.

    Where captions are found only by reading on, the sentence that is going on when the window begins has begun before.
    """
    return max(key - 1, 0) if media.text is not None and not media.index.exact else key


def read_window(media: ContainerMedia, key: int, end: float) -> Window:
    """Read the packets from keyframe number ``key`` until ``end`` seconds.

    The window ends early when it would grow beyond ``MAX_WINDOW_BYTES`` or where the file is damaged or cut off.

    Raises
    ------
    Fault
        The bytes could not be fetched.
    """
    media.file.prefetch(bounded(window_spans(media, key, end), MAX_WINDOW_BYTES), wait=False)
    window = Window(
        video_stream=media.video,
        audio_stream=media.audio,
        origin=media.origin,
        frame_seconds=1 / media.index.video.frames_per_second,
    )
    try:
        _demux(media, window, key, end)
    except (av.FFmpegError, EOFError):
        if media.file.failure:
            raise media.file.failure from None
        window.at_end = True
    media.file.release()
    if all(s.hidden for s in window.video):
        window.video.clear()
    if media.reordered:
        order_pictures(window)
    return window


def packets_here(media: ContainerMedia, stream: av.AudioStream, start: float, end: float) -> list[tuple[float, Packet]]:
    """The packets of sound from ``start`` until ``end`` (seconds) whose bytes are here already, with their times."""
    held = media.file.held()
    if media.index.exact:
        table = media.packets[stream.index].between(start, end)
        starts, stops = np.array(held, np.int64).reshape(-1, 2).T
        n = np.searchsorted(starts, table.position, "right") - 1
        table = table.where((n >= 0) & (table.position + table.size <= np.append(stops, 0)[n]))
        found = zip(table.time, packet_spans(table), strict=True)
        return [(float(at), packet) for at, span in found if (packet := media.packet_at(span))]
    return _demux_here(media, stream, held, start, end)


def _demux_here(
    media: ContainerMedia, stream: av.AudioStream, held: list[Span], start: float, end: float
) -> list[tuple[float, Packet]]:
    """Read on from each keyframe that is here until the next hole."""
    index, base = media.index, float(stream.time_base or 0)
    half_frame = round(0.5 / index.video.frames_per_second / float(media.video.time_base or 1))
    found: list[tuple[float, Packet]] = []
    last = float("-inf")
    first, stop = np.searchsorted(index.keyframe_times, [start, end])
    media.demuxed.within = held
    try:
        for key in range(max(int(first) - 1, 0), int(stop)):
            position = int(index.keyframe_positions[key])
            if index.keyframe_times[key] <= last or not any(a <= position < b for a, b in held):
                continue
            with contextlib.suppress(av.FFmpegError, EOFError):
                media.container.seek(int(index.keyframe_ticks[key]) + half_frame, stream=media.video, backward=True)
                for packet in media.container.demux(stream):
                    if not packet.size or packet.pts is None or packet.is_corrupt:
                        continue
                    at = packet.pts * base - media.origin
                    if at >= end:
                        return found
                    if at >= start and at > last:
                        found.append((at, packet))
                        last = at
    finally:
        media.demuxed.within = None
    return found


def order_pictures(window: Window) -> None:
    """Tell when each picture is shown, where the container only tells when it is decoded.

    The n-th picture that a decoder gives is shown at the n-th time. Pictures that it does not give precede the
    keyframe if they follow it in the file (open GOPs), and keep their places elsewhere (damage).
    """
    decoder = decoder_of(window.video_stream, skip_loop_filter="all")
    shown: list[int] = []
    times = [s.packet.dts for s in window.video if s.packet.dts is not None]
    if len(times) < len(window.video):
        return
    for number, sample in enumerate([*window.video, None]):
        try:
            if sample:
                sample.packet.pts = number
            shown += [f.pts for f in decoder.decode(sample.packet if sample else None) if f.pts is not None]
        except (av.FFmpegError, EOFError):
            continue
    order = in_order([n for n in dict.fromkeys(shown) if 0 <= n < len(times)], len(times))
    delay = 0
    for time, number in zip(sorted(times), order, strict=True):
        sample = window.video[number]
        sample.pts = sample.packet.pts = time
        delay = max(delay, times[number] - time)
    for number, sample in enumerate(window.video):
        sample.packet.dts = times[number] - delay


def in_order(shown: list[int], count: int) -> list[int]:
    """The numbers below ``count`` in the order of showing, of which some are ``shown`` and the others are not."""
    given = set(shown)
    first = min((n for n in shown if n), default=count)
    missing = [n for n in range(count) if n not in given]
    leading = [n for n in missing if 0 < n < first and 0 in given]
    kept = {n for n in missing if not (0 < n < first and 0 in given)}
    rest = iter(leading + shown)
    return [n if n in kept else next(rest) for n in range(count)]


def _demux(media: ContainerMedia, window: Window, key: int, end: float) -> None:
    ticks = media.index.keyframe_ticks
    # Half a frame later, because the demuxer takes the time for a pts and rounds down to a keyframe.
    half_frame = int(window.frame_seconds / 2 / window.video_base)
    begin = _reading_from(media, key)
    media.container.seek(int(ticks[begin]) + half_frame, stream=media.video, backward=True)
    first = int(ticks[key]) - half_frame if begin < key else None
    pending = {s.index for s in (media.video, media.audio) if s is not None}
    # After a seek, a fragmented MP4 may give a stray packet of another fragment first.
    earliest = float(media.index.keyframe_times[begin]) - STRAY_SECONDS
    total = 0
    for packet in media.container.demux(media.streams()):
        if packet.pts is None and media.reordered:
            packet.pts = packet.dts
        if packet.pts is None or not packet.size:
            # The demuxer's flush: the file is over.
            window.at_end |= not packet.size and media.video.index in pending
            continue
        decoded = packet.dts if packet.dts is not None else packet.pts
        at = float(decoded * packet.time_base) - media.origin
        if at >= end + LATE_SECONDS and media.video.index not in pending:  # The sound has ended before.
            return
        if packet.stream is media.text:
            window.cues += _read_cue(media, packet)
            continue
        if packet.stream.index not in pending:
            continue
        if packet.stream is media.audio and at < earliest:
            continue
        is_video = packet.stream is media.video
        samples = window.video if is_video else window.audio
        sample = Sample(packet, packet.pts, packet.duration or 0, packet.is_keyframe, packet.is_discard)
        edited = _is_over(samples, sample, reordered=is_video)
        if edited and not is_video:  # What is heard after it follows what was heard before.
            continue
        total += packet.size
        if (at >= end and not sample.hidden) or total > MAX_WINDOW_BYTES or edited:
            pending.discard(packet.stream.index)
            if not pending or (is_video and total > MAX_WINDOW_BYTES):
                return
            continue
        if not is_video or samples or (packet.is_keyframe and (first is None or packet.pts >= first)):
            samples.append(sample)


def _is_over(samples: list[Sample], sample: Sample, *, reordered: bool) -> bool:
    """Whether a part of an edit list is over with a sample.

    Before the next part there is much that it hides, and times begin anew: what is only hidden is let go then. Where
    packets are not in the order of showing, hidden ones may also follow the first that is shown.
    """
    shown = next((s.pts for s in samples if not s.hidden), None)
    if shown is not None:
        return sample.hidden and (not reordered or sample.pts > shown)
    if samples and (sample.packet.dts or 0) < (samples[-1].packet.dts or 0):
        samples.clear()
    return False


def _read_cue(media: ContainerMedia, packet: Packet) -> list[Cue]:
    assert media.text is not None
    text = plain_text(bytes(packet), media.text.codec_context.name)
    start = float(packet.pts * packet.time_base) - media.origin if packet.pts is not None else 0.0
    return [Cue(start, start + float((packet.duration or 0) * packet.time_base), text)] if text else []
