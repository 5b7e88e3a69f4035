"""Keys, views and partitions of the schema, as writers and neighbours meet them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest
from sqlalchemy import select, text

from core.assets.statements import VOID
from core.entities import Asset, BeatFlow, InstagramPost, ProfileLogRow, ScrapeRequestLog
from scripts.migrate import migrate
from tests.support.scratch import scratch_database
from utils.db import connect, open_database

COLUMNS_OF = "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped"


@pytest.fixture(scope="module")
async def url(stack_env: dict[str, str]) -> AsyncIterator[str]:
    """A migrated database of its own: partitions made here would outlive a truncation."""
    async with scratch_database(stack_env["PG_URL"]) as scratch:
        await migrate(scratch)
        yield scratch


@pytest.fixture
async def db(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection whose changes are undone."""
    connection = await connect(url, name="schema table tests")
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def _columns(db: asyncpg.Connection, relation: str) -> set[str]:
    return {row["attname"] for row in await db.fetch(COLUMNS_OF, relation)}


async def test_the_simple_post_view_has_all_but_three_columns(db: asyncpg.Connection) -> None:
    hidden = await _columns(db, "instagram_post") - await _columns(db, "instagram_post_simple")
    assert hidden == {"keywords", "story_links", "story_hashtags"}


async def test_the_recent_tasks_view_shows_seven_days(db: asyncpg.Connection) -> None:
    await db.execute(
        "insert into scrape_request_log (flow, platform, params, data, created_at)"
        " select 'f', 'INSTAGRAM', '{}', age, now() - age::interval"
        " from unnest(array['1 hour', '6 days', '8 days']) age"
    )
    shown = await db.fetch(
        "select id, source, platform, data, scraped_at, flow, idempotency_key, status, priority, params, created_at"
        " from recent_scrape_request_log order by id"
    )
    assert [row["data"] for row in shown] == ["1 hour", "6 days"]


async def test_assets_of_one_entity_do_not_overwrite_each_other_and_the_view_shows_the_newest(
    db: asyncpg.Connection,
) -> None:
    upsert = (
        "insert into asset (platform, entity_type, entity_id, asset_type, asset_url, updated_at)"
        " values ('INSTAGRAM', $1, '42', $2, $3, now() + $4)"
        " on conflict (platform, entity_type, entity_id, asset_type) do update set asset_url = excluded.asset_url"
    )
    await db.execute(upsert, "POST", "IMAGE", "post", timedelta(hours=1))
    await db.execute(upsert, "POST", "VIDEO", "video", timedelta(hours=2))
    await db.execute(upsert, "PROFILE", "IMAGE", "old", timedelta(0))
    await db.execute(upsert, "PROFILE", "IMAGE", "picture", timedelta(0))
    assert await db.fetchval("select array_agg(asset_url order by id) from asset") == ["post", "video", "picture"]
    assert [row["asset_url"] for row in await db.fetch("select * from asset_log")] == ["video"]


async def test_the_view_of_assets_leaves_out_those_without_a_url(db: asyncpg.Connection) -> None:
    insert = (
        "insert into asset (platform, entity_type, entity_id, asset_type, asset_url, updated_at)"
        " values ('INSTAGRAM', 'POST', $1, $2, $3, now() + $4)"
    )
    await db.execute(insert, "43", "IMAGE", "older", timedelta(0))
    await db.execute(insert, "43", "VIDEO", "gone", timedelta(hours=1))
    await db.execute(insert, "44", "IMAGE", "gone", timedelta(0))
    await db.execute(insert, "45", "IMAGE", None, timedelta(0))
    for entity, asset_type in (("43", "VIDEO"), ("44", "IMAGE")):
        await db.execute(VOID, entity, "POST", asset_type, "INSTAGRAM", "gone")
    shown = await db.fetch("select entity_id, asset_url from asset_log where entity_id = any(array['43', '44', '45'])")
    assert [tuple(row) for row in shown] == [("43", "older")]


async def test_a_like_seen_again_is_one_row_and_comments_of_one_actor_are_many(db: asyncpg.Connection) -> None:
    upsert = (
        "insert into post_activity_log"
        " (activity_type, platform, platform_post_id, actor_profile_id, comment_id, source)"
        " values ($1, 'INSTAGRAM', 'C1', '7', $2, $3)"
        " on conflict (activity_type, platform, platform_post_id, actor_profile_id, comment_id)"
        " do update set source = excluded.source"
    )
    for activity, comment, source in [
        ("LIKE", None, "first"),
        ("LIKE", None, "second"),
        ("COMMENT", "1", "first"),
        ("COMMENT", "2", "first"),
        ("COMMENT", "2", "second"),
    ]:
        await db.execute(upsert, activity, comment, source)
    rows = await db.fetch("select comment_id, source from post_activity_log order by id")
    assert [tuple(row) for row in rows] == [(None, "second"), ("1", "first"), ("2", "second")]


