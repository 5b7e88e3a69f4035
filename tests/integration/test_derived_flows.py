"""Flows that ask no provider: averages and keywords from what is stored, and tasks queued for others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from core.crawler.errors import NotFound
from core.flows.scraper import BadTask
from core.models.params import KeywordsParams, LimitParams, ProfileIdParams, StaleParams
from core.runtime import FlowContext
from instagram.flows.derived import BATCH, extract_post_keywords, refresh_profile_metrics
from instagram.flows.refresh_profile import refresh_profile_by_profile_id
from instagram.flows.schedules import schedule_profile_refresh, schedule_story_refresh
from instagram.views import PROFILES
from tests.sandbox.credentials import token_owners
from tests.sandbox.expected import ARRAYBOBO, GRAPH, JOTUCKER
from tests.sandbox.universe import OPEN_KINDS, Trait
from tests.support.flow_runtime import flow_context
from tests.support.sandbox import Sandbox
from tests.support.stored import announced, stored_posts

NOW = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
AVERAGES = ("avg_likes", "avg_comments", "avg_engagement", "avg_reach", "avg_reels_plays")


@pytest.fixture
async def ctx(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FlowContext]:
    async with flow_context(sandbox, program_env, monkeypatch, [GRAPH, JOTUCKER, ARRAYBOBO]) as context:
        yield replace(context, started_at=NOW)


async def add_account(pg: asyncpg.Connection, profile_id: str = "1", **values: Any) -> None:
    columns = {"profile_id": profile_id, "handle": f"handle{profile_id}", **values}
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    await pg.execute(f"insert into instagram_account ({', '.join(columns)}) values ({places})", *columns.values())


async def add_post(pg: asyncpg.Connection, shortcode: str, **values: Any) -> None:
    columns = {"shortcode": shortcode, "profile_id": "1", "post_type": "image", "publish_time": NOW, **values}
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    await pg.execute(f"insert into instagram_post ({', '.join(columns)}) values ({places})", *columns.values())


async def tasks(pg: asyncpg.Connection) -> list[dict[str, Any]]:
    rows = await pg.fetch("select * from scrape_request_log order by id")
    return [{**row, "params": json.loads(row["params"])} for row in rows]


async def test_averages_are_those_of_the_newest_posts_without_the_extremes(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    heard = NOW - timedelta(days=3)
    await add_account(pg, followers=1000, updated_at=heard, refreshed_at=heard)
    for number, likes in enumerate((1, 2, 100, 200, 900)):
        await add_post(pg, f"p{number}", likes=likes, comments=10, reach=likes * 3)
    await add_post(pg, "reel", post_type="reels", likes=300, comments=40, plays=5000, reach=8000)
    await add_post(pg, "no plays", post_type="reels", likes=10**6, comments=1, plays=None)
    await add_post(pg, "story", post_type="story", likes=10**6)
    await add_post(pg, "other", profile_id="2", likes=10**6)
    await add_post(pg, "unknown", post_type=None, likes=10**6)
    result = await refresh_profile_metrics(ProfileIdParams(profile_id="1"), ctx)
    # Of 1, 2, 100, 200, 300 and 900 likes the two highest and the two lowest are dropped.
    wanted = {
        "avg_likes": 150.0,
        "avg_comments": 10.0,
        "avg_engagement": 16.0,  # 100 * (300 + 20) / (1000 * 2)
        "avg_reach": 450.0,
        "avg_reels_plays": 5000.0,
    }
    assert result == {"profile_id": "1", **wanted}
    row = await pg.fetchrow("select * from instagram_account")
    assert row is not None
    assert {key: row[key] for key in AVERAGES} == wanted
    assert (row["avg_impressions"], row["updated_at"], row["refreshed_at"]) == (None, heard, heard)
    assert await announced(pg) == []
    assert (await sandbox.stats())["total"] == 0


async def test_averages_that_nothing_supports_any_more_are_taken_back(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    await add_account(pg, followers=1000, avg_likes=5.0, avg_reels_plays=7.0)
    await add_post(pg, "p", likes=9)
    result = await refresh_profile_metrics(ProfileIdParams(profile_id="1"), ctx)
    assert (result["avg_likes"], result["avg_reels_plays"]) == (9.0, None)
    await pg.execute("update instagram_account set followers = null")
    await refresh_profile_metrics(ProfileIdParams(profile_id="1"), ctx)
    assert [await pg.fetchval(f"select {name} from instagram_account") for name in AVERAGES] == [None] * len(AVERAGES)


async def test_an_account_that_is_not_stored_has_no_averages(ctx: FlowContext) -> None:
    with pytest.raises(NotFound, match="no account with profile_id 404 is stored"):
        await refresh_profile_metrics(ProfileIdParams(profile_id="404"), ctx)


async def test_a_refresh_writes_the_averages_that_the_api_shows(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    creators = map(sandbox.universe.creator, range(100))
    who = next(one for one in creators if one.kind in OPEN_KINDS and one.trait is Trait.MANY_REELS)
    present = replace(ctx, started_at=datetime.fromtimestamp(sandbox.universe.now, UTC))
    await refresh_profile_by_profile_id(ProfileIdParams(profile_id=str(who.pk)), present)
    row = await pg.fetchrow("select * from instagram_account")
    assert row is not None
    shown = (await PROFILES.show(ctx.runtime.database, str(who.pk), full=True)).post_metrics
    names = ("avg_likes", "avg_comments", "avg_engagement")
    assert {name: row[name] for name in names} == {name: shown["all"][name] for name in names}
    assert row["avg_reels_plays"] == shown["reels"]["avg_plays"] > 0
    before = {name: row[name] for name in AVERAGES}
    again = await refresh_profile_metrics(ProfileIdParams(profile_id=str(who.pk)), ctx)
    assert {name: again[name] for name in AVERAGES} == before


async def test_keywords_are_added_where_a_caption_has_none_yet(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    await add_post(pg, "new", caption="Lemon risotto with saffron", handle="me", likes=5)
    await add_post(pg, "empty", caption="Slow bread", keywords="")
    await add_post(pg, "done", caption="Lemon risotto", keywords="['kept']")
    await add_post(pg, "silent", caption=None)
    await add_post(pg, "emoji", caption="😍😍")
    await add_post(pg, "not asked", caption="Lemon risotto")
    names = ["new", "empty", "done", "silent", "emoji", "unknown", "new"]
    assert await extract_post_keywords(KeywordsParams(shortcodes=names), ctx) == {"posts": 6, "extracted": 2}
    rows = await stored_posts(pg)
    assert "'risotto'" in rows["new"]["keywords"].lower()
    assert "'bread'" in rows["empty"]["keywords"].lower()
    assert (rows["done"]["keywords"], rows["not asked"]["keywords"], rows["emoji"]["keywords"]) == (
        "['kept']",
        None,
        None,
    )
    assert (rows["new"]["likes"], rows["new"]["caption"]) == (5, "Lemon risotto with saffron")
    events = {event["shortcode"]: event for event in await announced(pg)}
    assert events.keys() == {"new", "empty"}
    said = events["new"]
    assert (said["source"], said["profile_id"], said["handle"]) == ("beat", "1", "me")
    assert (said["publish_time"], said["metrics"]) == ("2024-05-01 12:30:00", {})
    assert said["dimensions"]["keywords"] == rows["new"]["keywords"]
    assert (await sandbox.stats())["total"] == 0


async def test_many_posts_get_keywords_batch_by_batch(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    names = [f"p{number}" for number in range(BATCH + 5)]
    await pg.execute(
        "insert into instagram_post (shortcode, profile_id, caption) "
        "select name, '1', 'Lemon risotto' from unnest($1::text[]) name",
        names,
    )
    result = await extract_post_keywords(KeywordsParams(shortcodes=names), ctx)
    assert result == {"posts": BATCH + 5, "extracted": BATCH + 5}
    assert await pg.fetchval("select count(*) from instagram_post where keywords is null") == 0
    assert await extract_post_keywords(KeywordsParams(shortcodes=names), ctx) == {"posts": BATCH + 5, "extracted": 0}


async def test_keywords_of_a_platform_without_captions_are_refused_by_name(ctx: FlowContext) -> None:
    with pytest.raises(BadTask, match=r"params\.platform"):
        await extract_post_keywords(KeywordsParams(shortcodes=["a"], platform="SHOPIFY"), ctx)
    written_small = KeywordsParams(shortcodes=["a"], platform="instagram")
    assert await extract_post_keywords(written_small, ctx) == {"posts": 1, "extracted": 0}


async def test_stale_accounts_get_one_refresh_a_day_the_stalest_first(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    await add_account(pg, "1", refreshed_at=NOW - timedelta(days=8))
    await add_account(pg, "2", refreshed_at=NOW - timedelta(days=6))
    await add_account(pg, "3", refreshed_at=None)
    await add_account(pg, "4", refreshed_at=NOW - timedelta(days=30))
    await add_account(pg, "5", handle=None)
    await add_account(pg, "6", handle="handle2", refreshed_at=None, updated_at=NOW - timedelta(days=400))
    assert await schedule_profile_refresh(StaleParams(limit=2), ctx) == {"stale": 2, "queued": 2}
    assert await schedule_profile_refresh(StaleParams(), ctx) == {"stale": 1, "queued": 1}
    assert await schedule_profile_refresh(StaleParams(), ctx) == {"stale": 0, "queued": 0}
    rows = await tasks(pg)
    assert [row["params"] for row in rows] == [{"handle": "handle3"}, {"handle": "handle4"}, {"handle": "handle1"}]
    assert {(row["flow"], row["platform"], row["status"], row["priority"]) for row in rows} == {
        ("refresh_profile_by_handle", "INSTAGRAM", "PENDING", 1)
    }
    assert rows[0]["idempotency_key"] == "refresh_profile_by_handle:2024-05-01:handle3"
    assert {row["expires_at"] for row in rows} == {NOW + timedelta(days=1)}
    events = await announced(pg, "scrape_request_log_events")
    assert [event["scl_id"] for event in events] == [str(row["id"]) for row in rows]
    tomorrow = replace(ctx, started_at=NOW + timedelta(days=1))
    assert (await schedule_profile_refresh(StaleParams(stale_days=100), tomorrow))["queued"] == 1


async def test_accounts_without_a_handle_of_their_own_are_not_stale(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    seen = NOW - timedelta(days=1)
    await add_account(pg, "1", refreshed_at=NOW - timedelta(days=7))
    await add_account(pg, "2", handle="")
    await add_account(pg, "3", handle="shared", updated_at=seen)
    await add_account(pg, "4", handle="shared", updated_at=seen)
    assert await schedule_profile_refresh(StaleParams(stale_days=7), ctx) == {"stale": 1, "queued": 1}
    assert [row["params"] for row in await tasks(pg)] == [{"handle": "shared"}]
    just_over = replace(ctx, started_at=NOW + timedelta(seconds=1))
    assert await schedule_profile_refresh(StaleParams(stale_days=7), just_over) == {"stale": 1, "queued": 1}


async def test_an_account_that_was_refreshed_is_not_stale_any_more(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = next(one for one in map(sandbox.universe.creator, range(100)) if one.kind in OPEN_KINDS)
    await add_account(pg, str(who.pk), handle=who.handle)
    present = replace(ctx, started_at=datetime.now(UTC))
    await refresh_profile_by_profile_id(ProfileIdParams(profile_id=str(who.pk)), present)
    assert await schedule_profile_refresh(StaleParams(stale_days=1), present) == {"stale": 0, "queued": 0}


async def test_connected_accounts_get_one_look_at_their_stories_an_hour(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    handles = sorted(owner.handle for owner in token_owners(sandbox.universe))
    await pg.execute("update credential set enabled = false where handle = $1", handles[0])
    await pg.execute("update credential set data_access_expired = true where handle = $1", handles[1])
    assert await schedule_story_refresh(LimitParams(limit=1), ctx) == {"accounts": 2, "queued": 1}
    assert await schedule_story_refresh(LimitParams(limit=1), ctx) == {"accounts": 2, "queued": 1}
    assert await schedule_story_refresh(LimitParams(), ctx) == {"accounts": 2, "queued": 0}
    rows = await tasks(pg)
    assert [row["params"]["handle"] for row in rows] == handles[2:]
    assert {(row["flow"], row["expires_at"]) for row in rows} == {("refresh_stories_posts", NOW + timedelta(hours=2))}
    later = replace(ctx, started_at=NOW + timedelta(hours=1))
    assert (await schedule_story_refresh(LimitParams(), later))["queued"] == 2


async def test_accounts_that_have_their_look_do_not_count_towards_the_limit(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    handles = sorted(owner.handle for owner in token_owners(sandbox.universe))
    await schedule_story_refresh(LimitParams(limit=1), ctx)
    assert await schedule_story_refresh(LimitParams(limit=2), ctx) == {"accounts": 4, "queued": 2}
    assert [row["params"]["handle"] for row in await tasks(pg)] == handles[:3]
