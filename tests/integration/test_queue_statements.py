"""The consumer's statements on a real table: fences, order, retries, rescue, expiry, and the event of each change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from config import Settings
from core.flows.registry import ASSET_POOL, build_registry
from core.queue import statements as sql
from core.queue.queue import STEP, Claim, Done, Failed, QueueUnavailable, WorkerQueue
from core.queue.session import ServerSession
from core.queue.upkeep import FlowControl, Look, Upkeep
from tests.support.postgres import SOMEONE_WAITS
from tests.support.relay import until
from utils.db import connect

RETRIES = (["flow_a"], [3])
BREAK_HEARTBEAT = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name = 'beat heartbeat here'"""


@pytest.fixture(params=[False, True], ids=["pooled", "direct"])
async def queue(clean_db: str, request: pytest.FixtureRequest) -> AsyncIterator[WorkerQueue]:
    queue = WorkerQueue(clean_db, worker=1, direct=request.param)
    yield queue
    await queue.aclose()


@pytest.fixture
async def other(clean_db: str) -> AsyncIterator[WorkerQueue]:
    queue = WorkerQueue(clean_db, worker=2)
    yield queue
    await queue.aclose()


async def insert(pg: asyncpg.Connection, n: int = 1, **columns: Any) -> list[int]:
    columns = {"flow": "flow_a", "platform": "INSTAGRAM", "params": "{}"} | columns
    marks = ", ".join(f"${i + 2}" for i in range(len(columns)))
    names = ", ".join(columns)
    statement = f"insert into scrape_request_log ({names}) select {marks} from generate_series(1, $1::int) returning id"
    return [row["id"] for row in await pg.fetch(statement, n, *columns.values())]


async def claim(queue: WorkerQueue, n: int = 10, *, oldest_first: bool = False) -> list[Claim]:
    claims, _ = await queue.step({"flow_a": n}, [], oldest_first=oldest_first)
    return sorted(claims, key=lambda c: c.id)


async def row(pg: asyncpg.Connection, task_id: int) -> asyncpg.Record:
    found = await pg.fetchrow("select * from scrape_request_log where id = $1", task_id)
    assert found is not None
    return found


async def statuses_said(pg: asyncpg.Connection, task_id: int) -> list[str]:
    rows = await pg.fetch("select payload from event_outbox where entity_key = $1 order by id", str(task_id))
    return [json.loads(r["payload"])["status"] for r in rows]


@asynccontextmanager
async def nothing_can_be_written(pg: asyncpg.Connection) -> AsyncIterator[None]:
    """By sessions that begin within the block."""
    name = await pg.fetchval("select quote_ident(current_database())")
    await pg.execute(f"alter database {name} set default_transaction_read_only = on")
    try:
        yield
    finally:
        await pg.execute(f"alter database {name} reset default_transaction_read_only")


def failure(claim: Claim, rule: str, *, delay_s: float = 0, max_retries: int = 3) -> Failed:
    return Failed(claim, "(429, 'later')", '{"why": 1}', "RATE_LIMITED", rule, delay_s, max_retries)


