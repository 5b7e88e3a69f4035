"""What a supervisor deletes by age: finished tasks, log partitions, and old rows of the logs that have none."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
from loguru import logger

BUDGET_S = 0.05
"""Time that one tick may spend on deleting."""

REST_S = 10.0
"""Seconds between looks once everything old is gone."""

LOCKED_REST_S = 60.0
"""The same once somebody has locked a log."""

AGAIN_S = 86_400.0
"""Seconds until the rows are looked at from the first one again: some finished long after they were passed."""

LOCK = "select pg_try_advisory_xact_lock(hashtext('beat_prune'))"
"""One supervisor at a time."""

DUE = """
select array_agg(flow) as flows, retain, min(coalesce(pruned_to, 0)) as after from beat_flow
where retain < '700000 days' group by retain"""
"""What is retained for how long, and up to which id that has been seen to. What is to be kept for thousands of years is
left alone: no date lies so far back."""

PRUNE = """
with seen as materialized (
    select id, flow, status, created_at, coalesce(scraped_at, created_at) as ended_at
    from scrape_request_log where id > $3 order by id limit 5000),
young as (
    select min(id) as id from seen
    where flow = any($1::text[]) and created_at > now() - $2::interval and created_at <= now()),
old as (
    select s.id from seen s, young y
    where s.flow = any($1::text[]) and s.status not in ('PENDING', 'PROCESSING') and s.ended_at <= now() - $2::interval
        and (y.id is null or s.id < y.id)),
locked as materialized (
    select t.id from scrape_request_log t where t.id = any(array(select id from old))
        and t.status not in ('PENDING', 'PROCESSING') for update skip locked),
gone as (delete from scrape_request_log t where t.id = any(array(select id from locked)) returning 1)
select coalesce((select id - 1 from young), (select max(id) from seen), $3) as last,
    (select count(*) from gone) as gone,
    (select count(*) from seen) = 5000 and (select id is null from young) as more"""
"""Delete finished tasks of ``$1 flows`` that ended longer than ``$2`` ago, among the next 5,000 ids after ``$3``.

Gives the id up to which nothing is left to do, and whether there may be more behind it. Walks the primary key; stops at
the first row that is younger.
"""

REMEMBER = """
update beat_flow set pruned_to = $2
where flow = any(array(select flow from beat_flow where flow = any($1::text[]) for update skip locked))"""
"""For ``$1 flows`` that nobody is just changing: the supervisor waits for no operator."""

START_OVER = """
update beat_flow set pruned_to = 0
where flow = any(array(
    select flow from beat_flow where retain is not null and pruned_to <> 0 for update skip locked))"""
DROP_PARTITIONS = "select drop_log_partitions($1)"

LOGS = ("profile_relationship_log", "post_activity_log")
"""Logs with a row for each pair or activity, whose time is when it was last seen."""

LOG_DUE = """
with this as (
    select (date_trunc('month', now() at time zone 'UTC') - make_interval(months => $1)) at time zone 'UTC'
        as keep_from)
select l.log, t.keep_from, case when r.keep_from = t.keep_from then r.pruned_to else 0 end as after
from unnest($2::text[]) l(log) cross join this t left join log_retention r on r.log = l.log
where r.log is null or r.keep_from < t.keep_from or (r.keep_from = t.keep_from and r.pruned_to is not null)"""
"""Which of ``$2 logs`` may have rows from before ``$1 whole months``, and up to which id that has been seen to. Each is
looked through once a month, since that is when another month is old."""

PRUNE_LOG = """
with seen as materialized (select id, timestamp from {log} where id > $1 order by id limit 1000),
locked as materialized (
    select t.id from {log} t where t.id = any(array(select id from seen where timestamp < $2))
        and t.timestamp < $2 for update skip locked),
