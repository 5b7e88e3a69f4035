"""The producer's side of the queue, through the transaction pooler as the API uses it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from core.enums import TaskStatus
from core.queue import tasks
from tests.support.postgres import SOMEONE_WAITS
from utils.db import Database, connect, open_database

HANDLE = {"handle": "natgeo"}


@pytest.fixture
async def db(clean_db: str, pgbouncer_url: str) -> AsyncIterator[Database]:
    database = open_database(pgbouncer_url)
    yield database
    await database.dispose()


@pytest.fixture
async def told(clean_db: str) -> AsyncIterator[asyncio.Queue[tuple[str, str]]]:
    """What is notified on the queue's channels."""
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    connection = await connect(clean_db, name="listener")
    for channel in ("beat", "beat_cancel"):
        await connection.add_listener(channel, lambda _c, _p, where, what: heard.put_nowait((where, str(what))))
    yield heard
    await connection.close()


def new(**changes: Any) -> tasks.NewTask:
    return tasks.NewTask(**{"flow": "refresh_profile_by_handle", "platform": "INSTAGRAM", "params": HANDLE} | changes)


async def create(db: Database, **changes: Any) -> tasks.CreatedTask:
    async with db.sessions.begin() as session:
        return await tasks.create(session, new(**changes))


async def set_to(db: Database, task_id: int, status: TaskStatus, retry_count: int = 2) -> str | None:
    async with db.sessions.begin() as session:
        row = await tasks.update(session, task_id, status, retry_count)
        return row.status if row else None


async def events(pg: asyncpg.Connection) -> list[dict[str, Any]]:
    rows = await pg.fetch("select entity_key, payload from event_outbox order by id")
    return [json.loads(row["payload"]) | {"entity_key": row["entity_key"]} for row in rows]


async def claim(pg: asyncpg.Connection, task_id: int, worker: int = 7) -> None:
    """As a worker's claim leaves the row."""
    await pg.execute(
        "update scrape_request_log set status = 'PROCESSING', worker = $2, picked_at = now() where id = $1",
        task_id,
        worker,
    )


async def end(pg: asyncpg.Connection, task_id: int, status: str, **columns: Any) -> None:
    """As a worker's report leaves the row."""
    await pg.execute(
        "update scrape_request_log set status = $2, scraped_at = now(), data = $3, error_code = $4, picked_at = now()"
        " where id = $1",
        task_id,
        status,
        columns.get("data"),
        columns.get("error_code"),
    )


async def row_of(pg: asyncpg.Connection, task_id: int) -> asyncpg.Record:
    row = await pg.fetchrow("select * from scrape_request_log where id = $1", task_id)
    assert row is not None
    return row


async def test_a_created_task_is_pending_with_an_hour_to_live_and_one_event(
    db: Database, pg: asyncpg.Connection
) -> None:
    created = await create(db, account_id="42", priority=9, reason="a brand asked")
    row = await row_of(pg, created.id)
    assert (row["status"], row["priority"], row["retry_count"], row["account_id"]) == ("PENDING", 9, 1, "42")
    assert row["expires_at"] - row["created_at"] == timedelta(hours=1)
    assert json.loads(row["params"]) == HANDLE
    (event,) = await events(pg)
    assert (event["entity_key"], event["scl_id"]) == (str(created.id), str(created.id))
    assert (event["status"], event["reason"], event["params"]) == ("PENDING", "a brand asked", HANDLE)


async def test_the_reason_of_one_task_does_not_show_in_the_next_one_on_the_same_connection(
    db: Database, pg: asyncpg.Connection
) -> None:
    await create(db, reason="first")
    await create(db)
    assert [event["reason"] for event in await events(pg)] == ["first", None]


async def test_a_named_expiry_and_exact_large_numbers_are_kept(db: Database, pg: asyncpg.Connection) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    created = await create(db, expires_at=until, params={"hash": 2**64 - 1})
    row = await row_of(pg, created.id)
    assert row["expires_at"] == until
    assert json.loads(row["params"])["hash"] == 2**64 - 1


