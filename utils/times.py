"""Time in and out: everything inside is aware UTC, events carry second-precision text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

EVENT_TIME = "%Y-%m-%d %H:%M:%S"
"""Text form of every time in a published event; consumers parse exactly this, as UTC."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST_WAIT_S = 31 * 86400.0
"""More than this of a Retry-After is not believed."""


def utc_now() -> datetime:
    """The current time, aware, UTC."""
    return datetime.now(UTC)


def as_utc(moment: datetime) -> datetime:
    """The time as aware UTC; one without an offset is UTC already.

    Raises:
        ValueError: in UTC it lies before the year 1 or after 9999.
    """
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from None


def event_time(moment: datetime | None) -> str | None:
    """An aware time as the text that consumers of events parse; null stays null."""
    if moment is None:
        return None
    at = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return at.isoformat(" ", "seconds")[:19]  # EVENT_TIME, at a third of strftime's price


def minute(moment: datetime | None) -> str:
    """An aware time for people, to the minute and in UTC; nothing for null."""
    return "" if moment is None else moment.astimezone(UTC).isoformat(" ", "minutes")[:16]


def spoken(seconds: float) -> str:
    """A length of time as people say it."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"


def from_epoch(seconds: float) -> datetime:
    """Epoch seconds as aware UTC.

    Raises:
        ValueError: out of the range that a date can hold.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{seconds!r} is not a time in epoch seconds") from error


def duration(word: str) -> timedelta:
    """``90s``, ``10m``, ``12h``, ``30d``, ``8w``: a whole number above 0 and a unit.

    Raises:
        ValueError: it is written otherwise.
    """
    match = re.fullmatch(r"(\d{1,5})([smhdw])", word)
    if match is None or not int(match[1]):
        raise ValueError("write it as 12h, 30d or 8w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def wait_s(retry_after: str) -> float | None:
    """Seconds that the text of a Retry-After header asks for, as a number or a date; None when it is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), _LONGEST_WAIT_S)
    try:
        left_s = (parsedate_to_datetime(retry_after) - utc_now()).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date, or one without a time zone
        return None
    return min(max(left_s, 0.0), _LONGEST_WAIT_S)