gone as (delete from {log} t where t.id = any(array(select id from locked)))
select max(id) as last, count(*) = 1000 as more from seen"""
"""Delete what was last seen before ``$2``, among the next 1,000 ids after ``$1``. Walks the primary key: an index on
the time would cost every row that is stored or seen again. Who stores a row meanwhile waits for a short transaction."""

REMEMBER_LOG = """
insert into log_retention (log, keep_from, pruned_to) values ($1, $2, $3)
on conflict (log) do update set keep_from = excluded.keep_from, pruned_to = excluded.pruned_to"""

UNHURRIED = "set local lock_timeout = '100ms'; set local enable_seqscan = off; set local enable_sort = off"
"""Gives up where somebody has locked a whole log. Plans may be made while a log is small, and are kept."""

T = TypeVar("T")
Body = Callable[[asyncpg.Connection], Awaitable[T]]


class Retention:
    """One supervisor's part. ``run`` runs one body on its connection."""

    def __init__(self, run: Callable[[Body[Any]], Awaitable[Any]], keep_months: int | None) -> None:
        self._run = run
        self._keep_months = keep_months
        self._rest_until = 0.0
        self._logs_rest_until = 0.0
        self._again_at = time.monotonic() + AGAIN_S

    async def prune(self) -> None:
        """Delete finished tasks that are older than their flow wants, for some milliseconds."""
        now = time.monotonic()
        if now < self._rest_until:
            return
        if now > self._again_at:
            self._again_at = now + AGAIN_S
            await self._run(lambda conn: conn.execute(START_OVER))
        if not await self._run(prune):
            self._rest_until = time.monotonic() + REST_S

    async def drop_partitions(self) -> None:
        """Drop months of the logs that are older than the setting."""
        if self._keep_months is not None:
            dropped = await self._run(lambda conn: conn.fetch(DROP_PARTITIONS, self._keep_months))
            if dropped:
                logger.bind(partitions=[row[0] for row in dropped]).info("old log partitions were dropped")

    async def prune_logs(self) -> None:
        """Delete rows of the logs that were last seen before the setting's months, for some milliseconds."""
        keep_months = self._keep_months
        if keep_months is None or time.monotonic() < self._logs_rest_until:
            return
        try:
            if not await self._run(lambda conn: prune_logs(conn, keep_months)):
                self._logs_rest_until = time.monotonic() + REST_S
        except asyncpg.LockNotAvailableError as error:
            self._logs_rest_until = time.monotonic() + LOCKED_REST_S
            logger.bind(error=str(error)).warning("old rows of a log were left for later")


async def prune(conn: asyncpg.Connection, budget_s: float = BUDGET_S) -> bool:
    """Delete for ``budget_s``, at least once, in one transaction; whether there is more to do."""
    async with conn.transaction():
        return bool(await conn.fetchval(LOCK)) and await _prune(conn, time.monotonic() + budget_s)


async def _prune(conn: asyncpg.Connection, until: float) -> bool:
    for due in await conn.fetch(DUE):
        after, more = due["after"], True
        while more:
            (row,) = await conn.fetch(PRUNE, due["flows"], due["retain"], after)
            after, more = row["last"], row["more"]
            if time.monotonic() > until:
                break
        if after != due["after"]:
            await conn.execute(REMEMBER, due["flows"], after)
        if time.monotonic() > until:
            return True
    return False


async def prune_logs(conn: asyncpg.Connection, keep_months: int, budget_s: float = BUDGET_S) -> bool:
    """Delete old rows of the logs for ``budget_s``, at least once, in one transaction; whether there is more to do."""
    until = time.monotonic() + budget_s
    async with conn.transaction():
        await conn.execute(UNHURRIED)
        if not await conn.fetchval(LOCK):
            return False
        for due in await conn.fetch(LOG_DUE, keep_months, list(LOGS)):
            after, more = due["after"], True
            while more:
                (row,) = await conn.fetch(PRUNE_LOG.format(log=due["log"]), after, due["keep_from"])
                after, more = row["last"], row["more"]
                if time.monotonic() > until:
                    break
            await conn.execute(REMEMBER_LOG, due["log"], due["keep_from"], after if more else None)
            if time.monotonic() > until:
                return True
    return False