async def test_creating_wakes_the_flow(db: Database, told: asyncio.Queue[tuple[str, str]]) -> None:
    await create(db)
    assert await asyncio.wait_for(told.get(), 60) == ("beat", "refresh_profile_by_handle")


async def test_a_database_queues_by_itself_as_a_session_does(db: Database, pg: asyncpg.Connection) -> None:
    first = await tasks.create(db, new(idempotency_key="k-1", reason="first", priority=3))
    assert await tasks.create(db, new(idempotency_key="k-1")) == tasks.CreatedTask(first.id, created=False)
    with pytest.raises(tasks.KeyReused, match=f"belongs to task {first.id}"):
        await tasks.create(db, new(idempotency_key="k-1", params={"handle": "other"}))
    await tasks.create(db, new())
    assert [event["reason"] for event in await events(pg)] == ["first", None]
    assert [row["priority"] for row in await pg.fetch("select priority from scrape_request_log order by id")] == [3, 1]


async def test_a_rolled_back_task_leaves_neither_row_nor_event(db: Database, pg: asyncpg.Connection) -> None:
    async with db.sessions() as session:
        await tasks.create(session, new())
        await session.rollback()
    assert await pg.fetchval("select count(*) from scrape_request_log") == 0
    assert await events(pg) == []


async def test_the_same_key_gives_the_first_task_even_when_many_send_it_at_once(
    db: Database, pg: asyncpg.Connection
) -> None:
    results = await asyncio.gather(*(create(db, idempotency_key="k-1") for _ in range(10)))
    assert len({result.id for result in results}) == 1
    assert sum(result.created for result in results) == 1
    assert len(await events(pg)) == 1


