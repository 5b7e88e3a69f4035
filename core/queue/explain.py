"""Why a task is not running: the one fact that decides, from the database as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.flows.registry import ASSET_POOL, Registry
from core.flows.scraper import BadTask, built_flow
from core.queue.status import SERVED
from utils.db import within_dates
from utils.redact import redact_text
from utils.times import event_time

FACTS = f"""
select t.id, t.flow, t.status, t.priority, t.retry_count, t.data, t.error_code, t.worker,
    {within_dates("t.picked_at")} as picked_at, {within_dates("t.scraped_at")} as scraped_at,
    {within_dates("t.run_after")} as run_after, {within_dates("t.expires_at")} as expires_at,
    t.run_after > now() as delayed, t.expires_at <= now() as expired, now() - {within_dates("t.picked_at")} as held_for,
    w.host, w.pid, w.beat_at, w.id is null as holder_lost,
    w.beat_at < now() - cast(:lease_s as float8) * interval '1 second' as holder_silent,
    b.paused, b.slots as cap
from scrape_request_log t left join beat_worker w on w.id = t.worker left join beat_flow b on b.flow = t.flow
where t.id = :id"""

CAPACITY = f"""
with alive as ({SERVED.format(lease_s=":lease_s")} and e.key = :flow),
pool as (select exists (select from alive where process = '{ASSET_POOL}' and pid > 0) as there),
serving as (select a.* from alive a, pool where not pool.there or a.process = '{ASSET_POOL}'),
total as (select count(*) as workers, sum(slots) as slots, sum(running) as running, sum(shared) as shared,
    sum(used) as used, sum(free) as free from serving)
select workers, coalesce(slots, 0), coalesce(running, 0), coalesce(shared, 0), coalesce(used, 0), coalesce(free, 0),
    (select count(*) from scrape_request_log t where t.status = 'PROCESSING' and t.flow = :flow)
from total"""
"""Slots of the flow and what they are taken by. While an asset pool is alive all others leave its flows to it."""

BEFORE = """
select count(*) from (
    select from scrape_request_log s where s.flow = :flow and s.status = 'PENDING' and s.run_after is null
        and s.priority > :priority
    union all
    select from scrape_request_log s where s.flow = :flow and s.status = 'PENDING' and s.run_after is null
        and s.priority = :priority and s.id < :id
    limit 100000) s"""
"""Waiting tasks of the flow that go first; reads srl_claim."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """``reason`` is one word per kind of answer; ``text`` names the fact that decides."""

    task_id: int
    status: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class _Capacity:
    """Of the workers that serve the flow, see SERVED; ``everywhere`` are its running tasks on any worker."""

    workers: int
    slots: int
    running: int
    shared: int
    used: int
    free: int
    everywhere: int


async def explain(session: AsyncSession, registry: Registry, task_id: int, *, lease_s: float) -> Explanation | None:
    """Why the task is not running; None when there is no such task."""
    task = (await session.execute(text(FACTS), {"id": task_id, "lease_s": lease_s})).mappings().one_or_none()
    if task is None:
        return None
    decided = _ended(task) or _held(task) or _barred(task, registry)
    if decided is None:
        found = (await session.execute(text(CAPACITY), {"flow": task["flow"], "lease_s": lease_s})).one()
        keys = ("flow", "priority", "id")
        before = (await session.execute(text(BEFORE), {key: task[key] for key in keys})).scalar_one()
        decided = _waiting(task, _Capacity(*found), before)
    return Explanation(task["id"], task["status"], *decided)


def _ended(task: Any) -> tuple[str, str] | None:
    if task["status"] in ("PENDING", "PROCESSING"):
        return None
    how = {
        "COMPLETE": "it is complete",
        "FAILED": "it has failed",
        "EXPIRED": "it has expired",
        "CANCELLED": "it was cancelled",
    }
    why = f" ({task['error_code']}): {_short(task['data'])}" if task["error_code"] else ""
    attempts = f", attempt {task['retry_count']}" if task["status"] == "FAILED" else ""
    return "finished", f"{how[task['status']]} since {_at(task['scraped_at'])}{attempts}{why}"


def _held(task: Any) -> tuple[str, str] | None:
    if task["status"] != "PROCESSING":
        return None
    if task["worker"] is None or task["picked_at"] is None:
        return "held", "it was set to PROCESSING by somebody who is no worker: a supervisor gives it to one"
    if task["holder_lost"]:
        return (
            "held",
            f"worker {task['worker']} held it since {_at(task['picked_at'])} and is gone: a supervisor rescues it",
        )
    holder = (
        f"held by worker {task['worker']} (pid {task['pid']}) on host {task['host']} since "
        f"{_at(task['picked_at'])}, for {round(task['held_for'].total_seconds())} s; "
        f"last heartbeat {_at(task['beat_at'])}"
    )
    if task["holder_silent"]:
        return "held", f"{holder}, which is longer ago than its lease: the supervisor of a living host rescues it"
    return "held", f"it is running: {holder}"


def _barred(task: Any, registry: Registry) -> tuple[str, str] | None:
    """What keeps a waiting task from being claimed whoever is free."""
    try:
        built_flow(registry, task["flow"])
    except BadTask as error:
        word = "unknown_flow" if error.code == "UNKNOWN_FLOW" else "not_built"
        return word, f"{str(error).removeprefix('flow: ')}: a supervisor fails the task at its next look"
    if task["expired"]:
        return "expired", f"it expired at {_at(task['expires_at'])} before anybody started it"
    if task["paused"]:
        return "paused", f"flow {task['flow']} is paused: beatctl flows resume {task['flow']}"
    if task["cap"] is not None and task["cap"] <= 0:
        flow = task["flow"]
        return "no_slots", f"flow {flow} is capped at {task['cap']} slots: beatctl flows set {flow} --slots N"
    if task["delayed"]:
        after = f", attempt {task['retry_count']}" + (
            f", after {task['error_code']}: {_short(task['data'])}" if task["error_code"] else ""
        )
        return "run_after", f"it waits until {_at(task['run_after'])}{after}"
    return None


def _waiting(task: Any, capacity: _Capacity, before: int) -> tuple[str, str]:
    flow = task["flow"]
    if not capacity.workers:
        return "no_worker", f"no worker of {flow} is alive: start main.py on a host, or see WORKER_FLOWS"
    slots, running, capped = capacity.slots, capacity.running, ""
    if task["cap"] is not None and task["cap"] < slots:
        slots, running, capped = task["cap"], capacity.everywhere, f" (capped; its workers have {slots})"
    ahead = f"{before} waiting tasks of the flow are older or have a higher priority"
    if running >= slots:
        return "busy", f"all {slots} slots of {flow}{capped} are busy with {running} tasks; {ahead}"
    busy = f"{running} of {slots} slots{capped} are busy"
    if not capacity.free:
        other = f"its processes run {capacity.used} tasks in the {capacity.shared} slots that they have in all"
        return "busy", f"all slots are busy: {other}; {busy}; {ahead}"
    if before:
        return "behind", f"{ahead}; {busy}"
    return "next", f"nothing: it is the next one of {flow}, {busy}"


def _at(moment: Any) -> str:
    return "an unknown time" if moment is None else f"{event_time(moment)} UTC"


def _short(words: str | None) -> str:
    return " ".join(redact_text(words or "").split())[:300]
