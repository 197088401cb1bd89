"""A video as a model gets to know it, and what it suggests to show of it: values, and the windows a video is asked in.

All times are seconds from the beginning of the video.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, TypeAlias

from cutaway_server.gemini.ask import Blob

if TYPE_CHECKING:
    from cutaway_server.errors import Fault
    from cutaway_server.snippets.captions import Sentence
    from cutaway_server.snippets.index import Chapter

MOST_WINDOW_SECONDS = 600.0
"""Up to this length a video is one window: times that a model names drift in longer ones."""
TYPICAL_WINDOW_SECONDS = 480.0
OVERLAP_SECONDS = 20.0
"""What two neighbours share, so that a moment on their seam is whole in one of them."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a video that is asked about at once."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Still:
    """A picture of the video as JPEG, and the time at which it is shown."""

    time: float
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Sound:
    """What is heard from one time of the video until another (seconds)."""

    start: float
    end: float
    recording: Blob


@dataclass(frozen=True, slots=True)
class Material:
    """What a model gets to see of a window, where it cannot read the video by itself.

    Attributes
    ----------
    stills
        In order of time.
    sentences
        What is said, in order of time.
    sound
        Of parts of the window, in order of time: what was fetched anyway, where nobody wrote down what is said.
    """

    stills: tuple[Still, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    sound: tuple[Sound, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoBrief:
    """What is known of a video before it is looked at.

    Attributes
    ----------
    language
        Of what is said (ISO 639), "" if unknown.
    youtube_url
        Of a public video that the model's service reads by itself, as :func:`~.youtube.youtube_url` gives it.
    """

    duration: float
    title: str = ""
    description: str = ""
    chapters: tuple[Chapter, ...] = ()
    language: str = ""
    youtube_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A moment that the model would show: inside its window, as exact as the model is.

    Attributes
    ----------
    window
        Where it was found.
    reason
        Why it is worth showing.
    spare
        Beyond what its window is asked for: to be used when there are too few others.
    full_end
        Where it really ends, if it is longer than a snippet may be: then this is its beginning, and the title is that
        of more than is here. Else None.
    """

    start: float
    end: float
    title: str
    description: str
    reason: str
    window: Window
    spare: bool = False
    full_end: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """There is nothing more to come of a window.

    Attributes
    ----------
    count
        How many suggestions it gave, those included that only repeated one before.
    missing
        How many it fell short of its share of what is wanted.
    fault
        Why it failed, None if it did not: without any suggestion, or after ``count`` of them.
    """

    window: Window
    count: int
    missing: int = 0
    fault: Fault | None = None


Outcome: TypeAlias = "Suggestion | Ended"


def windows(duration: float) -> list[Window]:
    """The parts of a video, in order of time: 5 to 10 minutes each, or all of a shorter one.

    Whole seconds, but for the end of the last.
    """
    if duration <= MOST_WINDOW_SECONDS:
        return [Window(0.0, duration)]
    count = ceil((duration - OVERLAP_SECONDS) / (TYPICAL_WINDOW_SECONDS - OVERLAP_SECONDS))
    step = (duration - OVERLAP_SECONDS) / count
    starts = [floor(n * step) for n in range(count)]
    ends = [min(ceil((n + 1) * step + OVERLAP_SECONDS), duration) for n in range(count - 1)] + [duration]
    return [Window(float(start), float(end)) for start, end in zip(starts, ends, strict=True)]


def shares(count: int, wanted: int) -> list[int]:
    """How many of the ``wanted`` moments each of ``count`` windows is to give, spread evenly."""
    return [(n + 1) * wanted // count - n * wanted // count for n in range(count)]
