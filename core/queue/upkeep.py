"""What a supervisor does for the queue on direct connections: heartbeats, rescue, promotion, expiry, partitions."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import asyncpg
from loguru import logger

from config import Settings
from core.flows.registry import ASSET_FLOWS, Registry
from core.metrics import COUNTS, FLUSH_S, RESCUED, STORE, columns
from core.queue import statements as sql
from core.queue.holders import HolderWatch
from core.queue.plan import ProcessSpec
from core.queue.queue import QueueUnavailable
from core.queue.retention import Retention
from core.queue.session import ServerSession
from core.queue.slots import Cap, Lease
from core.schedules.scheduler import Scheduler

RARE_S = 15.0
"""Seconds between searches for claims and rows that nobody will ever finish."""

PARTITIONS_S = 3600.0
PARTITIONS_AGAIN_S = 60.0
EXPIRE_ROUNDS = 20

STRAYS = """
update scrape_request_log t set worker = 0
where t.id = any(array(select s.id from scrape_request_log s
    where s.status = 'PROCESSING' and (s.worker is null or s.picked_at is null)
    order by s.worker limit 1000 for update skip locked))"""
"""Rows that were set to PROCESSING by hand, or by a program that names no worker, or whose claim lost its time, become
claims of a worker that there never is, which the search for orphans finds. Ordered as srl_running, which is read."""


@dataclass(frozen=True, slots=True)
class FlowControl:
    """What operators wrote into beat_flow."""

    paused: frozenset[str] = frozenset()
    limits: dict[str, float] = field(default_factory=dict)
    caps: dict[str, Cap] = field(default_factory=dict)

    def as_json(self, flows: Collection[str], slots: Mapping[str, int]) -> str:
        """The form that a child with these flows reads. ``slots``: what it may use of those that have a cap."""
        limits = {flow: limit_s for flow, limit_s in self.limits.items() if flow in flows}
        words = {"paused": sorted(self.paused.intersection(flows)), "limits": limits, "slots": slots}
        return json.dumps(words, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Look:
    """What one tick saw."""

    pending: tuple[str, ...]
    control: FlowControl
    promotable: bool
    expired: bool
    lost: bool
    retained: bool
    scheduled: bool


class Upkeep:
    """Statements of the supervisor, one at a time. Heartbeats have a connection of their own: they must not wait for a
    statement that waits for a lock.

    ``yields``: the asset flows are left to an asset pool while one is alive, as if they were paused.
    """

    def __init__(self, settings: Settings, registry: Registry, host: str, *, yields: bool = False) -> None:
        self._settings = settings
        self._host = host
        self._yields = yields
        self._known = [name for name, flow in registry.items() if flow.target]
        self._unbuilt = [name for name, flow in registry.items() if not flow.target]
        self._retries = (list(registry), [flow.max_retries for flow in registry.values()])
        self._session = ServerSession(settings.database.pg_url, f"beat supervisor {host}")
        self._pulse = ServerSession(settings.database.pg_url, f"beat heartbeat {host}")
        self._beating_since: float | None = None
        self._beaten_at = 0.0
        self._rare_at = 0.0
        self._partitions_due = 0.0
        self._counts_at = 0.0
        self._retention = Retention(self._session.run, settings.workers.log_retention_months)
        self._holders = HolderWatch(self._session.run)
        self._scheduler = Scheduler(settings.database.pg_url, registry, timeout_s=settings.workers.schedule_timeout_s)

    async def add_worker(self, spec: ProcessSpec) -> int:
        """An id for a process about to start; its heartbeat begins now."""
        (row,) = await self._session.fetch(sql.ADD_WORKER, self._host, spec.name, json.dumps(spec.stored_slots()))
        return int(row["id"])

    async def name_worker(self, worker: int, pid: int) -> None:
        """Remember the process behind an id, for people who look."""
        await self._session.fetch(sql.NAME_WORKER, worker, pid)

    async def look(self, flows: Sequence[str]) -> Look:
        """One statement: which of ``flows`` have work, what operators want, which upkeep is due."""
        (row,) = await self._session.fetch(sql.TICK, list(flows), self._settings.workers.worker_lease_s)
        flags = (row[name] for name in ("promotable", "expired", "lost", "retained", "scheduled"))
        control = _control(row["flows"])
        if row["assets"] and self._yields:
            control = replace(control, paused=control.paused | ASSET_FLOWS)
        return Look(tuple(row["pending"] or ()), control, *flags)

    async def lease(self, wanted: Sequence[Lease]) -> list[Lease]:
        """Take what is free of capped flows; gives what the workers hold then."""

        async def take(conn: asyncpg.Connection) -> list[asyncpg.Record]:
            async with conn.transaction():
                await conn.execute(sql.LEASE_LOCK)
                return list(await conn.fetch(sql.LEASE, *_columns(wanted)))

        rows = await self._session.run(take)
        return [Lease(row["worker"], row["flow"], row["slots"]) for row in rows]

    async def give_back(self, leases: Sequence[Lease]) -> None:
        """Lower leases to what the workers still use."""
        await self._session.fetch(sql.GIVE_BACK, *_columns(leases))

    async def work(self, look: Look) -> None:
        """Do what a look found due."""
        await self._holders.look()  # first, because who holds back vacuum may be who locks what the others need
        if look.scheduled:
            self._scheduler.wake()
        if look.promotable:
            await self._session.fetch(sql.PROMOTE)
        if look.expired:
            for _ in range(EXPIRE_ROUNDS):
                if not (await self._session.fetch(sql.EXPIRE))[0]["tasks"]:
                    break
        if look.lost and self._beaten_for_a_lease():
            self._log_rescue(
                await self._session.fetch(sql.RESCUE_HOSTS, self._settings.workers.worker_lease_s, *self._retries)
            )
        await self._work_by_the_clock()
        if look.retained:
            await self._retention.prune()
        await self._retention.prune_logs()

    async def _work_by_the_clock(self) -> None:
        now = time.monotonic()
        if now - self._rare_at > RARE_S:
            self._rare_at = now
            await self._session.fetch(STRAYS)
            self._log_rescue(await self._session.fetch(sql.RESCUE_ORPHANS, True, *self._retries))
            await self.fail_unknown()
        if now > self._partitions_due:
            await self._keep_partitions()
        if now - self._counts_at > FLUSH_S:
            await self.store_counts()

    async def _keep_partitions(self) -> None:
        self._partitions_due = time.monotonic() + PARTITIONS_S
        try:
            await self._session.fetch(sql.MAKE_PARTITIONS)
            await self._retention.drop_partitions()
        except asyncpg.PostgresError as error:  # a log was locked for longer than they wait
            self._partitions_due = time.monotonic() + PARTITIONS_AGAIN_S
            logger.bind(error=str(error)).warning("log partitions were left for later")
        except QueueUnavailable:
            self._partitions_due = 0.0
            raise

    def count(self, message: str) -> None:
        """What a child has counted."""
        COUNTS.add_taken(message)

    async def store_counts(self) -> None:
        """Add what children and this process have counted to the sums of all hosts."""
        self._counts_at = time.monotonic()
        with COUNTS.taken() as counts:
            if counts:
                await self._session.fetch(STORE, *columns(counts))

    async def fail_unknown(self) -> None:
        """Fail tasks of flows that nobody knows or that are not built yet."""
        while (await self._session.fetch(sql.FAIL_UNKNOWN, self._known, self._unbuilt))[0][0]:
            pass

    async def beat(self, workers: Sequence[int]) -> set[int]:
        """Keep the workers' leases; those that are missing from the answer were declared lost meanwhile."""
        try:
            alive = {row["id"] for row in await self._pulse.fetch(sql.BEAT, list(workers))}
        except QueueUnavailable:
            self._beating_since = None
            raise
        if self._beating_since is None or not self._beaten_lately():
            self._beating_since = time.monotonic()
        self._beaten_at = time.monotonic()
        return alive

    async def rescue(self, workers: Sequence[int]) -> None:
        """Give the tasks of dead workers to others, and forget those workers."""
        self._log_rescue(await self._session.fetch(sql.RESCUE_WORKERS, list(workers), *self._retries))

    async def time_out(self, worker: int, limits: dict[str, float]) -> int:
        """Fail what a worker has held for longer than its flows' limits; gives how many."""
        rows = await self._session.fetch(sql.TIME_OUT, worker, list(limits), list(limits.values()))
        return int(rows[0][0])

    async def overdue(self, worker: int, limits: dict[str, float], slack_s: float) -> bool:
        """Whether a worker holds a task for longer than its limit and the slack."""
        rows = await self._session.fetch(
            sql.OVERDUE, worker, list(limits), [limit + slack_s for limit in limits.values()]
        )
        return bool(rows[0][0])

    async def aclose(self) -> None:
        """Close the connections."""
        await self._scheduler.aclose()
        self._session.drop()
        self._pulse.drop()

    def _beaten_for_a_lease(self) -> bool:
        """A database that was restarted or out of reach makes every heartbeat look stale: believe it only after a lease
        of our own beats without a gap."""
        since, lease_s = self._beating_since, self._settings.workers.worker_lease_s
        return since is not None and self._beaten_lately() and time.monotonic() - since >= lease_s

    def _beaten_lately(self) -> bool:
        return time.monotonic() - self._beaten_at < self._settings.workers.worker_lease_s

    def _log_rescue(self, rows: list[asyncpg.Record]) -> None:
        COUNTS.add(RESCUED, by=rows[0]["tasks"])
        if rows[0]["tasks"]:
            logger.bind(tasks=rows[0]["tasks"], workers=rows[0]["workers"]).warning(
                "tasks of lost workers were rescued"
            )


def _control(text: str | None) -> FlowControl:
    flows = json.loads(text) if text else []
    return FlowControl(
        frozenset(f["flow"] for f in flows if f["paused"]),
        {f["flow"]: float(f["timeout_s"]) for f in flows if (f["timeout_s"] or 0) > 0},
        {
            f["flow"]: Cap(
                f["slots"],
                tuple((worker, held) for worker, held, _ in f["workers"] or ()),
                frozenset(worker for worker, _, yields in f["workers"] or () if yields),
            )
            for f in flows
            if f["slots"] is not None
        },
    )


def _columns(leases: Sequence[Lease]) -> tuple[list[int], list[str], list[int]]:
    return [one.worker for one in leases], [one.flow for one in leases], [one.slots for one in leases]
