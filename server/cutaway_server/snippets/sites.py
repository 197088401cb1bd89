"""From a URL to a video, wherever it leads: to a file or a playlist, or else to a page that yt-dlp finds one on.

Comes in: a URL. Goes out: a :class:`~cutaway_server.snippets.source.Source`, and the video opened. A file never costs
anything of this: only when what is behind a URL is no video, or is refused, is the page or the site asked. Captions
and sound are fetched while the picture is opened.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cutaway_server.errors import Fault
from cutaway_server.fetch.answers import Denied
from cutaway_server.fetch.dial import Line
from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.ranges import RemoteFile, resolve
from cutaway_server.fetch.remote import WebPage
from cutaway_server.fetch.resource import fetch
from cutaway_server.fetch.sites import CaptionTrack, NoVideo, Site, Stream, resolve_site
from cutaway_server.snippets.annotated import AnnotatedMedia, Notes
from cutaway_server.snippets.container import ContainerMedia
from cutaway_server.snippets.index import Index, NotAVideo
from cutaway_server.snippets.media import Media
from cutaway_server.snippets.paired import PairedMedia, SoundFile
from cutaway_server.snippets.source import HANDED_ON_BYTES, FileSource, Source, find_source
from cutaway_server.snippets.subtitles import read_cues

WHOSE = "The server that has this page's video"
CAPTION_BYTES = 4 << 20
CAPTION_SECONDS = 4.0
TRYING_SECONDS = 15.0
"""After so much time no further way to get a page's video is tried."""


@dataclass(frozen=True)
class PairedSource(Source):
    """A picture and a sound in two files."""

    picture: FileSource
    sound: RemoteFile

    def open(self, index: Index | None = None) -> PairedMedia:
        """Open both."""
        return _pair(self.picture.open(index), self.sound)


@dataclass(frozen=True)
class AnnotatedSource(Source):
    """A video, and what the page around it says."""

    video: Source
    notes: Notes

    def open(self, index: Index | None = None) -> AnnotatedMedia:
        """Open the video."""
        return AnnotatedMedia(self.video.open(index), self.notes)


def find_video(url: str, pass_: Pass, *, scratch: Path, max_download: int) -> tuple[Source, Media]:
    """Find the video behind a URL, and open it.

    Raises
    ------
    NoVideo
        It is a page without one.
    Fault
        The URL is refused, its server fails, or there is no video that can be read.
    """
    try:
        return find_source(url, pass_, scratch=scratch, max_download=max_download)
    except (WebPage, NotAVideo, Denied) as fault:
        finding = _Finding(url, pass_, scratch, max_download)
        try:
            return finding.find(anywhere=isinstance(fault, WebPage))
        except NoVideo:
            if isinstance(fault, WebPage):
                raise
            raise fault from None


@dataclass(frozen=True)
class _Finding:
    """The search for one page's video."""

    url: str
    pass_: Pass
    scratch: Path
    max_download: int

    def find(self, *, anywhere: bool) -> tuple[Source, Media]:
        """Ask the site, and once more if it names what its own servers refuse: such addresses expire."""
        try:
            return self._open(resolve_site(self.url, self.pass_, scratch=self.scratch, anywhere=anywhere))
        except Denied:
            return self._open(resolve_site(self.url, self.pass_, scratch=self.scratch, anywhere=anywhere))

    def _open(self, site: Site) -> tuple[Source, Media]:
        """Open the first choice that can be, with what the page says."""
        give_up = time.monotonic() + TRYING_SECONDS
        with ThreadPoolExecutor(2, thread_name_prefix="site") as threads:
            notes = threads.submit(self._notes, site)
            failures: list[Fault] = []
            for choice in site.choices:
                if failures and time.monotonic() > give_up:
                    break
                sound = threads.submit(self._resolve, choice.sound) if choice.sound else None
                try:
                    source, media = self._picture(choice.video, sound)
                except WebPage:
                    failures.append(NoVideo())
                except Fault as fault:
                    failures.append(fault)
                else:
                    noted = notes.result()  # Soon: what it fetches and reads is bounded in time and bytes.
                    return AnnotatedSource(source, noted), AnnotatedMedia(media, noted)
        raise next((f for f in failures if isinstance(f, Denied)), failures[0])

    def _picture(self, stream: Stream, sound: Future[RemoteFile] | None) -> tuple[Source, Media]:
        source, media = find_source(
            stream.url,
            self.pass_,
            scratch=self.scratch,
            max_download=self.max_download,
            fields=stream.fields,
            whose=WHOSE,
        )
        if sound is None or not (isinstance(media, ContainerMedia) and isinstance(source, FileSource)):
            return source, media
        try:
            remote = sound.result()
        except BaseException:
            media.close()
            raise
        paired = _pair(media, remote)
        return PairedSource(source, paired.sounding.file.snapshot(HANDED_ON_BYTES)), paired

    def _resolve(self, stream: Stream) -> RemoteFile:
        return resolve(
            stream.url,
            self.pass_,
            scratch=self.scratch,
            max_download=self.max_download,
            fields=stream.fields,
            whose=WHOSE,
        )

    def _notes(self, site: Site) -> Notes:
        notes = Notes(site.title, site.description, "", (), site.chapters, site.heat)
        if site.captions is not None:
            with suppress(Fault):  # a video is worth showing without them
                cues = tuple(read_cues(self._captions(site.captions), site.captions.kind))
                notes = replace(notes, language=site.captions.language, cues=cues)
        return notes

    def _captions(self, track: CaptionTrack) -> bytes:
        if track.stream is None:
            return track.text.encode()
        line = Line(self.pass_, connections=1)
        try:
            found = fetch(
                line,
                track.stream.url,
                max_bytes=CAPTION_BYTES,
                seconds=CAPTION_SECONDS,
                fields=dict(track.stream.fields),
                whose=WHOSE,
            )
            return found.data
        finally:
            line.close()


def _pair(picture: ContainerMedia, sound: RemoteFile) -> PairedMedia:
    """Both, or neither open."""
    reader = sound.open()
    try:
        return PairedMedia(picture, SoundFile(reader))
    except BaseException:
        reader.close()
        picture.close()
        raise
