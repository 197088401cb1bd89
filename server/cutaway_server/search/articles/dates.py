"""When an article was published, from the many ways in which that is written.

Comes in: text or a number. Goes out: seconds since 1970 in UTC, or None: a date that is missing, cannot be read or
cannot be true (the year 0, the year 9999) is better not there than wrong.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = calendar.timegm((1400, 1, 1, 0, 0, 0))
_AHEAD_SECONDS = 2 * 86400
"""Clocks and time zones are wrong by a day at times; what is farther ahead would stay the newest for ever."""
_MILLISECONDS_FROM = 10**11
"""A number above is of milliseconds: as seconds it would be the year 5138."""
_NUMERIC = re.compile(
    r"(\d{1,4})([/.])(\d{1,2})\2(\d{4}|\d{1,2})"
    r"(?:[ ,T]+(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d+)?\s*([AaPp]\.?[Mm]\.?)?)?"
)
_ISO = re.compile(r"(\d{4})-?(\d{2})(?:-?(\d{2}))?")


def plausible(seconds: float | None) -> int | None:
    """`seconds` as a whole number when an article may be of that time."""
    if seconds is None or not _EARLIEST <= seconds <= time.time() + _AHEAD_SECONDS or int(seconds) == 0:
        return None  # 0 is what an empty field becomes
    return int(seconds)


def from_struct(parsed: Sequence[int] | None) -> int | None:
    """The date of a ``struct_time`` in UTC."""
    try:
        return plausible(calendar.timegm(tuple(parsed))) if parsed else None
    except (ValueError, OverflowError, TypeError):
        return None


def read_date(value: object) -> int | None:
    """The date that stands in `value`.

    ISO 8601, RFC 2822, numbers of seconds or milliseconds, and ``5/28/2016 19:51``, whose month comes first unless it
    cannot be one; dots (``28.5.2016``) put the day first. Without a time zone it is UTC.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _number(float(value))
    text = str(value).strip()[:64]
    try:
        if re.fullmatch(r"-?\d{5,7}|-?\d{9,16}(\.\d+)?|-?\d{5,}\.\d+", text, re.ASCII):
            return _number(float(text))
        if match := _NUMERIC.fullmatch(text):
            return _numeric(match)
        if _ISO.match(text):
            return plausible(_moment(datetime.fromisoformat(re.sub(r"\s*(UTC|GMT)$", "Z", text))))
        return plausible(_moment(parsedate_to_datetime(text)))
    except (ValueError, OverflowError, TypeError):
        return None


def iso_date(seconds: int | None) -> str:
    """``2026-03-01T12:00:00Z``; ``""`` for None and for what no calendar has."""
    try:
        return "" if seconds is None else (_EPOCH + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return ""


def _number(value: float) -> int | None:
    if value != value:  # NaN
        return None
    return plausible(value / 1000 if abs(value) >= _MILLISECONDS_FROM else value)


def _moment(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _numeric(match: re.Match[str]) -> int | None:
    first, second, third = int(match[1]), int(match[3]), int(match[4])
    if first > 31:
        year, month, day = first, second, third
    else:
        year = third if len(match[4]) == 4 else 2000 + third if third < 70 else 1900 + third
        month, day = (second, first) if match[2] == "." or first > 12 else (first, second)
    hour, minute, second = int(match[5] or 0), int(match[6] or 0), int(match[7] or 0)
    if half := match[8]:
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    return plausible(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
