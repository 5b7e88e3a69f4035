"""Storing a refresh: rows, audit trail and events in one transaction, on a real PostgreSQL behind its pooler."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from core.enums import Platform
from core.models.logs import PostLog, ProfileLog
from instagram.tasks.ingestion import complete_post, complete_posts, complete_profile, merge_posts
from instagram.tasks.processing import NotPlain, upsert_posts, upsert_profile, upsert_profile_plainly
from tests.support.instagram import ARRAYBOBO, GRAPH, JOTUCKER, OWNER, read, recorded
from utils.db import Database, open_database

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ACCOUNT_METRICS = ("followers", "following", "media_count")
POST_DIMENSIONS = (
    "caption", "post_id", "media_pk", "post_type", "handle", "profile_id", "taken_at_timestamp", "story_links",
    "story_hashtags", "keywords",
)  # fmt: skip


@dataclass
class Store:
    """A database, and whether refreshes go the plain way first, as they do, or the locked one at once."""

    database: Database
    plainly: bool

    @property
    def sessions(self) -> async_sessionmaker[AsyncSession]:
        return self.database.sessions


@pytest.fixture(params=["plain", "locked"])
async def db(clean_db: str, pgbouncer_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    opened = open_database(pgbouncer_url, pool_size=5, max_overflow=5)
    yield Store(opened, request.param == "plain")
    await opened.dispose()


def profile(profile_id: str = "1", handle: str = "me", source: str = GRAPH, **values: Any) -> ProfileLog:
    metrics = {key: values.pop(key) for key in ACCOUNT_METRICS if key in values}
    return ProfileLog(
        Platform.INSTAGRAM, profile_id, source, NOON, {"profile_id": profile_id, "handle": handle, **values}, metrics
    )


def post(shortcode: str = "A", owner: str | None = "1", source: str = GRAPH, **values: Any) -> PostLog:
    dimensions = {key: values.pop(key) for key in POST_DIMENSIONS if key in values}
    return PostLog(Platform.INSTAGRAM, shortcode, owner, source, NOON, dimensions, values)


async def store(db: Store, log: ProfileLog, posts: list[PostLog], *, refreshed: bool = False) -> None:
    if db.plainly:
        with suppress(NotPlain):
            await upsert_profile_plainly(db.database, log, posts, refreshed=refreshed)
            return
    async with db.sessions() as session:
        await upsert_profile(session, log, posts, refreshed=refreshed)


async def account(pg: asyncpg.Connection, profile_id: str = "1") -> dict[str, Any]:
    row = await pg.fetchrow("select * from instagram_account where profile_id = $1", profile_id)
    assert row is not None
    return dict(row)


async def stored(pg: asyncpg.Connection, shortcode: str = "A") -> dict[str, Any]:
    row = await pg.fetchrow("select * from instagram_post where shortcode = $1", shortcode)
    assert row is not None
    return dict(row)


async def events(pg: asyncpg.Connection) -> list[tuple[str, dict[str, Any]]]:
    rows = await pg.fetch("select routing_key, payload from event_outbox order by id")
    return [(row["routing_key"], json.loads(row["payload"])) for row in rows]


async def counts(pg: asyncpg.Connection) -> tuple[int, ...]:
    tables = ("instagram_account", "instagram_post", "profile_log", "post_log", "handle_history", "event_outbox")
    return tuple([await pg.fetchval(f"select count(*) from {table}") for table in tables])


async def test_a_recorded_profile_and_its_posts_are_stored_column_by_column(db: Store, pg: asyncpg.Connection) -> None:
    log = complete_profile(read(JOTUCKER, "fetch_profile_by_id", **OWNER).profile)
    found = [
        *recorded(GRAPH, "fetch_profile_by_handle").parse(recorded(GRAPH, "fetch_profile_posts_by_handle").body).posts,
        *read(JOTUCKER, "fetch_profile_posts_by_id", **OWNER).posts,
        *read(ARRAYBOBO, "fetch_reels_posts", **OWNER).posts,
    ]
    await store(db, log, complete_posts(merge_posts(found), log), refreshed=True)

    row = await account(pg, "5820113374")
    wanted = {
        "handle": "aurora.kitchen", "full_name": "Aurora Kitchen", "profile_type": "business", "followers": 1284533,
        "following": 431, "media_count": 1892, "category": "Kitchen/cooking", "category_id": "200600219953504",
        "fbid": "17841405820113374", "is_business_or_creator": True, "is_private": False, "is_verified": True,
        "avg_impressions": None, "is_creator": None,
    }  # fmt: skip
    assert {key: row[key] for key in wanted} == wanted
    assert row["biography"].startswith("Slow food")
    assert row["refreshed_at"] == row["updated_at"] == row["created_at"]
    assert await pg.fetchval("select count(*) from instagram_post") == 5

    reel = await stored(pg, "CnOAG9Tl0uH")
    wanted = {
        "profile_id": "5820113374", "handle": "aurora.kitchen", "post_type": "reels", "likes": 84211, "comments": 1203,
        "plays": 2310456, "views": 812334, "post_id": "17553129753546184", "media_pk": "3012345678901234567",
        "publish_time": datetime(2023, 1, 27, 10, 0, tzinfo=UTC), "reach": None, "saved": None,
    }  # fmt: skip
    assert {key: reel[key] for key in wanted} == wanted
    assert "'risotto'" in reel["keywords"]
    assert (await stored(pg, "Cm-9TgUDRHL"))["plays"] is None


async def test_one_event_and_one_audit_row_per_entity(db: Store, pg: asyncpg.Connection) -> None:
    await store(db, profile(followers=5), [post("b"), post("A"), post("c")])
    assert await counts(pg) == (1, 3, 1, 3, 1, 4)
    found = await events(pg)
    assert [key for key, _ in found] == ["profile_log_events"] + ["post_log_events"] * 3
    assert [payload.get("shortcode") for _, payload in found] == [None, "A", "b", "c"]
    assert found[0][1]["metrics"] == {"followers": 5}
    [audit] = await pg.fetch("select profile_id, platform, source, timestamp, dimensions, metrics from profile_log")
    assert tuple(audit)[:4] == ("1", "INSTAGRAM", GRAPH, NOON)
    assert json.loads(audit["metrics"]) == [{"key": "followers", "value": 5}]


async def test_a_second_run_changes_no_row_but_its_times(db: Store, pg: asyncpg.Connection) -> None:
    log, posts = profile(followers=5, bio="b"), [post("A", likes=1), post("B", likes=2)]
    await store(db, log, posts, refreshed=True)
    before = [await account(pg), await stored(pg, "A"), await stored(pg, "B")]
    await store(db, log, posts, refreshed=True)
    after = [await account(pg), await stored(pg, "A"), await stored(pg, "B")]
    for old, new in zip(before, after, strict=True):
        assert new["updated_at"] > old["updated_at"]
        times = ("updated_at", "refreshed_at")
        assert {k: v for k, v in new.items() if k not in times} == {k: v for k, v in old.items() if k not in times}
    assert await counts(pg) == (1, 2, 2, 4, 1, 6)
    assert await pg.fetchval("select last_seen > first_seen from handle_history")


async def test_averages_rest_on_the_followers_and_the_owner_that_were_known_before(
    db: Store, pg: asyncpg.Connection
) -> None:
    await store(db, profile(followers=10), [post(post_type="image", likes=1)])
    await store(db, profile(), [post(owner=None, likes=5)], refreshed=True)
    row = await account(pg)
    assert (row["avg_likes"], row["avg_engagement"]) == (5, 50)


async def test_averages_that_are_no_longer_known_are_emptied(db: Store, pg: asyncpg.Connection) -> None:
    await store(db, profile(followers=10), [post(post_type="image", likes=5)], refreshed=True)
    assert (await account(pg))["avg_likes"] == 5
    await store(db, profile(followers=0), [], refreshed=True)
    assert (await account(pg))["avg_likes"] is None


async def test_null_never_overwrites_and_empty_text_clears_name_and_biography(
    db: Store, pg: asyncpg.Connection
) -> None:
    await store(
        db,
        profile(full_name="Me", bio="old", category="Chef", followers=5, following=6),
        [post("A", likes=7, caption="old", comments=3)],
    )
    await store(db, profile(full_name="", bio="", category="", followers=0), [post("A", caption="", comments=0)])
    row = await account(pg)
    assert (row["full_name"], row["biography"], row["category"]) == ("", "", "Chef")
    assert (row["followers"], row["following"]) == (0, 6)
    kept = await stored(pg)
    assert (kept["likes"], kept["caption"], kept["comments"]) == (7, "old", 0)


async def test_a_basic_refresh_leaves_refreshed_at_alone(db: Store, pg: asyncpg.Connection) -> None:
    await store(db, profile(), [])
    assert (await account(pg))["refreshed_at"] is None
    await store(db, profile(), [], refreshed=True)
    first = (await account(pg))["refreshed_at"]
    await store(db, profile(), [])
    assert (await account(pg))["refreshed_at"] == first is not None


async def test_a_renamed_account_keeps_its_row_and_both_handles_are_remembered(
    db: Store, pg: asyncpg.Connection
) -> None:
    await store(db, profile("1", "Old.Name"), [])
    await store(db, profile("1", "new.name"), [])
    await store(db, profile("2", "old.name"), [])
    assert (await account(pg))["handle"] == "new.name"
    history = await pg.fetch("select handle, profile_id from handle_history order by handle, profile_id")
    assert [tuple(row) for row in history] == [("new.name", "1"), ("old.name", "1"), ("old.name", "2")]


async def test_a_collaboration_is_stored_under_its_owner_and_names_the_account(
    db: Store, pg: asyncpg.Connection
) -> None:
    log = profile()
    posts = complete_posts([post("A", owner="9", profile_id="9", handle="partner")], log)
    await store(db, log, posts)
    assert (await stored(pg))["profile_id"] == "9"
    event = (await events(pg))[1][1]
    assert (event["profile_id"], event["handle"]) == ("9", "partner")
    assert event["dimensions"]["collab_profile_id"] == "1"


async def test_the_first_follower_figures_of_a_post_stay(db: Store, pg: asyncpg.Connection) -> None:
    await store(db, profile(), [post(profile_follower=10, likes=1)])
    await store(db, profile(), [post(profile_follower=99, profile_er=1.5, likes=2)])
    row = await stored(pg)
    assert (row["profile_follower"], row["profile_er"], row["likes"]) == (10, 1.5, 2)


@pytest.mark.parametrize(
    ("writes", "post_id"),
    [
        ([{"media_pk": "3"}], None),
        ([{"post_id": "17", "media_pk": "3"}], "17"),
        ([{"post_id": "17"}, {"media_pk": "3"}], "17"),
        ([{"post_id": "17"}, {"post_id": "3", "media_pk": "3"}], "17"),
        ([{"post_id": "3", "media_pk": "3"}, {"post_id": "17"}], "17"),
        ([{"post_id": "3", "media_pk": "3"}], "3"),
        ([{"post_id": "17"}, {"likes": 4}], "17"),
    ],
)
async def test_a_media_pk_never_takes_the_place_of_a_graph_id(
    db: Store, pg: asyncpg.Connection, writes: list[dict[str, Any]], post_id: str | None
) -> None:
    for values in writes:
        await store(db, profile(), [post(**values)])
    assert (await stored(pg))["post_id"] == post_id


async def test_lists_of_text_reach_their_columns(db: Store, pg: asyncpg.Connection) -> None:
    await store(db, profile(), [post(story_links=["https://a.example", 'b"{,}'], story_hashtags=[])])
    row = await stored(pg)
    assert (row["story_links"], row["story_hashtags"]) == (["https://a.example", 'b"{,}'], [])


async def test_sixty_posts_with_text_of_every_kind_are_stored(db: Store, pg: asyncpg.Connection) -> None:
    odd = "quote ' \" \\ :name %s {x} \x00 \ud800 \u2028 दिल्ली 🍋\n\t"
    posts = [complete_post(post(f"P{n:03}", caption=f"{n} {odd}", likes=n)) for n in range(60)]
    await store(db, complete_profile(profile(bio=odd)), posts)
    assert await counts(pg) == (1, 60, 1, 60, 1, 61)
    clean = odd.replace("\x00", "").replace("\ud800", "\ufffd")
    assert (await stored(pg, "P059"))["caption"] == f"59 {clean}"
    assert (await account(pg))["biography"] == clean


async def test_a_single_post_without_an_owner_is_announced_with_the_owner_its_row_knows(
    db: Store, pg: asyncpg.Connection
) -> None:
    await store(db, profile("5", "cook"), [post("A", owner="5")])
    async with db.sessions() as session:
        posts = [post("A", None, likes=3), post("B", None, handle="Cook"), post("C", None)]
        await upsert_posts(session, posts)
    found = {payload["shortcode"]: payload for _, payload in (await events(pg))[2:]}
    assert {shortcode: payload["profile_id"] for shortcode, payload in found.items()} == {"A": "5", "B": "5", "C": None}
    assert (await stored(pg))["profile_id"] == "5"


async def test_posts_that_come_with_an_account_are_announced_with_the_owner_of_their_row_or_their_handle(
    db: Store, pg: asyncpg.Connection
) -> None:
    await store(db, profile("5", "cook"), [post("A", owner="5")])
    await store(db, profile("1", "me"), [post("A", None), post("B", None, handle="Me"), post("C", "7", handle="me")])
    found = {payload["shortcode"]: payload for _, payload in (await events(pg))[3:]}
    assert {shortcode: payload["profile_id"] for shortcode, payload in found.items()} == {"A": "5", "B": "1", "C": "7"}
    assert [found[shortcode]["dimensions"]["profile_id"] for shortcode in "AB"] == ["5", "1"]


async def test_a_failure_leaves_nothing_behind(db: Store, pg: asyncpg.Connection) -> None:
    await store(db, profile(followers=1), [])
    before = await counts(pg)
    broken = post("B")
    broken.metrics["likes"] = "not a number"
    with pytest.raises(Exception, match="bigint"):
        await store(db, profile(followers=2), [post("A"), broken])
    assert await counts(pg) == before
    assert (await account(pg))["followers"] == 1


async def test_refreshes_of_one_account_at_once_end_in_one_row_each(db: Store, pg: asyncpg.Connection) -> None:
    async def refresh(number: int) -> None:
        posts = [post(f"P{n:02}", likes=number) for n in range(30)]
        await store(db, profile(followers=number), posts[::-1] if number % 2 else posts)

    await asyncio.gather(*map(refresh, range(12)))
    assert await counts(pg) == (1, 30, 12, 360, 1, 12 * 31)
    last = (await account(pg))["followers"]
    order = [payload["metrics"].get("followers") for key, payload in await events(pg) if key == "profile_log_events"]
    assert order[-1] == last
    assert sorted(order) == list(range(12))
    likes = {row["likes"] for row in await pg.fetch("select likes from instagram_post")}
    assert likes == {last}


async def test_accounts_that_share_posts_never_wait_in_a_circle(db: Store, pg: asyncpg.Connection) -> None:
    async def refresh(number: int) -> None:
        shared = [post(f"S{(n * 7 + number) % 40:02}", owner=None) for n in range(40)]
        log = profile(str(number), f"h{number}")
        await store(db, log, complete_posts(shared, log))

    await asyncio.gather(*map(refresh, range(10)))
    assert (await counts(pg))[:2] == (10, 40)
