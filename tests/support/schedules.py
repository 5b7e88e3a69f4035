"""Schedules in the table, and what runs them."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import asyncpg

from core.flows.registry import build_registry
from core.schedules.scheduler import Scheduler

REGISTRY = build_registry("tests.support.flows")
YEARLY = "0 0 1 1 *"  # what follows a run is not due within the test, at the turn of a minute or an hour either
MANY = "select g as ms from generate_series(1, {}) g"

PLANT = """
insert into scrape_schedule (name, cron, flow, params, candidates, max_rows, dedup_window, enabled, next_run_at)
values ($1, $2, $3, $4, $5, $6, $7, true, now() - $8::interval)"""


async def plant(pg: asyncpg.Connection, name: str = "s", *, ago: timedelta = timedelta(0), **columns: Any) -> None:
    """An enabled schedule of the flow test_nap that was due ``ago``."""
    values = {
        "cron": YEARLY,
        "flow": "test_nap",
        "params": {"ms": "$ms"},
        "candidates": MANY.format(3),
        "max_rows": 100_000,
        "dedup_window": None,
    } | columns
    values["params"] = json.dumps(values["params"])
    await pg.execute(PLANT, name, *values.values(), ago)


def scheduler(url: str, *, timeout_s: float = 10.0) -> Scheduler:
    """A supervisor's scheduler."""
    return Scheduler(url, REGISTRY, timeout_s=timeout_s)


async def run_due(url: str, *, timeout_s: float = 10.0) -> None:
    """What a supervisor does whose look found something due, to the end."""
    one = scheduler(url, timeout_s=timeout_s)
    one.wake()
    while one.busy:
        await asyncio.sleep(0.01)


async def row(pg: asyncpg.Connection, name: str = "s") -> asyncpg.Record:
    """The schedule as it stands."""
    found = await pg.fetchrow("select *, next_run_at > now() as later from scrape_schedule where name = $1", name)
    assert found is not None
    return found


async def counted(pg: asyncpg.Connection, name: str = "s") -> tuple[str | None, int | None, int | None, int | None]:
    """Outcome, created, existing and refused of the last run."""
    found = await row(pg, name)
    return found["last_outcome"], found["last_created"], found["last_existing"], found["last_refused"]
