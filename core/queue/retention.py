"""What a supervisor deletes by age: finished tasks and log partitions."""

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

T = TypeVar("T")
Body = Callable[[asyncpg.Connection], Awaitable[T]]


class Retention:
    """One supervisor's part. ``run`` runs one body on its connection."""

    def __init__(self, run: Callable[[Body[Any]], Awaitable[Any]], keep_months: int | None) -> None:
        self._run = run
        self._keep_months = keep_months
        self._rest_until = 0.0
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
