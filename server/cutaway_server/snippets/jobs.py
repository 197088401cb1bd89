"""The heavy stages as plain functions that run in a worker: survey a video, look further, cut a snippet.

Arguments and results are picklable values, and nothing is kept between two jobs, so each may run in another process
or on another machine. A job that is killed leaves nothing but files in the scratch folder, or at a clip's place,
which its caller removes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cutaway import protocol
from cutaway_server.fetch.answers import Denied, SourceChanged
from cutaway_server.fetch.door import Pass
from cutaway_server.snippets import looks, moments, words
from cutaway_server.snippets.bounds import Wish
from cutaway_server.snippets.captions import Sentence, sentences
from cutaway_server.snippets.clip import Clip, Declined, Order
from cutaway_server.snippets.clips import Place
from cutaway_server.snippets.cut import SecondBest, cut
from cutaway_server.snippets.index import Index
from cutaway_server.snippets.media import Media
from cutaway_server.snippets.moments import Candidate, Limits, Moment
from cutaway_server.snippets.sites import find_video
from cutaway_server.snippets.source import Source

FIRST_LOOKS = 5
"""Candidates that are looked at before the first snippet is chosen."""
LISTEN_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of a video after the first job."""

    source: Source
    index: Index
    wanted: int
    first: Moment
    seen: tuple[Candidate, ...]
    short: bool
    language: str = ""
    """Of the captions."""


@dataclass(frozen=True)
class Cut:
    """A finished snippet: its message, ready to be sent, and its bounds in seconds; no message if declined."""

    frame: bytes | None
    title: str = ""
    start: float = 0.0
    end: float = 0.0
    reason: str = ""
    second_best: bool = False
    """Declined, but better than nothing; ``reason`` says why."""
    kept_bytes: int = 0
    """Size of the file that was left at the order's place; 0 if there is none."""


@dataclass(frozen=True)
class SnippetOrder:
    """What :func:`make_snippet` needs to know besides the source."""

    moment: Moment
    request: protocol.SnippetRequest
    max_bytes: int
    quick: bool = False
    """Send it after a check of structure and keyframes."""
    whole: bool = False
    """Show all of the moment's territory."""
    lenient: bool = False
    """Take what is second best."""
    place: Place | None = None
    """Where the clip is kept for players."""


def survey(url: str, pass_: Pass, limits: Limits, scratch: Path, max_download: int) -> Survey:
    """Open a video and choose its first moment from the index and a handful of keyframes.

    Raises
    ------
    Fault
        It cannot be fetched or is no video.
    """
    for last in (False, True):
        source, media = find_video(url, pass_, scratch=scratch, max_download=max_download)
        try:
            return _survey(source, media, limits)
        except Denied:  # It expired meanwhile: found again, its address is another one.
            if last:
                raise
    raise AssertionError("not reached")


def _survey(source: Source, media: Media, limits: Limits) -> Survey:
    with media:
        index = media.index
        count = moments.wanted(index, limits)
        if moments.is_short(index, limits):
            moment = moments.whole(index)
            # One of many chapters does not name the whole.
            named = index if len(index.chapters) < 2 else replace(index, chapters=())
            return Survey(source, index, 1, _placed(moment, named), (), True)
        places = moments.candidates(index, limits, max(count * moments.CANDIDATES_PER_MOMENT, FIRST_LOOKS))
        seen = look_at(media, places[:FIRST_LOOKS], limits, listen=False)
        ordered = moments.choose(seen, index, limits, count)
        # The others keep a full territory: it is only the first snippet that must not take too much.
        found = moments.territories(ordered[:1], index, limits)
        return Survey(source, index, count, _placed(found[0], index), tuple(seen), False, media.language)


def find_again(url: str, known: Index, pass_: Pass, scratch: Path, max_download: int) -> Source:
    """Find a video once more, because what was found refuses to be read on: addresses of sites expire.

    Raises
    ------
    Fault
        It cannot be found any more, or is another one than before.
    """
    source, media = find_video(url, pass_, scratch=scratch, max_download=max_download)
    with media:
        now = media.index
        same = np.array_equal(now.keyframe_ticks, known.keyframe_ticks)
        if not (same and np.array_equal(now.keyframe_positions, known.keyframe_positions)):
            raise SourceChanged("The video changed on the server while it was being read: try again.")
    return source


def plan(known: Survey, limits: Limits) -> list[Moment]:
    """Look at and listen to all candidates; the moments after the first, the best first, with some in reserve.

    Raises
    ------
    Fault
        The source fails.
    """
    index = known.index
    with known.source.open(index) as media:
        places = moments.candidates(index, limits, known.wanted * moments.CANDIDATES_PER_MOMENT)
        gap = moments.spacing(index, limits)
        places = [c for c in places if abs(c.anchor - known.first.anchor) >= gap]
        seen = [c for c in look_at(media, places, limits, listen=True) if not moments.is_nothing(c)]
        first = next((c for c in known.seen if c.anchor == known.first.anchor), None)
        ordered = moments.choose(seen, index, limits, known.wanted, taken=[first] if first else [])
        found = moments.territories(ordered, index, limits, taken=[(known.first.low, known.first.high)])
        said = {c.anchor: c.sentences for c in seen}
        if first is not None:
            said[first.anchor] = first.sentences
        likely = {anchor: words.title_from_speech(told, (), media.language) for anchor, told in said.items()}
        chapters: set[str] = {known.first.chapter}
        placed = []
        for moment in found:
            others = tuple(title for anchor, title in likely.items() if title and anchor != moment.anchor)
            moment = replace(_placed(moment, index, chapters), others=others)
            chapters.add(moment.chapter)
            placed.append(moment)
        return placed


