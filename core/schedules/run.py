"""One run of one schedule: its candidates become tasks, once per candidate and de-dup window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from core.flows.registry import Registry
from core.flows.scraper import BadTask, built_flow
from core.queue.bulk import insert_many
from core.schedules.candidates import fetch_candidates, unhurried
from core.schedules.schedule import RunReport, Schedule, ScheduleError
from core.schedules.template import NoSuchColumn, check_columns, fill

SLICE = 2000
"""Tasks created in one transaction: a run that is broken off keeps what it has, and its repetition finds it."""


async def run_schedule(
    conn: asyncpg.Connection, url: str, registry: Registry, schedule: Schedule, due: datetime, *, timeout_s: float
) -> RunReport:
    """Create the tasks of the run that was due at ``due``. Doing it again creates nothing twice.

    ``conn`` inserts the tasks; the candidates are read over a connection of their own to ``url``. What is wrong with
    the schedule or with a candidate stands in the report.

    Raises:
        OSError, asyncpg.PostgresError: the database was lost in between.
    """
    report = RunReport()
    try:
        check_flow(registry, schedule)
        candidates = await fetch_candidates(url, schedule, timeout_s=timeout_s)
        if candidates:
            check_template(schedule, candidates[0])
    except ScheduleError as error:
        report.error = str(error)
        return report
    for start in range(0, len(candidates), SLICE):
        some = candidates[start : start + SLICE]
        rows = [row async for row in unhurried(task_row(schedule, candidate, due) for candidate in some)]
        async with conn.transaction():
            results = await insert_many(conn, registry, rows, expires_in=schedule.expires_in)
        for result in results:
            report.add(result)
    return report


def task_row(schedule: Schedule, candidate: Mapping[str, Any], due: datetime) -> dict[str, Any]:
    """What ``insert_many`` wants for a candidate."""
    params = fill(schedule.params, candidate)
    return {
        "flow": schedule.flow,
        "platform": schedule.platform,
        "params": params,
        "priority": schedule.priority,
        "idempotency_key": schedule.key(candidate, params, due),
    }


def check_flow(registry: Registry, schedule: Schedule) -> None:
    """The flow is there and built.

    Raises:
        ScheduleError: it is not.
    """
    try:
        built_flow(registry, schedule.flow)
    except BadTask as error:
        raise ScheduleError(str(error)) from None


def check_template(schedule: Schedule, candidate: Mapping[str, Any] | Sequence[str]) -> None:
    """The template takes nothing that the candidates (or the names of their columns) lack.

    Raises:
        ScheduleError: it does.
    """
    known = dict.fromkeys(candidate) if schedule.candidates is not None else None
    try:
        check_columns(dict(schedule.params), known)
    except NoSuchColumn as error:
        raise ScheduleError(str(error)) from None
