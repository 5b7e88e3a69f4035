"""Many tasks in one statement: results per row, through a session on the pooler and through a plain connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from core.flows.registry import build_registry
from core.queue import bulk, tasks
from core.queue.bulk import RowResult, parse_rows
from tests.support.postgres import SOMEONE_WAITS
from utils.db import Database, connect, open_database

REGISTRY = build_registry("tests.support.flows")
FLOW = "refresh_profile_by_handle"
IDS: dict[str, Any] = {"profile_id": "1", "handle": "natgeo"}
STORIES = {"flow": "refresh_story_posts_by_profile_id", "params": IDS}
PICTURE = {
    "flow": "asset_upload_flow",
    "params": {
        "entity_type": "PROFILE",
        "entity_id": "1",
        "asset_type": "IMAGE",
        "platform": "INSTAGRAM",
        "original_url": "https://cdn.example/1.jpg",
        "hash": 1,
    },
}


@pytest.fixture
async def db(clean_db: str, pgbouncer_url: str) -> AsyncIterator[Database]:
    database = open_database(pgbouncer_url)
    yield database
    await database.dispose()


async def insert(db: Database, rows: list[Any], **more: Any) -> list[RowResult]:
    async with db.sessions.begin() as session:
        return await tasks.insert_many(session, REGISTRY, rows, **more)


def row(handle: str = "natgeo", **more: Any) -> dict[str, Any]:
    return {"flow": FLOW, "params": {"handle": handle}} | more


async def test_ten_thousand_rows_are_one_statement_in_order_with_an_event_each(
    db: Database, pg: asyncpg.Connection
) -> None:
    rows = [row(f"h{n}", idempotency_key=f"k{n}") for n in range(10_000)]
    results = await insert(db, rows)
    assert {result.outcome for result in results} == {"created"}
    assert [r["h"] for r in await pg.fetch("select params->>'handle' as h from scrape_request_log order by id")] == [
        f"h{n}" for n in range(10_000)
    ]
    assert await pg.fetchval("select count(distinct xmin::text) from scrape_request_log") == 1
    assert await pg.fetchval("select count(*) from event_outbox") == 10_000
    again = await insert(db, [*rows[:9_999], row("h9999 is another", idempotency_key="k9999")])
    assert [(r.outcome, r.id) for r in again[:9_999]] == [("exists", r.id) for r in results[:9_999]]
    assert (again[-1].outcome, again[-1].id, again[-1].field) == ("refused", results[-1].id, "idempotency_key")
    assert await pg.fetchval("select count(*) from scrape_request_log") == 10_000


async def test_keys_repeated_in_one_batch_name_its_first_row(db: Database, pg: asyncpg.Connection) -> None:
    first, twin, other, free = await insert(
        db, [row("a", idempotency_key="k"), row("a", idempotency_key="k"), row("b", idempotency_key="k"), row("a")]
    )
    assert [r.outcome for r in (first, twin, other, free)] == ["created", "exists", "refused", "created"]
    assert first.id == twin.id == other.id
    assert await pg.fetchval("select count(*) from scrape_request_log") == 2


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"flow": "no_such_flow"}, "flow"),
        ({"params": {}}, "params.handle"),
        ({"params": {"handle": "a", "extra": 1}}, "params.extra"),
        ({"params": {"handle": "nul\x00"}}, "params"),
        ({"params": {"handle": "\ud800"}}, "params"),
        ({"params": "natgeo"}, "params"),
        ({"platform": "YOUTUBE"}, "platform"),
        ({"priority": "high"}, "priority"),
        ({"priority": 2**31}, "priority"),
        ({"prioirty": 3}, "prioirty"),
        ({"expires_at": "2020-01-01"}, "expires_at"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"flow": "test_unbuilt", "params": {}}, "flow"),
        (STORIES | {"params": IDS | {"profile_er": float("nan")}}, "params"),
        (STORIES | {"params": IDS | {"profile_er": 1e999}}, "params"),
        (STORIES | {"params": IDS | {"profile_er": "NaN"}}, "params.profile_er"),
        ({"params": {"handle": -1e999}}, "params"),
        (PICTURE | {"platform": "nul\x00"}, "platform"),
        (PICTURE | {"platform": "\ud800"}, "platform"),
        (PICTURE | {"platform": "MYSPACE"}, "platform"),
        ({"run_after": "0001-01-01T00:00:00+14:00"}, "run_after"),
        ({"run_after": "9999-12-31T23:59:59-14:00"}, "run_after"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"run_after": "2099-01-01", "expires_at": "2098-12-31"}, "run_after"),
        ({"run_after": "2099-01-01", "expires_at": "2099-01-01"}, "run_after"),
        ({"max_retries": 0}, "max_retries"),
        (STORIES | {"params": IDS | {"handle": "漢" * 90_000}}, "params"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_bad_row_is_refused_by_field_and_the_others_go_in(
    db: Database, pg: asyncpg.Connection, bad: dict[str, Any], field: str
) -> None:
    results = await insert(db, [row("one"), row() | bad, row("two")])
    assert [r.outcome for r in results] == ["created", "refused", "created"]
    assert results[1].field == field
    assert "nul" not in str(results[1].message)
    assert await pg.fetchval("select count(*) from scrape_request_log") == 2


async def test_copies_are_of_any_platform(db: Database, pg: asyncpg.Connection) -> None:
    stories = PICTURE | {"flow": "asset_upload_flow_stories"}
    results = await insert(db, [PICTURE, PICTURE | {"platform": "YOUTUBE"}, stories | {"platform": "SHOPIFY"}])
    assert [r.outcome for r in results] == ["created"] * 3
    rows = await pg.fetch("select platform from scrape_request_log order by id")
    assert [row["platform"] for row in rows] == ["INSTAGRAM", "YOUTUBE", "SHOPIFY"]


async def test_a_start_after_the_expiry_that_rows_get_is_refused_where_they_get_one(db: Database) -> None:
    late = row(run_after="2099-01-01")
    (refused, created) = await insert(db, [late, late | {"expires_at": "2099-01-02"}], expires_in=timedelta(hours=1))
    assert (refused.field, created.outcome) == ("run_after", "created")
    assert [result.outcome for result in await insert(db, [late])] == ["created"]


async def test_params_are_measured_in_the_bytes_they_take_as_utf_8(db: Database) -> None:
    results = await insert(db, [STORIES | {"params": IDS | {"handle": "漢" * 80_000}}])
    assert [r.outcome for r in results] == ["created"]


async def test_what_a_row_leaves_out_is_the_callers_or_the_flows(pg: asyncpg.Connection) -> None:
    await pg.execute("insert into beat_flow (flow, priority) values ($1, 5)", FLOW)
    rows = [
        row(platform="instagram"),
        row(priority=9, account_id="7", expires_at="2099-01-01T00:00:00Z", max_retries=1),
        row(priority=0),
    ]
    await tasks.insert_many(pg, REGISTRY, rows, account_id="42", expires_in=timedelta(hours=2))
    first, second, third = await pg.fetch(
        "select *, expires_at - created_at as life from scrape_request_log order by id"
    )
    assert third["priority"] == 0
    assert (first["platform"], first["priority"], first["account_id"], first["status"]) == (
        "INSTAGRAM",
        5,
        "42",
        "PENDING",
    )
    assert timedelta(minutes=119) < first["life"] < timedelta(minutes=121)
    assert (second["priority"], second["account_id"], second["expires_at"].year, second["max_retries"]) == (
        9,
        "7",
        2099,
        1,
    )


async def test_a_key_that_another_transaction_takes_meanwhile_is_that_ones(
    db: Database, pg: asyncpg.Connection, clean_db: str
) -> None:
    other = await connect(clean_db, name="other")
    transaction = other.transaction()
    await transaction.start()
    (mine,) = await tasks.insert_many(other, REGISTRY, [row(idempotency_key="k")])
    waiting = asyncio.create_task(insert(db, [row(idempotency_key="k"), row("else", idempotency_key="k2")]))
    while not await pg.fetchval(SOMEONE_WAITS):
        await asyncio.sleep(0.01)
    await transaction.commit()
    await other.close()
    results = await waiting
    assert [(r.outcome, r.id == mine.id) for r in results] == [("exists", True), ("created", False)]


@pytest.mark.parametrize("change", [{"params": {"handle": "other"}}, {"flow": "refresh_profile_basic"}])
async def test_a_key_that_another_transaction_takes_meanwhile_for_another_task_is_refused(
    db: Database, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    (first,) = await insert(db, [row(idempotency_key="k")])
    monkeypatch.setattr(bulk, "_result", lambda given: RowResult(given["row"], bulk.EXISTS))  # as if it were not seen
    same, other = await insert(db, [row(idempotency_key="k"), row(idempotency_key="k") | change])
    assert (same.outcome, same.id) == ("exists", first.id)
    assert (other.outcome, other.id, other.field) == ("refused", first.id, "idempotency_key")
    await pg.execute("delete from scrape_request_log")
    monkeypatch.setattr(bulk, "KEY_OWNERS", f"{bulk.KEY_OWNERS} and false")  # its owner is gone by now
    (given_up,) = await insert(db, [row(idempotency_key="k")])
    assert (given_up.outcome, given_up.id) == ("refused", None)
    assert "send it again" in str(given_up.message)


async def test_the_same_keys_in_another_order_do_not_wait_for_each_other(
    db: Database, pg: asyncpg.Connection, clean_db: str
) -> None:
    first, last = row("a", idempotency_key="a"), row("b", idempotency_key="b")
    holder = await connect(clean_db, name="holder")
    transaction = holder.transaction()
    await transaction.start()
    await tasks.insert_many(holder, REGISTRY, [first])
    waiting = asyncio.create_task(insert(db, [last, first]))
    while not await pg.fetchval(SOMEONE_WAITS):
        await asyncio.sleep(0.01)
    await tasks.insert_many(holder, REGISTRY, [last])  # a deadlock, if the other one had begun with it
    await transaction.commit()
    await holder.close()
    assert [result.outcome for result in await waiting] == ["exists", "exists"]


async def test_ids_follow_the_rows_whatever_their_keys(db: Database, pg: asyncpg.Connection) -> None:
    results = await insert(db, [row(idempotency_key="z"), row(), row(idempotency_key="a"), row(idempotency_key="é")])
    ids = [result.id for result in results]
    assert ids == sorted(ids, key=lambda one: one or 0)
    stored = await pg.fetch("select idempotency_key from scrape_request_log order by id")
    assert [r["idempotency_key"] for r in stored] == ["z", None, "a", "é"]


async def test_more_rows_than_that_are_refused(db: Database) -> None:
    with pytest.raises(ValueError, match="at most 10000"):
        await insert(db, [row()] * 10_001)


def test_rows_come_from_a_list_or_from_lines() -> None:
    assert list(parse_rows(json.dumps([row(), 1]))) == [row(), 1]
    assert list(parse_rows(f"{json.dumps(row())}\n\n{{broken\n2\n")) == [row(), "no JSON", 2]
    assert list(parse_rows(f"\x1e{json.dumps(row())}\n\x1e2\n")) == [row(), 2]
    with pytest.raises(ValueError, match="Expecting"):
        list(parse_rows("[1,"))


def test_rows_nested_beyond_reason_are_refused() -> None:
    deep = "[" * 100_000
    with pytest.raises(ValueError, match="nested too deeply"):
        list(parse_rows(deep))
    assert list(parse_rows(f'{{"params": {deep}\n2')) == ["no JSON", 2]


def test_a_line_ends_with_a_newline_and_nothing_else() -> None:
    line = json.dumps(row("a\u2028b\x85c"), ensure_ascii=False)
    assert list(parse_rows(f"{line}\r\n{line}")) == [row("a\u2028b\x85c")] * 2
