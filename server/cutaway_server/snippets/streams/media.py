"""HLS and DASH as sources: the playlist is the index, and only the segments that cover something are fetched.

Comes in: a playlist and the way through the door. Goes out: a :class:`StreamSource`, the picklable recipe, and a
:class:`StreamMedia`, the open video. Segments begin at keyframes: their starts are the index's keyframes. The
beginnings of a few segments, fetched by byte ranges from the smallest rendition, are enough to look at, and their
sizes, which the servers tell along, say where something happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace

import av
import numpy as np
from numpy.typing import NDArray

from cutaway_server.errors import Fault
from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.remote import Fields
from cutaway_server.snippets.captions import Cue
from cutaway_server.snippets.index import MAX_BINS, AudioTrack, Index
from cutaway_server.snippets.media import Media, Source
from cutaway_server.snippets.streams.hls import timestamp_offset
from cutaway_server.snippets.streams.muxed import (
    NO_SOUND,
    WRAP_SECONDS,
    decode,
    first_keyframe,
    heard_in,
    join,
    picture_track,
    sound_track,
)
from cutaway_server.snippets.streams.parts import Head, Parts
from cutaway_server.snippets.streams.playlists import read_playlist
from cutaway_server.snippets.streams.segments import Choice, Part, Segment
from cutaway_server.snippets.streams.stretches import read_stretch
from cutaway_server.snippets.subtitles import read_cues
from cutaway_server.snippets.window import Window

FACTS_BYTES = 256 << 10
PROBED = 30
"""Segments whose sizes are asked for, where the playlist does not tell them."""
PROBE_SECONDS = 2.0
"""Sizes that are not known by then are done without."""
HEAD_SECONDS = 0.6
LEAST_HEAD_BYTES, MOST_HEAD_BYTES = 48 << 10, 1 << 20
MAX_SOUND_BYTES, MAX_TEXT_BYTES = 8 << 20, 2 << 20
LONGEST_CUE_SECONDS = 15.0


@dataclass(frozen=True, eq=False)
class StreamSource(Source):
    """An HLS or DASH stream: the tracks that are read, and what is needed with every opening."""

    pass_: Pass
    url: str
    choice: Choice
    fields: Fields = field(default=(), repr=False)
    held: tuple[tuple[Part, bytes], ...] = ()
    origins: tuple[tuple[int, float], ...] = ()
    """For each run whose beginning was read, the timestamp (seconds) of the presentation's beginning."""

    def open(self, index: Index | None = None) -> StreamMedia:
        """Open the stream. Without an index, one is made from a few segments."""
        return StreamMedia(self, index, Parts(self.pass_, self.url, self.fields, dict(self.held)))


def open_stream(data: bytes, url: str, pass_: Pass, *, fields: Fields = ()) -> StreamMedia:
    """Open a stream.

    Parameters
    ----------
    data, url
        Its playlist, and where that really is.
    fields
        Header fields that its server wants to see.

    Raises
    ------
    Fault
        The playlist cannot be read, is live or protected, or what it names cannot be fetched.
    """
    parts = Parts(pass_, url, fields, {})
    try:
        source = StreamSource(pass_, url, read_playlist(data, url, parts), fields)
    except BaseException:
        parts.close()
        raise
    return StreamMedia(source, None, parts)


