"""One answer of the model, read chunk by chunk.

Comes in: the chunks of google-genai, each of which may lack anything. Goes out: pieces of our own, whose text has no
control characters and whose length is bounded, and at the end the verdict whether the answer was whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cutaway_server.gemini.ask import Answer, Ask, Grounding, Picture, Text
from cutaway_server.gemini.faults import NoAnswer, Unfinished, bad_finish, blocked_question, too_long

if TYPE_CHECKING:
    from google.genai import types

MOST_CHARACTERS = 1 << 18
MOST_PICTURE_BYTES = 48 << 20
_MOST_PAGES = 20
_MOST_URL_CHARACTERS = 2048
_MOST_TITLE_CHARACTERS = 300
_MOST_ENTRY_CHARACTERS = 1 << 16
_IMAGE = re.compile(r"image/[\w.+-]{1,40}", re.ASCII)
_UNWANTED = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
"""Control characters besides tab and newline, those that turn the direction of what follows, halves of characters, and
what nobody sees; joiners stay (emoji).
"""


class Reply:
    """Reads the answer to one question.

    Attributes
    ----------
    finished
        Whether the model has said that it is done.
    """

    def __init__(self, ask: Ask) -> None:
        self.finished = False
        self._ask = ask
        self._characters = 0
        self._picture_bytes = 0
        self._given = False
        self._pages: dict[str, str] = {}
        self._entry_point = ""
        self._told = Grounding((), "")

    def read(self, chunk: types.GenerateContentResponse) -> Iterator[Answer]:
        """Yield the pieces of a chunk.

        Raises
        ------
        ModelFault
            The answer was stopped, or is too long; after the pieces before.
        """
        candidates = chunk.candidates or []
        candidate = next((each for each in candidates if not each.index), None)
        if candidate is None:
            if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason is not None:
                raise blocked_question()
            return
        for part in (candidate.content and candidate.content.parts) or ():
            yield from self._piece(part)
        if candidate.grounding_metadata is not None:
            self._ground(candidate.grounding_metadata)
        known = Grounding(tuple(self._pages.items()), self._entry_point)
        if self._given and known != self._told:
            self._told = known
            yield known
        if candidate.finish_reason is not None:
            reason = str(candidate.finish_reason.value)
            if reason == "STOP":
                self.finished = True
            elif reason != "FINISH_REASON_UNSPECIFIED":
                raise bad_finish(reason)

    def end(self) -> None:
        """Tell whether the answer was whole.

        Raises
        ------
        ModelFault
            The stream broke off, or there was nothing in it.
        """
        if not self.finished:
            raise Unfinished
        if not self._given:
            raise NoAnswer

    def _piece(self, part: types.Part) -> Iterator[Answer]:
        if part.thought:
            return
        text = _UNWANTED.sub("", part.text or "")
        if text:
            self._characters += len(text)
            if self._characters > MOST_CHARACTERS:
                raise too_long()
            self._given = True
            yield Text(text)
        blob = part.inline_data
        if self._ask.images and blob is not None and blob.data and _IMAGE.fullmatch(blob.mime_type or ""):
            self._picture_bytes += len(blob.data)
            if self._picture_bytes > MOST_PICTURE_BYTES:
                raise too_long()
            self._given = True
            yield Picture(blob.data, str(blob.mime_type))

    def _ground(self, found: types.GroundingMetadata) -> None:
        """Remember what was found: later chunks repeat it, or add to it."""
        for each in found.grounding_chunks or ():
            web = each.web
            if web is not None and web.uri and _is_link(web.uri) and len(self._pages) < _MOST_PAGES:
                title = " ".join(_UNWANTED.sub(" ", web.title or "")[:_MOST_TITLE_CHARACTERS].split())
                self._pages.setdefault(web.uri, title)
        entry = found.search_entry_point.rendered_content if found.search_entry_point is not None else None
        if entry and len(entry) <= _MOST_ENTRY_CHARACTERS:
            self._entry_point = _UNWANTED.sub("", entry)


def _is_link(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return len(uri) <= _MOST_URL_CHARACTERS and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
