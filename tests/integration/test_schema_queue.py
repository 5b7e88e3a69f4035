"""What an INSERT into scrape_request_log gets: defaults, refusals in the row, wake-ups and events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import RFC_4122, UUID

import asyncpg
import pytest

from utils.db import connect

FLOW = "refresh_profile_by_handle"
ONE = "insert into scrape_request_log (flow, platform, params) values ($1, 'INSTAGRAM', '{\"a\": 1}') returning id"


class Wakeups:
    """Flows notified on the channel 'beat', in order."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._heard: list[str] = []
        self._marked = asyncio.Event()

    def hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        """Take one notification; the mark says that all before it have arrived."""
        if payload == "mark":
            self._marked.set()
        else:
            self._heard.append(str(payload))

    async def so_far(self) -> list[str]:
        """What was notified since the last call; notifications arrive in commit order, so the mark is the last."""
        self._marked.clear()
        await self._connection.execute("select pg_notify('beat', 'mark')")
        await asyncio.wait_for(self._marked.wait(), 60)
        heard, self._heard = self._heard, []
        return heard


@pytest.fixture
async def wakeups(database: str) -> AsyncIterator[Wakeups]:
    """A listener of its own connection."""
    connection = await connect(database, name="queue schema listener")
    wakeups = Wakeups(connection)
    await connection.add_listener("beat", wakeups.hear)
    yield wakeups
    await connection.close()


async def _row(pg: asyncpg.Connection, columns: str, values: str) -> asyncpg.Record:
    row = await pg.fetchrow(f"insert into scrape_request_log ({columns}) values ({values}) returning *")
    assert row is not None
    return row


async def _events(pg: asyncpg.Connection) -> list[dict[str, Any]]:
    return [json.loads(row["payload"]) for row in await pg.fetch("select payload from event_outbox order by id")]


async def test_flow_platform_and_params_are_enough(pg: asyncpg.Connection) -> None:
    row = await _row(pg, "flow, platform, params", f"'{FLOW}', 'INSTAGRAM', '{{}}'")
    assert (row["status"], row["priority"], row["retry_count"]) == ("PENDING", 1, 1)
    assert row["created_at"].tzinfo is not None
    assert [row[name] for name in ("expires_at", "run_after", "worker", "picked_at", "max_retries")] == [None] * 5


async def test_explicit_nulls_become_the_defaults(pg: asyncpg.Connection) -> None:
    row = await _row(
        pg,
        "id, flow, platform, params, status, priority, retry_count, created_at",
        f"null, '{FLOW}', 'INSTAGRAM', '{{}}', null, null, null, null",
    )
    assert row["id"] is not None
    assert (row["status"], row["priority"], row["retry_count"]) == ("PENDING", 1, 1)
    assert row["created_at"] is not None


@pytest.mark.parametrize(
    ("platform", "params", "named"),
    [
        ("null", "'{}'", ["platform"]),
        ("'INSTAGRAM'", "null", ["params"]),
        ("'INSTAGRAM'", "'null'", ["params"]),
        ("null", "null", ["platform", "params"]),
    ],
)
async def test_a_row_without_platform_or_params_is_stored_as_failed_with_its_reason(
    pg: asyncpg.Connection, wakeups: Wakeups, platform: str, params: str, named: list[str]
) -> None:
    row = await _row(pg, "flow, platform, params", f"'{FLOW}', {platform}, {params}")
    assert (row["status"], row["error_code"]) == ("FAILED", "BAD_INPUT")
    assert [name for name in ("platform", "params") if name in row["data"]] == named
    assert "insert the task again" in row["data"]
    assert row["scraped_at"] is not None
    assert [(event["status"], event["reason"]) for event in await _events(pg)] == [("FAILED", "BAD_INPUT")]
    assert await wakeups.so_far() == []


async def test_a_bad_row_in_a_bulk_insert_leaves_the_others_alone(pg: asyncpg.Connection) -> None:
    await pg.execute(
        "insert into scrape_request_log (flow, platform, params) values ($1, 'INSTAGRAM', '{}'), ($1, null, '{}'),"
        " ($1, 'INSTAGRAM', '{}')",
        FLOW,
    )
    statuses = await pg.fetch("select status from scrape_request_log order by id")
    assert [row["status"] for row in statuses] == ["PENDING", "FAILED", "PENDING"]
    assert [event["status"] for event in await _events(pg)] == ["PENDING", "FAILED", "PENDING"]


