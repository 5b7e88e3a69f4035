"""One worker's loop on a real queue: what it hears, and what breaks, while a statement is under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import asyncpg
import pytest

from core.flows.registry import Flow, build_registry
from core.models.params import Params
from core.queue import worker as module
from core.queue.plan import ProcessSpec
from core.queue.queue import Claim, Done, QueueUnavailable, WorkerQueue
from core.queue.worker import Worker
from tests.support.pool import queue_tasks
from tests.support.postgres import SOMEONE_WAITS
from tests.support.relay import until
from utils.db import connect

REGISTRY = build_registry("tests.support.flows")
BREAK = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name = 'beat worker 1'"""
ROWS = "select status, retry_count from scrape_request_log order by id"


@dataclass
class Tasks:
    """What tasks do: wait for ``go``, and then what ``end`` does. A cancelled one takes as long as ``leave`` does."""

    end: Callable[[], Awaitable[object]] | None = None
    leave: Callable[[Claim], Awaitable[object]] | None = None
    begun: list[int] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, _flow: Flow, _params: Params, claim: Claim) -> None:
        """Stands in for all flows."""
        self.begun.append(claim.id)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            if self.leave is not None:
                await self.leave(claim)
            raise
        if self.end is not None:
            await self.end()

    async def have_begun(self, count: int) -> bool:
        return len(self.begun) >= count


@asynccontextmanager
async def working(queue: WorkerQueue, tasks: Tasks) -> AsyncIterator[tuple[Worker, asyncio.Task[bool]]]:
    """A worker with two slots, which claims from its first ``control`` on, and its run. No task outlives the block."""
    worker = Worker(ProcessSpec("test", (("test_nap", 2),), 2), queue, REGISTRY, tasks.run, lambda *_: True)
    run = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(60):
            yield worker, run
    finally:
        tasks.go.set()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await queue.aclose()


@asynccontextmanager
async def statements_wait(url: str) -> AsyncIterator[None]:
    """Claims and reports, which announce something, take until the end of the block."""
    blocker = await connect(url, name="blocker")
    try:
        async with blocker.transaction():
            await blocker.execute("lock table event_outbox in share mode")
            yield
    finally:
        await blocker.close()


async def rows(pg: asyncpg.Connection) -> list[tuple[str, int]]:
    return [(row["status"], row["retry_count"]) for row in await pg.fetch(ROWS)]


async def test_what_a_claim_under_way_brings_after_the_time_is_up_is_handed_back(
    pg: asyncpg.Connection, clean_db: str
) -> None:
    await queue_tasks(pg, "test_nap", 2)
    async with working(WorkerQueue(clean_db, 1, direct=True), Tasks()) as (worker, run):
        async with statements_wait(clean_db):
            worker.control(frozenset(), {}, {})
            await until(partial(pg.fetchval, SOMEONE_WAITS))
            worker.drain(0)
            await asyncio.sleep(0.1)  # time is up
        assert not await run
    assert await rows(pg) == [("PENDING", 1)] * 2


