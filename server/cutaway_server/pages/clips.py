"""``/clips/...``: the clips of snippets, for players and downloads. A path comes in that only who asked for snippets
has been told; the MP4 goes out, or a part of it, for as long as it is kept.

Not Tornado's ``StaticFileHandler``: it answers 200 to a range that covers the whole file, where players want 206, and
knows no ``If-Range``.
"""

from __future__ import annotations

import re

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from cutaway_server.pages.base import Guarded
from cutaway_server.snippets.clips import Clip, Clips

_PIECE_BYTES = 256 << 10
_RANGE = re.compile(r"bytes=(?P<first>[0-9]{1,18})?-(?P<last>[0-9]{1,18})?", re.IGNORECASE | re.ASCII)
_POLICY = "default-src 'none'; media-src 'self'; img-src 'self'; frame-ancestors 'none'"
"""Of the page that a browser makes around a clip which is opened in a tab, with our icon."""


class ClipFile(Guarded):
    """One clip."""

    _clip: Clip | None = None

    async def get(self, token: str) -> None:
        """The clip; one that is forgotten meanwhile is read to its end."""
        clips: Clips | None = self.settings["clips"]
        self._clip = clip = clips.get(token) if clips is not None else None
        if clip is None:
            raise HTTPError(404)
        self.keep_for_who_knows_the_path(clip.seconds)
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("Content-Type", "video/mp4")
        self.set_header("Accept-Ranges", "bytes")
        self.set_etag_header()
        if self.check_etag_header():
            self.set_status(304)
            return
        everything = range(clip.size_bytes)
        part = self._part_of(everything) if self.request.method == "GET" else None
        if part is None:
            self.set_header("Content-Length", len(everything))
            if self.request.method == "GET":
                await self._send(clip, everything)
        elif part:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {part[0]}-{part[-1]}/{len(everything)}")
            self.set_header("Content-Length", len(part))
            await self._send(clip, part)
        else:
            self.set_status(416)
            self.clear_header("Cache-Control")
            self.set_header("Content-Range", f"bytes */{len(everything)}")
            self.write_error(416)

    head = get

    def compute_etag(self) -> str | None:
        """What is at a path never changes: any tag will do."""
        return f'"{self._clip.token}"' if self._clip else None

    def _part_of(self, everything: range) -> range | None:
        """The bytes that are asked for, which may be none that exist; None if it is not a single range."""
        condition = self.request.headers.get("If-Range", "").strip()
        found = _RANGE.fullmatch(self.request.headers.get("Range", "").strip())
        if found is None or condition not in ("", self.compute_etag()):
            return None
        match found["first"], found["last"]:
            case None, None:
                return None
            case None, last:
                return everything[max(0, len(everything) - int(last)) :]
            case first, None:
                return everything[int(first) :]
            case first, last:
                return everything[int(first) : int(last) + 1]

    async def _send(self, clip: Clip, span: range) -> None:
        try:
            file = clip.file.open("rb")
        except OSError as error:  # somebody has tidied up the folder
            raise HTTPError(404) from error
        with file:
            file.seek(span.start)
            left = len(span)
            # From the page cache: it was written a moment ago.
            while piece := file.read(min(left, _PIECE_BYTES)):
                left -= len(piece)
                self.write(piece)
                try:
                    await self.flush()
                except StreamClosedError:
                    return