async def test_a_follower_seen_again_is_one_row(db: asyncpg.Connection) -> None:
    upsert = (
        "insert into profile_relationship_log (relationship_type, platform, source_profile_id, target_profile_id)"
        " values ('FOLLOWS', 'INSTAGRAM', $1, '7')"
        " on conflict (relationship_type, platform, source_profile_id, target_profile_id)"
        " do update set timestamp = now()"
    )
    for follower in ("1", "2", "1"):
        await db.execute(upsert, follower)
    assert await db.fetchval("select count(*) from profile_relationship_log") == 2


async def test_a_handle_is_lower_case_and_may_change_hands(db: asyncpg.Connection) -> None:
    insert = "insert into instagram_account (profile_id, handle, updated_at) values ($1, $2, now() + $3)"
    await db.execute(insert, "1", "mira", timedelta(0))
    await db.execute(insert, "2", "mira", timedelta(hours=1))
    newest = "select profile_id from instagram_account where handle = 'mira' order by updated_at desc limit 1"
    assert await db.fetchval(newest) == "2"
    with pytest.raises(asyncpg.CheckViolationError):
        await db.execute(insert, "3", "Mira", timedelta(0))


async def _partition(db: asyncpg.Connection, moment: datetime) -> str:
    statement = "insert into profile_log (profile_id, platform, timestamp) values ('1', 'INSTAGRAM', $1)"
    partition: str = await db.fetchval(f"{statement} returning tableoid::regclass::text", moment)
    return partition


async def test_a_log_row_goes_to_the_partition_of_its_month_in_utc(db: asyncpg.Connection) -> None:
    now = await db.fetchval("select now()")
    assert await _partition(db, now) == f"profile_log_{now:%Y_%m}"
    next_month = (now.astimezone(UTC).replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0)
    first = next_month.replace(microsecond=0)
    assert await _partition(db, first) == f"profile_log_{first:%Y_%m}"
    assert await _partition(db, first - timedelta(seconds=1)) == f"profile_log_{now:%Y_%m}"


async def test_a_stray_date_is_kept_and_moves_when_its_partition_is_made(db: asyncpg.Connection) -> None:
    await db.execute("set local timezone to 'Asia/Kolkata'")
    now = await db.fetchval("select now()")
    stray = now + timedelta(days=200)
    assert await _partition(db, stray) == "profile_log_default"
    assert await _partition(db, datetime(2001, 1, 1, tzinfo=UTC)) == "profile_log_default"
    made = {row[0] for row in await db.fetch("select make_log_partitions(8)")}
    assert made >= {f"{log}_{stray.astimezone(UTC):%Y_%m}" for log in ("profile_log", "post_log")}
    held = await db.fetch("select tableoid::regclass::text as part from profile_log order by timestamp")
    assert [row["part"] for row in held] == ["profile_log_default", f"profile_log_{stray.astimezone(UTC):%Y_%m}"]
    assert await db.fetch("select make_log_partitions(8)") == []
    indexes = await db.fetchval(
        "select count(*) from pg_index where indrelid = $1::regclass", f"profile_log_{stray.astimezone(UTC):%Y_%m}"
    )
    assert indexes == 2


async def test_two_supervisors_may_make_partitions_at_once(url: str) -> None:
    async def make() -> list[str]:
        connection = await connect(url, name="partition maker")
        try:
            return [row[0] for row in await connection.fetch("select make_log_partitions(5)")]
        finally:
            await connection.close()

    made = await asyncio.gather(make(), make(), make())
    assert sorted(len(names) for names in made) == [0, 0, 4]


async def test_entities_carry_every_kind_of_value_there_and_back(url: str) -> None:
    database = open_database(url)
    unsigned = Decimal(2**64 - 1)
    try:
        async with database.sessions() as session:
            post = InstagramPost(shortcode="C1", story_links=["https://a.example", "b"], profile_er=0.1)
            asset = Asset(entity_id="1", entity_type="POST", platform="INSTAGRAM", asset_type="IMAGE", hash=unsigned)
            flow = BeatFlow(flow="f", retain=timedelta(days=3))
            log = ProfileLogRow(profile_id="1", platform="INSTAGRAM", dimensions=[{"key": "bio", "value": None}])
            task = ScrapeRequestLog(flow="f", platform="INSTAGRAM", params={"a": 1}, result=None)
            session.add_all([post, asset, flow, log, task])
            await session.commit()
        async with database.sessions() as session:
            stored = (await session.scalars(select(InstagramPost))).one()
            assert (stored.story_links, stored.profile_er) == (["https://a.example", "b"], 0.1)
            assert stored.created_at.utcoffset() == timedelta(0)
            assert (await session.scalars(select(Asset.hash))).one() == unsigned
            assert (await session.scalars(select(BeatFlow))).one().retain == timedelta(days=3)
            assert (await session.scalars(select(ProfileLogRow))).one().dimensions == [{"key": "bio", "value": None}]
            queued = (await session.scalars(select(ScrapeRequestLog))).one()
            assert (queued.status, queued.priority, queued.params) == ("PENDING", 1, {"a": 1})
            nulls = await session.scalar(text("select count(*) from scrape_request_log where result is null"))
            assert nulls == 1
    finally:
        await database.dispose()