class Interrupted(WorkerQueue):
    """Something happens between the end of a statement and its answer."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def step(
        self, free: Mapping[str, int], done: Sequence[Done], *, oldest_first: bool
    ) -> tuple[list[Claim], set[int]]:
        answer = await super().step(free, done, oldest_first=oldest_first)
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            await meanwhile()
        return answer


async def test_work_that_is_told_of_while_a_claim_finds_none_is_claimed(pg: asyncpg.Connection, clean_db: str) -> None:
    tasks, queue = Tasks(), Interrupted(clean_db, 1, direct=True)

    async def tell() -> None:
        await queue_tasks(pg, "test_nap", 1)
        worker.wake("test_nap")

    queue.meanwhile = tell
    async with working(queue, tasks) as (worker, _):
        worker.control(frozenset(), {}, {})
        await until(partial(tasks.have_begun, 1))


async def test_a_claim_whose_answer_was_lost_is_run(pg: asyncpg.Connection, clean_db: str) -> None:
    tasks, queue = Tasks(), Interrupted(clean_db, 1, direct=True)

    async def lose() -> None:
        raise QueueUnavailable("the answer")

    queue.meanwhile = lose
    tasks.go.set()
    await queue_tasks(pg, "test_nap", 2)
    async with working(queue, tasks) as (worker, run):
        worker.control(frozenset(), {}, {})
        await until(partial(pg.fetchval, "select 2 = count(*) from scrape_request_log where status = 'COMPLETE'"))
        worker.drain(0)
        assert not await run
    assert (await rows(pg), sorted(tasks.begun)) == ([("COMPLETE", 1)] * 2, [1, 2])


async def test_a_claim_that_is_made_after_its_statement_was_given_up_is_run(
    pg: asyncpg.Connection, clean_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had waited in a pooler."""
    monkeypatch.setattr(module, "ECHO_S", (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0))
    tasks, queue, given_up = Tasks(), Interrupted(clean_db, 1, direct=True), WorkerQueue(clean_db, 1)
    idle = asyncio.Event()

    async def lose() -> None:
        queue.meanwhile = found_nothing
        raise QueueUnavailable("the answer")

    async def found_nothing() -> None:
        idle.set()

    queue.meanwhile = lose
    async with working(queue, tasks) as (worker, _):
        worker.control(frozenset(), {}, {})
        await idle.wait()
        await queue_tasks(pg, "test_nap", 1)
        await given_up.step({"test_nap": 1}, [], oldest_first=False)
        await given_up.aclose()
        await until(partial(tasks.have_begun, 1))


async def fail() -> None:
    raise ValueError("a defect")


@pytest.mark.parametrize(
    ("end", "outcome"),
    [("returns", ("COMPLETE", 1)), ("raises", ("PENDING", 2)), ("is handed back", ("PENDING", 1))],
)
async def test_a_report_that_is_cut_off_is_made_again_and_its_task_does_not_run_again(
    pg: asyncpg.Connection, clean_db: str, end: str, outcome: tuple[str, int]
) -> None:
    tasks = Tasks(fail if end == "raises" else None)
    await queue_tasks(pg, "test_nap", 1)
    async with working(WorkerQueue(clean_db, 1, direct=True), tasks) as (worker, run):
        worker.control(frozenset(), {}, {})
        await until(partial(tasks.have_begun, 1))
        async with statements_wait(clean_db):
            if end == "is handed back":
                worker.drain(0)
            else:
                tasks.go.set()
            await until(partial(pg.fetchval, SOMEONE_WAITS))
            await pg.execute(BREAK)
        await until(partial(pg.fetchval, "select worker is null from scrape_request_log"))
        worker.drain(0)
        assert not await run
    assert (await rows(pg), tasks.begun) == ([outcome], [1])


async def test_what_takes_its_time_to_be_cancelled_is_handed_back_too(pg: asyncpg.Connection, clean_db: str) -> None:
    """While the other one is being handed back."""
    may_leave = asyncio.Event()

    async def leave(claim: Claim) -> None:
        if claim.id == slow:
            await may_leave.wait()

    tasks = Tasks(leave=leave)
    _, slow = await queue_tasks(pg, "test_nap", 2)
    async with working(WorkerQueue(clean_db, 1, direct=True), tasks) as (worker, run):
        worker.control(frozenset(), {}, {})
        await until(partial(tasks.have_begun, 2))
        async with statements_wait(clean_db):
            worker.drain(0)
            await until(partial(pg.fetchval, SOMEONE_WAITS))
            may_leave.set()
            await asyncio.sleep(0.1)  # it has left
        assert not await run
    assert await rows(pg) == [("PENDING", 1)] * 2


async def test_a_task_that_leaves_late_after_its_time_limit_has_failed_also_at_the_end(
    pg: asyncpg.Connection, clean_db: str
) -> None:
    """It is not handed back to run as long once more."""
    leaves, may_leave = asyncio.Event(), asyncio.Event()

    async def leave(_: Claim) -> None:
        leaves.set()
        await may_leave.wait()

    await queue_tasks(pg, "test_nap", 1)
    async with working(WorkerQueue(clean_db, 1, direct=True), Tasks(leave=leave)) as (worker, run):
        worker.control(frozenset(), {"test_nap": 0.1}, {})
        await leaves.wait()
        worker.drain(0)
        await asyncio.sleep(0.1)  # time is up
        may_leave.set()
        assert not await run
    assert await pg.fetchval("select status || ' ' || error_code from scrape_request_log") == "FAILED TIMEOUT"
