"""When a cron expression is due. Always UTC, so that no hour is run twice or left out when clocks change."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from croniter import croniter
from croniter.croniter import CroniterError

_WORDS = frozenset({"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"})
_BY_CHANCE = re.compile(r"(?:^|[\s,])[hr](?:$|[\s,(/])", re.IGNORECASE)


class BadCron(Exception):
    """The expression is not one, or no date fits it."""


def latest(cron: str, now: datetime) -> datetime:
    """The last time at or before ``now`` that the expression was due.

    Raises:
        BadCron: see there.
    """
    return _step(cron, now.replace(microsecond=0) + timedelta(seconds=1), back=True)


def following(cron: str, now: datetime) -> datetime:
    """The first time after ``now`` that the expression is due.

    Raises:
        BadCron: see there.
    """
    return _step(cron, now.replace(microsecond=0), back=False)


def _step(cron: str, start: datetime, *, back: bool) -> datetime:
    words = cron.split()
    if words[:1] and words[0].startswith("@"):
        if cron.strip().lower() not in _WORDS:
            raise BadCron(f"known words are {', '.join(sorted(_WORDS))}")
    elif len(words) != 5:
        raise BadCron(f"write five fields (minute hour day month weekday), there are {len(words)}")
    elif _BY_CHANCE.search(cron):
        raise BadCron("R and H, which mean a time by chance, are not supported")
    try:
        clock = croniter(cron.strip(), start.astimezone(UTC), ret_type=datetime)
        found: datetime = clock.get_prev() if back else clock.get_next()
    except (CroniterError, ValueError, OverflowError) as error:  # the others: a number of thousands of digits
        raise BadCron(f"{error}"[:200]) from error
    return found.astimezone(UTC)
