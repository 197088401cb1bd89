"""The lines of an event stream, as google-genai takes them: ``data: `` and blank ones.

Comes in: a stream as gateways may send it, cut anywhere, with comments (``: keep-alive``), fields besides ``data``, and
``data:`` without the blank. Goes out: each line as soon as it is whole, without those, and without what nobody here
reads of an event: google-genai takes longer to make objects of it than of the words.
"""

from __future__ import annotations

from typing import Any

import msgspec

_DATA, _SHORT = b"data: ", b"data:"
_OTHERS = (b":", b"event:", b"id:", b"retry:")


class _Read(msgspec.Struct, rename="camel", omit_defaults=True):
    """The fields that :class:`~cutaway_server.gemini.reply.Reply` reads; others are left out."""


class _Content(_Read):
    parts: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class _Candidate(_Read):
    content: _Content | msgspec.UnsetType = msgspec.UNSET
    finish_reason: str | msgspec.UnsetType = msgspec.UNSET
    grounding_metadata: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    index: int = 0


class _Event(_Read):
    candidates: list[_Candidate] | msgspec.UnsetType = msgspec.UNSET
    prompt_feedback: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    error: Any = msgspec.UNSET


_event = msgspec.json.Decoder(_Event)


class Events:
    """The lines of one stream."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        """The line that is not whole yet."""

    def pass_(self, data: bytes) -> bytes:
        """The lines that are whole with the next part of the stream, less what nobody needs."""
        # After a last carriage return, the newline may follow.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        if not end:
            self._begun.append(data)
            return b""
        lines = b"".join((*self._begun, data[:end]))
        self._begun = [data[end:]]
        return b"".join(map(_told, lines.splitlines(keepends=True)))

    def rest(self) -> bytes:
        """What is still held back, at the end of a stream."""
        lines, self._begun = b"".join(self._begun), []
        return b"".join(map(_told, lines.splitlines(keepends=True)))


def _told(line: bytes) -> bytes:
    """A line as it is to be; empty for one that is left out, its end too."""
    if not line.startswith(_SHORT):
        return b"" if line.startswith(_OTHERS) else line
    value = line[len(_SHORT) :].removeprefix(b" ")
    return _DATA + _read(value) if value.strip(b"\r\n") else b""


def _read(event: bytes) -> bytes:
    """What is read of an event, with the end of its line; all of an error, and of what is odd or ends later."""
    try:
        read = _event.decode(event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return event
    if read.error is not msgspec.UNSET:
        return event
    return msgspec.json.encode(read) + event[len(event.rstrip(b"\r\n")) :]
