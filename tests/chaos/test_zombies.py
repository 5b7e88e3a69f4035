"""Hosts and processes that freeze, lose their tasks to others, and wake up to report them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import asyncpg
import pytest

from tests.support import fence
from tests.support.consume import assert_completed_once, completions
from tests.support.pool import (
    Host,
    RunningPool,
    kill,
    pause,
    queue_tasks,
    resume,
    running_pool,
    wait_for_statuses,
)
from tests.support.relay import until

REFUSED = "report was refused"
FLOW = {"WORKER_FLOWS": "test_once_slow"}
IN_HAND = """
select s.id from scrape_request_log s join beat_worker w on w.id = s.worker
where s.status = 'PROCESSING' and w.host = $1"""


@dataclass(frozen=True)
class Pace:
    """How long a host may be silent, and how long its tasks take."""

    lease_s: float
    heartbeat_s: float
    nap_ms: int

    @property
    def settings(self) -> dict[str, str]:
        """Of a pool."""
        return {"WORKER_LEASE_S": str(self.lease_s), "HEARTBEAT_S": str(self.heartbeat_s)}


HASTY = Pace(0.3, 0.05, 1500)
CALM = Pace(3, 0.2, 4000)
"""A living host keeps its lease, and is frozen in mid-task, on a busy machine as well."""


@dataclass(frozen=True)
class Trials:
    """What a run of rounds saw: tasks that were taken from a frozen host, and reports of it that were refused."""

    ids: list[int]
    taken: int
    refused: int


@asynccontextmanager
async def hosts(env: dict[str, str], flows: str, pace: Pace) -> AsyncIterator[tuple[AsyncExitStack, RunningPool]]:
    """The pool that takes over, and the stack on which the ones that freeze are started."""
    async with AsyncExitStack() as stack:
        settings = {**FLOW, **pace.settings, "BEAT_EXTRA_FLOWS": flows, "BEAT_HOST_ID": "taker"}
        taker = await stack.enter_async_context(running_pool(env, **settings))
        await taker.wait_for_line("pool is ready")
        yield stack, taker


async def one_round(
    pg: asyncpg.Connection, env: dict[str, str], flows: str, pace: Pace, *, children_first: bool
) -> Trials:
    """Freeze a whole host that holds tasks, have them done elsewhere, wake it; it ends with kill -9."""
    settings = {**FLOW, **pace.settings, "BEAT_EXTRA_FLOWS": flows, "BEAT_HOST_ID": "frozen"}
    async with running_pool(env, **settings) as pool:
        await pool.wait_for_line("pool is ready")
        ids = await queue_tasks(pg, "test_once_slow", 150, low_ms=pace.nap_ms, high_ms=pace.nap_ms)
        await until(partial(_holds, pg, "frozen"))
        await asyncio.sleep(random.uniform(0, 0.4))
        host = Host.of(pool)
        pause(host.all)
        held = [row["id"] for row in await pg.fetch(IN_HAND, "frozen")]
        await wait_for_statuses(pg, {"COMPLETE": await pg.fetchval("select count(*) from scrape_request_log")})
        # naps that others began at the same time are over, so those of the frozen host will be
        await asyncio.sleep(0.3)
        resume(host.children if children_first else host.all)
        if children_first:  # their supervisor cannot know yet that they were declared lost
            await reported(pool, len(held))
            resume(host.all)
        await asyncio.sleep(0.5)
        refused = refusals(pool)
        for pid in {*host.all, *Host.of(pool).all}:
            kill(pid)
    return Trials(ids, len(held), refused)


def refusals(pool: RunningPool) -> int:
    """Reports of its tasks that came too late."""
    return sum(REFUSED in line for line in pool.lines)


async def reported(pool: RunningPool, held: int) -> None:
    """Wait until most of the reports were refused; for some seconds, because without the fence none is."""
    for _ in range(50):
        if refusals(pool) > held / 2:
            break
        await asyncio.sleep(0.1)


async def _holds(pg: asyncpg.Connection, host: str) -> bool:
    return len(await pg.fetch(IN_HAND, host)) > 20


@pytest.mark.parametrize(
    ("rounds", "pace"),
    [pytest.param(2, CALM, id="short"), pytest.param(120, HASTY, id="whole", marks=pytest.mark.soak)],
)
@pytest.mark.timeout(2400)
async def test_a_host_that_wakes_up_completes_nothing_that_was_given_to_another(
    marks: asyncpg.Connection, program_env: dict[str, str], rmq_url: str, rounds: int, pace: Pace
) -> None:
    ids: list[int] = []
    taken = refused = 0
    flows = "tests.support.flows"
    async with hosts(program_env, flows, pace) as (_, taker):
        for number in range(rounds):
            trials = await one_round(marks, program_env, flows, pace, children_first=number % 2 == 0)
            ids, taken, refused = ids + trials.ids, taken + trials.taken, refused + trials.refused
        await assert_completed_once(marks, rmq_url, ids)
        assert await taker.stop() == 0
    assert taken >= 20 * rounds
    assert refused >= taken / 4, "the frozen hosts hardly reported anything"
    assert await marks.fetchval("select count(*) from task_mark where attempt > 2") <= taken
    print(f"{taken} tasks were taken from frozen hosts, {refused} late reports were refused")


async def test_without_the_fence_the_same_run_completes_tasks_twice(
    marks: asyncpg.Connection, program_env: dict[str, str], rmq_url: str
) -> None:
    flows = "tests.support.flows_without_fence"
    async with fence.taken_away(marks), hosts(program_env, flows, CALM) as (_, taker):
        trials = await one_round(marks, program_env, flows, CALM, children_first=True)
        told = await completions(marks, rmq_url)
        assert await taker.stop() == 0
    assert set(told) == set(trials.ids)
    assert max(told.values()) == 2


async def test_a_process_that_freezes_for_longer_than_a_lease_keeps_its_tasks_while_its_supervisor_lives(
    marks: asyncpg.Connection, program_env: dict[str, str], rmq_url: str
) -> None:
    """A supervisor vouches for its own processes until their tasks are overdue, so nothing runs twice."""
    settings = {"WORKER_FLOWS": "test_mark", **CALM.settings}
    async with running_pool(program_env, BEAT_HOST_ID="one", **settings) as one:
        await one.wait_for_line("pool is ready")
        ids = await queue_tasks(marks, "test_mark", 15, low_ms=3000, high_ms=3000)
        await wait_for_statuses(marks, {"PROCESSING": 15})
        frozen = Host.of(one).children
        pause(frozen)
        async with running_pool(program_env, BEAT_HOST_ID="two", **settings) as two:
            await two.wait_for_line("pool is ready")
            await asyncio.sleep(CALM.lease_s + 2)
            resume(frozen)
            await wait_for_statuses(marks, {"COMPLETE": 15})
            assert [await pool.stop() for pool in (two, one)] == [0, 0]
        await assert_completed_once(marks, rmq_url, ids)
        assert not [line for line in one.lines if "wedged" in line]
    assert await marks.fetchval("select count(*) from task_mark") == 15
