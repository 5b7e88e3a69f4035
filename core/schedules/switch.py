"""Switching schedules on and off, and finding them by name: what operators do, from wherever they do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from config import Settings
from core.flows.registry import Registry
from core.schedules import statements as sql
from core.schedules.check import problems
from core.schedules.schedule import Schedule, ScheduleError
from utils.db import Fetch
from utils.redact import redact_text


class NoSchedule(Exception):
    """There is none of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no schedule {name}")


class NotSwitched(ScheduleError):
    """Schedules that could not run, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("nothing was changed:\n" + "\n".join(problems))
        self.problems = problems


async def stored(fetch: Fetch, names: Sequence[str]) -> list[Schedule]:
    """The schedules of these names, in their order.

    Raises:
        NoSchedule: one is missing.
        ScheduleError: one cannot be read.
    """
    found = []
    for name in names:
        rows = await fetch(sql.ONE, name)
        if not rows:
            raise NoSchedule(name)
        try:
            found.append(Schedule.from_row(rows[0]))
        except ScheduleError as error:
            raise ScheduleError(f"{name}: {error}") from None
    return found


async def must_run(settings: Settings, registry: Registry, schedules: Sequence[Schedule], *, built: bool) -> None:
    """Nothing, if all of them could run; ``built`` as for ``problems``. Asks their queries, on other connections.

    Raises:
        NotSwitched: some could not.
        OSError, asyncpg.PostgresError: the database cannot be reached.
    """
    url, timeout_s = settings.database.pg_url, settings.workers.schedule_timeout_s
    wrong = [
        f"{one.name}: {redact_text(problem)}"
        for one in schedules
        for problem in await problems(url, registry, one, timeout_s=timeout_s, built=built)
    ]
    if wrong:
        raise NotSwitched(wrong)


async def must_exist(fetch: Fetch, names: Sequence[str]) -> None:
    """Nothing, if there are schedules of these names, which may be beyond reading.

    Raises:
        NoSchedule: one is missing.
    """
    for name in names:
        if not (await fetch(sql.EXISTS, name))[0][0]:
            raise NoSchedule(name)


async def switch(fetch: Fetch, names: Sequence[str], *, enabled: bool) -> None:
    """Switch all of them, in the caller's transaction; what one missed while it was off is not made up for.

    Raises:
        NoSchedule: one is missing; none was switched.
    """
    await must_exist(fetch, names)
    for name in names:
        await fetch(sql.SWITCH, name, enabled)


def state_of(row: Any) -> str:
    """A word for a row of LIST."""
    return "running" if row["running"] else "enabled" if row["enabled"] else "disabled"
