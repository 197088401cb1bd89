"""Captions in files of their own: WebVTT, SubRip, YouTube's json3, TTML.

Comes in: a file's bytes and what kind it is. Goes out: :class:`~cutaway_server.snippets.captions.Cue` values. WebVTT
and SubRip are read by libav's demuxers. Automatic captions roll: each repeats the line
before, which is undone here, because said once it was said once.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import av

from cutaway_server.snippets.captions import Cue, plain_text
from cutaway_server.snippets.ttml import read_ttml

MAX_CUES = 50_000
MAX_MILLISECONDS = 1e12
MAX_REPEATED_WORDS = 100
ROLLING_SHARE = 0.3
"""Captions roll when so many of them begin with words of the one before."""

_BETWEEN_BLOCKS = re.compile(rb"\n\n+")
_DEMUXERS = {"vtt": "webvtt", "srt": "srt"}


def read_cues(data: bytes, kind: str) -> list[Cue]:
    """Read the cues of a file, in order of time; what is damaged is left out.

    Parameters
    ----------
    data
        The file.
    kind
        ``vtt``, ``srt``, ``json3``, ``ttml`` or ``dfxp``.
    """
    if kind in ("ttml", "dfxp"):
        found: Iterable[Cue] = read_ttml(data, MAX_CUES)
    else:
        found = _json3(data) if kind == "json3" else _demuxed(data, _DEMUXERS[kind])
    cues = sorted(itertools.islice(found, MAX_CUES), key=lambda c: (c.start, c.end))
    return unrolled([c for c in cues if c.text and c.end > c.start >= 0])


def _demuxed(data: bytes, demuxer: str) -> Iterator[Cue]:
    options = {"format_whitelist": demuxer, "protocol_whitelist": ""}
    try:
        # The library finds neither without its first line right at the beginning.
        data = data.removeprefix(b"\xef\xbb\xbf").lstrip()
        if demuxer == "webvtt":
            data = _timed_blocks(data)
        with av.open(io.BytesIO(data), "r", format=demuxer, options=options, metadata_errors="replace") as container:
            for packet in container.demux(subtitles=0):
                if packet.pts is not None and packet.size:
                    base = float(packet.time_base)
                    start = packet.pts * base
                    yield Cue(start, start + (packet.duration or 0) * base, plain_text(bytes(packet), demuxer))
    except (av.FFmpegError, IndexError):
        return


def _timed_blocks(data: bytes) -> bytes:
    """WebVTT's first block and those with a time; the library gives the file up for one that it does not know."""
    head, *blocks = _BETWEEN_BLOCKS.split(data.replace(b"\r\n", b"\n"))
    return b"\n\n".join([head, *(block for block in blocks if b"-->" in block), b""])


def _json3(data: bytes) -> Iterator[Cue]:
    try:
        events = json.loads(data)["events"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    for event in events if isinstance(events, list) else ():
        if isinstance(event, dict) and isinstance(event.get("segs"), list):
            said = "".join(str(s.get("utf8") or "") for s in event["segs"] if isinstance(s, dict))
            start = _seconds(event.get("tStartMs"))
            yield Cue(start, start + _seconds(event.get("dDurationMs")), plain_text(said.encode(), "text"))


def _seconds(milliseconds: Any) -> float:
    good = isinstance(milliseconds, int | float) and abs(milliseconds) < MAX_MILLISECONDS
    return milliseconds / 1000 if good else 0.0


def unrolled(cues: list[Cue]) -> list[Cue]:
    """The cues without the words that each repeats from the one before, if most do; none lasts into the next."""
    found: list[Cue] = []
    shown: list[str] = []
    repeating = 0
    for cue in cues:
        words = cue.text.split()
        most = min(len(words), len(shown), MAX_REPEATED_WORDS)
        same = next((n for n in range(most, 0, -1) if shown[len(shown) - n :] == words[:n]), 0)
        repeating += same > 0
        shown = words
        if same < len(words):
            found.append(Cue(cue.start, cue.end, " ".join(words[same:])))
    if repeating <= ROLLING_SHARE * len(cues):
        return cues
    ends = [following.start for following in found[1:]] + [math.inf]
    return [Cue(c.start, max(min(c.end, end), c.start), c.text) for c, end in zip(found, ends, strict=True)]
