"""A video in one file, open in a worker: its index, single keyframes, short stretches of sound, and windows of packets.

Comes in: a seekable file object that fetches byte ranges. Goes out: decoded keyframes, mono sound, captions, and the
packets of a stretch of the video. Before anything is read, the byte ranges it needs are looked up in the index and
fetched together, since round trips are what hurts on real networks.

Containers are opened with a format whitelist and without any protocol, because a file is what its bytes say: a
"video/mp4" that is a playlist would make the library open other files and hosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet as _Packet
from numpy.typing import NDArray

from cutaway_server.snippets.captions import Cue, plain_text
from cutaway_server.snippets.decoding import MAX_PIXELS, decoder_of
from cutaway_server.snippets.files import ByteFile, Demuxed, NoIndex, describe
from cutaway_server.snippets.fragments import Fragments, fetch_index
from cutaway_server.snippets.index import (
    Index,
    NotAVideo,
    build_index,
    picture_stream,
    sound_stream,
    text_stream,
)
from cutaway_server.snippets.media import Heard, Media
from cutaway_server.snippets.packets import Indexed, Packets, PacketTable, keyframe_table
from cutaway_server.snippets.packets import scan as scan_packets
from cutaway_server.snippets.reading import packets_here, read_window
from cutaway_server.snippets.sound import listen
from cutaway_server.snippets.spans import Span, bounded, merged, packet_spans
from cutaway_server.snippets.window import Packet, Window

FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv"
SCANNED = ("mov", "matroska")
"""Formats in which a place can be found again once all packets were read. The others need a copy with an index."""
MAX_STREAMS = 64
OPTIONS = {
    "format_whitelist": FORMATS,
    "protocol_whitelist": "",  # The library has the file object and nothing else.
    "max_streams": str(MAX_STREAMS),
    "use_mfra_for": "pts",  # An MP4's list of fragments at its end spares a walk through all of them.
}
AVI_CHUNK_HEAD_BYTES = 8
MAX_PREFETCH_BYTES = 64 << 20
"""The rest of a larger plan is fetched as it is read."""
LONGEST_CUE_SECONDS = 15.0
SOUND_STRIDE = 8
"""Every which packet of sound is looked up for its size: enough for bytes per second."""
INDEX_SEARCH_BYTES = 8 << 20
CUE_READ_BYTES = 192 << 10
"""How much of a cluster is fetched for its keyframe when the index does not tell the keyframe's size."""