async def test_a_task_that_could_only_start_after_it_expired_is_expired_at_once(pg: asyncpg.Connection) -> None:
    columns = "flow, platform, params, run_after, expires_at"
    task = f"'{FLOW}', 'INSTAGRAM', '{{}}'"
    one, two = "now() + interval '1 hour'", "now() + interval '2 hours'"
    for late in (await _row(pg, columns, f"{task}, {two}, {one}"), await _row(pg, columns, f"{task}, {one}, {one}")):
        assert (late["status"], late["error_code"]) == ("EXPIRED", "EXPIRED")
        assert "run_after" in late["data"]
    good = await _row(pg, columns, f"{task}, {one}, {two}")
    assert good["status"] == "PENDING"
    assert [(event["status"], event["reason"]) for event in await _events(pg)] == [
        ("FAILED", "EXPIRED"),
        ("FAILED", "EXPIRED"),
        ("PENDING", None),
    ]


@pytest.mark.parametrize("change", ["flow = null", "status = 'DONE'", "priority = null"])
async def test_a_row_that_the_queue_could_not_read_is_refused(pg: asyncpg.Connection, change: str) -> None:
    await pg.fetchval(ONE, FLOW)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await pg.execute(f"update scrape_request_log set {change}")


async def test_the_first_task_of_a_flow_notifies_and_one_behind_a_backlog_does_not(
    pg: asyncpg.Connection, wakeups: Wakeups
) -> None:
    first = await pg.fetchval(ONE, FLOW)
    assert await wakeups.so_far() == [FLOW]
    await pg.fetchval(ONE, FLOW)
    assert await wakeups.so_far() == []
    await pg.fetchval(ONE, "refresh_profile_basic")
    assert await wakeups.so_far() == ["refresh_profile_basic"]
    await pg.execute("update scrape_request_log set status = 'COMPLETE' where id >= $1", first)
    await pg.fetchval(ONE, FLOW)
    assert await wakeups.so_far() == [FLOW]


async def test_a_bulk_insert_notifies_each_of_its_flows_once(pg: asyncpg.Connection, wakeups: Wakeups) -> None:
    await pg.execute(
        "insert into scrape_request_log (flow, platform, params)"
        " select 'flow_' || n % 2, 'INSTAGRAM', '{}' from generate_series(1, 100) n"
    )
    assert sorted(await wakeups.so_far()) == ["flow_0", "flow_1"]


async def test_delayed_tasks_neither_notify_nor_count_as_backlog(pg: asyncpg.Connection, wakeups: Wakeups) -> None:
    await _row(pg, "flow, platform, params, run_after", f"'{FLOW}', 'INSTAGRAM', '{{}}', now() + interval '1 hour'")
    assert await wakeups.so_far() == []
    await pg.fetchval(ONE, FLOW)
    assert await wakeups.so_far() == [FLOW]


async def test_a_copy_wakes_and_announces_like_an_insert(pg: asyncpg.Connection, wakeups: Wakeups) -> None:
    await pg.copy_records_to_table(
        "scrape_request_log",
        records=[(FLOW, "INSTAGRAM", '{"handle": "mira"}')] * 3,
        columns=["flow", "platform", "params"],
    )
    assert await wakeups.so_far() == [FLOW]
    assert len(await _events(pg)) == 3


