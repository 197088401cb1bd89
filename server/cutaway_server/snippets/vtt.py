"""WebVTT files and the segments of WebVTT in HLS: from their text to cues. Pure."""

from __future__ import annotations

import re

from cutaway_server.snippets.captions import Cue, plain_text

MAX_CUES = 20_000
_TIME = r"(?:(\d{1,4}):)?(\d{2}):(\d{2})[.,](\d{3})"
_TIMING = re.compile(rf"\s*{_TIME}\s+-->\s+{_TIME}")
_MAP = re.compile(r"X-TIMESTAMP-MAP=([^\n]*)")
_MPEGTS = re.compile(r"MPEGTS:(\d{1,19})")
_LOCAL = re.compile(rf"LOCAL:{_TIME}")


def read_cues(text: str) -> list[Cue]:
    """The cues of a file, in its own times (seconds); what is damaged is left out."""
    cues = []
    for block in re.split(r"\n{2,}", re.sub(r"\r\n?", "\n", text))[:MAX_CUES]:
        lines = block.split("\n")
        # Before its times a cue may have a name.
        for n, match in enumerate(_TIMING.match(line) for line in lines[:2]):
            if match:
                start, end = _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])
                words = plain_text("\n".join(lines[n + 1 :]).encode("utf-8", "replace"), "webvtt")
                if words and end > start:
                    cues.append(Cue(start, end, words))
                break
    return cues


def timestamp_offset(text: str) -> float | None:
    """By how many seconds MPEG timestamps are ahead of the cues' times (RFC 8216, section 3.5); None if not told."""
    told = _MAP.search(text[:4096])
    if told is None or (stamp := _MPEGTS.search(told[1])) is None or (local := _LOCAL.search(told[1])) is None:
        return None
    return int(stamp[1]) / 90_000 - _seconds(*local.groups())


def _seconds(hours: str | None, minutes: str, seconds: str, milliseconds: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(milliseconds) / 1000
