"""Where a video comes from: a URL is turned into a :class:`Source`, the picklable recipe from which workers open it.

A plain file is read by byte ranges where its server has them and its container has an index; otherwise from one
temporary copy. A playlist (HLS, DASH) is handed to :mod:`~cutaway_server.snippets.streams.media`; pages are
:mod:`~cutaway_server.snippets.sites`' concern, which comes here with the addresses that it finds.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import av

from cutaway_server.fetch.door import Pass
from cutaway_server.fetch.ranges import FetchFailed, RemoteFile, resolve
from cutaway_server.fetch.remote import Fields
from cutaway_server.snippets.container import OPTIONS, SCANNED, ContainerMedia
from cutaway_server.snippets.files import NoIndex
from cutaway_server.snippets.index import Index
from cutaway_server.snippets.media import Media
from cutaway_server.snippets.media import Source as Source
from cutaway_server.snippets.rewrite import rewrite
from cutaway_server.snippets.streams.media import open_stream
from cutaway_server.snippets.streams.playlists import MAX_PLAYLIST_BYTES, is_playlist
from cutaway_server.snippets.streams.segments import BadPlaylist

HANDED_ON_BYTES = 8 << 20
"""The part of a file (mostly its index) that one worker hands to the next, so that it is fetched once."""

SNIFFED_BYTES = 4096
COPIED_AT_ONCE_BYTES = 24 << 20
COPY_SECONDS = 30.0


@dataclass(frozen=True)
class FileSource(Source):
    """A single file."""

    file: RemoteFile

    def open(self, index: Index | None = None) -> ContainerMedia:
        """Open the file. Without an index only a local copy can be opened (:exc:`NoIndex`)."""
        reader = self.file.open()
        try:
            return ContainerMedia(reader, index=index, scan=self.file.local is not None)
        except BaseException:
            reader.close()
            raise


def find_source(
    url: str, pass_: Pass, *, scratch: Path, max_download: int, fields: Fields = (), whose: str = ""
) -> tuple[Source, Media]:
    """Find out what is behind a URL, and open it.

    Parameters
    ----------
    fields
        Header fields that its server wants to see.
    whose
        What the server is called in messages; by default its name, which the client gave.

    Raises
    ------
    WebPage
        It is a page; :mod:`~cutaway_server.snippets.sites` may find a video there.
    Fault
        The URL is refused, its server fails, or what it sends is no video.
    """
    file = resolve(url, pass_, scratch=scratch, max_download=max_download, fields=fields, whose=whose)
    if is_playlist(_beginning(file)):
        stream = open_stream(_playlist(file), file.url, pass_, fields=file.fields)
        return stream.source(), stream
    try:
        media = FileSource(file).open()
    except NoIndex:
        file = _with_index(file if file.local else _local_copy(file, scratch, max_download), scratch)
        media = FileSource(file).open()
    return FileSource(media.file.snapshot(HANDED_ON_BYTES) if file.local is None else file), media


def _beginning(file: RemoteFile) -> bytes:
    """The first bytes, which are here already."""
    if file.local is not None:
        with file.local.open("rb") as copy:
            return copy.read(SNIFFED_BYTES)
    return file.blocks[0][1][:SNIFFED_BYTES] if file.blocks else b""


def _playlist(file: RemoteFile) -> bytes:
    if file.size > MAX_PLAYLIST_BYTES:
        raise BadPlaylist(f"The playlist is larger than the {MAX_PLAYLIST_BYTES >> 20} MiB that it may have.")
    with file.open() as reader:
        return reader.read(file.size)


def _with_index(file: RemoteFile, scratch: Path) -> RemoteFile:
    """Give a local copy an index that has none, in formats in which reading it through does not replace one.

    Raises
    ------
    Fault
        It cannot be given one.
    """
    assert file.local is not None
    with file.local.open("rb") as data, av.open(data, "r", options=OPTIONS) as container:
        if container.format.name.startswith(SCANNED):
            return file
    copy = rewrite(file.local, OPTIONS, scratch)
    file.local.unlink()
    return replace(file, local=copy, size=copy.stat().st_size)


def _local_copy(file: RemoteFile, scratch: Path, max_download: int) -> RemoteFile:
    """Fetch all of a file into the scratch folder, a few megabytes at a time over several connections.

    Raises
    ------
    FetchFailed
        It is larger than ``max_download`` bytes, or cannot be fetched.
    """
    if file.size > max_download:
        raise FetchFailed(
            "This video has no index, so it has to be downloaded as a whole, and it is larger than the "
            f"{max_download >> 20} MiB that may be."
        )
    with file.open() as reader, tempfile.NamedTemporaryFile(dir=scratch, prefix="source-", delete=False) as copy:
        give_up = time.monotonic() + COPY_SECONDS
        for start in range(0, file.size, COPIED_AT_ONCE_BYTES):
            if time.monotonic() > give_up:
                raise FetchFailed("This video has no index, and its server is too slow to download it as a whole.")
            reader.prefetch([(start, min(start + COPIED_AT_ONCE_BYTES, file.size))])
            reader.seek(start)
            copy.write(reader.read(COPIED_AT_ONCE_BYTES))
            reader.release()
    return replace(file, blocks=(), local=Path(copy.name))