async def test_a_claim_takes_the_highest_priority_and_then_the_lowest_id(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    low, high = await insert(pg, 2), await insert(pg, 2, priority=9)
    assert [c.id for c in await claim(queue, 3)] == sorted([low[0], *high])


async def test_a_session_in_which_nothing_can_be_written_is_given_up(
    pg: asyncpg.Connection, clean_db: str, queue: WorkerQueue
) -> None:
    """A primary that was replaced: the next session leads to the new one."""
    write = "insert into beat_flow (flow) values ('flow_a')"
    supervisor = ServerSession(clean_db, "beat supervisor here")
    await insert(pg)
    async with nothing_can_be_written(pg):
        with pytest.raises(QueueUnavailable):
            await claim(queue)
        with pytest.raises(QueueUnavailable):
            await supervisor.fetch(write)
    assert len(await claim(queue)) == 1
    await supervisor.fetch(write)
    supervisor.drop()


async def test_a_lock_that_is_waited_for_too_long_by_the_roles_own_rule_is_an_outage(
    pg: asyncpg.Connection, clean_db: str
) -> None:
    await insert(pg)
    impatient = WorkerQueue(f"{clean_db}?options=-c%20lock_timeout%3D20ms", 1, direct=True)
    async with pg.transaction():
        await pg.execute("lock table scrape_request_log in access exclusive mode")
        with pytest.raises(QueueUnavailable):
            await claim(impatient)
    assert len(await claim(impatient)) == 1
    await impatient.aclose()


async def test_every_tenth_step_takes_the_oldest_whatever_its_priority(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    low, _high = await insert(pg, 2), await insert(pg, 2, priority=9)
    assert [c.id for c in await claim(queue, 2, oldest_first=True)] == low


async def test_expired_and_delayed_rows_are_never_claimed(pg: asyncpg.Connection, queue: WorkerQueue) -> None:
    (gone, later, good) = [(await insert(pg))[0] for _ in range(3)]
    await pg.execute("update scrape_request_log set expires_at = now() - interval '1 second' where id = $1", gone)
    await pg.execute("update scrape_request_log set run_after = now() + interval '1 hour' where id = $1", later)
    assert [c.id for c in await claim(queue)] == [good]


async def test_one_statement_completes_and_claims_and_says_both(pg: asyncpg.Connection, queue: WorkerQueue) -> None:
    first, second = await insert(pg, 2)
    (held,) = await claim(queue, 1)
    claims, accepted = await queue.step({"flow_a": 1}, [Done(held, "None", '{"posts": 3}')], oldest_first=False)
    assert (accepted, [c.id for c in claims]) == ({first}, [second])
    done = await row(pg, first)
    assert (done["status"], done["data"], json.loads(done["result"]), done["worker"]) == (
        "COMPLETE",
        "None",
        {"posts": 3},
        None,
    )
    assert await statuses_said(pg, first) == ["PENDING", "PROCESSING", "COMPLETE"]
    assert await statuses_said(pg, second) == ["PENDING", "PROCESSING"]


async def test_a_report_that_lost_its_claim_changes_nothing(
    pg: asyncpg.Connection, queue: WorkerQueue, other: WorkerQueue
) -> None:
    await insert(pg)
    (stale,) = await claim(queue)
    await pg.fetch(sql.RESCUE_WORKERS, [1], *RETRIES)
    (fresh,) = await claim(other)
    _, accepted = await queue.step({}, [Done(stale, "None", None)], oldest_first=False)
    assert accepted == set()
    assert await queue.fail([failure(stale, "NEVER")]) == {}
    await queue.release([stale])
    now = await row(pg, stale.id)
    assert (now["status"], now["worker"]) == ("PROCESSING", 2)
    assert now["picked_at"] == datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=fresh.token)


async def test_a_claim_reaped_and_taken_again_by_the_same_worker_has_another_token(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    await insert(pg)
    (stale,) = await claim(queue)
    await queue.release([stale])
    (fresh,) = await claim(queue)
    _, accepted = await queue.step({}, [Done(stale, "None", None)], oldest_first=False)
    assert (accepted, fresh.token > stale.token, fresh.attempt) == (set(), True, stale.attempt)


async def test_success_leaves_nothing_of_an_earlier_attempts_error(pg: asyncpg.Connection, queue: WorkerQueue) -> None:
    (task_id,) = await insert(pg)
    await queue.fail([failure((await claim(queue))[0], "BACKOFF")])
    await pg.execute("update scrape_request_log set run_after = null")
    await queue.step({}, [Done((await claim(queue))[0], "None", None)], oldest_first=False)
    done = await row(pg, task_id)
    assert (done["status"], done["retry_count"]) == ("COMPLETE", 2)
    assert (done["data"], done["result"], done["error_code"]) == ("None", None, None)


async def test_a_final_failure_ends_the_task_at_once(pg: asyncpg.Connection, queue: WorkerQueue) -> None:
    (task_id,) = await insert(pg)
    (held,) = await claim(queue)
    picked_at = (await row(pg, task_id))["picked_at"]
    assert await queue.fail([failure(held, "NEVER")]) == {task_id: "FAILED"}
    ended = await row(pg, task_id)
    assert (ended["data"], ended["error_code"], ended["run_after"]) == ("(429, 'later')", "RATE_LIMITED", None)
    assert (ended["worker"], ended["picked_at"]) == (None, picked_at)
    assert await statuses_said(pg, task_id) == ["PENDING", "PROCESSING", "FAILED"]


@pytest.mark.parametrize("end", ["by itself", "by its supervisor"])
async def test_a_task_that_has_failed_takes_no_other_report_of_the_same_claim(
    pg: asyncpg.Connection, queue: WorkerQueue, end: str
) -> None:
    """As of a process that was thought wedged and goes on."""
    (task_id,) = await insert(pg)
    (held,) = await claim(queue)
    if end == "by itself":
        await queue.fail([failure(held, "NEVER")])
    else:
        await pg.fetch(sql.TIME_OUT, 1, ["flow_a"], [0.0])
    _, accepted = await queue.step({}, [Done(held, "None", None)], oldest_first=False)
    assert (accepted, await queue.fail([failure(held, "BACKOFF")])) == (set(), {})
    assert (await row(pg, task_id))["status"] == "FAILED"


async def test_backing_off_uses_up_attempts_until_the_last_one_fails(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    (task_id,) = await insert(pg)
    seen = []
    for _ in range(3):
        await queue.fail([failure((await claim(queue))[0], "BACKOFF")])
        task = await row(pg, task_id)
        seen.append((task["status"], task["retry_count"]))
        await pg.execute("update scrape_request_log set run_after = null where status = 'PENDING'")
    assert seen == [("PENDING", 2), ("PENDING", 3), ("FAILED", 3)]


async def test_however_many_attempts_failed_the_next_one_comes_within_five_minutes(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    reported, lost = await insert(pg, 2, retry_count=500, max_retries=1000)
    held = {one.id: one for one in await claim(queue)}
    await queue.fail([failure(held[reported], "BACKOFF")])
    await pg.execute("update scrape_request_log set error_code = 'WORKER_LOST' where id = $1", lost)
    await pg.fetch(sql.RESCUE_WORKERS, [1], *RETRIES)
    delays = "select extract(epoch from run_after - now()) between 140 and 300 as fits from scrape_request_log"
    assert [one["fits"] for one in await pg.fetch(delays)] == [True, True]


async def test_the_rows_own_cap_goes_before_the_operators_and_that_before_the_registrys(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    await pg.execute("insert into beat_flow (flow, max_retries) values ('flow_a', 1)")
    (own,) = await insert(pg, max_retries=2)
    (flows,) = await insert(pg)
    result = await queue.fail([failure(c, "BACKOFF") for c in await claim(queue)])
    assert result == {own: "PENDING", flows: "FAILED"}


async def test_waiting_for_a_source_uses_up_no_attempt_and_ends_with_the_day(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    (fresh,) = await insert(pg)
    (old,) = await insert(pg)
    await pg.execute("update scrape_request_log set created_at = now() - interval '25 hours' where id = $1", old)
    result = await queue.fail([failure(c, "LATER", delay_s=60) for c in await claim(queue)])
    assert result == {fresh: "PENDING", old: "FAILED"}
    waiting = await row(pg, fresh)
    delay = await pg.fetchval(
        "select extract(epoch from run_after - now()) from scrape_request_log where id = $1", fresh
    )
    assert waiting["retry_count"] == 1
    assert 55 < delay <= 75


async def test_a_task_that_is_held_waits_for_longer_than_a_day_and_until_its_expiry(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    waiting, expiring = await insert(pg, 2)
    await pg.execute(
        "update scrape_request_log set created_at = now() - interval '25 hours',"
        " expires_at = case when id = $1 then now() + interval '30 seconds' end",
        expiring,
    )
    result = await queue.fail([failure(c, "HELD", delay_s=60) for c in await claim(queue)])
    assert result == {waiting: "PENDING", expiring: "EXPIRED"}
    found = await row(pg, waiting)
    assert (found["retry_count"], found["run_after"] is not None) == (1, True)


async def test_a_task_that_waited_in_vain_for_sources_that_were_down_says_429(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    waiting, given_up = await insert(pg, 2)
    await pg.execute("update scrape_request_log set created_at = now() - interval '25 hours' where id = $1", given_up)
    down = [failure(c, "LATER", delay_s=60)._replace(data="(503, 'gone (503, for good)')") for c in await claim(queue)]
    await queue.fail(down)
    said = [(await row(pg, i))["data"] for i in (waiting, given_up)]
    assert said == ["(503, 'gone (503, for good)')", "(429, 'gone (503, for good)')"]


async def test_a_retry_that_could_only_start_after_its_expiry_does_not_wait(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    (later,) = await insert(pg)
    (backoff,) = await insert(pg)
    await pg.execute("update scrape_request_log set expires_at = now() + interval '1 second'")
    first, second = await claim(queue)
    await queue.fail([failure(first, "LATER", delay_s=60), failure(second, "BACKOFF")])
    assert [(await row(pg, i))["status"] for i in (later, backoff)] == ["FAILED", "EXPIRED"]
    assert (await statuses_said(pg, backoff))[-1] == "FAILED"


async def test_the_last_attempt_fails_with_its_reason_also_shortly_before_the_expiry(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    (task_id,) = await insert(pg, max_retries=1)
    await pg.execute("update scrape_request_log set expires_at = now() + interval '1 second'")
    assert await queue.fail([failure((await claim(queue))[0], "BACKOFF")]) == {task_id: "FAILED"}


async def test_the_first_loss_of_a_worker_runs_again_at_once_and_the_cap_ends_it(
    pg: asyncpg.Connection, queue: WorkerQueue
) -> None:
    (task_id,) = await insert(pg)
    seen = []
    for _ in range(3):
        await claim(queue)
        await pg.fetch(sql.RESCUE_WORKERS, [1], *RETRIES)
        lost = await row(pg, task_id)
        seen.append((lost["status"], lost["retry_count"], lost["run_after"] is not None, lost["error_code"]))
        await pg.execute("update scrape_request_log set run_after = null")
    assert seen == [
        ("PENDING", 2, False, "WORKER_LOST"),
        ("PENDING", 3, True, "WORKER_LOST"),
        ("FAILED", 3, False, "WORKER_LOST"),
    ]
    assert "worker lost" in (await row(pg, task_id))["data"]


async def test_a_rescue_counts_attempts_as_the_row_the_operator_and_the_registry_say(pg: asyncpg.Connection) -> None:
    await pg.execute("insert into beat_flow (flow, max_retries) values ('flow_a', 1), ('flow_c', null)")
    (own,) = await insert(pg, max_retries=2)
    rest = [(await insert(pg, flow=flow))[0] for flow in ("flow_a", "flow_b", "flow_c", "flow_d")]
    await pg.execute("update scrape_request_log set status = 'PROCESSING', worker = 1, picked_at = now()")
    await pg.fetch(sql.RESCUE_WORKERS, [1], ["flow_a", "flow_b", "flow_c"], [3, 1, 2])
    found = [(await row(pg, i))["status"] for i in (own, *rest)]
    assert found == ["PENDING", "FAILED", "FAILED", "PENDING", "PENDING"]


@pytest.mark.parametrize("how", ["handed back", "rescued"])
async def test_a_task_that_was_taken_away_is_announced_and_wakes_its_flow(
    pg: asyncpg.Connection, queue: WorkerQueue, how: str
) -> None:
    (task_id,) = await insert(pg)
    await claim(queue)
    heard: list[str] = []
    await pg.add_listener("beat", lambda *args: heard.append(args[3]))
    if how == "handed back":
        await pg.fetch(sql.RELEASE, 1, [task_id], [(await row(pg, task_id))["picked_at"]])
    else:
        await pg.fetch(sql.RESCUE_WORKERS, [1], *RETRIES)
    await pg.execute("select 1")
    assert heard == ["flow_a"]
    assert await statuses_said(pg, task_id) == ["PENDING", "PROCESSING", "PENDING"]


@pytest.mark.parametrize(
    ("state", "statement", "values"),
    [
        ("status = 'PROCESSING', worker = 1, picked_at = now()", sql.RESCUE_WORKERS, ([1], *RETRIES)),
        ("run_after = now() - interval '1 second'", sql.PROMOTE, ()),
        ("expires_at = now() - interval '1 second'", sql.EXPIRE, ()),
        ("priority = 2", sql.FAIL_UNKNOWN, ([], [])),
    ],
    ids=["rescue", "promote", "expire", "fail unknown"],
)
async def test_upkeep_leaves_out_a_row_that_somebody_has_locked(
    pg: asyncpg.Connection, clean_db: str, state: str, statement: str, values: tuple[Any, ...]
) -> None:
    locked, _ = await insert(pg, 2)
    await pg.execute(f"update scrape_request_log set {state}")
    every = "select * from scrape_request_log order by id"
    before = await pg.fetch(every)
    other = await connect(clean_db, name="producer")
    async with other.transaction(), asyncio.timeout(60):
        await other.execute("select from scrape_request_log where id = $1 for update", locked)
        await pg.fetch(statement, *values)
    await other.close()
    assert [now == then for now, then in zip(await pg.fetch(every), before, strict=True)] == [True, False]


async def test_the_tasks_of_a_host_without_heartbeat_are_rescued_and_of_a_living_one_are_not(
    pg: asyncpg.Connection, clean_db: str
) -> None:
    ids = [await pg.fetchval(sql.ADD_WORKER, "host", "flow_a", '{"flow_a": 5}') for _ in range(2)]
    await insert(pg, 2)
    queues = [WorkerQueue(clean_db, worker) for worker in ids]
    for queue in queues:
        await claim(queue, 1)
        await queue.aclose()
    await pg.execute("update beat_worker set beat_at = now() - interval '20 seconds' where id = $1", ids[0])
    await pg.fetch(sql.RESCUE_HOSTS, 15.0, *RETRIES)
    rows = await pg.fetch("select status, worker from scrape_request_log order by id")
    assert [tuple(r) for r in rows] == [("PENDING", None), ("PROCESSING", ids[1])]
    assert [r["id"] for r in await pg.fetch("select id from beat_worker")] == [ids[1]]


async def test_claims_of_a_worker_that_was_declared_lost_are_found(pg: asyncpg.Connection, queue: WorkerQueue) -> None:
    (task_id,) = await insert(pg)
    await claim(queue)
    await pg.fetch(sql.RESCUE_ORPHANS, True, *RETRIES)
    assert (await row(pg, task_id))["status"] == "PENDING"


@dataclass
class Host:
    """One that has seen the worker of another host be silent for an hour, on a clock that the test turns."""

    upkeep: Upkeep
    clock: list[float]

    async def beat(self, *moments: float) -> None:
        for self.clock[0] in moments:
            await self.upkeep.beat([])

    async def work(self) -> None:
        await self.upkeep.work(
            Look((), FlowControl(), promotable=False, expired=False, lost=True, retained=False, scheduled=False)
        )


@pytest.fixture
async def host(
    pg: asyncpg.Connection, queue: WorkerQueue, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Host]:
    await insert(pg)
    await pg.execute("insert into beat_worker (id, host, pid) overriding system value values (1, 'another', 1)")
    await pg.execute("update beat_worker set beat_at = now() - interval '1 hour'")
    await claim(queue)
    clock = [1000.0]
    monkeypatch.setattr("core.queue.upkeep.time", SimpleNamespace(monotonic=lambda: clock[0]))
    upkeep = Upkeep(settings, build_registry(), "here")
    yield Host(upkeep, clock)
    await upkeep.aclose()


async def test_a_host_that_was_cut_off_believes_others_lost_only_after_a_lease_of_its_own_beats(
    pg: asyncpg.Connection, host: Host
) -> None:
    """Its statements hung and went on: nothing failed, and the others were cut off as long."""

    async def work_after(*beats: float) -> str:
        await host.beat(*beats)
        await host.work()
        return str((await row(pg, 1))["status"])

    assert await work_after(1000, 1005, 1010) == "PROCESSING"
    host.clock[0] = 1040
    assert await work_after() == "PROCESSING", "before its own next beat"
    assert await work_after(1041, 1046, 1051) == "PROCESSING"
    assert await work_after(1056) != "PROCESSING"


async def test_a_host_whose_heartbeat_failed_believes_others_lost_only_after_another_lease(
    pg: asyncpg.Connection, host: Host
) -> None:
    await host.beat(1000, 1005)
    async with nothing_can_be_written(pg):
        await pg.execute(BREAK_HEARTBEAT)
        with pytest.raises(QueueUnavailable):
            await host.beat(1010)
    await host.beat(1011, 1016, 1021)
    await host.work()
    assert (await row(pg, 1))["status"] == "PROCESSING"
    await host.beat(1026)
    await host.work()
    assert (await row(pg, 1))["status"] == "PENDING"


async def test_rows_that_nobody_claimed_are_not_left_processing(
    pg: asyncpg.Connection, queue: WorkerQueue, settings: Settings
) -> None:
    (stray,) = await insert(pg, flow="refresh_profile_by_handle", status="PROCESSING")
    (timeless,) = await insert(pg, flow="refresh_profile_by_handle", status="PROCESSING", worker=1)
    (held,) = await insert(pg)
    await claim(queue)
    await pg.execute("insert into beat_worker (id, host, pid) overriding system value values (1, 'host', 1)")
    upkeep = Upkeep(settings, build_registry(), "here")
    await upkeep.work(Look((), FlowControl(), *(False,) * 5))
    await upkeep.aclose()
    assert [(await row(pg, i))["status"] for i in (stray, timeless, held)] == ["PENDING", "PENDING", "PROCESSING"]
    assert (await row(pg, stray))["error_code"] == "WORKER_LOST"


@pytest.mark.parametrize("attempt", [-2_000, -(2**31), 0])
async def test_an_attempt_far_below_the_first_fails_no_report_and_no_rescue(
    pg: asyncpg.Connection, queue: WorkerQueue, attempt: int
) -> None:
    odd, good = (await insert(pg, retry_count=attempt))[0], (await insert(pg))[0]
    assert await queue.fail([failure(c, "BACKOFF") for c in await claim(queue)]) == {odd: "PENDING", good: "PENDING"}
    delay = "select extract(epoch from run_after - now()) between 0.9 and 2 from scrape_request_log where id = $1"
    assert await pg.fetchval(delay, odd)
    for _ in range(2):
        await pg.execute("update scrape_request_log set run_after = null")
        await claim(queue)
        await pg.fetch(sql.RESCUE_WORKERS, [1], *RETRIES)
    assert [(await row(pg, i))["status"] for i in (odd, good)] == ["PENDING", "FAILED"]


@pytest.mark.parametrize("created", ["'294276-12-31'", "'infinity'", "'-infinity'", "'4713-01-01 BC'"])
async def test_a_time_of_creation_at_the_ends_of_the_calendar_fails_no_report(
    pg: asyncpg.Connection, queue: WorkerQueue, created: str
) -> None:
    ids = await insert(pg, 2)
    await pg.execute(f"update scrape_request_log set created_at = {created} where id = $1", ids[0])
    result = await queue.fail([failure(c, "LATER", delay_s=60) for c in await claim(queue)])
    assert result == {ids[0]: "FAILED" if "-i" in created or "BC" in created else "PENDING", ids[1]: "PENDING"}


async def test_due_retries_join_the_queue_and_wake_their_flow(pg: asyncpg.Connection, queue: WorkerQueue) -> None:
    (task_id,) = await insert(pg)
    await pg.execute("update scrape_request_log set run_after = now() - interval '1 second'")
    assert await claim(queue) == []
    heard: list[str] = []
    await pg.add_listener("beat", lambda *args: heard.append(args[3]))
    await pg.fetch(sql.PROMOTE)
    await pg.execute("select 1")
    assert ([c.id for c in await claim(queue)], heard) == ([task_id], ["flow_a"])


@pytest.mark.parametrize("flow", ["x" * 9000, "".join(chr(0x4E00 + n) for n in range(3000))], ids=["one", "many"])
async def test_a_flow_that_nothing_can_index_or_announce_is_failed_and_stops_no_delayed_task(
    pg: asyncpg.Connection, flow: str
) -> None:
    (odd,) = await insert(pg, flow=flow, run_after=datetime.now(UTC) + timedelta(hours=1))
    (plain,) = await insert(pg, flow=flow)
    (good,) = await insert(pg, run_after=datetime.now(UTC) + timedelta(hours=1))
    await pg.execute("update scrape_request_log set run_after = now() where run_after is not null")
    await pg.fetch(sql.PROMOTE)
    assert await statuses_said(pg, odd) == ["FAILED"]
    for task in (odd, plain):
        found = await row(pg, task)
        assert (found["status"], found["error_code"]) == ("FAILED", "UNKNOWN_FLOW")
        assert found["data"] == f"flow: there is no flow {flow[:100]}; see docs/flows.md for the names"
    assert (await row(pg, good))["run_after"] is None


async def test_expired_tasks_are_marked_and_announced_as_failed(pg: asyncpg.Connection) -> None:
    (task_id,) = await insert(pg)
    await pg.execute("update scrape_request_log set expires_at = now() - interval '1 second'")
    assert (await pg.fetchval(sql.EXPIRE)) == 1
    assert (await row(pg, task_id))["status"] == "EXPIRED"
    payload = json.loads(await pg.fetchval("select payload from event_outbox order by id desc limit 1"))
    assert (payload["status"], payload["reason"]) == ("FAILED", "EXPIRED")


async def until_dead_to_all(pg: asyncpg.Connection) -> None:
    """Wait until what was moved so far is seen by nobody: every later snapshot of the server is newer, in this database
    all held ones are. Once true it stays true, whatever an autovacuum or another database's transaction does next.
    """
    moved = await pg.fetchval("select pg_current_xact_id()::text::bigint")
    query = """select pg_snapshot_xmin(pg_current_snapshot())::text::bigint > $1 and not exists
        (select from pg_stat_activity where coalesce(datname, current_database()) = current_database()
            and pid <> pg_backend_pid() and age(backend_xmin) >= age($2::text::xid))"""
    for _ in range(600):
        if await pg.fetchval(query, moved, str(moved % 2**32)):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"older than a minute: {await pg.fetch('table pg_stat_activity')}")


@pytest.mark.parametrize("index", ["srl_claim", "srl_fifo"])
async def test_claims_need_not_read_past_what_expired_before(pg: asyncpg.Connection, index: str) -> None:
    """Index entries of moved rows are marked dead by the next five thousand; else only a vacuum would remove them."""
    await insert(pg, 12_000, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    for moved in (5000, 5000, 2000, 0):
        assert await pg.fetchval(sql.EXPIRE) == moved
        await until_dead_to_all(pg)
    await pg.execute("create extension pageinspect")
    try:
        left = await pg.fetchval(
            """select count(*) from generate_series(1, pg_relation_size($1::text) / 8192 - 1) page,
                bt_page_items($1::text, page) where not dead""",
            index,
        )
    finally:
        await pg.execute("drop extension pageinspect")
    assert left < 3000, "the last two thousand, and an entry or two that each page needs"


async def test_tasks_of_flows_that_nobody_runs_fail_with_the_name(pg: asyncpg.Connection) -> None:
    known = await insert(pg)
    typo = await insert(pg, flow="refresh_profil")
    unbuilt = await insert(pg, flow="flow_b")
    assert await pg.fetchval(sql.FAIL_UNKNOWN, ["flow_a"], ["flow_b"]) == 2
    rows = {i: await row(pg, i) for i in (*known, *typo, *unbuilt)}
    assert [rows[i]["error_code"] for i in rows] == [None, "UNKNOWN_FLOW", "NOT_BUILT"]
    assert "refresh_profil" in rows[typo[0]]["data"]
    assert [(await statuses_said(pg, i))[-1] for i in rows] == ["PENDING", "FAILED", "FAILED"]


async def test_a_look_reports_pending_flows_and_due_upkeep(pg: asyncpg.Connection) -> None:
    await insert(pg)
    await insert(pg, flow="flow_b")
    await pg.execute("update scrape_request_log set run_after = now() where flow = 'flow_b'")
    await pg.execute("insert into beat_flow (flow, paused, timeout_s) values ('flow_a', true, 9)")
    (look,) = await pg.fetch(sql.TICK, ["flow_a", "flow_b", "flow_c"], 15.0)
    assert (look["pending"], look["promotable"], look["expired"], look["lost"]) == (["flow_a"], True, False, False)
    assert json.loads(look["flows"])[0]["timeout_s"] == 9


async def test_a_look_says_when_a_schedule_has_to_be_seen_to(pg: asyncpg.Connection) -> None:
    await pg.execute("insert into scrape_schedule (name, cron, flow) values ('s', '@daily', 'flow_a')")
    seen = []
    for change in (
        "enabled = true",
        "next_run_at = now() + interval '1 hour'",
        "next_run_at = now()",
        "enabled = false",
    ):
        await pg.execute(f"update scrape_schedule set {change}")
        seen.append((await pg.fetch(sql.TICK, [], 15.0))[0]["scheduled"])
    assert seen == [True, False, True, False], "a new one has to be given its first time"


async def test_an_asset_pool_counts_once_a_process_of_it_has_a_name_and_as_long_as_it_beats(
    pg: asyncpg.Connection,
) -> None:
    worker = await pg.fetchval(sql.ADD_WORKER, "host", ASSET_POOL, "{}")
    for change in (f"pid = 7 where id = {worker}", "beat_at = now() - interval '16 seconds'"):
        seen = await pg.fetchval(sql.TICK, [], 15.0)
        assert seen is change.startswith("beat_at")
        await pg.execute(f"update beat_worker set {change}")
    assert await pg.fetchval(sql.TICK, [], 15.0) is False


async def test_workers_that_take_slots_together_take_no_more_than_are_free(pg: asyncpg.Connection) -> None:
    await pg.execute("insert into beat_flow (flow, slots) values ('flow_a', 3)")
    holder, one, two = [await pg.fetchval(sql.ADD_WORKER, "host", "flow_a", '{"flow_a": 5}') for _ in range(3)]
    await pg.execute("insert into beat_slot (worker, flow, slots) values ($1, 'flow_a', 2)", holder)
    taken = await pg.fetch(sql.LEASE, [two, one, 4711], ["flow_a"] * 3, [1, 1, 1])
    assert [tuple(lease) for lease in taken] == [(one, "flow_a", 1)]


async def test_a_time_limit_below_nothing_is_none_and_a_cap_below_nothing_is_nothing(
    pg: asyncpg.Connection, settings: Settings
) -> None:
    await pg.execute("insert into beat_flow (flow, timeout_s, slots) values ('flow_a', -5, -5), ('flow_b', 7, null)")
    await pg.fetchval(sql.ADD_WORKER, "host", "flow_a", '{"flow_a": 5}')
    upkeep = Upkeep(settings, build_registry(), "here")
    control = (await upkeep.look([])).control
    await upkeep.aclose()
    assert control.limits == {"flow_b": 7.0}
    assert [control.caps["flow_a"].share(worker) for worker, _ in control.caps["flow_a"].workers] == [0]


async def test_a_wedged_workers_overdue_tasks_fail_as_timed_out(pg: asyncpg.Connection, queue: WorkerQueue) -> None:
    overdue, fine = await insert(pg, 2)
    await claim(queue)
    await pg.execute("update scrape_request_log set picked_at = now() - interval '1 minute' where id = $1", overdue)
    assert await pg.fetchval(sql.OVERDUE, 1, ["flow_a"], [30.0])
    assert await pg.fetchval(sql.TIME_OUT, 1, ["flow_a"], [30.0]) == 1
    assert [(await row(pg, i))["error_code"] for i in (overdue, fine)] == ["TIMEOUT", None]
    assert [(await statuses_said(pg, i))[-1] for i in (overdue, fine)] == ["FAILED", "PROCESSING"]
    assert not await pg.fetchval(sql.OVERDUE, 1, ["flow_a"], [30.0])


LOCKED = """
with unlocked as materialized (select id from scrape_request_log for update skip locked)
select id from scrape_request_log where id not in (select id from unlocked) order by id"""


async def test_a_step_that_waited_with_its_report_locks_nothing_that_others_claimed_meanwhile(
    clean_db: str, pg: asyncpg.Connection, queue: WorkerQueue, other: WorkerQueue
) -> None:
    """Their reports would have to wait for its commit."""
    mine, *_, last = await insert(pg, 4)
    (held,) = await claim(queue, 1)
    token = await pg.fetchval("select picked_at from scrape_request_log where id = $1", mine)
    stranger, session = [await connect(clean_db, name="test") for _ in range(2)]
    try:
        stranger_holds, step_runs = stranger.transaction(), session.transaction()
        await stranger_holds.start()
        await stranger.execute("select from scrape_request_log where id = $1 for update", mine)
        await step_runs.start()
        step = asyncio.create_task(session.fetch(STEP, ["flow_a"], [5], 1, [mine], [token], [], [], False))
        await until(partial(pg.fetchval, SOMEONE_WAITS))
        assert len(await claim(other, 2)) == 2
        await stranger_holds.rollback()
        accepted, *claimed = await step
        assert (held.id, accepted["done"], [one["id"] for one in claimed]) == (mine, [mine], [last])
        assert [one["id"] for one in await pg.fetch(LOCKED)] == [mine, last]
        await step_runs.rollback()
    finally:
        await session.close()
        await stranger.close()


@pytest.mark.parametrize(("name", "place"), [("queue_step", 1), ("queue_step_oldest_first", 0)])
async def test_workers_of_the_version_before_find_their_functions(
    pg: asyncpg.Connection, name: str, place: int
) -> None:
    """They run on while the schema is there already, and take the row without a task for their reports."""
    ids = [*await insert(pg), *await insert(pg, priority=9)]
    step = f"select * from {name}($1, $2, $3, $4, $5, $6, $7)"
    none, claimed = await pg.fetch(step, ["flow_a"], [1], 1, [], [], [], [])
    assert (none["done"], none["id"], claimed["id"]) == (None, None, ids[place])
    report = ([claimed["id"]], [claimed["picked_at"]], ["None"], ['{"a": 1}'])
    accepted, _ = await pg.fetch(step, ["flow_a"], [1], 1, *report)
    assert (accepted["done"], accepted["id"]) == ([claimed["id"]], None)
    assert (await row(pg, claimed["id"]))["status"] == "COMPLETE"


@pytest.mark.parametrize(("statement", "name"), [(sql.STEP, "worker_step"), (sql.FAIL, "queue_fail")])
async def test_the_functions_that_workers_call_hold_the_statements(
    pg: asyncpg.Connection, statement: str, name: str
) -> None:
    assert await pg.fetchval("select strpos(prosrc, $1) > 0 from pg_proc where proname = $2", statement, name)


@pytest.mark.parametrize(
    ("statement", "index"), [(sql.CLAIM, "srl_claim"), (sql.CLAIM_OLDEST_FIRST, "srl_fifo")], ids=["priority", "age"]
)
async def test_a_kept_plan_made_when_every_row_waits_still_reads_the_queues_own_index(
    clean_db: str, pg: asyncpg.Connection, statement: str, index: str
) -> None:
    await insert(pg, 2000)
    await pg.execute("analyze scrape_request_log")
    kept = await connect(clean_db, name="test", prepared=True)
    await kept.execute(f"prepare claim as {statement}")
    lines = await kept.fetch("explain execute claim(array['flow_a'], array[5], 1)")
    plan = "\n".join(line[0] for line in lines)
    await kept.close()
    assert f"Index Scan using {index} on scrape_request_log s" in plan
    assert "Seq Scan" not in plan
