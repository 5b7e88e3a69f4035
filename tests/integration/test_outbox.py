"""Events are written with the data, in order, exactly as they will be sent, and counted once when they are gone."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import timedelta
from typing import get_type_hints

import asyncpg
import pytest
from pydantic import TypeAdapter

from core.amqp import outbox
from core.amqp.events import Event
from core.amqp.payloads import TaskEvent
from utils.db import open_database

INSERT = """
insert into event_outbox (routing_key, entity_key, payload, created_at) values ($1, 'e', '{}', now() - $2::interval)
"""


async def add(url: str, *events: Event, commit: bool = True) -> None:
    database = open_database(url)
    async with database.sessions() as session:
        await outbox.add(session, events)
        if commit:
            await session.commit()
    await database.dispose()


async def test_events_are_stored_in_the_order_given(pg: asyncpg.Connection, pgbouncer_url: str) -> None:
    await add(
        pgbouncer_url, *(Event("posts", f"post {n}", {"n": n}) for n in range(300)), Event("x", "y", {}, "coffee.dx")
    )
    rows = await pg.fetch("select exchange, routing_key, entity_key, payload from event_outbox order by id")
    assert [json.loads(row["payload"]).get("n") for row in rows] == [*range(300), None]
    assert tuple(rows[7])[:3] == ("beat.dx", "posts", "post 7")
    assert tuple(rows[300])[:3] == ("coffee.dx", "x", "y")


async def test_events_of_a_transaction_that_is_rolled_back_do_not_exist(pg: asyncpg.Connection, database: str) -> None:
    await add(database, Event("posts", "post", {}), commit=False)
    assert await pg.fetchval("select count(*) from event_outbox") == 0


async def test_no_events_are_no_statement(pg: asyncpg.Connection, database: str) -> None:
    await add(database)
    assert await pg.fetchval("select count(*) from event_outbox") == 0


async def test_text_is_stored_as_it_is(pg: asyncpg.Connection, database: str) -> None:
    payload = {"bio": 'naïve \\ "quoted" 漢字 😀\n{}', "big": 2**70, "key 'x'": [None, True, 1.5]}
    await add(database, Event("posts", 'it\'s {a} "key", \\ and NULL', payload))
    row = await pg.fetchrow("select entity_key, payload from event_outbox")
    assert row is not None
    assert row["entity_key"] == 'it\'s {a} "key", \\ and NULL'
    assert json.loads(row["payload"]) == payload


async def test_a_payload_that_is_no_json_is_refused(pg: asyncpg.Connection, database: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        await add(database, Event("posts", "post", {"likes": float("nan")}))


async def test_unsent_rows_come_oldest_first_without_those_in_hand_or_held(pg: asyncpg.Connection) -> None:
    for key in ("a", "b", "a", "c"):
        await pg.execute("insert into event_outbox (routing_key, entity_key, payload) values ('r', $1, '{}')", key)
    await pg.execute(
        "insert into event_outbox (exchange, routing_key, entity_key, payload) values ('x', 'r', 'a', '{}')"
    )

    async def found(besides: Collection[int] = (), held: Collection[outbox.Scope] = (), limit: int = 10) -> list[int]:
        return [row.id for row in await outbox.unsent(pg, besides=besides, held=held, limit=limit)]

    assert await found() == [1, 2, 3, 4, 5]
    assert await found(limit=2) == [1, 2]
    assert await found(besides={1, 4}) == [2, 3, 5]
    assert await found(held=[("beat.dx", "r", "a")]) == [2, 4, 5]
    assert await found(held=[("beat.dx", "r")]) == [5]
    assert await found(held=[("x",), ("beat.dx", "r", "b")]) == [1, 3, 4]


async def test_reading_touches_only_the_first_rows_of_a_long_outbox(pg: asyncpg.Connection) -> None:
    """Also when much is held back, and whatever the statistics say of a table that was empty a moment ago."""
    await outbox.prepare(pg)
    await pg.execute(
        "insert into event_outbox (routing_key, entity_key, payload) "
        "select 'r', 'k' || n, jsonb_build_object('text', repeat('x', 500)) from generate_series(1, 30000) n"
    )
    held = [outbox.scope_text(("beat.dx", "r", f"k{number}")) for number in range(400, 900)]
    for _ in range(2):
        found = await pg.fetchval(f"explain (analyze, format json) {outbox.UNSENT}", list(range(1, 300)), held, 500)
        plan = json.loads(found)[0]["Plan"]["Plans"][0]
        assert (plan["Node Type"], plan["Index Name"]) == ("Index Scan", "event_outbox_pkey")
        assert plan["Actual Rows"] + plan["Rows Removed by Filter"] <= 1300
        await pg.execute("analyze event_outbox")


async def test_a_row_that_is_forgotten_twice_is_counted_once(pg: asyncpg.Connection) -> None:
    for key in ("posts", "posts", "profiles"):
        await pg.execute("insert into event_outbox (routing_key, entity_key, payload) values ($1, 'e', '{}')", key)
    await outbox.forget(pg, [1, 3])
    await outbox.forget(pg, [1, 2, 3])
    await outbox.forget(pg, [])
    assert await pg.fetchval("select count(*) from event_outbox") == 0
    counts = await pg.fetch("select routing_key, confirmed from event_confirmed order by 1")
    assert [tuple(row) for row in counts] == [("posts", 2), ("profiles", 1)]


async def test_the_lag_is_that_of_the_oldest_unsent_row(pg: asyncpg.Connection) -> None:
    assert (await outbox.outbox_lag(pg.fetch)).rows == 0
    for routing_key, age_s in (("posts", 90), ("posts", 10), ("profiles", 5)):
        await pg.execute(INSERT, routing_key, timedelta(seconds=age_s))
    lag = await outbox.outbox_lag(pg.fetch)
    assert (lag.rows, lag.routes["posts"].rows, lag.routes["profiles"].rows) == (3, 2, 1)
    assert lag.oldest_s == lag.routes["posts"].oldest_s >= 90
    assert 5 <= lag.routes["profiles"].oldest_s < 90


async def test_the_lag_is_counted_from_the_oldest_row_on(
    pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LAG_COUNTED", 1)
    await pg.execute(INSERT, "posts", timedelta(seconds=90))
    await pg.execute(INSERT, "profiles", timedelta(seconds=5))
    await pg.execute("update event_outbox set entity_key = 'f' where routing_key = 'posts'")  # it lies behind the other
    lag = await outbox.outbox_lag(pg.fetch)
    assert (lag.rows, list(lag.routes)) == (1, ["posts"])


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ("status = 'PENDING'", "PENDING", None),
        ("status = 'PROCESSING', picked_at = now(), expires_at = now() + interval '1 hour'", "PROCESSING", None),
        ("status = 'COMPLETE', picked_at = now()", "COMPLETE", None),
        ("status = 'FAILED'", "FAILED", None),
        ("status = 'EXPIRED', expires_at = now()", "FAILED", "EXPIRED"),
        ("status = 'CANCELLED'", "FAILED", "CANCELLED"),
    ],
)
async def test_the_task_event_of_the_database_is_the_typed_one(
    pg: asyncpg.Connection, change: str, status: str, reason: str | None
) -> None:
    await pg.execute(
        "insert into scrape_request_log (flow, platform, params) values ('f', 'INSTAGRAM', '{\"handle\": \"lena\"}')"
    )
    await pg.execute(f"update scrape_request_log set {change}, retry_count = 2")
    event = json.loads(await pg.fetchval("select task_event(t) from scrape_request_log t"))
    TypeAdapter(TaskEvent).validate_python(event, strict=True)
    assert set(event) == set(get_type_hints(TaskEvent))
    assert (event["status"], event["reason"], event["retry_count"]) == (status, reason, 2)
    assert event["params"] == {"handle": "lena"}


async def test_the_times_of_a_task_event_are_utc_whatever_the_session_thinks(pg: asyncpg.Connection) -> None:
    await pg.execute("set timezone to 'Asia/Kolkata'")
    await pg.execute(
        "insert into scrape_request_log (flow, platform, params, expires_at) "
        "values ('f', 'INSTAGRAM', '{}', '2031-05-06 07:08:09.9+00')"
    )
    event = json.loads(await pg.fetchval("select payload from event_outbox"))
    assert event["expires_at"] == "2031-05-06 07:08:09"
    utc = await pg.fetchval("select to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI')")
    assert event["event_timestamp"][:14] == utc[:14]
