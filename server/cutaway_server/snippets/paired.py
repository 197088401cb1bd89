"""A video whose picture and sound are in two files, as sites offer them.

Comes in: the picture as an open file, and the sound as another. Goes out: one video. The sound's packets get the times
at which they are heard with the picture, so that nobody else has to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import av
import numpy as np
from numpy.typing import NDArray

from cutaway_server.snippets.captions import Cue
from cutaway_server.snippets.container import (
    FORMATS,
    MAX_PREFETCH_BYTES,
    MAX_STREAMS,
    SOUND_STRIDE,
    ContainerMedia,
)
from cutaway_server.snippets.files import ByteFile, Demuxed
from cutaway_server.snippets.index import AudioTrack, Index, NotAVideo, byte_rate, sound_stream
from cutaway_server.snippets.media import Media
from cutaway_server.snippets.packets import Indexed
from cutaway_server.snippets.sound import listen
from cutaway_server.snippets.spans import bounded, merged
from cutaway_server.snippets.window import MAX_WINDOW_BYTES, Packet, Sample, Window

SAME_CLOCK_SECONDS = 1.0
"""Two files that begin within so much share a clock, as those of one DASH presentation do; others begin together."""
BEFORE_SECONDS, AFTER_SECONDS = 0.1, 0.2
"""Sound around a window: its packets do not begin where pictures do."""


class SoundFile:
    """The sound of a video in a file of its own: MP4, WebM.

    Parameters
    ----------
    file
        Where the bytes come from; closed with the sound, but not when opening it fails.

    Raises
    ------
    NotAVideo
        There is no sound in it.
    """

    def __init__(self, file: ByteFile) -> None:
        self.file = file
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "", "max_streams": str(MAX_STREAMS)}
        try:
            self._container = av.open(Demuxed(file), "r", options=options, metadata_errors="replace")
        except av.FFmpegError as error:
            raise file.failure or NotAVideo("The sound of this video cannot be read.") from error
        stream = sound_stream(self._container)
        if stream is None:
            self._container.close()
            raise NotAVideo("The sound of this video cannot be read.")
        self.stream: av.AudioStream = stream
        self.origin = (self._container.start_time or 0) / av.time_base
        self._base = float(stream.time_base or 1)
        self._indexed = Indexed(stream, self.origin, file.size)
        table = self._indexed.table(every=SOUND_STRIDE)
        known = (self._container.duration or 0) / av.time_base
        self.exact = len(table.time) > 0 and bool(table.size.all()) and float(table.time[-1]) > 0.9 * known - 2

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        self.file.close()

    def rate(self, index: Index) -> NDArray[np.float64]:
        """Bytes per second in the bins of the picture's index; empty if the file does not tell."""
        if not self.exact:
            return np.zeros(0)
        return byte_rate(self._indexed.table(every=SOUND_STRIDE), index.duration, index.bin_seconds)

    def plan(self, spans: Sequence[tuple[float, float]]) -> None:
        """Begin to fetch stretches of time (seconds of its own presentation), if their places are known."""
        if self.exact:
            tables = [self._indexed.between(*span) for span in spans]
            told = [span for table in tables for span in merged(table.position, table.size)]
            self.file.prefetch(bounded(told, MAX_PREFETCH_BYTES), wait=False)

    def packets(self, start: float, end: float) -> Iterator[Packet]:
        """The packets of a stretch of time (seconds of its own presentation).

        Raises
        ------
        Fault
            The bytes could not be fetched.
        """
        try:
            self._container.seek(max(int((start + self.origin) / self._base), 0), stream=self.stream, backward=True)
            for packet in self._container.demux(self.stream):
                if packet.pts is None or not packet.size:
                    continue
                at = packet.pts * self._base - self.origin
                if at >= end:
                    return
                if at + (packet.duration or 0) * self._base > start:
                    yield packet
        except (av.FFmpegError, EOFError):
            if self.file.failure:
                raise self.file.failure from None


class PairedMedia(Media):
    """A picture and a sound; both are closed with this."""

    def __init__(self, picture: ContainerMedia, sound: SoundFile) -> None:
        self._picture = picture
        self.sounding = sound
        apart = picture.origin - sound.origin
        # Seconds of the picture's presentation at which the sound's begins.
        self._later = -apart if abs(apart) < SAME_CLOCK_SECONDS else 0.0
        context = sound.stream.codec_context
        self.index = replace(
            picture.index,
            audio=AudioTrack(context.codec.canonical_name, sound.stream.rate, sound.stream.channels),
            audio_rate=sound.rate(picture.index),
        )

    def close(self) -> None:
        """Close both."""
        self._picture.close()
        self.sounding.close()

    @property
    def language(self) -> str:
        """The language of the picture's captions (ISO 639), "" if unknown."""
        return self._picture.language

    def keyframes(self, which: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode single keyframes."""
        return self._picture.keyframes(which)

    def cues(self, stretches: Sequence[tuple[float, float]]) -> list[list[Cue]]:
        """The captions that are in the picture's file."""
        return self._picture.cues(stretches)

    def sound(self, spans: Sequence[tuple[float, float]]) -> list[NDArray[np.float32]]:
        """Decode stretches of sound as mono samples at 8 kHz, full scale 1.0; empty where there is none."""
        own = [(start - self._later, end - self._later) for start, end in spans]
        self.sounding.plan(own)
        heard = [listen(self.sounding.stream.codec_context, self.sounding.packets(*span)) for span in own]
        self.sounding.file.release()
        return heard

    def window(self, key: int, end: float) -> Window:
        """Read the packets of both from keyframe number ``key`` until ``end`` seconds."""
        start = float(self.index.keyframe_times[key])
        span = (start - BEFORE_SECONDS - self._later, end + AFTER_SECONDS - self._later)
        self.sounding.plan([span])  # on its way while the picture is read
        window = self._picture.window(key, end)
        window.audio_stream = self.sounding.stream
        # From its own times to those of the picture, in ticks of the sound.
        shift = round((window.origin + self._later - self.sounding.origin) / float(self.sounding.stream.time_base or 1))
        total = 0
        for packet in self.sounding.packets(*span):
            total += packet.size
            if total > MAX_WINDOW_BYTES:
                break
            assert packet.pts is not None
            window.audio.append(Sample(packet, packet.pts + shift, packet.duration or 0, packet.is_keyframe))
        self.sounding.file.release()
        return window
