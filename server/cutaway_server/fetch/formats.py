"""From yt-dlp's many formats to the few that are worth trying, and what else its answer says, bounded and typed.

Comes in: an info dict, which is as trustworthy as the page it was made from. Goes out: a
:class:`~cutaway_server.fetch.sites.Site`. Wanted is the best H.264 up to 720 lines, since it can be copied, with AAC;
rather a file than a playlist, and rather one file than two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cutaway_server.errors import Fault
from cutaway_server.fetch.complaints import LIVE, PROTECTED
from cutaway_server.fetch.remote import Fields
from cutaway_server.fetch.sites import CaptionTrack, Choice, NoVideo, Site, SiteFailed, Stream
from cutaway_server.fetch.urls import check_url

Info = dict[str, Any]
Cookies = Callable[[str], str | None]

MAX_CHOICES = 3
MAX_FORMATS = 10_000
BEST_HEIGHT = 720
MAX_FIELDS = 32
MAX_FIELD_CHARACTERS = 4_096
MAX_TITLE, MAX_DESCRIPTION, MAX_INLINE_CAPTION_BYTES = 500, 5_000, 512 << 10
MAX_CHAPTERS = 1_000
MAX_NUMBER = 1e12
CAPTION_KINDS = ("vtt", "srt", "json3", "ttml", "dfxp")
"""In order of preference."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = {"host", "range", "accept-encoding", "connection", "content-length", "transfer-encoding", "te", "upgrade"}
_NOT_SPOKEN = ("live_chat", "rechat", "comments", "danmaku")


def describe(info: Info, cookies: Cookies) -> Site:
    """Condense an info dict.

    Parameters
    ----------
    info
        What yt-dlp's ``extract_info`` returned for one video.
    cookies
        The ``Cookie`` field for a URL, None if there is none.

    Raises
    ------
    SiteFailed
        The video is live or protected, or there is none.
    """
    if info.get("live_status") in ("is_live", "is_upcoming") or info.get("is_live"):
        raise SiteFailed(LIVE)
    formats = [f for f in (info.get("formats") or [info])[:MAX_FORMATS] if isinstance(f, dict)]
    choices = tuple(_choices([f for f in formats if f.get("has_drm") is not True], cookies))
    if not choices:
        raise SiteFailed(PROTECTED) if any(f.get("has_drm") for f in formats) else NoVideo()
    return Site(
        choices,
        title=_title(info),
        description=_text(info.get("description"))[:MAX_DESCRIPTION],
        captions=_captions(info, formats, cookies),
        chapters=tuple((a, b, _text(c.get("title"))[:MAX_TITLE]) for a, b, c in _spans(info.get("chapters"))),
        heat=tuple((a, b, min(max(_number(c.get("value")), 0.0), 1.0)) for a, b, c in _spans(info.get("heatmap"))),
    )


def _title(info: Info) -> str:
    """The title, without the number that each video found on any page gets."""
    title = _text(info.get("title"))[:MAX_TITLE]
    return title.removesuffix(" (1)") if info.get("extractor_key") in ("Generic", "HTML5MediaEmbed") else title


def _choices(formats: list[Info], cookies: Cookies) -> Iterator[Choice]:
    """The best few ways to get the video, the best first."""
    sounds = sorted((f for f in formats if _is_file(f) and f.get("vcodec") == "none" and _sounds(f)), key=_sound_rank)
    # The best of those whose address may be fetched.
    sound = next((s for f in reversed(sounds) if (s := _stream(f, _address(f), cookies))), None)
    has_sound = any(_sounds(f) for f in formats)
    pictures = [f for f in formats if f.get("vcodec") != "none" and _address(f)]
    ranked = sorted(
        enumerate(pictures), key=lambda nf: (*_rank(nf[1], has_sound, sound is not None), nf[0]), reverse=True
    )
    taken: set[str] = set()
    for _, picture in ranked:
        if len(taken) == MAX_CHOICES:
            return
        address = _address(picture)
        video = _stream(picture, address, cookies)
        if video is None or address in taken:
            continue
        taken.add(address)
        yield Choice(video, sound if _is_file(picture) and not _sounds(picture) else None)


def _rank(picture: Info, has_sound: bool, sounds_apart: bool) -> tuple[float, ...]:
    """Larger is better."""
    codec = str(picture.get("vcodec") or "")
    copied = 2 if codec.startswith(("avc", "h264")) else 1 if not codec else 0
    height = _number(picture.get("height"))
    heard = not has_sound or _sounds(picture) or not _is_file(picture) or sounds_apart
    whole = 3 if _is_file(picture) and _sounds(picture) else 2 if _is_file(picture) else 1
    return (heard, copied, height <= BEST_HEIGHT, height if height <= BEST_HEIGHT else -height, whole)


