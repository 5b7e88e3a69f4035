"""Schedules on a real queue: what becomes due, is made up for, is not queued twice, and what an error leaves behind."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, timedelta
from typing import Any

import asyncpg
import pytest

from core.schedules import scheduler as module
from core.schedules import statements as sql
from core.schedules.schedule import Schedule
from tests.support.postgres import SOMEONE_WAITS, held_table
from tests.support.schedules import MANY, counted, plant, row, run_due, scheduler

TASKS = """
select flow, platform, params->>'ms' as ms, expires_at - created_at as lasts, priority
from scrape_request_log order by id"""
DEEP = "[" * 3000 + "]" * 3000
NEITHER = "select count(*) from scrape_request_log"
SCHEDULES_LOCKED = """
select exists (
    select from pg_locks
    where locktype = 'advisory' and granted and objid = 0
        and classid::int8 = (hashtext('scrape_schedule')::int8 & x'ffffffff'::int8)
        and database = (select oid from pg_database where datname = current_database()))"""
"""Looking leaves the lock alone: a test that took it for a moment might be what the scheduler finds."""


async def test_a_due_schedule_queues_a_task_per_candidate_with_events(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg)
    await pg.execute("update scrape_schedule set priority = 7, expires_in = '2 hours'")
    await run_due(clean_db)
    tasks = await pg.fetch(TASKS)
    assert [(t["flow"], t["platform"], t["ms"], t["priority"]) for t in tasks] == [
        ("test_nap", "INSTAGRAM", str(ms), 7) for ms in (1, 2, 3)
    ]
    assert all(timedelta(minutes=119) < t["lasts"] < timedelta(minutes=121) for t in tasks)
    assert await pg.fetchval("select count(*) from event_outbox where payload->>'status' = 'PENDING'") == 3
    assert await counted(pg) == ("ok", 3, 0, 0)
    now = await row(pg)
    assert (now["later"], now["begun_for"], now["attempts"], now["last_error"]) == (True, None, 0, None)


async def test_one_that_was_switched_on_counts_from_now(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg, ago=timedelta(days=3), cron="0 0 1 1 *")
    await pg.execute("update scrape_schedule set enabled = false")
    await run_due(clean_db)
    assert (await row(pg))["last_run_at"] is None
    await pg.execute("update scrape_schedule set enabled = true")
    assert (await row(pg))["next_run_at"] is None
    await run_due(clean_db)
    now = await row(pg)
    assert (now["later"], now["last_run_at"]) == (True, None)
    assert (now["next_run_at"].astimezone(UTC).month, now["next_run_at"].astimezone(UTC).hour) == (1, 0)
    await pg.execute("update scrape_schedule set cron = '0 0 1 7 *'")
    await run_due(clean_db)
    assert (await row(pg))["next_run_at"].astimezone(UTC).month == 7
    assert await pg.fetchval(NEITHER) == 0


async def test_days_of_missed_runs_are_made_up_for_once(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg, ago=timedelta(days=3), cron="*/10 * * * *")
    await run_due(clean_db)
    await run_due(clean_db)
    assert await counted(pg) == ("ok", 3, 0, 0)
    now = await row(pg)
    assert await pg.fetchval("select now() - $1 between '0' and '10 minutes'", now["last_run_at"])
    assert (now["last_run_at"].minute % 10, now["last_run_at"].second) == (0, 0)
    assert now["next_run_at"] - now["last_run_at"] == timedelta(minutes=10)
    assert await pg.fetchval(NEITHER) == 3


AGAIN = "update scrape_schedule set next_run_at = now() - interval '1 second'"


async def test_a_candidate_gets_one_task_per_window(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg, dedup_window=timedelta(days=36500))
    await run_due(clean_db)
    await pg.execute("update scrape_schedule set candidates = $1", MANY.format(5))
    await pg.execute(AGAIN)
    await run_due(clean_db)
    assert await counted(pg) == ("ok", 2, 3, 0)
    assert await pg.fetchval(NEITHER) == 5


async def test_candidates_are_the_same_when_they_say_so(pg: asyncpg.Connection, clean_db: str) -> None:
    seen = "select 'a' as dedup_key, (random() * 1e6)::int as ms"
    await plant(pg, candidates=seen, dedup_window=timedelta(days=36500))
    await run_due(clean_db)
    await pg.execute(AGAIN)
    await run_due(clean_db)
    assert await counted(pg) == ("ok", 0, 1, 0)


async def test_a_schedule_without_a_query_queues_its_template(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg, candidates=None, params={"ms": 9})
    await run_due(clean_db)
    assert [t["ms"] for t in await pg.fetch(TASKS)] == ["9"]


async def test_no_more_candidates_than_the_limit_are_taken(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg, candidates=MANY.format(10_000_000), max_rows=2500)
    await run_due(clean_db)
    assert await counted(pg) == ("ok", 2500, 0, 0)


async def test_bad_candidates_are_named_and_harm_no_other(pg: asyncpg.Connection, clean_db: str) -> None:
    bad = "select * from (values ('1'), ('x'), (null), ('2'), ('secret words')) v(ms)"
    await plant(pg, candidates=bad)
    await plant(pg, "healthy")
    await run_due(clean_db)
    assert await counted(pg) == ("partial", 2, 0, 3)
    error = (await row(pg))["last_error"]
    assert error.startswith("3 of 5 candidates were refused; params.ms: ")
    assert "secret" not in error
    assert await counted(pg, "healthy") == ("ok", 3, 0, 0)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"params": {"ms": "$mss"}}, "params.ms: the candidates have no column mss, but ms"),
        ({"candidates": None}, "params.ms: $ms needs a candidate query"),
        ({"flow": "typo"}, "flow: there is no flow 'typo'"),
        ({"flow": "test_unbuilt"}, "flow: test_unbuilt is not built yet"),
        ({"candidates": "select nothing from nowhere"}, 'candidates: relation "nowhere" does not exist'),
        ({"candidates": "select 1 as ms; select 2"}, "candidates: syntax error"),
        ({"candidates": "select pg_sleep(60)"}, "candidates: the query took longer than 0.3 s"),
        ({"candidates": "select 1e5000::numeric as ms"}, "candidates: a value is nested too deeply, or a number has"),
        (
            {"candidates": "select (repeat('[', 3000) || repeat(']', 3000))::jsonb as ms"},
            "candidates: a value is nested too deeply, or a number has",
        ),
        (
            {"candidates": "select repeat('x', 1000000) as ms from generate_series(1, 100)"},
            "candidates: the candidates take more than 64 MB",
        ),
        ({"params": {"ms": "$ms", "more": 1}}, "3 of 3 candidates were refused; params.more: Extra inputs"),
        ({"params": {"ms": [[]]}}, "params: unreadable: nested too deeply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_wrong_with_a_schedule_is_stored_and_it_waits_for_its_next_time(
    pg: asyncpg.Connection, clean_db: str, columns: dict[str, Any], said: str
) -> None:
    await plant(pg, **columns)
    if columns.get("params") == {"ms": [[]]}:
        await pg.execute("update scrape_schedule set params = replace(params::text, '[[]]', $1)::jsonb", DEEP)
    await plant(pg, "healthy")
    await run_due(clean_db, timeout_s=0.3 if "sleep" in str(columns) else 30)
    now = await row(pg)
    assert now["last_error"].startswith(said)
    assert (now["last_outcome"], now["last_created"], now["later"]) == ("failed", 0, True)
    assert await counted(pg, "healthy") == ("ok", 3, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        "dedup_window = '100000000 years'",
        "expires_in = '100000000 years'",
        "expires_in = '9000 years'",
        "next_run_at = '-infinity'",
    ],
)
async def test_times_beyond_what_dates_hold_are_cut_and_nobody_waits(
    pg: asyncpg.Connection, clean_db: str, change: str
) -> None:
    await plant(pg, ago=timedelta(days=1))
    await pg.execute(f"update scrape_schedule set {change}")
    await plant(pg, "healthy")
    await run_due(clean_db)
    await pg.execute("update scrape_schedule set dedup_window = null, expires_in = null")  # drivers cannot read them
    assert [await counted(pg), await counted(pg, "healthy")] == [("ok", 3, 0, 0)] * 2


async def test_a_cron_of_thousands_of_digits_is_no_cron(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg, ago=timedelta(days=1), cron="1" * 5000 + " * * * *")
    await plant(pg, "healthy")
    await run_due(clean_db)
    assert (await row(pg))["last_error"].startswith("cron: ")
    assert await counted(pg, "healthy") == ("ok", 3, 0, 0)


async def test_a_schedule_that_breaks_is_given_up_and_nobody_waits_for_it(
    pg: asyncpg.Connection, clean_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("a defect")

    run = Schedule.from_row
    monkeypatch.setattr(Schedule, "from_row", lambda row: broken(row) if row["name"] == "s" else run(row))
    await plant(pg, ago=timedelta(days=1))
    await plant(pg, "healthy")
    await run_due(clean_db)
    assert await counted(pg, "healthy") == ("ok", 3, 0, 0)
    for _ in range(3):
        await run_due(clean_db)
    assert "was begun 3 times" in (await row(pg))["last_error"]


async def test_candidates_whose_dedup_key_is_null_are_told_apart_by_their_params(
    pg: asyncpg.Connection, clean_db: str
) -> None:
    await plant(pg, candidates="select null::text as dedup_key, g as ms from generate_series(1, 3) g")
    await run_due(clean_db)
    assert await counted(pg) == ("ok", 3, 0, 0)


async def test_a_bad_cron_is_never_due_until_it_is_mended(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg, cron="0 0 30 2 *")
    await run_due(clean_db)
    now = await row(pg)
    assert now["last_error"] == "cron: failed to find prev date"
    assert await pg.fetchval("select next_run_at = 'infinity' from scrape_schedule")
    await run_due(clean_db)
    await pg.execute("update scrape_schedule set cron = '@daily'")
    await run_due(clean_db)
    assert await pg.fetchval("select next_run_at = date_trunc('day', now()) + interval '1 day' from scrape_schedule")


async def test_supervisors_at_the_same_time_run_it_once(pg: asyncpg.Connection, clean_db: str) -> None:
    await pg.execute("delete from beat_metric")
    for number in range(5):
        await plant(pg, f"s{number}")
    await asyncio.gather(*[run_due(clean_db) for _ in range(4)])
    assert await pg.fetchval(NEITHER) == 15
    assert [await counted(pg, f"s{number}") for number in range(5)] == [("ok", 3, 0, 0)] * 5


async def test_a_run_that_was_broken_off_is_repeated_as_the_run_it_was(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg, ago=timedelta(minutes=30), cron="*/10 * * * *", candidates=MANY.format(5000))
    async with held_table(clean_db, "event_outbox"):
        one = scheduler(clean_db)
        one.wake()
        while not await pg.fetchval(SOMEONE_WAITS):
            await asyncio.sleep(0.01)
        begun = await row(pg)
        await one.aclose()
    await pg.execute("update scrape_schedule set begun_for = begun_for - interval '20 minutes'")
    await run_due(clean_db)
    assert await counted(pg) == ("ok", 5000, 0, 0)
    now = await row(pg)
    assert (begun["attempts"], now["attempts"]) == (1, 0)
    assert now["last_run_at"] == begun["begun_for"] - timedelta(minutes=20), "not the time that is due by now"
    assert now["later"]


@pytest.mark.parametrize("change", ["enabled = false", "cron = '0 0 1 7 *'"])
async def test_a_schedule_that_is_changed_before_its_run_has_begun_is_not_run(
    pg: asyncpg.Connection, clean_db: str, change: str
) -> None:
    await plant(pg)
    due = await pg.fetchrow(sql.NEXT_DUE, [])
    await pg.execute(f"update scrape_schedule set {change}")
    await scheduler(clean_db)._handle(pg, due)
    now = await row(pg)
    assert (now["begun_for"], now["next_run_at"], now["last_outcome"]) == (None, None, None)
    assert await pg.fetchval(NEITHER) == 0


@pytest.mark.parametrize(("change", "month"), [("enabled = false", None), ("cron = '0 0 1 7 *'", 7)])
async def test_a_schedule_that_is_changed_in_mid_run_counts_from_then(
    pg: asyncpg.Connection, clean_db: str, change: str, month: int | None
) -> None:
    await plant(pg)
    one = scheduler(clean_db)
    async with held_table(clean_db, "event_outbox"):
        one.wake()
        while not await pg.fetchval(SOMEONE_WAITS):
            await asyncio.sleep(0.01)
        await pg.execute(f"update scrape_schedule set {change}")
    while one.busy:
        await asyncio.sleep(0.01)
    assert await counted(pg) == ("ok", 3, 0, 0)
    due = (await row(pg))["next_run_at"]
    assert (due and due.astimezone(UTC).month) == month


async def test_a_run_that_ends_its_supervisor_three_times_is_given_up(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg)
    await pg.execute("update scrape_schedule set attempts = 3, begun_for = date_trunc('minute', now())")
    await run_due(clean_db)
    now = await row(pg)
    assert (now["last_outcome"], now["attempts"], now["later"]) == ("failed", 0, True)
    assert now["last_error"] == "the run was begun 3 times and never ended; it is given up"
    await pg.execute("update scrape_schedule set attempts = 2, begun_for = next_run_at, next_run_at = now()")
    await run_due(clean_db)
    assert await counted(pg) == ("ok", 3, 0, 0), "the third time it is begun"


async def test_a_supervisor_that_says_nothing_loses_the_lock(
    pg: asyncpg.Connection, clean_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.2)
    silent = asyncio.Event()

    async def hang(*_: Any) -> None:
        await silent.wait()

    one = scheduler(clean_db, timeout_s=0.1)
    monkeypatch.setattr(one, "_handle", hang)
    await plant(pg)
    one.wake()
    while not await pg.fetchval(SCHEDULES_LOCKED):
        await asyncio.sleep(0.01)
    while not await pg.fetchval(sql.TRY_LOCK):
        await asyncio.sleep(0.02)
    silent.set()
    while one.busy:
        await asyncio.sleep(0.01)
    assert await counted(pg) == (None, None, None, None), "what it says afterwards is not heard"


async def test_a_run_by_hand_at_the_same_time_is_waited_for(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg)
    await plant(pg, "other")
    assert await pg.fetchval(sql.TRY_LOCK_ONE, "s")
    await run_due(clean_db)
    assert (await row(pg))["last_outcome"] is None
    assert await counted(pg, "other") == ("ok", 3, 0, 0)
    await pg.fetchval(sql.UNLOCK_ONE, "s")
    await run_due(clean_db)
    assert await counted(pg) == ("ok", 3, 0, 0)


async def test_the_key_names_schedule_and_window(pg: asyncpg.Connection, clean_db: str) -> None:
    await plant(pg, candidates=None, params=json.loads('{"ms": 1}'), dedup_window=timedelta(hours=1))
    await run_due(clean_db)
    key = await pg.fetchval("select idempotency_key from scrape_request_log")
    due = (await row(pg))["last_run_at"].astimezone(UTC)
    assert key.startswith(f"schedule:s:{due:%Y%m%dT%H}0000Z:")
