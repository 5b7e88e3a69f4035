"""How the pool is: hosts, flows, events, and who holds what. For people; nothing here is asked often."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from core.queue.holders import HOLDERS, described
from core.queue.plan import SHARED
from utils.db import Fetch, within_dates

DEPTH = f"""
select d.flow, d.depth, extract(epoch from now() - {within_dates("t.created_at")})::float8 as age_s from (
    select flow, count(*) as depth, min(id) as first from scrape_request_log
    where status = 'PENDING' and run_after is null group by flow) d join scrape_request_log t on t.id = d.first"""
"""Tasks that could run now; counted in srl_claim."""

SERVED = f"""
select w.id, w.flow as process, w.pid, e.key as flow, e.value::int as slots, h.running,
    coalesce(w.shared, e.value::int) as shared, h.used,
    greatest(0, least(e.value::int - h.running, w.shared - h.used)) as free
from (select *, (slots->>'{SHARED}')::int as shared from beat_worker) w
    cross join jsonb_each_text(w.slots - '{SHARED}') e
    cross join lateral (
        select count(*) filter (where t.flow = e.key)::int as running, count(*)::int as used
        from scrape_request_log t where t.worker = w.id and t.status = 'PROCESSING') h
where w.beat_at > now() - cast({{lease_s}} as float8) * interval '1 second'"""
"""The living workers of each flow: ``running`` of its ``slots`` and ``used`` of all those that the flows of the process
share are taken; ``free`` is what is left of both."""

HOSTS = f"""
select w.host, count(*) as processes,
    coalesce(sum(coalesce((w.slots->>'{SHARED}')::int,
        (select sum(e.value::int) from jsonb_each_text(w.slots) e))), 0)::int as slots,
    coalesce((select array_agg(distinct e.key order by e.key)
        from beat_worker o cross join jsonb_each_text(o.slots - '{SHARED}') e where o.host = w.host), '{{}}') as flows,
    extract(epoch from now() - min(w.beat_at))::float8 as beat_s,
    bool_or(w.beat_at > now() - $1::float8 * interval '1 second') as alive,
    count(*) filter (where w.beat_at <= now() - $1::float8 * interval '1 second') as lost
from beat_worker w group by w.host order by w.host"""

FLOWS = f"""
with ready as ({DEPTH}),
later as (
    select flow, count(*) as delayed from scrape_request_log
    where status = 'PENDING' and run_after is not null group by flow),
busy as (select flow, count(*) as running from scrape_request_log where status = 'PROCESSING' group by flow),
served as (
    select s.flow, count(*) as workers, sum(s.slots) as slots, sum(s.free) as free
    from ({SERVED.format(lease_s="$1")}) s group by s.flow)
select flow, coalesce(depth, 0) as ready, age_s as oldest_s, coalesce(delayed, 0) as delayed,
    coalesce(running, 0) as running, coalesce(workers, 0) as workers, coalesce(served.slots, 0) as slots,
    coalesce(free, 0) as free, b.slots as cap, coalesce(b.paused, false) as paused
from ready full join later using (flow) full join busy using (flow) full join served using (flow)
    full join beat_flow b using (flow)
order by flow"""

TOTALS = f"""
select
    (select count(*) from event_outbox) as events,
    coalesce((select extract(epoch from now() - created_at) from event_outbox order by id limit 1), 0)::float8 as lag_s,
    (select concat_ws(' ', 'pid', a.pid::text, 'from ' || host(a.client_addr))
        from pg_locks l join pg_stat_activity a using (pid)
        where l.locktype = 'advisory' and l.granted and l.database = a.datid and a.datname = current_database()
            and a.application_name = 'beat relay' limit 1) as relay,
    (select count(*) from scrape_schedule where enabled) as schedules,
    coalesce((select array_agg(name order by name) from scrape_schedule
        where enabled and last_outcome <> 'ok'), '{{}}') as unwell,
    (select {within_dates("min(next_run_at)")} from scrape_schedule
        where enabled and next_run_at < 'infinity') as next_run"""


NEWEST = 50_000

FAILED_LATELY = """
select flow, count(*) as failed
from (select flow, status, scraped_at from scrape_request_log order by id desc limit $1) newest
where status = 'FAILED' and scraped_at > now() - interval '1 hour' group by flow"""
"""Failures of the last hour among the ``$1`` newest tasks: no index holds finished tasks by their end."""


@dataclass(frozen=True, slots=True)
class Host:
    """The processes of one host, its relay too. ``beat_s``: age of the oldest heartbeat; ``lost``: without a lease."""

    host: str
    processes: int
    slots: int
    flows: list[str]
    beat_s: float
    alive: bool
    lost: int


@dataclass(frozen=True, slots=True)
class FlowState:
    """One flow on all hosts. ``oldest_s``: age of the oldest task that could run; ``free``: slots that neither it nor
    flows that share them have taken; ``cap``: an operator's limit."""

    flow: str
    ready: int = 0
    oldest_s: float | None = None
    delayed: int = 0
    running: int = 0
    workers: int = 0
    slots: int = 0
    free: int = 0
    cap: int | None = None
    paused: bool = False

    @property
    def state(self) -> str:
        """What keeps the flow from being worked on, in two words at most."""
        if self.paused:
            return "paused"
        if not self.workers and (self.ready or self.delayed or self.running):
            return "no worker"
        if self.cap is not None and self.cap <= 0:
            return "no slots"
        full = self.free <= 0 or (self.cap is not None and self.running >= self.cap)
        return "busy" if self.ready and full else "open" if self.workers else ""


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """Everything at one moment. ``relay``: the session of the relay that works; ``holders``: who holds back vacuum."""

    hosts: list[Host]
    flows: list[FlowState]
    events: int
    lag_s: float
    relay: str | None
    schedules: int
    unwell: list[str]
    next_run: datetime | None
    holders: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """All of it, with the state of each flow in words."""
        return {**asdict(self), "flows": [{**asdict(flow), "state": flow.state} for flow in self.flows]}


async def pool_status(fetch: Fetch, *, lease_s: float) -> PoolStatus:
    """Look at the pool; ``lease_s`` is how long a heartbeat counts."""
    hosts = [Host(**dict(row)) for row in await fetch(HOSTS, lease_s)]
    flows = [FlowState(**dict(row)) for row in await fetch(FLOWS, lease_s)]
    (totals,) = await fetch(TOTALS)
    holders = [described(row) for row in await fetch(HOLDERS, 1.0)]
    return PoolStatus(hosts, flows, **dict(totals), holders=holders)


async def failed_lately(fetch: Fetch) -> dict[str, int]:
    """How many tasks of each flow have failed in the last hour, of the ``NEWEST`` newest tasks."""
    return {row["flow"]: row["failed"] for row in await fetch(FAILED_LATELY, NEWEST)}
