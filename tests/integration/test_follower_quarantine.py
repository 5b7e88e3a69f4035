"""Followers that jump: what is stored, announced, asked and queued, against the database and the sandbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from core.models.params import HandleParams, ProfileIdParams
from core.runtime import FlowContext
from instagram.flows.refresh_profile import refresh_profile_by_handle, refresh_profile_by_profile_id
from tests.sandbox.expected import ARRAYBOBO, JOTUCKER, LAMA
from tests.sandbox.universe import Creator, Kind
from tests.support.flow_runtime import flow_context
from tests.support.sandbox import Sandbox


@pytest.fixture
async def ctx(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FlowContext]:
    async with flow_context(sandbox, program_env, monkeypatch, [JOTUCKER, ARRAYBOBO]) as context:
        yield context


@pytest.fixture
def who(sandbox: Sandbox) -> Creator:
    """An account large enough for the rule, about which all sources say the same."""
    creators = (sandbox.universe.creator(index) for index in range(sandbox.universe.size))
    return next(
        one for one in creators if one.kind is Kind.PERSONAL and one.trait == "plain" and one.followers > 20_000
    )


async def refresh(ctx: FlowContext, who: Creator) -> dict[str, Any]:
    return await refresh_profile_by_profile_id(ProfileIdParams(profile_id=str(who.pk)), ctx)


async def remember(pg: asyncpg.Connection, who: Creator, followers: int | None, biography: str = "as it was") -> None:
    """The row as an earlier refresh has left it."""
    await pg.execute(
        "insert into instagram_account (profile_id, handle, followers, biography) values ($1, $2, $3, $4)",
        str(who.pk), who.handle, followers, biography,
    )  # fmt: skip


async def account(pg: asyncpg.Connection) -> asyncpg.Record:
    row = await pg.fetchrow("select * from instagram_account")
    assert row is not None
    return row


async def quarantine(pg: asyncpg.Connection) -> list[tuple[Any, ...]]:
    rows = await pg.fetch('select source, "column", old, new, resolution from profile_quarantine order by id')
    return [tuple(row) for row in rows]


async def told(pg: asyncpg.Connection) -> list[int | None]:
    """Followers in the events and in the audit rows of profiles."""
    events = await pg.fetch("select payload from event_outbox where routing_key = 'profile_log_events' order by id")
    audits = await pg.fetch("select metrics from profile_log order by id")
    said = [json.loads(row["payload"])["metrics"].get("followers") for row in events]
    kept = [{one["key"]: one["value"] for one in json.loads(row["metrics"])}.get("followers") for row in audits]
    assert said == kept
    return said


async def calls(sandbox: Sandbox) -> int:
    """How often sources were asked for a profile."""
    rows = (await sandbox.stats())["rows"]
    return sum(row["count"] for row in rows if row["function"] == "fetch_profile_by_id")


async def queued(pg: asyncpg.Connection) -> list[asyncpg.Record]:
    return await pg.fetch("select * from scrape_request_log order by id")


async def test_a_jump_that_the_next_source_confirms_is_stored_in_the_same_task(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, who: Creator
) -> None:
    old = who.followers // 20
    await remember(pg, who, old)
    result = await refresh(ctx, who)
    assert (await account(pg))["followers"] == who.followers
    assert await quarantine(pg) == [
        (JOTUCKER, "followers", old, who.followers, f"accepted: {ARRAYBOBO} says {who.followers}")
    ]
    assert await told(pg) == [who.followers]
    assert result["gaps"] == []
    assert await queued(pg) == []
    assert await calls(sandbox) == 2


async def test_without_a_second_source_the_old_value_stays_and_one_refresh_is_queued_an_hour_later(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, who: Creator
) -> None:
    old = who.followers * 10
    await remember(pg, who, old)
    await sandbox.fault(ARRAYBOBO, "server_error", function="fetch_profile_by_id")
    for _ in range(2):
        result = await refresh(ctx, who)
        assert [(gap["step"], gap["class"]) for gap in result["gaps"]] == [("followers", "quarantined")]
    row = await account(pg)
    assert (row["followers"], row["biography"], row["following"]) == (old, who.biography, who.following)
    assert row["refreshed_at"] is not None
    assert await pg.fetchval("select count(*) from instagram_post") == result["posts"] > 0
    assert await quarantine(pg) == [(JOTUCKER, "followers", old, who.followers, None)]
    assert await told(pg) == [None, None]
    [task] = await queued(pg)
    assert (task["flow"], json.loads(task["params"])) == ("refresh_profile_by_profile_id", {"profile_id": str(who.pk)})
    assert (task["status"], task["run_after"] < task["expires_at"]) == ("PENDING", True)
    later = task["run_after"] - task["created_at"]
    assert timedelta(minutes=59) < later < timedelta(minutes=61)
    assert task["expires_at"] - task["run_after"] == timedelta(hours=6)


async def test_a_source_that_fails_leaves_the_confirmation_to_the_ones_after_it(
    sandbox: Sandbox,
    program_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    pg: asyncpg.Connection,
    who: Creator,
) -> None:
    await remember(pg, who, who.followers * 10)
    await sandbox.fault(ARRAYBOBO, "server_error", function="fetch_profile_by_id")
    async with flow_context(sandbox, program_env, monkeypatch, [JOTUCKER, ARRAYBOBO, LAMA]) as ctx:
        result = await refresh(ctx, who)
    assert ((await account(pg))["followers"], result["gaps"]) == (who.followers, [])
    assert [row[4] for row in await quarantine(pg)] == [f"accepted: {LAMA} says {who.followers}"]


async def test_another_source_an_hour_later_is_the_second_one(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, who: Creator
) -> None:
    old = who.followers * 10
    await remember(pg, who, old)
    await sandbox.fault(ARRAYBOBO, "server_error", function="fetch_profile_by_id")
    await refresh(ctx, who)
    await sandbox.clear()
    await sandbox.fault(JOTUCKER, "server_error", function="fetch_profile_by_id")
    await refresh(ctx, who)
    assert (await account(pg))["followers"] == who.followers
    assert [row[4] for row in await quarantine(pg)] == [f"accepted: {JOTUCKER} says {who.followers} before"] * 2
    assert await told(pg) == [None, who.followers]


@pytest.mark.parametrize(("hours", "resolution"), [(25, None), (1, "rejected: lama says 7")])
async def test_doubts_of_yesterday_and_those_that_were_settled_confirm_nothing(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, who: Creator, hours: int, resolution: str | None
) -> None:
    old = who.followers * 10
    await remember(pg, who, old)
    await pg.execute(
        """insert into profile_quarantine
        (platform, profile_id, source, "column", old, new, reason, seen_at, resolved_at, resolution)
        values ('INSTAGRAM', $1, 'lama', 'followers', $2, $3, 'x', now() - make_interval(hours => $4),
            case when $5::text is not null then now() end, $5)""",
        str(who.pk), old, who.followers, hours, resolution,
    )  # fmt: skip
    await sandbox.fault(ARRAYBOBO, "server_error", function="fetch_profile_by_id")
    await refresh(ctx, who)
    assert (await account(pg))["followers"] == old
    assert [row[4] for row in await quarantine(pg)] == [resolution, None]


async def test_a_jump_that_one_source_alone_sees_is_rejected(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    creators = (sandbox.universe.creator(index) for index in range(sandbox.universe.size))
    who = next(
        one
        for one in creators
        if one.trait == "follower_jump" and one.kind in {Kind.BUSINESS, Kind.CREATOR} and one.followers > 1000
    )
    await refresh_profile_by_handle(HandleParams(handle=who.handle), ctx)
    result = await refresh(ctx, who)
    assert result["source"] == JOTUCKER
    assert result["sources"]["followers"] == ARRAYBOBO
    assert (await account(pg))["followers"] == who.followers
    [(source, _, old, new, resolution)] = await quarantine(pg)
    assert (source, old, resolution) == (JOTUCKER, who.followers, f"rejected: {ARRAYBOBO} says {who.followers}")
    assert new == who.followers * 25
    assert await told(pg) == [who.followers, who.followers]
    assert await queued(pg) == []


async def test_an_account_that_does_not_jump_costs_no_second_call_and_closes_old_doubts(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, who: Creator
) -> None:
    await remember(pg, who, who.followers + 1)
    await pg.execute(
        """insert into profile_quarantine (platform, profile_id, source, "column", old, new, reason)
        select 'INSTAGRAM', unnest($1::text[]), 'lama', 'followers', 1, 2, 'x'""",
        [str(who.pk), "another"],
    )
    await refresh(ctx, who)
    assert await calls(sandbox) == 1
    assert [row[4] for row in await quarantine(pg)] == [f"superseded: {JOTUCKER} says {who.followers}", None]


async def test_a_task_cancelled_while_the_second_source_is_asked_stores_all_but_the_jump(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, who: Creator
) -> None:
    old = who.followers * 10
    await remember(pg, who, old)
    await sandbox.fault(ARRAYBOBO, "slow", function="fetch_profile_by_id", seconds=20)
    task = asyncio.create_task(refresh(ctx, who))
    while (await sandbox.hits()).get(ARRAYBOBO, 0) == 0:
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    row = await account(pg)
    assert (row["followers"], row["biography"]) == (old, who.biography)
    assert await quarantine(pg) == [(JOTUCKER, "followers", old, who.followers, None)]
    assert len(await queued(pg)) == 1
