"""Time in and out: everything inside is aware UTC, events carry second-precision text."""

from __future__ import annotations

from datetime import UTC, datetime

EVENT_TIME = "%Y-%m-%d %H:%M:%S"
"""Text form of every time in a published event; consumers parse exactly this, as UTC."""


def utc_now() -> datetime:
    """The current time, aware, UTC."""
    return datetime.now(UTC)


def event_time(moment: datetime | None) -> str | None:
    """An aware time as the text that consumers of events parse; null stays null."""
    if moment is None:
        return None
    at = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return at.isoformat(" ", "seconds")[:19]  # EVENT_TIME, at a third of strftime's price


def from_epoch(seconds: float) -> datetime:
    """Epoch seconds as aware UTC.

    Raises:
        ValueError: out of the range that a date can hold.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{seconds!r} is not a time in epoch seconds") from error