class StreamMedia(Media):
    """An open stream.

    Parameters
    ----------
    parts
        Its connections; closed with it, or if it cannot be opened.
    """

    def __init__(self, source: StreamSource, index: Index | None, parts: Parts) -> None:
        self._source = source
        self._choice = source.choice
        self._parts = parts
        self._origins = dict(source.origins)
        self._heads: dict[Part, Future[Head]] = {}
        try:
            self.index = index if index is not None else self._read_index()
        except BaseException:
            self._parts.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._parts.close()

    def source(self) -> StreamSource:
        """The recipe for opening the stream again, with what is known now."""
        return replace(self._source, held=self._parts.held, origins=tuple(self._origins.items()))

    @property
    def language(self) -> str:
        """The language of the captions as the playlist has it, "" if it does not say."""
        return self._choice.text.language if self._choice.text else ""

    # --- the index -------------------------------------------------------------------------------------------------

    def _read_index(self) -> Index:
        cut, sound = self._choice.cut, self._choice.sound
        lengths: dict[int, float] = {}
        for segment in cut.segments:
            lengths[segment.run] = lengths.get(segment.run, 0.0) + segment.duration
        main = max(lengths, key=lambda run: lengths[run])  # An advertisement before it is not what the video is.
        first = next(s for s in cut.segments if s.run == main)
        facts, init = self._parts.head(first.part, FACTS_BYTES), self._parts.init(first)
        heard: tuple[Future[bytes], Future[Head]] | None = None
        if sound is not None:
            beginning = next((s for s in sound.segments if s.run == main), sound.segments[0])
            heard = self._parts.init(beginning), self._parts.head(beginning.part, FACTS_BYTES)
        probes = self._probe()
        opened = join(init.result() + facts.result().data)
        video, stamp = picture_track(opened)
        self._origins[main] = stamp - first.start if first.origin is None else first.origin
        audio: AudioTrack | None = None
        if heard is not None:
            audio = sound_track(join(heard[0].result() + heard[1].result().data))
        elif opened.audio is not None:
            audio = sound_track(opened)
        starts = np.array(cut.starts, np.float64)
        keys = np.flatnonzero(np.diff(starts, prepend=-np.inf) > 0)
        duration = cut.segments[-1].end
        bin_seconds = max(1.0, duration / MAX_BINS)
        rate = self._rate(probes, np.arange(0.0, duration, bin_seconds) + bin_seconds / 2)
        nothing = np.zeros(len(keys), np.int64)
        return Index(
            duration=duration,
            video=video,
            audio=audio,
            title="",
            chapters=(),
            has_text=self._choice.text is not None,
            keyframe_times=starts[keys],
            keyframe_ticks=nothing,
            keyframe_positions=nothing,
            keyframe_sizes=nothing,
            exact=False,
            bin_seconds=bin_seconds,
            video_rate=rate,
            audio_rate=np.zeros(0),
            segmented=True,
        )

    def _probe(self) -> list[tuple[Segment, Future[Head]]]:
        """Ask for the sizes of some segments, spread evenly, unless the playlist tells them."""
        segments = self._choice.look.segments
        if all(s.part.size for s in segments):
            return []
        chosen = sorted({int(n) for n in np.linspace(0, len(segments) - 1, PROBED)})
        return [(segments[n], self._parts.head(segments[n].part, 1)) for n in chosen]

    def _rate(self, probes: Sequence[tuple[Segment, Future[Head]]], times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bytes per second at some times, interpolated between the segments whose sizes are known."""
        known: list[tuple[float, float]] = []
        if not probes:
            segments = self._choice.look.segments
            known = [(s.start + s.duration / 2, s.part.size / s.duration) for s in segments if s.duration > 0]
        wait([probe for _, probe in probes], PROBE_SECONDS)
        for segment, probe in probes:
            if probe.cancel() or not probe.done() or probe.exception():
                continue
            if (size := probe.result().size) and segment.duration > 0:
                known.append((segment.start + segment.duration / 2, size / segment.duration))
        if not known:
            return np.zeros(len(times))
        at, rate = np.array(known).T
        return np.asarray(np.interp(times, at, rate), np.float64)

    # --- looking and listening -------------------------------------------------------------------------------------

    def keyframes(self, which: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode the first keyframe of segments of the smallest rendition, from their beginnings."""
        look = self._choice.look
        segments = [look.segments[look.at(float(self.index.keyframe_times[key]))] for key in which]
        inits = [self._parts.init(s) for s in segments]
        heads = [self._head(s) for s in segments]
        fault: Fault | None = None
        shown = 0
        for key, segment, init, head in zip(which, segments, inits, heads, strict=True):
            try:
                frame = self._first_picture(segment, init.result(), head.result())
            except Fault as failed:
                fault = failed
                continue
            if frame is not None:
                shown += 1
                yield key, frame
        if fault is not None and not shown:
            raise fault

    def _head(self, segment: Segment) -> Future[Head]:
        if segment.part not in self._heads:
            rate = float(np.interp(segment.start, self._rate_times, self.index.video_rate))
            rate = rate or self._choice.look.bandwidth / 8
            size = min(max(int(rate * HEAD_SECONDS), LEAST_HEAD_BYTES), MOST_HEAD_BYTES)
            self._heads[segment.part] = self._parts.head(segment.part, size)
        return self._heads[segment.part]

    @property
    def _rate_times(self) -> NDArray[np.float64]:
        return np.asarray((np.arange(len(self.index.video_rate)) + 0.5) * self.index.bin_seconds, np.float64)

    def _first_picture(self, segment: Segment, init: bytes, head: Head) -> av.VideoFrame | None:
        opened = join(init + head.data)
        packet, complete = first_keyframe(opened)
        if not complete and not head.whole:  # A keyframe that is larger than usual.
            head = self._parts.head(segment.part, 4 * len(head.data)).result()
            opened = join(init + head.data)
            packet, complete = first_keyframe(opened)
        return decode(opened.video, packet) if packet is not None else None

    def sound(self, spans: Sequence[tuple[float, float]]) -> list[NDArray[np.float32]]:
        """Decode sound near some stretches of time, as mono samples at 8 kHz; empty where there is none.

        Where the sound has segments of its own, it is that of the stretch; otherwise that at the beginning of the
        segment nearest to it, which was fetched for its picture.
        """
        if self.index.audio is None:
            return [NO_SOUND for _ in spans]
        sound = self._choice.sound
        if sound is None:
            return self._sound_in_heads(spans)
        covering = [sound.between(*span)[:4] for span in spans]
        inits = [self._parts.init(s[0]) if s else None for s in covering]
        asked = [[self._parts.whole(s.part, MAX_SOUND_BYTES) for s in segments] for segments in covering]
        heard = []
        for (start, end), segments, init, parts in zip(spans, covering, inits, asked, strict=True):
            try:
                data = b"".join(part.result() for part in parts)
                heard.append(heard_in(init.result() + data, segments[0].start, start, end) if init else NO_SOUND)
            except Fault:  # One more place where nothing is known of the sound.
                heard.append(NO_SOUND)
        return heard

    def _sound_in_heads(self, spans: Sequence[tuple[float, float]]) -> list[NDArray[np.float32]]:
        look = self._choice.look
        times = self.index.keyframe_times
        keys = [int(np.abs(times - (start + end) / 2).argmin()) for start, end in spans]
        segments = [look.segments[look.at(float(times[key]))] for key in keys]
        inits = [self._parts.init(s) for s in segments]
        heads = [self._head(s) for s in segments]
        heard = []
        for (start, end), init, head in zip(spans, inits, heads, strict=True):
            try:
                heard.append(heard_in(init.result() + head.result().data, 0.0, 0.0, end - start))
            except Fault:
                heard.append(NO_SOUND)
        return heard

    def cues(self, stretches: Sequence[tuple[float, float]]) -> list[list[Cue]]:
        """The captions shown in stretches of time."""
        text = self._choice.text
        if text is None:
            return [[] for _ in stretches]
        wanted = [text.between(start - LONGEST_CUE_SECONDS, end) for start, end in stretches]
        asked = {s.part: self._parts.whole(s.part, MAX_TEXT_BYTES) for segments in wanted for s in segments}
        found = []
        for (start, end), segments in zip(stretches, wanted, strict=True):
            told = {cue for s in segments for cue in self._told(s, asked[s.part])}
            found.append([c for c in sorted(told, key=lambda c: c.start) if c.start < end and c.end > start])
        return found

    def _told(self, segment: Segment, asked: Future[bytes]) -> list[Cue]:
        try:
            data = asked.result()
        except Fault:  # The video can be read without.
            return []
        cues, ahead = read_cues(data, "vtt"), timestamp_offset(data.decode("utf-8", "replace"))
        if ahead is None or not cues:
            return cues
        if (origin := self._origin(segment.run)) is None:
            return []
        ahead -= origin
        ahead -= WRAP_SECONDS * round((cues[0].start + ahead - segment.start) / WRAP_SECONDS)
        return [Cue(c.start + ahead, c.end + ahead, c.text) for c in cues]

    # --- cutting ---------------------------------------------------------------------------------------------------

    def window(self, key: int, end: float) -> Window:
        """Read the packets of the segments from number ``key`` until ``end`` seconds.

        A window never goes beyond a discontinuity: of what is asked for, it is the longest part without one.
        """
        return read_stretch(
            self._parts, self._choice, self._origin, float(self.index.keyframe_times[key]), end, self.index.video
        )

    def _origin(self, run: int) -> float | None:
        """The timestamp (seconds) of the presentation's beginning, as the pictures of a run count; None if that cannot
        be found out."""
        if run in self._origins:
            return self._origins[run]
        first = next((s for s in self._choice.cut.segments if s.run == run), None)
        if first is None:
            return None
        origin = first.origin
        if origin is None:
            init, head = self._parts.init(first), self._parts.head(first.part, FACTS_BYTES)
            try:
                origin = picture_track(join(init.result() + head.result().data))[1] - first.start
            except Fault:
                return None
        self._origins[run] = origin
        return origin