class ContainerMedia(Media):
    """A video in one file.

    Parameters
    ----------
    file
        Where the bytes come from; closed with the video, but not when opening it fails.
    index
        What an earlier opening of the same file found out; saves doing it again.
    scan
        Read every packet when there is no index. Only sensible on a local copy.

    Raises
    ------
    NotAVideo
        The bytes are no video that we read, or have no picture.
    NoIndex
        There is no index, and ``scan`` is false, or of no use in this format.
    """

    def __init__(self, file: ByteFile, *, index: Index | None = None, scan: bool = False) -> None:
        self.file = file
        self.demuxed = Demuxed(file)
        self._scan = scan
        self._fragments: Sequence[Fragments] = ()
        try:
            self.container = self._open()
        except av.FFmpegError as error:
            raise file.failure or NotAVideo(describe(file)) from error
        try:
            self.video = picture_stream(self.container)
            self.audio = sound_stream(self.container)
            self.text = text_stream(self.container)
            self.origin = (self.container.start_time or 0) / av.time_base
            self.video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            if self.video.width * self.video.height > MAX_PIXELS:
                raise NotAVideo(f"The picture is too large: {self.video.width} x {self.video.height} pixels.")
            self.packets: dict[int, Packets] = {
                s.index: Indexed(s, self.origin, self.file.size, head_bytes=self._head_bytes) for s in self.streams()
            }
            self.index = self._again(index) if index is not None else self._read_index(scan)
        except BaseException:
            self.container.close()
            raise
        if not len(self.index.keyframe_times) or not self.index.duration > 0:
            self.container.close()
            raise NotAVideo("This file says that it is a video but has no pictures in it.")

    def close(self) -> None:
        """Close the container and its file."""
        self.container.close()
        self.file.close()

    def window(self, key: int, end: float) -> Window:
        """Read the packets from keyframe number ``key`` until ``end`` seconds."""
        return read_window(self, key, end)

    @property
    def language(self) -> str:
        """The language of the text track as the container has it (ISO 639-2), "" if it does not say."""
        return (self.text.language or "") if self.text else ""

    def _open(self) -> InputContainer:
        self._fragments = fetch_index(self.file, walk_all=self._scan)
        return av.open(self.demuxed, "r", options=OPTIONS, container_options={}, metadata_errors="replace")

    @property
    def _head_bytes(self) -> int:
        """How many bytes of each packet's place in the index are not the packet's own."""
        return AVI_CHUNK_HEAD_BYTES if self.container.format.name == "avi" else 0

    @property
    def reordered(self) -> bool:
        """Whether the container does not tell in which order pictures are shown (AVI knows decoding times only)."""
        return self.container.format.name == "avi"

    def streams(self) -> list[av.stream.Stream]:
        """The streams that are used: picture, sound and text."""
        return [s for s in (self.video, self.audio, self.text) if s is not None]

    def _again(self, index: Index) -> Index:
        """Bring the demuxer to where it was when the index was made."""
        if not index.exact and not self._fragments:
            self._read_index(scan=True)
        return index

    def _read_index(self, scan: bool) -> Index:
        known = (self.container.duration or 0) / av.time_base
        packets = self.packets[self.video.index]
        name = self.container.format.name
        if listed := next((f for f in self._fragments if f.track == self.video.id), None):
            return self._read_fragments(listed)
        if "mov" in name or name == "avi":
            pictures = packets.table()
            truncated = len(pictures.time) < len(self.video.index_entries)
            # A fragmented file whose fragments were not all listed covers only its beginning.
            if len(pictures.time) and pictures.size.all() and (pictures.time[-1] > 0.9 * known - 2 or truncated):
                sounds = self.packets[self.audio.index].table(every=SOUND_STRIDE) if self.audio else None
                return self._build(pictures, sounds, exact=True, duration=0.0 if truncated else known)
        elif known and "matroska" in name:
            pictures = self._read_cues(known, bounded=not scan)
            if len(pictures.time) > 1 and pictures.time[-1] + max(2 * np.diff(pictures.time).max(), 10) >= known:
                # Only the picture's cues are an index; what was met of the other streams is accidental.
                return self._build(pictures, None, exact=False, duration=known)
        if not scan or not name.startswith(SCANNED):
            raise NoIndex
        self.packets = scan_packets(self._fresh(), self.streams(), self.origin)
        sounds = self.packets[self.audio.index].table() if self.audio else None
        return self._build(self.packets[self.video.index].table(), sounds, exact=False, duration=0.0)

    def _read_cues(self, known: float, *, bounded: bool) -> PacketTable:
        """Matroska reads its cues at the first seek; without cues it would go on to read the whole file."""
        self.demuxed.left = INDEX_SEARCH_BYTES if bounded else None
        try:
            self.container.seek(int(known / 2 * av.time_base), backward=True)
            self.container.seek(0, backward=True)
        except (av.FFmpegError, NoIndex):
            raise self.file.failure or NoIndex from None
        self.demuxed.left = None
        return Indexed(self.video, self.origin, self.file.size).table()

    def _read_fragments(self, listed: Fragments) -> Index:
        """The listed fragments as an index: where keyframes are, though not what every packet costs."""
        base = Fraction(self.video.time_base or 1)
        rows = [
            (round(listed.seconds(f.time, base) / base), f.position)
            for f in listed.fragments
            if f.position < self.file.size
        ]
        if not rows:
            raise NoIndex
        pictures = keyframe_table(rows, base, self.origin)
        if listed.end is not None:
            return self._build(pictures, None, exact=False, duration=listed.seconds(listed.end, base) - self.origin)
        self.file.prefetch([(rows[-1][1], min(self.file.size, rows[-1][1] + MAX_PREFETCH_BYTES))], wait=False)
        self.container.seek(rows[-1][0], stream=self.video, backward=True)
        ends = [p.pts + (p.duration or 0) for p in self.container.demux(self.video) if p.pts is not None and p.size]
        self.file.release()
        return self._build(pictures, None, exact=False, duration=max(ends, default=0) * float(base) - self.origin)

    def _build(self, pictures: PacketTable, sounds: PacketTable | None, *, exact: bool, duration: float) -> Index:
        """Without a duration to believe (truncated files have a wrong one), the last packet tells it."""
        if not duration > 0 and len(pictures.time):
            duration = float(pictures.time[-1]) + 1 / float(self.video.average_rate or 25)
        first = self._first_frame()
        return build_index(
            self.container,
            pictures,
            sounds,
            origin=self.origin,
            duration=duration,
            exact=exact,
            rotation=round(first.rotation / 90) * 90 if first else 0,
            interlaced=first is not None and first.interlaced_frame,
        )

    def _fresh(self) -> InputContainer:
        """Start from the beginning again, where seeking cannot be relied on yet."""
        self.container.close()
        self.demuxed.seek(0)
        self.container = self._open()
        self.video = picture_stream(self.container)
        self.audio = sound_stream(self.container)
        self.text = text_stream(self.container)
        return self.container

    def _first_frame(self) -> av.VideoFrame | None:
        """The first picture; only decoding tells how it is turned, and whether it is made of two fields."""
        decoder = self.video.codec_context
        try:
            packet = self._first_packet(self.video.start_time or 0)
            frames = decoder.decode(packet) + decoder.decode(None) if packet else []
        except (av.FFmpegError, EOFError):
            frames = []
        decoder.flush_buffers()
        return frames[0] if frames else None

    def keyframes(self, which: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode single keyframes, given by their number in ``index.keyframe_times``.

        Each keyframe's bytes are read at the place and of the size that the index tells, sent to a decoder and
        drained at once. One that cannot be decoded is left out.
        """
        index = self.index
        spans = []
        for key in which:
            start = int(index.keyframe_positions[key])
            spans.append((start, start + (int(index.keyframe_sizes[key]) if index.exact else CUE_READ_BYTES)))
        self.file.prefetch(bounded(spans, MAX_PREFETCH_BYTES), wait=False)
        decoder = decoder_of(self.video, threads=1)
        for key, span in zip(which, spans, strict=True):
            try:
                packet = self.packet_at(span) if index.exact else self._first_packet(int(index.keyframe_ticks[key]))
                frames = decoder.decode(packet) + decoder.decode(None) if packet else []
            except (av.FFmpegError, EOFError):
                frames = []
                if self.file.failure:
                    raise self.file.failure from None
            decoder.flush_buffers()
            if frames:
                yield key, frames[0]
        self.file.release()

    def packet_at(self, span: Span) -> Packet | None:
        """The packet whose bytes these are, without times; None if they are not all there."""
        self.file.seek(span[0])
        data = bytearray()
        while len(data) < span[1] - span[0]:
            part = self.file.read(span[1] - span[0] - len(data))
            if not part:
                return None
            data += part
        return _Packet(bytes(data)) if data else None

    def _first_packet(self, timestamp: int) -> Packet | None:
        for _ in range(2 if self._fragments else 1):  # The first one only has the fragment's index read.
            self.container.seek(timestamp, stream=self.video, backward=True)
        return next((p for p in self.container.demux(self.video) if p.size), None)

    def sound(self, spans: Sequence[tuple[float, float]]) -> list[NDArray[np.float32]]:
        """Decode stretches of sound as mono samples at 8 kHz, full scale 1.0; empty where there is none."""
        if self.audio is None or not spans:
            return [np.zeros(0, np.float32) for _ in spans]
        if self.index.exact:
            tables = [self.packets[self.audio.index].between(*span) for span in spans]
            spans_of_sound = [s for t in tables for s in merged(t.position, t.size)]
            self.file.prefetch(bounded(spans_of_sound, MAX_PREFETCH_BYTES), wait=False)
            heard = [self._listen(p for span in packet_spans(t) if (p := self.packet_at(span))) for t in tables]
        else:
            heard = [self._listen(self._audio_packets(*span)) for span in spans]
        self.file.release()
        return heard

    def sound_here(self, start: float, end: float) -> Heard | None:
        """The sound of a stretch of time as far as its bytes are here."""
        return Heard(self.audio, packets_here(self, self.audio, start, end)) if self.audio else None

    def _audio_packets(self, start: float, end: float) -> Iterator[Packet]:
        assert self.audio is not None
        base = float(self.audio.time_base or 0)
        self.container.seek(int((start + self.origin) * av.time_base), backward=True)
        for packet in self.container.demux(self.audio):
            at = (packet.pts or 0) * base - self.origin
            if not packet.size or at >= end:
                return
            if at >= start:
                yield packet

    def _listen(self, packets: Iterable[Packet]) -> NDArray[np.float32]:
        assert self.audio is not None
        return listen(self.audio.codec_context, packets)

    def cues(self, stretches: Sequence[tuple[float, float]]) -> list[list[Cue]]:
        """The captions shown in stretches of time, where the index tells their places; else empty lists."""
        if self.text is None or not self.index.exact:
            return [[] for _ in stretches]
        margin = LONGEST_CUE_SECONDS
        tables = [self.packets[self.text.index].between(start - margin, end + margin) for start, end in stretches]
        told = [span for table in tables for span in packet_spans(table)]
        self.file.prefetch(bounded(told, MAX_PREFETCH_BYTES), wait=False)
        found = []
        for table, (start, end) in zip(tables, stretches, strict=True):
            cues = []
            followings = [*table.time[1:], *table.time[-1:] + 5.0]
            for span, shown, following in zip(packet_spans(table), table.time, followings, strict=True):
                packet = self.packet_at(span)
                text = plain_text(bytes(packet), self.text.codec_context.name) if packet else ""
                if text and shown < end and following > start:
                    cues.append(Cue(float(shown), float(following), text))
            found.append(cues)
        self.file.release()
        return found
