"""A video with what the page around it says: title, captions, chapters, and what people watch again and again.

Comes in: an open :class:`~cutaway_server.snippets.media.Media` and :class:`Notes`. Goes out: the same video, whose
index and captions have both what the container knows and what the page says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import av
import numpy as np
from numpy.typing import NDArray

from cutaway_server.snippets.captions import Cue
from cutaway_server.snippets.index import Chapter, Index, clean
from cutaway_server.snippets.media import Heard, Media
from cutaway_server.snippets.packets import Floats
from cutaway_server.snippets.window import Window

MAX_CUES_AT_ONCE = 2_000


@dataclass(frozen=True)
class Notes:
    """What a page says about its video. Picklable. Times are seconds.

    ``heat`` is (start, end, how often it is watched, 0 to 1).
    """

    title: str = ""
    description: str = ""
    language: str = ""
    """Of the captions."""
    cues: tuple[Cue, ...] = ()
    chapters: tuple[tuple[float, float, str], ...] = ()
    heat: tuple[tuple[float, float, float], ...] = ()

    def on(self, index: Index) -> Index:
        """The index with these notes; what they do not tell stays as it is."""
        chapters = tuple(
            Chapter(start, min(end, index.duration), clean(title))
            for start, end, title in sorted(self.chapters)
            if start < index.duration
        )
        return replace(
            index,
            title=clean(self.title) or index.title,
            description=self.description or index.description,
            chapters=chapters or index.chapters,
            has_text=bool(self.cues) or index.has_text,
            heat=self._heat(index) if self.heat else index.heat,
        )

    def _heat(self, index: Index) -> Floats:
        """How often each bin of the index is watched; where nothing is said, as often as usual."""
        times = (np.arange(len(index.video_rate)) + 0.5) * index.bin_seconds
        starts, ends, values = np.array(sorted(self.heat), dtype=np.float64).T
        which = np.clip(np.searchsorted(starts, times, "right") - 1, 0, len(starts) - 1)
        told = (times >= starts[which]) & (times < ends[which])
        return np.asarray(np.where(told, values[which], np.median(values)), dtype=np.float64)


class AnnotatedMedia(Media):
    """A video that a page says more about; it closes with this."""

    def __init__(self, media: Media, notes: Notes) -> None:
        self._media = media
        self._notes = notes
        self.index = notes.on(media.index)

    def close(self) -> None:
        """Close the video."""
        self._media.close()

    @property
    def language(self) -> str:
        """The language of the captions (ISO 639), "" if unknown."""
        return self._notes.language if self._notes.cues else self._media.language

    def keyframes(self, which: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode single keyframes."""
        return self._media.keyframes(which)

    def sound(self, spans: Sequence[tuple[float, float]]) -> list[NDArray[np.float32]]:
        """Decode stretches of sound."""
        return self._media.sound(spans)

    def sound_here(self, start: float, end: float) -> Heard | None:
        """The sound of a stretch of time as far as its bytes are here."""
        return self._media.sound_here(start, end)

    def cues(self, stretches: Sequence[tuple[float, float]]) -> list[list[Cue]]:
        """The captions shown in stretches of time: the page's, if it has any."""
        if not self._notes.cues:
            return self._media.cues(stretches)
        return [self._between(start, end) for start, end in stretches]

    def window(self, key: int, end: float) -> Window:
        """Read the packets from keyframe number ``key`` until ``end`` seconds, and the captions with them."""
        window = self._media.window(key, end)
        if self._notes.cues:
            window.cues = self._between(float(self.index.keyframe_times[key]), end)
        return window

    def _between(self, start: float, end: float) -> list[Cue]:
        return [cue for cue in self._notes.cues if cue.start < end and cue.end > start][:MAX_CUES_AT_ONCE]
