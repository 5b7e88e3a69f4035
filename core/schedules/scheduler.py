"""The supervisor's part: due schedules are run beside its other work, by one supervisor of all hosts at a time."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

import asyncpg
from loguru import logger

from core.flows.registry import Registry
from core.metrics import COUNTS, SCHEDULE_RUNS, SCHEDULE_TASKS
from core.queue.queue import LOST
from core.schedules import statements as sql
from core.schedules.cron import BadCron, following, latest
from core.schedules.run import run_schedule
from core.schedules.schedule import RunReport, Schedule, ScheduleError
from utils.db import connect

AGAIN_S = 5.0
"""Pause after a look that found the lock taken or the database lost."""

BROKEN_S = 30.0
MOST_ATTEMPTS = 3
"""Times that a run is begun before it is given up: one that kills its supervisor must not do so for ever."""

IDLE_S = 60.0
"""A supervisor that is stopped or cut off in mid-run loses its session, and with it the lock, when it says nothing for
so much longer than a candidate query may take."""


class Scheduler:
    """Runs what is due on a connection of its own, which is open only meanwhile."""

    def __init__(self, url: str, registry: Registry, *, timeout_s: float) -> None:
        self._url = url
        self._registry = registry
        self._timeout_s = timeout_s
        self._task: asyncio.Task[None] | None = None
        self._not_before = 0.0

    @property
    def busy(self) -> bool:
        """Whether a run is in progress."""
        return self._task is not None

    def wake(self) -> None:
        """Something is due. Returns at once; a run in progress is not joined by another."""
        if not self.busy and time.monotonic() >= self._not_before:
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def aclose(self) -> None:
        """Break off a run; whoever is supervisor next repeats it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        pause_s = 0.0
        try:
            if not await self._run_due():
                pause_s = AGAIN_S
        except LOST as error:
            logger.bind(error=type(error).__name__).warning("schedules lost the database")
            pause_s = AGAIN_S
        except Exception:  # noqa: BLE001 - the supervisor goes on, and the run is repeated
            logger.exception("schedules could not be run")
            pause_s = BROKEN_S
        finally:
            self._not_before = time.monotonic() + pause_s
            self._task = None

    async def _run_due(self) -> bool:
        """Run what is due, one after the other; False when some are left, to another or because they broke."""
        conn = await connect(self._url, name="beat schedules")
        try:
            idle_ms = round((self._timeout_s + IDLE_S) * 1000)
            await conn.execute(sql.END_WHEN_IDLE, f"{idle_ms}ms")
            if not await conn.fetchval(sql.TRY_LOCK):
                return False
            busy: list[str] = []
            while (row := await conn.fetchrow(sql.NEXT_DUE, busy)) is not None:
                if not await conn.fetchval(sql.TRY_LOCK_ONE, row["name"]):
                    busy.append(row["name"])
                    continue
                if not await self._handled(conn, row):
                    busy.append(row["name"])
                await conn.execute(sql.UNLOCK_ONE, row["name"])
            return not busy
        finally:
            conn.terminate()

    async def _handled(self, conn: asyncpg.Connection, row: Any) -> bool:
        """Whether one schedule could be seen to: a mistake in one must not keep the others waiting."""
        try:
            await self._handle(conn, row)
        except LOST:
            raise
        except Exception:  # noqa: BLE001 - the run is repeated, and given up in the end
            logger.bind(schedule=row["name"]).exception("schedule could not be run")
            return False
        return True

    async def _handle(self, conn: asyncpg.Connection, row: Any) -> None:
        """One schedule that is due, or whose first time has to be worked out."""
        name, cron, now = row["name"], row["cron"], row["now"]
        try:
            due, after = row["begun_for"] or latest(cron, now), following(cron, now)
        except BadCron as error:
            logger.bind(schedule=name, error=str(error)).warning("schedule was stopped")
            await conn.execute(sql.STOP, name, cron, f"cron: {error}")
            return
        if row["next_run_at"] is None and row["begun_for"] is None:
            await conn.execute(sql.ARM, name, cron, after)
            return
        attempts = await conn.fetchval(sql.BEGIN, name, cron, due)
        if attempts is None:  # switched off or changed this moment
            return
        if attempts > MOST_ATTEMPTS:
            report = RunReport(error=f"the run was begun {MOST_ATTEMPTS} times and never ended; it is given up")
        else:
            report = await self._run(conn, row, due)
        values = (report.outcome, report.created, report.existing, report.refused, report.text)
        await conn.execute(sql.END, name, cron, due, *values, after)
        tell(name, due, report)

    async def _run(self, conn: asyncpg.Connection, row: Any, due: datetime) -> RunReport:
        try:
            schedule = Schedule.from_row(row)
        except ScheduleError as error:
            return RunReport(error=str(error))
        return await run_schedule(conn, self._url, self._registry, schedule, due, timeout_s=self._timeout_s)


def tell(name: str, due: datetime, report: RunReport) -> None:
    """Count and log a run."""
    COUNTS.add(SCHEDULE_RUNS, name, report.outcome)
    for outcome, count in (("created", report.created), ("exists", report.existing), ("refused", report.refused)):
        if count:
            COUNTS.add(SCHEDULE_TASKS, name, outcome, by=count)
    line = logger.bind(
        schedule=name,
        due=f"{due:%Y-%m-%d %H:%M:%S}",
        created=report.created,
        existing=report.existing,
        refused=report.refused,
    )
    if report.text is None:
        line.info("schedule was run")
    else:
        line.bind(error=report.text).warning("schedule was run with errors")
