"""Cutting without encoding: the packets of a window into a complete MP4.

Comes in: a :class:`~cutaway_server.snippets.window.Window` and the bounds. Goes out: the bytes of an MP4 with its
``moov`` first. The video track needs no edit list: its first frame is shown at 0, because composition offsets may be
negative (``ctts`` version 1, ISO/IEC 14496-12 section 8.6.1.3). The sound starts with the packet nearest to the first
frame and one before it, which primes the decoder; an edit list in the audio track tells players where to begin.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av

from cutaway_server.snippets.index import Index
from cutaway_server.snippets.window import Packet, Sample, Window

MAX_PRIMING_SECONDS = 0.025
"""A player that does not know edit lists is late by this at most, which nobody sees."""
COPIED_PIXELS = {"yuv420p", "yuvj420p"}


def can_copy_video(index: Index, max_height: int | None) -> bool:
    """Whether the source's own packets play everywhere: H.264 of 8 bits in 4:2:0, no fields, no higher than asked."""
    video = index.video
    return (
        video.codec == "h264"
        and video.pixel_format in COPIED_PIXELS
        and not video.interlaced
        and not video.hdr
        and (max_height is None or video.shown_height <= max_height)
    )


def can_copy_audio(index: Index) -> bool:
    """Whether there is no sound, or it is AAC."""
    return index.audio is None or index.audio.codec == "aac"


def shown(window: Window) -> list[Sample]:
    """The window's video without hidden pictures, and without leading ones: those after the keyframe that are shown
    before it.

    They belong to the GOP before (open GOPs) and cannot be decoded here.
    """
    first = window.video[0].pts
    return [s for s in window.video if s.pts >= first and not s.hidden]


def clean_ends(samples: list[Sample], *, at_end: bool) -> list[tuple[int, int]]:
    """Where a copy can end: pairs of (number of packets kept, ticks at which the last frame shown ends).

    Packets come in decoding order. A prefix is clean when no later packet is shown before the last of its frames; it
    ends where the next frame begins.
    """
    ends = []
    following = [0] * len(samples)
    least = None
    for n in range(len(samples) - 1, -1, -1):
        following[n] = least if least is not None else 0
        least = samples[n].pts if least is None else min(least, samples[n].pts)
    latest = None
    for n, sample in enumerate(samples[:-1]):
        latest = sample.pts if latest is None else max(latest, sample.pts)
        if latest < following[n]:
            ends.append((n + 1, following[n]))
    if samples and not at_end and (decoded := samples[-1].packet.dts) is not None:
        # What comes after the window is shown later than this, but perhaps earlier than the window's last frames.
        ends = [end for end in ends if end[1] <= decoded]
    if at_end and samples:
        last = max(samples, key=lambda s: s.pts)
        ends.append((len(samples), last.pts + max(last.duration, 1)))
    return ends


def copy_packets(
    window: Window,
    start_ticks: int,
    kept: int,
    end_ticks: int,
    path: Path,
    *,
    sound: Path | None,
    extradata: bytes | None = None,
) -> None:
    """Write the first ``kept`` video packets of a window that begins at ``start_ticks`` as an MP4 at ``path``.

    The sound is the window's own, or all of the file ``sound`` if there is one. ``extradata`` takes the place of the
    video stream's own.
    """
    options = {"movflags": "+faststart+negative_cts_offsets"}
    if window.video_base.numerator == 1:
        options["video_track_timescale"] = str(window.video_base.denominator)
    with ExitStack() as stack:
        output = stack.enter_context(av.open(str(path), "w", "mp4", options=options))
        queue = _timed_video(window.video[:kept], window.video_base, start_ticks, end_ticks)
        video = output.add_stream_from_template(window.video_stream)
        if extradata is not None:
            video.codec_context.extradata = extradata
        streams: dict[bool, av.VideoStream | av.AudioStream] = {True: video}
        if sound is not None:
            source = stack.enter_context(av.open(str(sound), options={"format_whitelist": "mov"}))
            streams[False] = output.add_stream_from_template(source.streams.audio[0])
            base = Fraction(source.streams.audio[0].time_base or 1)
            packets = [(p.dts, p) for p in source.demux(audio=0) if p.size and p.dts is not None]
            queue += [(dts * base, p, _unchanged, False) for dts, p in packets]
        elif window.audio_stream is not None and window.audio:
            streams[False] = output.add_stream_from_template(window.audio_stream)
            queue += _timed_audio(window, start_ticks * window.video_base, end_ticks * window.video_base)
        for _, packet, prepare, is_video in sorted(queue, key=lambda entry: entry[0]):
            prepare()
            packet.stream = streams[is_video]
            output.mux(packet)


def _unchanged() -> None:
    """The packet has its times already."""


Entry = tuple[Fraction, Packet, Callable[[], None], bool]


def _timed_video(samples: list[Sample], base: Fraction, start: int, end: int) -> list[Entry]:
    """The packets with times from 0.

    Decoding times are made anew: the n-th packet is decoded at the time of the n-th frame shown, less the longest
    time by which a frame precedes its packet. So they rise evenly whatever the source's were.
    """
    order = sorted(s.pts for s in samples)
    delay = max(time - s.pts for time, s in zip(order, samples, strict=True))
    entries: list[Entry] = []
    for n, sample in enumerate(samples):
        following = order[n + 1] if n + 1 < len(order) else end
        dts, duration = order[n] - delay - start, following - order[n]

        def prepare(s: Sample = sample, dts: int = dts, duration: int = duration) -> None:
            s.packet.time_base = base  # Muxing changes it, and a packet may be muxed more than once.
            s.packet.pts, s.packet.dts, s.packet.duration = s.pts - start, dts, duration

        entries.append((dts * base, sample.packet, prepare, True))
    return entries


def _timed_audio(window: Window, start: Fraction, end: Fraction) -> list[Entry]:
    base = window.audio_base
    offset = round(start / base)
    last = end / base
    entries: list[Entry] = []
    for sample in window.audio:
        # Overlapping transforms: the first packet sounds right only after the one before it (ISO/IEC 14496-3, 4.6.11).
        lead = sample.duration if sample.duration * base <= MAX_PRIMING_SECONDS else 0
        half = sample.duration / 2
        if sample.pts + half + lead < offset or sample.pts + half >= last:
            continue

        def prepare(s: Sample = sample) -> None:
            s.packet.time_base = base
            s.packet.pts = s.packet.dts = s.pts - offset
            s.packet.duration = s.duration

        entries.append(((sample.pts - offset) * base, sample.packet, prepare, False))
    return entries
