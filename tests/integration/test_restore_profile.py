"""An account's row rebuilt from its audit trail, by the operator's command."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from core.enums import Platform
from core.models.logs import ProfileLog
from instagram.tasks.processing import upsert_profile
from tests.support.beatctl import Run, runner
from utils.db import Database, open_database

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
COUNTS = {"followers": 900, "following": 12, "media_count": 34}


@pytest.fixture
async def db(clean_db: str, pgbouncer_url: str) -> AsyncIterator[Database]:
    opened = open_database(pgbouncer_url)
    yield opened
    await opened.dispose()


@pytest.fixture
def restore(program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(program_env, monkeypatch, capsys, "restore-profile")


async def say(db: Database, hours: int, followers: int, **dimensions: Any) -> None:
    """A refresh ``hours`` after noon."""
    moment = NOON + hours * HOUR
    log = ProfileLog(Platform.INSTAGRAM, "1", "graphapi", moment, dimensions, {"followers": followers})
    async with db.sessions() as session:
        await upsert_profile(session, log, [])


async def account(pg: asyncpg.Connection) -> dict[str, Any]:
    row = await pg.fetchrow(
        "select handle, full_name, biography, category, followers, following, is_verified, updated_at"
        " from instagram_account"
    )
    assert row is not None
    return dict(row)


async def counts(pg: asyncpg.Connection) -> tuple[int, int]:
    return (
        await pg.fetchval("select count(*) from profile_log"),
        await pg.fetchval("select count(*) from event_outbox"),
    )


async def test_the_row_is_as_it_was_and_neighbours_hear_of_it(
    db: Database, pg: asyncpg.Connection, restore: Run
) -> None:
    await say(db, 0, 900, handle="Me", full_name="I", bio="cook", category="Food", is_verified=False)
    await say(db, 1, 910, handle="me", bio="", category="")
    await say(db, 5, 77, handle="hijacked", full_name="Not I", bio="buy now", category_id="99")
    await pg.execute("update instagram_account set following = 12")
    code, out, err = await restore("instagram", "1", "--at", "2024-05-01T13:00Z")
    assert (code, err) == (0, "")
    assert [word in out for word in ("hijacked", "buy now", "is restored to 2024-05-01T13:00:00+00:00")] == [True] * 3
    assert await account(pg) == {
        "handle": "me", "full_name": "I", "biography": "", "category": "Food", "followers": 910,
        "following": 12, "is_verified": False, "updated_at": NOON + HOUR,
    }  # fmt: skip
    assert await pg.fetchval("select category_id is null from instagram_account")
    row = await pg.fetchrow("select routing_key, payload from event_outbox order by id desc limit 1")
    assert row is not None
    event = json.loads(row["payload"])
    assert (row["routing_key"], event["source"], event["handle"]) == ("profile_log_events", "beatctl", "me")
    assert event["metrics"] == {"followers": 910}
    assert "category_id" not in event["dimensions"]


async def test_what_is_emptied_was_heard_of_last_or_is_another_accounts_stays_apart(
    db: Database, pg: asyncpg.Connection, restore: Run
) -> None:
    await say(db, 0, 900, handle="me", full_name="I", bio="cook")
    await say(db, 0, 905, full_name="")  # at the same moment, and later in the trail
    await pg.execute(
        "insert into profile_log (platform, profile_id, source, timestamp, dimensions, metrics) values"
        " ('YOUTUBE', '1', 's', $1, '[{\"key\": \"bio\", \"value\": \"videos\"}]', '[]'),"
        " ('INSTAGRAM', '2', 's', $1, '[{\"key\": \"bio\", \"value\": \"another\"}]', '[]')",
        NOON,
    )
    await say(db, 5, 77, handle="hijacked", full_name="Not I", bio="buy now")
    assert (await restore("INSTAGRAM", "1", "--at", "2024-05-01T12:00Z"))[0] == 0
    row = await account(pg)
    assert (row["full_name"], row["biography"], row["followers"]) == ("", "cook", 905)


async def test_every_count_is_restored_and_told_as_a_number_with_the_averages_that_follow_from_it(
    db: Database, pg: asyncpg.Connection, restore: Run
) -> None:
    log = ProfileLog(Platform.INSTAGRAM, "1", "graphapi", NOON, {"handle": "me"}, COUNTS)
    async with db.sessions() as session:
        await upsert_profile(session, log, [])
    await say(db, 5, 10)
    await pg.execute(
        "insert into instagram_post (shortcode, profile_id, post_type, likes) values ('A', '1', 'image', 90)"
    )
    await restore("INSTAGRAM", "1", "--at", "2024-05-01T12:00Z")
    row = await pg.fetchrow("select followers, following, media_count, avg_engagement from instagram_account")
    assert row is not None
    assert tuple(row) == (900, 12, 34, 10.0)
    event = json.loads(await pg.fetchval("select payload from event_outbox order by id desc limit 1"))
    assert event["metrics"] == COUNTS
    said = await pg.fetchval("select metrics from profile_log where source = 'beatctl'")
    assert {one["key"]: one["value"] for one in json.loads(said)} == COUNTS


async def test_a_second_run_changes_nothing(db: Database, pg: asyncpg.Connection, restore: Run) -> None:
    await say(db, 0, 900, handle="me", bio="cook")
    await say(db, 5, 901, handle="me", bio="buy now", full_name="Not I")
    await restore("INSTAGRAM", "1", "--at", "2024-05-01T12:00")
    before, rows = await account(pg), await counts(pg)
    code, out, _ = await restore("INSTAGRAM", "1", "--at", "2024-05-01T12:00")
    assert (code, "is already as it was" in out) == (0, True)
    assert (await account(pg), await counts(pg)) == (before, rows)


async def test_a_restoration_is_itself_in_the_audit_trail(db: Database, pg: asyncpg.Connection, restore: Run) -> None:
    await say(db, 0, 900, handle="me", bio="cook")
    await say(db, 5, 901, handle="me", bio="buy now", full_name="Not I")
    await restore("INSTAGRAM", "1", "--at", "2024-05-01T12:00")
    await pg.execute("delete from instagram_account")
    assert (await restore("INSTAGRAM", "1", "--at", "2999-01-01"))[0] == 0
    row = await account(pg)
    assert (row["biography"], row["full_name"], row["followers"]) == ("cook", None, 900)


async def test_a_dry_run_shows_and_changes_nothing(db: Database, pg: asyncpg.Connection, restore: Run) -> None:
    await say(db, 0, 900, handle="me")
    await say(db, 5, 901, handle="me")
    before, rows = await account(pg), await counts(pg)
    code, out, _ = await restore("INSTAGRAM", "1", "--at", "2024-05-01T12:00", "--dry-run")
    assert (code, "would be restored" in out, "900" in out) == (0, True, True)
    assert (await account(pg), await counts(pg)) == (before, rows)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("INSTAGRAM", "1", "--at", "2024-05-01T11:59Z"), 1, "begins at 2024-05-01T12:00:00+00:00"),
        (("INSTAGRAM", "2", "--at", "2024-05-01T12:00Z"), 1, "has nothing about 2"),
        (("INSTAGRAM", "1", "--at", "yesterday"), 2, "'yesterday' is no time"),
        (("INSTAGRAM", "1", "--at", "0001-01-01T00:00+14:00"), 2, "'0001-01-01T00:00+14:00' is no time"),
        (("INSTAGRAM", "1"), 2, "--at"),
        (("SHOPIFY", "1", "--at", "2024-05-01"), 2, "invalid choice"),
    ],
)
async def test_what_cannot_be_restored_is_one_clear_line(
    db: Database, pg: asyncpg.Connection, restore: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    await say(db, 0, 900, handle="me")
    await say(db, 1, 901)
    await pg.execute(
        "insert into profile_log (platform, profile_id, source, timestamp, dimensions, metrics)"
        " values ('YOUTUBE', '1', 's', $1, '[{\"key\": \"handle\", \"value\": \"me\"}]', '[]')",
        NOON - HOUR,
    )
    before, rows = await account(pg), await counts(pg)
    ran = await restore(*arguments)
    assert (ran[0], said in ran[2]) == (code, True)
    assert (await account(pg), await counts(pg)) == (before, rows)
