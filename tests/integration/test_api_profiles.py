"""Profiles by handle: real database and Redis, providers simulated by the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx2
import pytest
from redis import Redis
from sqlalchemy import Engine, event

from config import Settings
from core.api import upstream
from tests.sandbox.universe import Creator, Kind, Trait
from tests.support.api import running_api, with_settings
from tests.support.redis import flush
from tests.support.sandbox import Sandbox
from utils.rate_limit import redis_key
from utils.statement_pool import StatementPool

LIMITED = {"type": "ERROR", "code": 2, "message": "Concurrency Limit Exceeded"}
SOURCES = ("graphapi", "rapidapi-arraybobo", "rapidapi-jotucker")
BLOCKS = {
    "static": {"avg_engagement", "avg_likes", "avg_comments", "avg_reach"},
    "reels": {"avg_engagement", "avg_likes", "avg_comments", "avg_reach", "avg_plays"},
    "story": {"avg_reach"},
    "all": {"avg_engagement", "avg_likes", "avg_comments"},
}


@asynccontextmanager
async def with_sources(settings: Settings, sandbox: Sandbox) -> AsyncIterator[httpx2.AsyncClient]:
    """An API that calls the sandbox, with one credential of each of three sources."""
    values = {"provider_sandbox_url": sandbox.url, "page_pause_factor": 0.0}
    async with running_api(with_settings(settings, "providers", **values)) as client:
        for each in (sandbox.credentials[source][0] for source in SOURCES):
            body = {"source": each.source, "credentials": each.credentials, "handle": each.handle}
            assert (await client.post("/tokens", json=body)).status_code == 200
        yield client


@pytest.fixture
async def api(settings: Settings, sandbox: Sandbox) -> AsyncIterator[httpx2.AsyncClient]:
    async with with_sources(settings, sandbox) as client:
        yield client


@pytest.fixture
async def strict_api(settings: Settings, sandbox: Sandbox) -> AsyncIterator[httpx2.AsyncClient]:
    async with with_sources(with_settings(settings, "api", http_status_mode="strict"), sandbox) as client:
        yield client


def some(sandbox: Sandbox, kind: Kind, number: int = 0) -> Creator:
    """A creator of that kind with posts and nothing odd about them."""
    universe = sandbox.universe
    fitting = (c for i in range(universe.size) if (c := universe.creator(i)).kind is kind and c.trait is Trait.PLAIN)
    return [creator for _, creator in zip(range(number + 1), fitting, strict=False)][number]


def path(handle: str, platform: str = "instagram") -> str:
    return f"/profiles/{platform}/byhandle/{handle}"


async def asked(sandbox: Sandbox) -> int:
    """Requests that reached the providers."""
    return int((await sandbox.stats())["total"])


async def grow_old(pg: asyncpg.Connection, interval: str = "25 hours") -> None:
    await pg.execute("update instagram_account set updated_at = now() - $1::text::interval", interval)


async def put_account(pg: asyncpg.Connection, profile_id: str, handle: str, **columns: Any) -> None:
    await pg.execute(
        "insert into instagram_account (profile_id, handle, followers, updated_at)"
        " values ($1, $2, $3, now() - $4::text::interval)",
        profile_id,
        handle,
        columns.get("followers", 1000),
        columns.get("age", "0 s"),
    )


async def test_an_unknown_handle_is_fetched_stored_and_answered(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    creator = some(sandbox, Kind.BUSINESS)
    answer = await api.get(path(creator.handle))
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"status", "profile"}
    assert answer.json()["status"] == {"type": "SUCCESS", "message": "Profile Retrieved"}
    profile = answer.json()["profile"]
    assert (profile["platform"], profile["handle"], profile["profile_id"]) == (
        "instagram",
        creator.handle,
        str(creator.pk),
    )
    assert (profile["followers"], profile["full_name"]) == (creator.followers, creator.full_name)
    assert (profile["recent_posts"], profile["post_metrics"]) == (None, {})
    assert await pg.fetchval("select count(*) from instagram_account") == 1
    assert await pg.fetchval("select count(*) from event_outbox where routing_key = 'profile_log_events'") == 1


async def test_a_fresh_profile_costs_two_statements_and_no_session(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_account(pg, "7", "seen_today")
    fetch, seen = StatementPool.fetch, []

    async def noted(pool: StatementPool, statement: str, *values: Any) -> list[asyncpg.Record]:
        seen.append(statement)
        return await fetch(pool, statement, *values)

    def refuse(_conn: object) -> None:
        raise AssertionError("a session was begun")

    monkeypatch.setattr(StatementPool, "fetch", noted)
    event.listen(Engine, "begin", refuse)
    try:
        answer = await api.get(path("seen_today"))
    finally:
        event.remove(Engine, "begin", refuse)
    assert answer.json()["profile"]["profile_id"] == "7"
    assert len(seen) == 2


async def test_a_fresh_profile_is_answered_without_asking_anybody(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    handle = some(sandbox, Kind.BUSINESS).handle
    first = (await api.get(path(handle))).json()
    before = await asked(sandbox)
    for spelling in (handle, handle.upper(), f"@{handle}", f"%20{handle}%20"):
        for platform in ("instagram", "INSTAGRAM", "Instagram"):
            assert (await api.get(path(spelling, platform))).json() == first
    assert (await api.get(f"/social-profile-service/instagram/byhandle/{handle}")).json() == first
    assert await asked(sandbox) == before


async def test_a_profile_older_than_a_day_is_asked_for_again(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection, redis_url: str
) -> None:
    handle = some(sandbox, Kind.BUSINESS).handle
    await api.get(path(handle))
    await grow_old(pg, "23 hours")
    before = await asked(sandbox)
    await api.get(path(handle))
    assert await asked(sandbox) == before
    await grow_old(pg, "25 hours")
    flush(redis_url)  # the limit of one a second and handle
    answer = await api.get(path(handle))
    assert await asked(sandbox) > before
    assert "stale" not in answer.json()
    assert await pg.fetchval("select now() - updated_at < '1 minute' from instagram_account")


async def test_full_refresh_adds_posts_and_averages(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    creator = some(sandbox, Kind.CREATOR)
    profile = (await api.get(path(creator.handle), params={"full_refresh": "1"})).json()["profile"]
    assert {name: set(block) for name, block in profile["post_metrics"].items()} == BLOCKS
    posts = profile["recent_posts"]
    reels = [post["publish_time"] for post in posts if post["post_type"] == "reels"]
    static = [post["publish_time"] for post in posts if post["post_type"] != "reels"]
    assert 0 < len(reels) <= 12
    assert 0 < len(static) <= 12
    assert reels == sorted(reels, reverse=True)
    assert static == sorted(static, reverse=True)
    assert [post["post_type"] for post in posts[: len(reels)]] == ["reels"] * len(reels)
    stored = {row["shortcode"]: row for row in await pg.fetch("select * from instagram_post")}
    for post in posts:
        row = stored[post["shortcode"]]
        assert (post["metrics"]["likes"], post["metrics"]["comments"]) == (row["likes"], row["comments"])
        assert post["dimensions"]["caption"] == row["caption"]
        assert all(
            value is None or isinstance(value, int)
            for key, value in post["metrics"].items()
            if key != "engagement_rate"
        )
        place = "reel" if post["post_type"] == "reels" else "p"
        assert post["post_url"] == f"https://www.instagram.com/{place}/{post['shortcode']}"


@pytest.mark.parametrize("value", ["0", "false", "False", "no", ""])
async def test_a_flag_that_says_false_is_false(api: httpx2.AsyncClient, sandbox: Sandbox, value: str) -> None:
    handle = some(sandbox, Kind.BUSINESS).handle
    await api.get(path(handle))
    before = await asked(sandbox)
    answer = await api.get(path(handle), params={"full_refresh": value, "force_refresh": value})
    assert answer.json()["profile"]["recent_posts"] is None
    assert await asked(sandbox) == before


async def test_a_flag_that_is_no_boolean_is_refused(api: httpx2.AsyncClient) -> None:
    answer = await api.get(path("natgeo"), params={"full_refresh": "maybe"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "full_refresh"]
    assert answer.json()["status"]["type"] == "ERROR"


async def test_force_refresh_asks_although_the_profile_is_fresh(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    creator = some(sandbox, Kind.BUSINESS)
    await put_account(pg, str(creator.pk), creator.handle, followers=1)
    answer = await api.get(path(creator.handle), params={"force_refresh": "true"})
    assert answer.json()["profile"]["followers"] == creator.followers


async def test_the_account_seen_last_owns_a_recycled_handle(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    await put_account(pg, "1", "recycled", age="3 hours")
    await put_account(pg, "2", "recycled", age="1 hour")
    await put_account(pg, "3", "recycled", age="2 hours")
    assert (await api.get(path("recycled"))).json()["profile"]["profile_id"] == "2"


async def test_of_accounts_seen_at_the_same_moment_the_one_stored_last_owns_the_handle(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    for profile_id in ("1", "3", "2"):
        await put_account(pg, profile_id, "recycled")
    await pg.execute("update instagram_account set updated_at = now()")
    assert (await api.get(path("recycled"))).json()["profile"]["profile_id"] == "2"


@pytest.mark.parametrize(
    ("stored", "is_professional", "shown"),
    [
        (None, True, "business_or_creator"),
        (None, False, "personal"),
        ("", True, "business_or_creator"),
        ("creator", True, "creator"),
    ],
)
async def test_the_kind_of_an_account_is_the_stored_one_or_the_usual_one(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, stored: str | None, is_professional: bool, shown: str
) -> None:
    await put_account(pg, "1", "kind")
    await pg.execute(
        "update instagram_account set profile_type = $1, is_business_or_creator = $2, profile_pic_url = 'None '",
        stored,
        is_professional,
    )
    profile = (await api.get(path("kind"))).json()["profile"]
    assert (profile["profile_type"], profile["profile_pic_url"]) == (shown, None)


async def test_everything_about_a_post_stands_under_its_own_name(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    await put_account(pg, "1", "told")
    await pg.execute(
        "insert into instagram_post (profile_id, shortcode, post_id, post_type, reach, views, likes, comments, plays,"
        " caption, thumbnail_url, display_url, publish_time, updated_at)"
        " values ('1', 'A', '17', 'reels', 700, 300, 20, 5, 400, 'words', 'https://t', 'https://d',"
        " '2026-03-01 12:00Z', '2026-03-02 12:00Z')"
    )
    profile = (await api.get(path("told"), params={"full_refresh": "1"})).json()["profile"]
    assert profile["recent_posts"] == [
        {
            "shortcode": "A", "post_id": "17", "post_type": "reels",
            "post_url": "https://www.instagram.com/reel/A",
            "publish_time": "2026-03-01T12:00:00", "updated_at": "2026-03-02T12:00:00",
            "metrics": {
                "reach": 700, "views": 300, "likes": 20, "comments": 5, "play_count": 400, "engagement_rate": 2.5,
            },
            "dimensions": {
                "caption": "words", "comments": 5, "thumbnail_url": "https://t", "display_url": "https://d",
            },
        }
    ]  # fmt: skip
    assert (profile["post_metrics"]["static"], profile["post_metrics"]["reels"]["avg_plays"]) == ({}, 400)
    await pg.execute("update instagram_post set reach = null, post_type = 'carousel'")
    profile = (await api.get(path("told"), params={"full_refresh": "1"})).json()["profile"]
    assert profile["recent_posts"][0]["metrics"]["reach"] == 113  # estimated from 20 likes


async def test_the_twelve_newest_of_each_kind_are_shown_and_those_without_a_time_last(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    await put_account(pg, "1", "many")
    await pg.execute(
        "insert into instagram_post (profile_id, shortcode, post_type, plays, likes, publish_time)"
        " select '1', kind || n, kind, 0, 1, case when n > 0 then timestamptz '2026-03-01' + n / 2 * interval '1 day'"
        " end from unnest(array['reels', 'carousel']) kind, generate_series(0, 11) n order by kind, n"
    )

    async def shown() -> list[str]:
        profile = (await api.get(path("many"), params={"full_refresh": "1"})).json()["profile"]
        return [post["shortcode"] for post in profile["recent_posts"]]

    dated = range(11, 0, -1)
    reels, static = ([f"{kind}{number}" for number in dated] for kind in ("reels", "carousel"))
    assert await shown() == [*reels, "reels0", *static, "carousel0"]
    await pg.execute(
        "insert into instagram_post (profile_id, shortcode, post_type, plays, publish_time)"
        " values ('1', 'r', 'reels', 0, null), ('1', 'i', 'image', 0, null)"
    )
    assert await shown() == [*reels, "r", *static, "i"]


async def test_what_is_not_said_and_hidden_counts_are_null(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    await put_account(pg, "1", "quiet")
    await pg.execute(
        "insert into instagram_post"
        " (profile_id, shortcode, post_type, comments, thumbnail_url, display_url, publish_time) values"
        " ('1', 'A', 'image', 5, 'None', '', '2026-03-01 12:00+02'), ('1', 'B', 'igtv', 1, null, null, now()),"
        " ('1', 'C', 'reels', 5, 'https://t', 'https://d', null)"
    )
    profile = (await api.get(path("quiet"), params={"full_refresh": "1"})).json()["profile"]
    assert (profile["profile_type"], profile["media_count"], profile["is_private"]) == ("personal", None, None)
    (post,) = profile["recent_posts"]  # B is of another kind, C has no plays
    assert (post["shortcode"], post["publish_time"]) == ("A", "2026-03-01T10:00:00")
    assert (post["metrics"]["likes"], post["metrics"]["engagement_rate"]) == (None, 0.5)
    assert (post["dimensions"]["thumbnail_url"], post["dimensions"]["display_url"]) == (None, None)


@pytest.mark.parametrize(
    ("platform", "code", "message"),
    [
        ("youtube", 501, "Profiles of YOUTUBE are not built yet"),
        ("shopify", 400, "Platform not supported - shopify"),
        ("myspace", 400, "Platform not supported - myspace"),
    ],
)
async def test_other_platforms_are_refused_by_name(
    strict_api: httpx2.AsyncClient, platform: str, code: int, message: str
) -> None:
    answer = await strict_api.get(path("natgeo", platform))
    assert (answer.status_code, answer.json()) == (
        code,
        {"status": {"type": "ERROR", "code": code, "message": message}},
    )


@pytest.mark.parametrize("handle", ["%20", "@", "nul%00", "x" * 300, "%C4%B0" * 200])  # the last one grows by half
@pytest.mark.parametrize("full", [False, True])
async def test_an_impossible_handle_is_refused(api: httpx2.AsyncClient, handle: str, full: bool) -> None:
    answer = await api.get(path(handle), params={"full_refresh": full})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["path", "handle"]


async def test_a_handle_that_nobody_knows_is_not_found(strict_api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    handle = some(sandbox, Kind.MISSING).asked_handle
    answer = await strict_api.get(path(handle))
    assert answer.status_code == 404
    assert answer.json()["status"] == {"type": "ERROR", "code": 404, "message": f"Profile not found - {handle}"}


async def test_a_closed_account_is_private_and_not_missing(strict_api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    handle = next(
        c.handle for i in range(sandbox.universe.size) if (c := sandbox.universe.creator(i)).kind is Kind.CLOSED
    )
    answer = await strict_api.get(path(handle))
    assert answer.status_code == 403
    assert answer.json()["status"] == {"type": "ERROR", "code": 403, "message": f"Profile is private - {handle}"}


async def test_sources_that_hang_are_given_up_before_the_caller_does(
    strict_api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "RUN_LIMIT_S", 0.3)
    first, second = some(sandbox, Kind.BUSINESS), some(sandbox, Kind.BUSINESS, 1)
    await put_account(pg, str(first.pk), first.handle, age="2 days")
    await sandbox.fault("*", "hang")
    assert (await strict_api.get(path(first.handle))).json()["stale"] is True
    answer = await strict_api.get(path(second.handle))
    assert answer.status_code == 503
    assert answer.json()["status"]["message"] == "The data sources took longer than 0.3 s"


async def test_a_database_that_cannot_be_connected_to_is_not_called_a_slow_source(
    strict_api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("core.api.refresh.resolve", lambda _: late)
    answer = await strict_api.get(path("natgeo"))
    assert answer.json()["status"] == {
        "type": "ERROR", "code": 503, "message": "The database cannot be reached, try again later",
    }  # fmt: skip


async def test_a_refresh_that_stores_nothing_of_the_handle_has_found_nobody(
    strict_api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        pass

    monkeypatch.setattr("core.api.refresh.resolve", lambda _: nothing)
    answer = await strict_api.get(path("renamed"))
    assert answer.json()["status"] == {"type": "ERROR", "code": 404, "message": "Profile not found - renamed"}


async def test_without_a_stored_profile_failing_sources_are_no_missing_profile(
    strict_api: httpx2.AsyncClient, sandbox: Sandbox
) -> None:
    handle = some(sandbox, Kind.BUSINESS).handle
    await sandbox.fault("*", "server_error")
    answer = await strict_api.get(path(handle))
    assert answer.status_code == 503
    assert answer.json()["status"]["code"] == 503
    assert "not found" not in answer.json()["status"]["message"]


async def test_an_account_that_only_failing_sources_could_know_is_not_called_missing(
    strict_api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    first, second = some(sandbox, Kind.PERSONAL), some(sandbox, Kind.PERSONAL, 1)  # the first source covers neither
    await put_account(pg, str(first.pk), first.handle, age="2 days")
    for source in SOURCES[1:]:
        await sandbox.fault(source, "server_error")
    assert (await strict_api.get(path(first.handle))).json()["stale"] is True
    assert (await strict_api.get(path(second.handle))).status_code == 503


@pytest.mark.parametrize("fault", ["server_error", "html", "reset", "rate_limit", "unauthorized", "truncated_json"])
@pytest.mark.parametrize("full", ["0", "1"])
async def test_when_all_sources_fail_the_stored_profile_is_served_as_stale(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection, fault: str, full: str
) -> None:
    creator = some(sandbox, Kind.BUSINESS)
    await put_account(pg, str(creator.pk), creator.handle, age="2 days", followers=77)
    for source in SOURCES:
        await sandbox.fault(source, fault)
    answer = await api.get(path(creator.handle), params={"full_refresh": full})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["status"]["type"], body["stale"], body["profile"]["followers"]) == ("SUCCESS", True, 77)
    assert (body["profile"]["recent_posts"] is None) == (full == "0")


async def test_without_any_credential_the_stored_profile_is_stale_and_an_unknown_one_says_why(
    settings: Settings, pg: asyncpg.Connection
) -> None:
    await put_account(pg, "1", "stored", age="2 days")
    async with running_api(settings) as api:
        stored = (await api.get(path("stored"))).json()
        unknown = (await api.get(path("unknown"))).json()
    assert stored["stale"] is True
    assert unknown["status"]["code"] == 503
    assert unknown["status"]["message"] == "No source is available at the moment"


@pytest.mark.parametrize("mode", [("compatible", 200), ("strict", 429)], ids=["compatible", "strict"])
@pytest.mark.parametrize("flags", [{"full_refresh": "1"}, {}], ids=["full", "basic"])
@pytest.mark.parametrize("level", [("daily", 20_000, 86_400), ("per_minute", 60, 60), ("per_handle_", 1, 1)], ids=str)
async def test_a_used_up_limit_refuses_the_refresh_and_nothing_else_is_used_up(
    settings: Settings,
    sandbox: Sandbox,
    redis_url: str,
    mode: tuple[str, int],
    flags: dict[str, str],
    level: tuple[str, int, int],
) -> None:
    handle = some(sandbox, Kind.BUSINESS).handle
    family = "refresh_profile_insta" if flags else "refresh_profile_insta_basic"
    name, count, per_s = level
    used_up = redis_key("beat_server_", f"{family}_{name}{handle if name == 'per_handle_' else ''}", count, per_s)
    async with with_sources(with_settings(settings, "api", http_status_mode=mode[0]), sandbox) as api:
        with Redis.from_url(redis_url, decode_responses=True) as redis:
            redis.set(used_up, count, ex=3600)
            answer = await api.get(path(handle), params=flags)
            assert list(redis.scan_iter("beat_server_*")) == [used_up]
            assert redis.get(used_up) == str(count)
    assert (answer.status_code, answer.json()) == (mode[1], {"status": LIMITED})
    assert await asked(sandbox) == 0


async def test_a_used_up_limit_refuses_although_an_old_profile_is_stored(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, redis_url: str
) -> None:
    await put_account(pg, "1", "stored", age="2 days")
    with Redis.from_url(redis_url) as redis:
        redis.set(redis_key("beat_server_", "refresh_profile_insta_basic_per_minute", 60, 60), 60, ex=3600)
    assert (await api.get(path("stored"))).json() == {"status": LIMITED}


async def test_a_refresh_counts_once_in_each_limit_of_its_family(
    api: httpx2.AsyncClient, sandbox: Sandbox, redis_url: str
) -> None:
    await api.get(path(some(sandbox, Kind.BUSINESS).handle), params={"full_refresh": "1"})
    names = [("refresh_profile_insta_daily", 20_000, 86_400), ("refresh_profile_insta_per_minute", 60, 60)]
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        assert [redis.get(redis_key("beat_server_", *name)) for name in names] == ["1", "1"]


async def test_the_same_refresh_wanted_at_once_is_one_run(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    creator = some(sandbox, Kind.BUSINESS)
    answers = await asyncio.gather(*(api.get(path(creator.handle), params={"full_refresh": "1"}) for _ in range(8)))
    assert {answer.json()["status"]["type"] for answer in answers} == {"SUCCESS"}
    assert len({answer.text for answer in answers}) == 1
    assert await pg.fetchval("select count(*) from profile_log") == 1