def _sound_rank(sound: Info) -> tuple[float, ...]:
    aac = str(sound.get("acodec") or "").startswith("mp4a")
    return (_number(sound.get("language_preference")), aac, _number(sound.get("quality")), _number(sound.get("abr")))


def _sounds(candidate: Info) -> bool:
    return candidate.get("acodec") != "none"


def _is_file(candidate: Info) -> bool:
    return candidate.get("protocol") in (None, "http", "https")


def _address(candidate: Info) -> str:
    """Where the file is, or the playlist that lists all renditions, if it is one that can be read; else ""."""
    protocol = candidate.get("protocol")
    if _is_file(candidate):
        return str(candidate.get("url") or "")
    if protocol in ("m3u8", "m3u8_native"):
        return str(candidate.get("manifest_url") or candidate.get("url") or "")
    return str(candidate.get("manifest_url") or "") if protocol == "http_dash_segments" else ""


def _stream(candidate: Info, url: str, cookies: Cookies) -> Stream | None:
    try:
        url = check_url(url)
    except Fault:
        return None
    wanted = candidate.get("http_headers")
    fields: Iterable[tuple[str, str]] = wanted.items() if isinstance(wanted, dict) else ()
    return Stream(url, _fields([*fields, ("Cookie", cookies(url) or "")]))


def _fields(pairs: list[tuple[str, str]]) -> Fields:
    """The header fields that may be sent: no others than HTTP allows, and none that are ours to set."""
    kept = []
    for name, value in pairs[: MAX_FIELDS + 1]:
        plain = isinstance(value, str) and value.isascii() and value.isprintable() and value.strip()
        ours = name.lower() in _OURS or name.lower().startswith("proxy-")
        if plain and len(value) <= MAX_FIELD_CHARACTERS and _NAME.fullmatch(name) and not ours:
            kept.append((name, value.strip()))
    return tuple(kept)


def _captions(info: Info, formats: list[Info], cookies: Cookies) -> CaptionTrack | None:
    """The best captions: of the video's own language before others, and then made by people before automatic ones."""
    spoken = _text(info.get("language")) or next((_text(f["language"]) for f in formats if f.get("language")), "")
    own = re.split("[-_]", spoken.lower())[0]
    found: list[tuple[tuple[bool, ...], str, bool, Info]] = []
    for source, automatic in (("subtitles", False), ("automatic_captions", True)):
        tracks = info.get(source)
        for language, files in tracks.items() if isinstance(tracks, dict) else ():
            if (
                not isinstance(language, str)
                or any(word in language for word in _NOT_SPOKEN)
                or not isinstance(files, list)
            ):
                continue
            usable = [f for f in files if _is_caption(f)]
            if usable:
                best = min(usable, key=lambda f: CAPTION_KINDS.index(f["ext"]))
                same = bool(own) and re.split("[-_]", language.lower())[0] == own
                original = language.lower().endswith("-orig")
                english = language.lower().startswith("en")
                found.append(((not same, automatic, not original, not english), language, automatic, best))
    if not found:
        return None
    _, language, automatic, best = min(found, key=lambda entry: entry[0])
    text = str(best.get("data") or "")[:MAX_INLINE_CAPTION_BYTES]
    text = text.encode(errors="replace")[:MAX_INLINE_CAPTION_BYTES].decode(errors="ignore")
    stream = None if text else _stream(best, str(best.get("url") or ""), cookies)
    if not text and stream is None:
        return None
    return CaptionTrack(best["ext"], re.split("[-_]", language)[0][:8], automatic, stream, text)


def _is_caption(file: object) -> bool:
    return (
        isinstance(file, dict)
        and file.get("ext") in CAPTION_KINDS
        and not str(file.get("protocol") or "").startswith("m3u8")
        and (isinstance(file.get("url"), str) or isinstance(file.get("data"), str))
    )


def _spans(raw: object) -> Iterator[tuple[float, float, Info]]:
    """The entries of a list that say from when to when they are."""
    for entry in raw[:MAX_CHAPTERS] if isinstance(raw, list) else ():
        if isinstance(entry, dict):
            start, end = _number(entry.get("start_time")), _number(entry.get("end_time"))
            if end > start >= 0:
                yield start, end, entry


def _number(value: object) -> float:
    """A number of a size that means something; 0 for everything else."""
    return float(value) if isinstance(value, int | float) and abs(value) < MAX_NUMBER else 0.0


def _text(value: object) -> str:
    """One line of printable text."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value[: 4 * MAX_DESCRIPTION]).split())
