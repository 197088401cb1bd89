"""What yt-dlp makes of a page: where the video, its sound and its captions are, and what the page says about it.

Comes in: a URL that is no video file, and a pass. Goes out: a :class:`Site`, a picklable value of bounded size, or a
:class:`Fault` in words. yt-dlp has no protection of its own, so it runs in a process of its own, forked from the
worker (:mod:`cutaway_server.work.apart`), confined by :mod:`cutaway_server.fetch.extraction`; it is imported when the
first page is asked for (0.6 s of processor time and 27 MB, once for each worker) and not before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cutaway_server.fetch.answers import FetchFailed
from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.remote import Fields
from cutaway_server.fetch.urls import check_url
from cutaway_server.work.apart import run_apart
from cutaway_server.work.pool import OutOfMemory, OutOfTime, WorkerDied

RESOLVE_SECONDS = 15.0
MORE_BYTES = 512 << 20
"""Address space for yt-dlp beyond the worker's."""
SITE_BYTES = 4 << 20
"""More than all that :mod:`cutaway_server.fetch.formats` lets through."""


class SiteFailed(FetchFailed):
    """The page's video cannot be had; the message says why."""


class NoVideo(SiteFailed):
    """There is no video on the page, or none that can be found."""

    def __init__(self, message: str = "There is no video on this page, or none that can be found.") -> None:
        super().__init__(message)


@dataclass(frozen=True)
class Stream:
    """A file or a playlist (HLS, DASH), and the header fields that its server wants to see."""

    url: str
    fields: Fields = field(default=(), repr=False)


@dataclass(frozen=True)
class Choice:
    """A way to get the video: all in one, or the picture here and the sound there."""

    video: Stream
    sound: Stream | None = None


@dataclass(frozen=True)
class CaptionTrack:
    """Captions: in a file, or as text that the page has itself. ``kind`` is a file name's extension (``vtt``)."""

    kind: str
    language: str
    automatic: bool
    stream: Stream | None
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class Site:
    """What a page says about its video. Times are seconds; ``heat`` is (start, end, how often it is watched, 0 to 1).

    ``choices`` are in order of preference, and never empty.
    """

    choices: tuple[Choice, ...]
    title: str = ""
    description: str = ""
    captions: CaptionTrack | None = None
    chapters: tuple[tuple[float, float, str], ...] = ()
    heat: tuple[tuple[float, float, float], ...] = ()


def resolve_site(
    url: str, pass_: Pass, *, scratch: Path, anywhere: bool = True, seconds: float = RESOLVE_SECONDS
) -> Site:
    """Find the video of a page; of a list of videos, the first one.

    To be called while this process has no other threads.

    Parameters
    ----------
    url
        An http or https URL, unchecked.
    pass_
        The job's way through the door, which is the only way that there is.
    scratch
        An existing directory for what the JavaScript engine writes; the caller removes it.
    anywhere
        Whether any page is searched, or only those of sites that are known by their URL.
    seconds
        The longest time for all of it.

    Raises
    ------
    NoVideo
        There is none, or the site is not known and ``anywhere`` is false.
    SiteFailed
        It is live, protected, private, removed, for members or for other regions only, or the site fails.
    Fault
        The URL is refused.
    """
    target = check_url(url)
    from cutaway_server.fetch import extraction  # it imports yt-dlp

    name = extraction.extractor_of(target)
    if name == extraction.ANY_PAGE and not anywhere:
        raise NoVideo
    try:
        return run_apart(
            extraction.extract,
            target,
            name,
            pass_,
            scratch,
            seconds=seconds,
            more_bytes=MORE_BYTES,
            result_bytes=SITE_BYTES,
        )
    except OutOfTime:
        raise SiteFailed(f"Finding the video of this page took longer than {seconds:.0f} seconds.") from None
    except OutOfMemory:
        raise SiteFailed("This page is too large to find its video.") from None
    except WorkerDied:
        raise SiteFailed("Finding the video of this page failed: the page may be damaged or far too large.") from None