def look_at(media: Media, places: Sequence[Candidate], limits: Limits, *, listen: bool) -> list[Candidate]:
    """Look at the keyframe nearest to each candidate, listen there, and read its captions."""
    index = media.index
    keys = [_nearest(index, c.anchor) for c in places]
    pictures = {}
    for key, frame in media.keyframes(sorted({key for around in keys for key in around})):
        pictures[key] = looks.look_at(frame, float(index.keyframe_times[key]))
    seen = [[pictures[key] for key in around if key in pictures] for around in keys]
    half = LISTEN_SECONDS / 2
    levels: list[float | None] = [None] * len(places)
    if listen:
        for n, samples in enumerate(media.sound([(c.anchor - half, c.anchor + half) for c in places])):
            levels[n] = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0
    reach = limits.length / 2 + moments.room(index)
    told = media.cues([(c.anchor - reach, c.anchor + reach) for c in places])
    return [
        replace(
            place,
            look=next((look for look in around if look.page), around[0] if around else None),
            level=level,
            sentences=tuple(_near(sentences(cues), place, limits)),
        )
        for place, around, level, cues in zip(places, seen, levels, told, strict=True)
    ]


def _nearest(index: Index, anchor: float) -> list[int]:
    """The keyframe to look at; two where they are far apart, lest one shows what is before the credits."""
    return [int(key) for key in np.argsort(np.abs(index.keyframe_times - anchor))[: 2 if index.segmented else 1]]


def _near(said: Sequence[Sentence], place: Candidate, limits: Limits) -> list[Sentence]:
    half = limits.length / 2
    return [s for s in said if s.end > place.anchor - half and s.start < place.anchor + half]


def _placed(moment: Moment, index: Index, taken: Collection[str] = ()) -> Moment:
    """The moment with its chapter, which is its title too if no other snippet has it."""
    chapter = words.chapter_at(index.chapters, moment.anchor)
    return replace(moment, chapter=chapter, title="" if chapter in taken else chapter)


def make_snippet(source: Source, index: Index, order: SnippetOrder, scratch: Path) -> Cut:
    """Cut one moment and encode its message.

    Raises
    ------
    Fault
        The source fails, or the clip cannot be made.
    """
    request, moment = order.request, order.moment
    with tempfile.TemporaryDirectory(dir=scratch) as folder, source.open(index) as media:
        try:
            clip = cut(
                media,
                Order(
                    Wish(moment.anchor, moment.length, request.min_seconds, request.max_seconds, moment.named),
                    moment.low,
                    moment.high,
                    quick=order.quick,
                    lenient=order.lenient,
                    keep_whole=order.whole,
                ),
                max_height=request.max_height,
                max_bytes=order.max_bytes,
                scratch=Path(folder),
            )
        except Declined as declined:
            return Cut(None, reason=str(declined), second_best=isinstance(declined, SecondBest))
        language = media.language
        place = order.place if order.place and order.place.take(clip.file) else None
    if moment.named is not None and not moment.named.is_shown(clip.start, clip.end):
        moment = replace(moment, chapter=moment.title, title="", description="")
    title = moment.title or _own_title(clip, moment, index.title, language)
    metadata = protocol.SnippetMetadata(
        src_video_url=request.video_url,
        title=title,
        description=moment.description
        or words.describe(clip.seen, clip.start, clip.end, index.duration, moment.chapter),
        start=round(clip.start, 6),
        end=round(clip.end, 6),
        poster=looks.poster(clip.seen.portrait, index.video.rotation, index.video.pixel_aspect)
        if clip.seen.portrait
        else None,
        video_path=place.path if place else None,
        by="local" if moment.named is None else "gemini",
    )
    data = protocol.SnippetData(video_data=clip.data, metadata=metadata)
    frame = protocol.encode_video(protocol.Snippet(data=data))
    return Cut(frame, title, clip.start, clip.end, kept_bytes=len(clip.data) if place else 0)


def _own_title(clip: Clip, moment: Moment, file_title: str, language: str) -> str:
    """A title from what is said in the clip, or else from what was measured."""
    said = words.spoken(clip.seen.sentences, clip.start, clip.end)
    speech = words.title_from_speech(said, moment.others, language)
    if not speech and (common := words.title_from_speech(said, (), language)):
        speech = f"{common}, at {words.clock(clip.start)}"
    if not speech:
        return words.measured_title(clip.seen, clip.start, clip.end, moment.chapter or file_title)
    return f"{moment.chapter}: {speech}" if moment.chapter else speech
