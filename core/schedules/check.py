"""Whether a schedule could run: looked at before it is stored or switched on, so that nobody finds out at midnight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import asyncpg
from pydantic import ValidationError

from core.flows.registry import Registry
from core.models.params import describe
from core.schedules.candidates import fetch_candidates
from core.schedules.cron import BadCron, latest
from core.schedules.run import check_flow, check_template
from core.schedules.schedule import Schedule, ScheduleError
from core.schedules.template import fill
from utils.times import utc_now

SAMPLE = 100
"""Candidates that are looked at."""

_COLUMNS = "select c.* from (select) one left join ({query}\n) c on true"
"""One row even when there are no candidates: its keys are their columns."""


async def problems(
    url: str, registry: Registry, schedule: Schedule, *, timeout_s: float, built: bool = True
) -> list[str]:
    """What would go wrong, one line per field. ``built``: the flow must not only be known, nor its tables be missing.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be reached.
    """
    found: list[str] = []
    try:
        latest(schedule.cron, utc_now())
    except BadCron as error:
        found.append(f"cron: {error}")
    try:
        if built or schedule.flow not in registry:
            check_flow(registry, schedule)
    except ScheduleError as error:
        found.append(str(error))
    try:
        sample = await sample_candidates(url, schedule, timeout_s=timeout_s)
        check_template(schedule, sample[0])
    except ScheduleError as error:
        return found if not built and _waits_for_tables(registry, schedule, error) else [*found, str(error)]
    if schedule.flow in registry and not _is_columns_only(sample):
        found += wrong_params(registry, schedule, sample)
    return found


async def sample_candidates(url: str, schedule: Schedule, *, timeout_s: float) -> list[dict[str, Any]]:
    """Some candidates; when there are none now, one of nulls that has their columns.

    Raises:
        ScheduleError: the query is refused, wrong or too slow.
    """
    few = replace(schedule, max_rows=min(SAMPLE, schedule.max_rows))
    found = await fetch_candidates(url, few, timeout_s=timeout_s)
    if found or schedule.candidates is None:
        return found
    return await fetch_candidates(
        url, replace(few, candidates=_COLUMNS.format(query=schedule.candidates)), timeout_s=timeout_s
    )


def wrong_params(registry: Registry, schedule: Schedule, sample: list[dict[str, Any]]) -> list[str]:
    """Why the flow would refuse every one of the candidates; nothing when it takes one of them."""
    first: list[str] = []
    for candidate in sample:
        try:
            registry[schedule.flow].params.model_validate(fill(dict(schedule.params), candidate))
        except ValidationError as error:
            first = first or [describe(error)]
        else:
            return []
    return first


def _waits_for_tables(registry: Registry, schedule: Schedule, error: ScheduleError) -> bool:
    """Whether the candidates come from a table that is made once the flow is built."""
    flow = registry.get(schedule.flow)
    return flow is not None and flow.target is None and isinstance(error.__cause__, asyncpg.UndefinedTableError)


def _is_columns_only(sample: list[dict[str, Any]]) -> bool:
    return len(sample) == 1 and bool(sample[0]) and all(value is None for value in sample[0].values())
