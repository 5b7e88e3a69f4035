"""Profiles by id: real database and Redis, providers simulated by the sandbox."""

from __future__ import annotations

import asyncpg
import httpx2
import pytest
from redis import Redis

from tests.integration.test_api_profiles import (
    LIMITED,
    SOURCES,
    api,
    asked,
    grow_old,
    put_account,
    some,
    strict_api,
)
from tests.sandbox.universe import Kind
from tests.support.redis import flush
from tests.support.sandbox import Sandbox
from utils.rate_limit import redis_key

__all__ = ["api", "strict_api"]


async def test_an_unknown_id_is_fetched_with_its_posts_stored_and_answered(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    creator = some(sandbox, Kind.PERSONAL)
    answer = (await api.get(f"/profiles/instagram/byid/{creator.pk}")).json()
    assert answer["status"] == {"type": "SUCCESS", "message": "Profile Retrieved"}
    profile = answer["profile"]
    assert (profile["platform"], profile["handle"], profile["profile_id"], profile["followers"]) == (
        "instagram",
        creator.handle,
        str(creator.pk),
        creator.followers,
    )
    assert (profile["recent_posts"], profile["post_metrics"]) == (None, {})
    assert await pg.fetchval("select count(*) > 0 from instagram_post where profile_id = $1", str(creator.pk))
    before = await asked(sandbox)
    assert (await api.get(f"/profiles/INSTAGRAM/byid/{creator.pk}")).json() == answer
    assert await asked(sandbox) == before


async def test_by_profile_id_answers_one_level_deeper(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    creator = some(sandbox, Kind.BUSINESS)
    plain = (await api.get(f"/profiles/instagram/byid/{creator.pk}")).json()["profile"]
    answer = (await api.get(f"/profiles/instagram/byprofileid/{creator.pk}")).json()
    assert answer["status"] == {"type": "SUCCESS", "message": "Profile Retrieved"}
    assert answer["profile"] == {"platform": "instagram", "handle": creator.handle, "profile": plain}


@pytest.mark.parametrize(
    ("route", "ages"), [("byid", ("23 hours", "25 hours")), ("byprofileid", ("6 days 23 hours", "7 days 1 hour"))]
)
async def test_what_is_too_old_differs_by_route(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection, redis_url: str, route: str, ages: tuple[str, str]
) -> None:
    path = f"/profiles/instagram/{route}/{some(sandbox, Kind.BUSINESS).pk}"
    await api.get(path)
    await grow_old(pg, ages[0])
    before = await asked(sandbox)
    await api.get(path)
    assert await asked(sandbox) == before
    await grow_old(pg, ages[1])
    flush(redis_url)
    assert "stale" not in (await api.get(path)).json()
    assert await asked(sandbox) > before


@pytest.mark.parametrize("route", ["byid", "byprofileid"])
async def test_an_id_that_nobody_has_is_not_found(api: httpx2.AsyncClient, route: str) -> None:
    answer = (await api.get(f"/profiles/instagram/{route}/987654321987")).json()
    assert answer["status"] == {
        "type": "ERROR",
        "code": 404,
        "message": "profile not found for id - 987654321987",
    }


@pytest.mark.parametrize("route", ["byid", "byprofileid"])
async def test_a_stored_profile_is_served_as_stale_while_no_source_answers(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection, route: str
) -> None:
    await put_account(pg, "4711", "somebody", age="30 days")
    for source in SOURCES:
        await sandbox.fault(source, "server_error")
    answer = (await api.get(f"/profiles/instagram/{route}/4711")).json()
    assert (answer["status"]["type"], answer["stale"]) == ("SUCCESS", True)


LEVELS = [("by_id_daily", 20_000, 86_400), ("by_id_per_minute", 60, 60), ("per_id_{}", 1, 1)]


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("route", ["byid", "byprofileid"])
async def test_refreshes_by_id_have_limits_of_their_own(
    api: httpx2.AsyncClient, sandbox: Sandbox, redis_url: str, route: str, level: tuple[str, int, int]
) -> None:
    creator = some(sandbox, Kind.BUSINESS)
    name, count, per_s = level
    used_up = redis_key("beat_server_", f"refresh_profile_insta_{name.format(creator.pk)}", count, per_s)
    with Redis.from_url(redis_url) as client:
        client.set(used_up, count, ex=60)
    answer = (await api.get(f"/profiles/instagram/{route}/{creator.pk}")).json()
    assert answer["status"] == LIMITED
    assert await asked(sandbox) == 0


async def test_other_platforms(api: httpx2.AsyncClient, strict_api: httpx2.AsyncClient) -> None:
    for route, platform, code in (
        ("byid", "youtube", 501),
        ("byid", "shopify", 400),
        ("byprofileid", "youtube", 400),
        ("byprofileid", "myspace", 400),
    ):
        path = f"/profiles/{platform}/{route}/1"
        assert (await api.get(path)).json()["status"]["code"] == code
        assert (await strict_api.get(path)).status_code == code


async def test_an_id_of_blanks_or_with_a_nul_is_refused(api: httpx2.AsyncClient) -> None:
    for given in ("%20", "1%00", "9" * 65):
        for route in ("byid", "byprofileid"):
            assert (await api.get(f"/profiles/instagram/{route}/{given}")).status_code == 422