async def test_a_key_whose_task_is_deleted_meanwhile_is_free(
    db: Database, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await create(db, idempotency_key="k-1")
    delete = "with gone as (delete from scrape_request_log where idempotency_key = $3 returning id) "
    look = f"{delete}{tasks.FIRST_OF_KEY} and id not in (select id from gone)"
    monkeypatch.setattr(tasks, "FIRST_OF_KEY", look)
    second = await create(db, idempotency_key="k-1")
    assert (second.created, second.id != first.id) == (True, True)


@pytest.mark.parametrize("change", [{"params": {"handle": "other"}}, {"flow": "refresh_profile_basic"}])
async def test_a_key_of_another_task_is_refused(db: Database, pg: asyncpg.Connection, change: dict[str, Any]) -> None:
    first = await create(db, idempotency_key="k-1")
    with pytest.raises(tasks.KeyReused, match=f"belongs to task {first.id}"):
        await create(db, idempotency_key="k-1", **change)
    assert await pg.fetchval("select count(*) from scrape_request_log") == 1


async def test_requeueing_a_failed_task_makes_it_start_over_and_wakes_its_flow(
    db: Database, pg: asyncpg.Connection, told: asyncio.Queue[tuple[str, str]]
) -> None:
    created = await create(db)
    await asyncio.wait_for(told.get(), 60)
    await end(pg, created.id, "FAILED", data="(429, 'slow')", error_code="RATE_LIMITED")
    await pg.execute("update scrape_request_log set result = '{}', run_after = now() + interval '1 hour'")
    assert await set_to(db, created.id, TaskStatus.PENDING, 3) == "PENDING"
    row = await row_of(pg, created.id)
    assert row["retry_count"] == 3
    names = ("worker", "picked_at", "run_after", "scraped_at", "data", "result", "error_code")
    assert {name: row[name] for name in names} == dict.fromkeys(names)
    assert await asyncio.wait_for(told.get(), 60) == ("beat", "refresh_profile_by_handle")
    assert [(event["status"], event["retry_count"]) for event in await events(pg)] == [("PENDING", 1), ("PENDING", 3)]


async def test_requeueing_gives_an_expired_task_another_hour(db: Database, pg: asyncpg.Connection) -> None:
    created = await create(db)
    await pg.execute("update scrape_request_log set status = 'EXPIRED', expires_at = now() - interval '1 day'")
    await set_to(db, created.id, TaskStatus.PENDING)
    left = await pg.fetchval("select expires_at - now() from scrape_request_log")
    assert timedelta(minutes=55) < left <= timedelta(hours=1)


@pytest.mark.parametrize("until", ["2099-01-01", "infinity", None])
async def test_requeueing_leaves_an_expiry_to_come_as_it_is(
    db: Database, pg: asyncpg.Connection, until: str | None
) -> None:
    created = await create(db)
    await pg.execute("update scrape_request_log set expires_at = $1::text::timestamptz", until)
    await set_to(db, created.id, TaskStatus.PENDING)
    same = "select expires_at is not distinct from $1::text::timestamptz from scrape_request_log"
    assert await pg.fetchval(same, until)


@pytest.mark.parametrize("status", tasks.SETTABLE)
async def test_setting_a_running_task_takes_its_claim_away_and_tells_the_supervisor(
    db: Database, pg: asyncpg.Connection, told: asyncio.Queue[tuple[str, str]], status: TaskStatus
) -> None:
    created = await create(db)
    await asyncio.wait_for(told.get(), 60)
    await claim(pg, created.id, worker=7)
    await set_to(db, created.id, status)
    row = await row_of(pg, created.id)
    assert (row["status"], row["worker"], row["picked_at"]) == (status, None, None)
    assert await asyncio.wait_for(told.get(), 60) == ("beat_cancel", f"7:{created.id}")


@pytest.mark.parametrize(
    ("status", "stored", "published"),
    [
        (TaskStatus.FAILED, ("BY_REQUEST", "set to FAILED by request"), ("FAILED", None)),
        (TaskStatus.CANCELLED, ("CANCELLED", "set to CANCELLED by request"), ("FAILED", "CANCELLED")),
        (TaskStatus.COMPLETE, (None, None), ("COMPLETE", None)),
    ],
)
async def test_ending_a_pending_task_says_so_in_row_and_event(
    db: Database,
    pg: asyncpg.Connection,
    status: TaskStatus,
    stored: tuple[str | None, str | None],
    published: tuple[str, str | None],
) -> None:
    created = await create(db)
    assert await set_to(db, created.id, status) == status
    row = await row_of(pg, created.id)
    assert (row["error_code"], row["data"]) == stored
    assert row["scraped_at"] is not None
    event = (await events(pg))[-1]
    assert (event["status"], event["reason"]) == published


async def test_failing_a_task_keeps_the_error_it_already_had(db: Database, pg: asyncpg.Connection) -> None:
    created = await create(db)
    await pg.execute("update scrape_request_log set data = '(503, ''away'')', error_code = 'UPSTREAM'")
    await set_to(db, created.id, TaskStatus.FAILED)
    row = await row_of(pg, created.id)
    assert (row["data"], row["error_code"]) == ("(503, 'away')", "UPSTREAM")


async def test_a_task_that_is_called_complete_has_no_error_and_keeps_its_text(
    db: Database, pg: asyncpg.Connection
) -> None:
    created = await create(db)
    await pg.execute("update scrape_request_log set data = 'half of it', error_code = 'UPSTREAM', run_after = now()")
    await set_to(db, created.id, TaskStatus.COMPLETE)
    row = await row_of(pg, created.id)
    assert (row["data"], row["error_code"], row["run_after"]) == ("half of it", None, None)


@pytest.mark.parametrize("ended", ["COMPLETE", "FAILED", "EXPIRED", "CANCELLED"])
async def test_a_task_that_has_ended_cannot_end_in_another_way(
    db: Database, pg: asyncpg.Connection, ended: str
) -> None:
    created = await create(db)
    await end(pg, created.id, ended)
    before = await row_of(pg, created.id)
    other = TaskStatus.FAILED if ended != "FAILED" else TaskStatus.COMPLETE
    with pytest.raises(tasks.TaskEnded, match=f"has ended as {ended}"):
        await set_to(db, created.id, other)
    assert await row_of(pg, created.id) == before


async def test_ending_a_task_as_it_has_ended_changes_nothing(db: Database, pg: asyncpg.Connection) -> None:
    created = await create(db)
    await end(pg, created.id, "FAILED")
    before = await row_of(pg, created.id)
    assert await set_to(db, created.id, TaskStatus.FAILED, 9) == "FAILED"
    assert await row_of(pg, created.id) == before
    assert len(await events(pg)) == 1


async def test_an_update_waits_for_a_report_under_way_and_sees_how_the_task_ended(
    db: Database, pg: asyncpg.Connection
) -> None:
    created = await create(db)
    async with pg.transaction():
        await end(pg, created.id, "COMPLETE")
        update = asyncio.create_task(set_to(db, created.id, TaskStatus.FAILED))
        while not await pg.fetchval(SOMEONE_WAITS):
            await pg.execute("select pg_stat_clear_snapshot()")
            await asyncio.sleep(0.01)
    with pytest.raises(tasks.TaskEnded, match="COMPLETE"):
        await update


async def test_a_task_that_is_not_there_gives_none(db: Database) -> None:
    assert await set_to(db, 4711, TaskStatus.PENDING) is None
    async with db.sessions() as session:
        assert await tasks.get(session, 4711) is None


async def test_an_account_lists_its_own_newest_tasks_first(db: Database) -> None:
    mine = [(await create(db, account_id="42")).id for _ in range(4)]
    await create(db, account_id="43")
    await create(db)
    async with db.sessions() as session:
        listed = await tasks.list_for_account(session, "42", 3)
    assert [row.id for row in listed] == mine[:0:-1]
    assert listed[0].params == HANDLE


async def test_the_newest_tasks_are_those_that_their_producer_dates_so(db: Database, pg: asyncpg.Connection) -> None:
    first, second, third = [(await create(db, account_id="42")).id for _ in range(3)]
    await pg.execute("update scrape_request_log set created_at = '2026-03-01'")
    await pg.execute("update scrape_request_log set created_at = '2026-03-02' where id = $1", first)
    async with db.sessions() as session:
        listed = await tasks.list_for_account(session, "42", 3)
    assert [row.id for row in listed] == [first, third, second]


async def test_many_tasks_keep_when_they_start_and_leave_out_keys_that_are_taken(
    db: Database, pg: asyncpg.Connection
) -> None:
    start = datetime.now(UTC) + timedelta(minutes=30)
    new = tasks.NewTask("flow_a", "INSTAGRAM", {"n": 1}, idempotency_key="one", run_after=start)
    again = tasks.NewTask("flow_a", "INSTAGRAM", {"n": 2}, idempotency_key="one")
    async with db.sessions.begin() as session:
        assert await tasks.create_all(session, [new, tasks.NewTask("flow_a", "INSTAGRAM", {})]) == 2
        assert await tasks.create_all(session, [again]) == 0
        assert await tasks.create_all(session, []) == 0
    rows = await pg.fetch("select params, run_after from scrape_request_log order by id")
    assert [(json.loads(row["params"]), row["run_after"]) for row in rows] == [({"n": 1}, start), ({}, None)]


async def test_many_tasks_are_stored_as_one_would_be(db: Database, pg: asyncpg.Connection) -> None:
    until = datetime(2099, 1, 1, tzinfo=UTC)
    named = {"priority": 9, "account_id": "42", "idempotency_key": "k", "expires_at": until}
    both = [new(), new(flow="refresh_profile_basic", **named)]
    stored = (
        "select flow, platform, params, priority, account_id, idempotency_key, status, retry_count, max_retries,"
        " case when expires_at < '2099-01-01' then (expires_at - created_at > '59 minutes')::text"
        " || (expires_at - created_at < '61 minutes')::text else expires_at::text end as expiry"
        " from scrape_request_log order by id"
    )
    for task in both:
        await tasks.create(db, task)
    one_by_one = await pg.fetch(stored)
    await pg.execute("delete from scrape_request_log")
    async with db.sessions.begin() as session:
        await tasks.create_all(session, both)
    assert await pg.fetch(stored) == one_by_one