async def test_each_insert_writes_its_event_with_the_row(pg: asyncpg.Connection) -> None:
    row = await _row(
        pg,
        "flow, platform, params, priority, expires_at",
        f"'{FLOW}', 'INSTAGRAM', '{{\"handle\": \"mira\"}}', 7, '2199-12-31 23:30:00+05:30'",
    )
    outbox = await pg.fetchrow("select * from event_outbox")
    assert outbox is not None
    assert (outbox["exchange"], outbox["routing_key"]) == ("beat.dx", "scrape_request_log_events")
    assert outbox["entity_key"] == str(row["id"])
    event = json.loads(outbox["payload"])
    assert UUID(event.pop("event_id")).version == 4
    said = datetime.strptime(event.pop("event_timestamp"), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert said == row["created_at"].replace(microsecond=0)
    assert event == {
        "scl_id": str(row["id"]),
        "flow": FLOW,
        "platform": "INSTAGRAM",
        "params": {"handle": "mira"},
        "status": "PENDING",
        "priority": 7,
        "reason": None,
        "picked_at": None,
        "expires_at": "2199-12-31 18:00:00",
        "retry_count": 1,
    }


async def test_ids_of_events_are_random_uuids_and_none_comes_twice(database: str, pg: asyncpg.Connection) -> None:
    """Nor where sessions have given their random numbers the same seed, however alike the ids of their tasks are."""
    await pg.execute(
        "insert into scrape_request_log (flow, platform, params)"
        f" select '{FLOW}', 'INSTAGRAM', '{{}}' from generate_series(1, 5000)"
    )
    for number in (100_001, 100_001 + 1024, -5):
        session = await connect(database, name="seeded")
        await session.execute("select setseed(0.5)")
        await _row(session, "id, flow, platform, params", f"{number}, '{FLOW}', 'INSTAGRAM', '{{}}'")
        await session.close()
    ids = [event["event_id"] for event in await _events(pg)]
    assert len(set(ids)) == 5003
    assert {(UUID(one).version, UUID(one).variant) for one in ids} == {(4, RFC_4122)}
    assert {str(UUID(one)) for one in ids} == set(ids)


async def test_a_rolled_back_insert_leaves_no_event_and_wakes_nobody(pg: asyncpg.Connection, wakeups: Wakeups) -> None:
    transaction = pg.transaction()
    await transaction.start()
    await pg.fetchval(ONE, FLOW)
    await transaction.rollback()
    assert await _events(pg) == []
    assert await wakeups.so_far() == []


async def test_a_row_refused_by_its_idempotency_key_is_not_announced(pg: asyncpg.Connection) -> None:
    insert = (
        "insert into scrape_request_log (flow, platform, params, idempotency_key) values ($1, 'I', '{}', 'once')"
        " on conflict (idempotency_key) do nothing"
    )
    await pg.execute(insert, FLOW)
    await pg.execute(insert, FLOW)
    assert len(await _events(pg)) == 1


async def test_the_reason_of_a_transaction_is_in_its_events_only(pg: asyncpg.Connection) -> None:
    async with pg.transaction():
        await pg.execute("select set_config('beat.reason', 'asked by an operator', true)")
        await pg.fetchval(ONE, FLOW)
    await pg.fetchval(ONE, FLOW)
    assert [event["reason"] for event in await _events(pg)] == ["asked by an operator", None]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("PROCESSING", ("PROCESSING", None)),
        ("COMPLETE", ("COMPLETE", None)),
        ("FAILED", ("FAILED", None)),
        ("EXPIRED", ("FAILED", "EXPIRED")),
        ("CANCELLED", ("FAILED", "CANCELLED")),
    ],
)
async def test_an_event_says_only_words_that_consumers_know(
    pg: asyncpg.Connection, status: str, said: tuple[str, str | None]
) -> None:
    await pg.fetchval(ONE, FLOW)
    payload = await pg.fetchval(
        "with moved as (update scrape_request_log set status = $1, picked_at = '2026-03-01 00:00:00+01' returning *)"
        " select task_event(row(m.*)::scrape_request_log) from moved m",
        status,
    )
    event = json.loads(payload)
    assert (event["status"], event["reason"]) == said
    assert event["picked_at"] == "2026-02-28 23:00:00"


async def test_the_call_of_task_event_is_inlined(pg: asyncpg.Connection) -> None:
    plan = await pg.fetch("explain (verbose) select task_event(s) from scrape_request_log s")
    assert "row_to_json" in "".join(row[0] for row in plan)


async def test_many_writers_at_once_lose_nothing(database: str, pg: asyncpg.Connection) -> None:
    async def write(number: int) -> None:
        connection = await connect(database, name=f"writer {number}")
        try:
            for n in range(30):
                await connection.fetchval(ONE, f"flow_{(number + n) % 3}")
                await connection.execute(
                    "insert into scrape_request_log (flow, platform, params)"
                    " select 'flow_' || (n + $1) % 3, 'INSTAGRAM', '{}' from generate_series(1, 9) n",
                    number,
                )
        finally:
            await connection.close()

    await asyncio.gather(*(write(number) for number in range(6)))
    assert await pg.fetchval("select count(*) from scrape_request_log where status = 'PENDING'") == 6 * 30 * 10
    assert await pg.fetchval("select count(distinct entity_key) from event_outbox") == 6 * 30 * 10
