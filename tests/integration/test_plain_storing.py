"""Storing a refresh by two statements: the rows that the locked way leaves, and none when somebody was quicker."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from core.enums import Platform
from core.models.logs import PostLog, ProfileLog
from instagram.tasks import processing
from instagram.tasks.averages import NAMES, store_averages
from instagram.tasks.known import Known, look
from instagram.tasks.processing import NotPlain, upsert_profile, upsert_profile_plainly
from tests.support.postgres import SOMEONE_WAITS
from utils.db import Database, open_database

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TABLES = ("instagram_account", "instagram_post", "profile_log", "post_log", "handle_history", "event_outbox")
OWN = {"id", "event_id", "event_timestamp", "created_at", "updated_at", "refreshed_at", "first_seen", "last_seen"}


@pytest.fixture
async def db(clean_db: str, pgbouncer_url: str) -> AsyncIterator[Database]:
    opened = open_database(pgbouncer_url, pool_size=3)
    yield opened
    await opened.dispose()


def profile(**metrics: int) -> ProfileLog:
    return ProfileLog(Platform.INSTAGRAM, "1", "lama", NOON, {"profile_id": "1", "handle": "Me"}, dict(metrics))


def post(number: int, rng: random.Random) -> PostLog:
    kind = rng.choice(["reels", "image", "carousel", "story", None])
    taken = None if rng.random() < 0.1 else int((NOON - timedelta(hours=rng.randrange(30))).timestamp())
    dimensions = {"post_type": kind, "taken_at_timestamp": taken, "caption": f"number {number}"}
    metrics = {"likes": rng.randrange(99), "comments": rng.randrange(9), "play_count": rng.randrange(999)}
    owner = rng.choice(["1", "1", "1", "2"])
    kept = {key: value for key, value in metrics.items() if rng.random() < 0.8}
    said = {key: value for key, value in dimensions.items() if value is not None and rng.random() < 0.9}
    return PostLog(Platform.INSTAGRAM, f"P{number:03}", owner, "lama", NOON, said, kept)


def refreshes(seed: int) -> list[tuple[ProfileLog, list[PostLog]]]:
    """Some refreshes of one account whose posts come, stay and go."""
    rng = random.Random(seed)
    found = []
    for number in range(3):
        counts = {"followers": 5000 + number} | ({"media_count": number} if number else {})
        found.append((profile(**counts), [post(n, rng) for n in rng.sample(range(60), 25)]))
    return found


async def contents(pg: asyncpg.Connection) -> dict[str, list[Any]]:
    found = {}
    for table in TABLES:
        rows = await pg.fetch(f"select to_jsonb(t)::text as row from {table} t order by t::text")
        found[table] = sorted((_without_own(json.loads(row["row"])) for row in rows), key=str)
    return found


def _without_own(row: Any) -> Any:
    if isinstance(row, dict):
        return {key: _without_own(value) for key, value in row.items() if key not in OWN}
    return row


@pytest.mark.parametrize("seed", range(4))
async def test_both_ways_leave_the_same_behind(db: Database, pg: asyncpg.Connection, seed: int) -> None:
    for log, posts in refreshes(seed):
        await upsert_profile_plainly(db, log, posts, refreshed=True)
    plainly = await contents(pg)
    await pg.execute(f"truncate {', '.join(TABLES)}")
    for log, posts in refreshes(seed):
        async with db.sessions() as session:
            await upsert_profile(session, log, posts, refreshed=True)
    assert await contents(pg) == plainly
    assert [len(plainly[table]) for table in ("profile_log", "post_log", "event_outbox")] == [3, 75, 78]


@pytest.mark.parametrize("seed", range(8))
async def test_the_averages_are_those_of_the_rows_as_they_are_then(
    db: Database, pg: asyncpg.Connection, seed: int
) -> None:
    for log, posts in refreshes(seed):
        await upsert_profile_plainly(db, log, posts, refreshed=True)
        row = await pg.fetchrow("select * from instagram_account")
        assert row is not None
        async with db.sessions.begin() as session:
            averages = await store_averages(session, "1")
        assert averages is not None
        assert {name: row[name] for name in NAMES} == pytest.approx(averages)
        assert row["refreshed_at"] is not None


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[None]]) -> None:
    """Something happens once, between the look and the write."""
    left = [happens]

    async def slow(*args: Any, **options: Any) -> Known:
        known = await look(*args, **options)
        if left:
            await left.pop()()
        return known

    monkeypatch.setattr(processing, "look", slow)


async def test_nothing_is_written_over_a_row_that_changed_meanwhile(
    db: Database, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await upsert_profile_plainly(db, profile(followers=10), [], refreshed=True)

    async def other() -> None:
        await upsert_profile_plainly(db, profile(followers=11), [])

    meanwhile(monkeypatch, other)
    rng = random.Random(1)
    with pytest.raises(NotPlain):
        await upsert_profile_plainly(db, profile(followers=12), [post(n, rng) for n in range(5)], refreshed=True)
    found = await contents(pg)
    assert found["instagram_account"][0]["followers"] == 11
    assert found["instagram_post"] == found["post_log"] == []
    assert len(found["event_outbox"]) == len(found["profile_log"]) == 2


@pytest.mark.parametrize("plainly", [True, False])
async def test_an_account_that_appears_meanwhile_is_judged_by_what_is_stored(
    db: Database, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, *, plainly: bool
) -> None:
    async def other() -> None:
        await upsert_profile_plainly(db, profile(followers=50_000), [])

    meanwhile(monkeypatch, other)
    if plainly:
        with pytest.raises(NotPlain):
            await upsert_profile_plainly(db, profile(followers=50_001), [])
        expected = 50_000
    else:
        async with db.sessions() as session:
            await upsert_profile(session, profile(followers=50_001), [])
        expected = 50_001
    assert await pg.fetchval("select followers from instagram_account") == expected
    assert await pg.fetchval("select count(*) from profile_quarantine") == 0


async def test_events_are_numbered_once_every_row_that_they_tell_of_is_locked(
    db: Database, pg: asyncpg.Connection
) -> None:
    rng = random.Random(5)
    posts = [post(number, rng) for number in range(3)]
    await upsert_profile_plainly(db, profile(followers=10), posts)
    numbered = "select last_value from event_outbox_id_seq"
    before = await pg.fetchval(numbered)
    async with db.sessions.begin() as holder:
        await holder.execute(text("select from instagram_post where shortcode = 'P002' for update"))
        storing = asyncio.create_task(upsert_profile_plainly(db, profile(followers=11), posts))
        while not (storing.done() or await pg.fetchval(SOMEONE_WAITS)):
            await asyncio.sleep(0.01)
        assert await pg.fetchval(numbered) == before
    await storing
    assert await pg.fetchval(numbered) == before + 4


async def test_followers_that_jump_or_are_in_question_go_the_locked_way(db: Database, pg: asyncpg.Connection) -> None:
    await upsert_profile_plainly(db, profile(followers=5000), [])
    with pytest.raises(NotPlain):
        await upsert_profile_plainly(db, profile(followers=500_000), [])
    async with db.sessions() as session:
        await upsert_profile(session, profile(followers=500_000), [])
    with pytest.raises(NotPlain):
        await upsert_profile_plainly(db, profile(followers=5001), [])
    assert await pg.fetchval("select followers from instagram_account") == 5000
    assert await pg.fetchval("select count(*) from event_outbox where routing_key = 'profile_log_events'") == 2


async def test_plain_refreshes_of_one_account_at_once_are_each_whole_or_absent(
    db: Database, pg: asyncpg.Connection
) -> None:
    rng = random.Random(3)

    async def one(number: int) -> bool:
        try:
            await upsert_profile_plainly(db, profile(followers=number), [post(n, rng) for n in range(20)])
        except NotPlain:
            return False
        return True

    written = sum(await asyncio.gather(*map(one, range(12))))
    assert 1 <= written <= 12
    assert await pg.fetchval("select count(*) from profile_log") == written
    assert await pg.fetchval("select count(*) from post_log") == 20 * written
    assert await pg.fetchval("select count(*) from event_outbox") == 21 * written
