"""Followers, followed and similar profiles against the provider sandbox: what is stored, what is announced."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from core.crawler.errors import NotFound
from core.crawler.provider import Asked, Payload
from core.models.params import CursorParams, ProfileIdParams
from core.runtime import FlowContext
from instagram.flows.fetch_relations import (
    fetch_profile_followers,
    fetch_profile_following,
    fetch_similar_profiles,
)
from instagram.models.functions import FETCH_FOLLOWING
from instagram.models.pages import Person
from instagram.tasks.relations_ingestion import followers_of
from instagram.tasks.relations_processing import upsert_relations
from instagram.tasks.retrieval import crawler_of
from tests.sandbox.expected import ARRAYBOBO, JOTUCKER
from tests.sandbox.universe import OPEN_KINDS, Creator, Kind, Trait
from tests.support.flow_runtime import flow_context
from tests.support.sandbox import Sandbox

LAMA, ROCKETAPI, IGAPI = "lama", "rocketapi", "rapidapi-igapi"
EVENT = "profile_relationship_log_events"
LISTED, SIMILAR, PAGE = 120, 40, 50
"""How many people the sandbox lists at most."""


@pytest.fixture
async def ctx(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FlowContext]:
    async with flow_context(sandbox, program_env, monkeypatch, [JOTUCKER, ARRAYBOBO]) as context:
        yield context


def known(sandbox: Sandbox, kind: Kind = Kind.CREATOR, trait: Trait = Trait.PLAIN) -> Creator:
    """A creator who has more followers, and follows more people, than the sandbox lists."""
    creators = map(sandbox.universe.creator, range(sandbox.universe.size))
    fitting = (who for who in creators if who.kind is kind and who.trait is trait)
    return next(who for who in fitting if min(who.followers, who.following) > LISTED)


async def rows(pg: asyncpg.Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in await pg.fetch("select * from profile_relationship_log order by id")]


async def announced(pg: asyncpg.Connection) -> list[dict[str, Any]]:
    found = await pg.fetch("select routing_key, payload from event_outbox order by id")
    assert {row["routing_key"] for row in found} <= {EVENT}
    return [json.loads(row["payload"]) for row in found]


def told(dimensions: str) -> dict[str, Any]:
    return {one["key"]: one["value"] for one in json.loads(dimensions)}


async def test_followers_are_stored_page_after_page_each_with_its_event(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = known(sandbox)
    result = await fetch_profile_followers(ProfileIdParams(profile_id=str(who.pk)), ctx)
    assert result == {
        "profile_id": str(who.pk),
        "relations": LISTED,
        "source": JOTUCKER,
        "sources": [JOTUCKER],
        "pages": 3,
        "gaps": [],
    }
    people = {str(one.pk): one for one in sandbox.universe.others(who.index, LISTED, "fetch_followers")}
    stored, events = await rows(pg), await announced(pg)
    assert {row["source_profile_id"] for row in stored} == people.keys()
    assert {(row["target_profile_id"], row["relationship_type"], row["source"]) for row in stored} == {
        (str(who.pk), "FOLLOWS", JOTUCKER)
    }
    for row in stored:
        person = people[row["source_profile_id"]]
        said = told(row["source_dimensions"])
        assert (said["handle"], said["is_verified"]) == (person.handle, person.is_verified)
        assert told(row["target_dimensions"]) == {}
    assert [event["source_profile_id"] for event in events] == [
        str(one.pk) for one in sandbox.universe.others(who.index, LISTED, "fetch_followers")
    ]
    assert all(event["source_dimensions"]["handle"] == people[event["source_profile_id"]].handle for event in events)


async def test_followers_seen_again_stay_one_row_each(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    params = ProfileIdParams(profile_id=str(known(sandbox).pk))
    await fetch_profile_followers(params, ctx)
    before = await rows(pg)
    await pg.execute("update profile_relationship_log set source = 'older', target_dimensions = null")
    await fetch_profile_followers(params, ctx)
    after = await rows(pg)
    assert [row["id"] for row in after] == [row["id"] for row in before]
    assert all(new["timestamp"] > old["timestamp"] for old, new in zip(before, after, strict=True))
    assert {row["source"] for row in after} == {JOTUCKER}
    assert len(await announced(pg)) == 2 * LISTED


async def test_whom_a_profile_follows_is_stored_the_other_way_round(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = known(sandbox)
    result = await fetch_profile_following(CursorParams(profile_id=str(who.pk)), ctx)
    assert (result["relations"], result["pages"]) == (LISTED, 3)
    people = {str(one.pk) for one in sandbox.universe.others(who.index, LISTED, "fetch_following")}
    stored = await rows(pg)
    assert {row["target_profile_id"] for row in stored} == people
    assert {(row["source_profile_id"], row["relationship_type"]) for row in stored} == {(str(who.pk), "FOLLOWS")}
    assert all(told(row["target_dimensions"])["handle"] for row in stored)


async def second_page(ctx: FlowContext, sandbox: Sandbox) -> CursorParams:
    """Where the list of followed accounts goes on after its first page."""
    profile_id = str(known(sandbox).pk)
    fetched = await crawler_of(ctx).fetch(FETCH_FOLLOWING, Asked(profile_id=profile_id), source=JOTUCKER)
    assert fetched.value.cursor
    return CursorParams(profile_id=profile_id, cursor=fetched.value.cursor)


async def test_following_goes_on_at_a_cursor(ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection) -> None:
    result = await fetch_profile_following(await second_page(ctx, sandbox), ctx)
    assert (result["relations"], result["pages"], len(await rows(pg))) == (LISTED - PAGE, 2, LISTED - PAGE)


async def test_similar_profiles_are_relations_of_their_own_kind(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = known(sandbox)
    result = await fetch_similar_profiles(ProfileIdParams(profile_id=str(who.pk)), ctx)
    assert (result["source"], result["relations"]) == (ARRAYBOBO, SIMILAR)
    stored = await rows(pg)
    assert {row["relationship_type"] for row in stored} == {"SIMILAR"}
    assert {row["source_profile_id"] for row in stored} == {str(who.pk)}
    assert {event["relationship_type"] for event in await announced(pg)} == {"SIMILAR"}


async def test_followers_of_somebody_who_does_not_exist_fail_with_404_and_leave_nothing(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    with pytest.raises(NotFound):
        await fetch_profile_followers(ProfileIdParams(profile_id="999999999999"), ctx)
    assert (await rows(pg), await announced(pg)) == ([], [])


async def test_a_page_that_fails_is_asked_for_again_and_the_list_becomes_whole(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    params = await second_page(ctx, sandbox)
    await sandbox.fault(JOTUCKER, "truncated_json", function="fetch_following", times=1)
    result = await fetch_profile_following(params, ctx)
    assert (await sandbox.hits())[JOTUCKER] == 1
    assert (result["relations"], len(await rows(pg))) == (LISTED - PAGE, LISTED - PAGE)


async def test_a_list_that_is_cut_off_keeps_its_pages_and_holds_no_connection_while_it_pauses(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, pg: asyncpg.Connection
) -> None:
    params = ProfileIdParams(profile_id=str(known(sandbox).pk))
    async with flow_context(sandbox, program_env, monkeypatch, [JOTUCKER], pause_factor=100) as ctx:
        task = asyncio.create_task(fetch_profile_followers(params, ctx))
        async with asyncio.timeout(60):
            while len(await rows(pg)) < 50:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        assert "Checked out connections: 0" in ctx.runtime.database.engine.pool.status()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(await rows(pg)) == len(await announced(pg)) == 50


async def test_tasks_that_meet_at_the_same_people_neither_fail_nor_store_one_twice(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    people = [Person(str(number)) for number in range(300)]
    payload = Payload(JOTUCKER, "fetch_followers", Asked(), None, ctx.started_at)

    async def store(found: list[Person]) -> None:
        async with ctx.runtime.database.sessions() as session:
            await upsert_relations(session, followers_of("7", found, payload))

    await asyncio.gather(*(store(people[:: 1 if turn % 2 else -1]) for turn in range(8)))
    assert len(await rows(pg)) == 300


async def test_when_the_source_that_began_fails_another_one_starts_over_and_nobody_is_announced_twice(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, pg: asyncpg.Connection
) -> None:
    who = known(sandbox)
    async with flow_context(sandbox, program_env, monkeypatch, [JOTUCKER, LAMA], pause_factor=0.05) as ctx:
        task = asyncio.create_task(fetch_profile_following(CursorParams(profile_id=str(who.pk)), ctx))
        async with asyncio.timeout(60):
            while len(await rows(pg)) < PAGE:
                await asyncio.sleep(0.02)
        await sandbox.fault(JOTUCKER, "quota", function="fetch_following")
        result = await task
    assert (result["sources"], result["source"], result["relations"]) == ([JOTUCKER, LAMA], LAMA, LISTED)
    stored = await rows(pg)
    assert Counter(row["source"] for row in stored) == {JOTUCKER: PAGE, LAMA: LISTED - PAGE}
    assert len(await announced(pg)) == LISTED


@pytest.mark.parametrize("trait", [Trait.EMPTY_PAGES, Trait.SAME_CURSOR, Trait.EMPTY_CURSOR])
@pytest.mark.parametrize("source", [JOTUCKER, ROCKETAPI, LAMA, IGAPI])
async def test_followers_end_where_the_source_leads_in_circles(
    sandbox: Sandbox,
    program_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    pg: asyncpg.Connection,
    source: str,
    trait: Trait,
) -> None:
    creators = map(sandbox.universe.creator, range(sandbox.universe.size))
    who = next(one for one in creators if one.trait is trait and one.kind in OPEN_KINDS and one.followers > LISTED)
    async with flow_context(sandbox, program_env, monkeypatch, [source]) as ctx:
        result = await fetch_profile_followers(ProfileIdParams(profile_id=str(who.pk)), ctx)
    assert (result["relations"], result["source"], len(await rows(pg))) == (LISTED, source, LISTED)
    assert result["pages"] < 10
