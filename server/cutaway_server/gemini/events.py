"""The lines of an event stream, as google-genai takes them: ``data: `` and blank ones.

Comes in: a stream as gateways may send it, cut anywhere, with comments (``: keep-alive``), fields besides ``data``, and
``data:`` without the blank. Goes out: the same without those, at once: no more is held back than the beginning of a
line that may become one of them.
"""

from __future__ import annotations

_DATA, _SHORT = b"data: ", b"data:"
_OTHERS = (b":", b"event:", b"id:", b"retry:")
_BEGINNINGS = frozenset(name[: n + 1] for name in (_DATA, *_OTHERS[1:]) for n in range(len(name)))
"""Whatever may still become another kind of line."""
_ENDS = (b"\r", b"\n")


class Events:
    """The lines of one stream."""

    def __init__(self) -> None:
        self._held = b""
        self._kept: bool | None = None
        """Whether the line that has begun is passed on; None: none has begun."""

    def pass_(self, data: bytes) -> bytes:
        """The next part of the stream, less what nobody needs, or what is known of it yet."""
        data, self._held = self._held + data, b""
        if data.endswith(b"\r"):  # its newline may follow
            data, self._held = data[:-1], b"\r"
        out: list[bytes] = []
        for line in data.splitlines(keepends=True):
            whole = line.endswith(_ENDS)
            if self._kept is None:
                if not whole and not self._held and line in _BEGINNINGS:
                    self._held = line
                    break
                line = _told(line, whole=whole or bool(self._held))
                self._kept = bool(line)
            if self._kept:
                out.append(line)
            if whole:
                self._kept = None
        return b"".join(out)

    def rest(self) -> bytes:
        """What is still held back, at the end of a stream."""
        rest, self._held = self._held, b""
        if self._kept is None:
            return _told(rest, whole=True)
        return rest if self._kept else b""


def _told(line: bytes, *, whole: bool) -> bytes:
    """A line, or its beginning, as it is to be; empty for one that is left out, its end too."""
    if line.startswith(_DATA) and line[len(_DATA) : len(_DATA) + 1].strip(b"\r\n"):
        return line  # as Google sends it
    if not line.startswith(_SHORT):
        return b"" if line.startswith(_OTHERS) else line
    value = line[len(_SHORT) :].removeprefix(b" ")
    return _DATA + value if value.strip(b"\r\n") or not whole else b""
