"""The flows against the provider sandbox: what is asked, what is stored, what is announced."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from config import load_settings
from core.crawler.errors import NotFound, Private, ProviderError
from core.models.params import HandleParams, ProfileIdParams, ProfileParams, ShortcodeParams
from core.runtime import FlowContext, Runtime
from credentials.manager import CredentialManager
from credentials.runtime import build_runtime
from instagram.flows.refresh_post import refresh_post_by_shortcode
from instagram.flows.refresh_profile import (
    refresh_profile_basic,
    refresh_profile_by_handle,
    refresh_profile_by_profile_id,
)
from instagram.functions.retriever.crawler import CHAINS
from tests.sandbox.expected import ARRAYBOBO, JOTUCKER, LAMA, ExpectedCreator, ExpectedPost, expected_rows
from tests.sandbox.posts import posts_of
from tests.sandbox.universe import Creator, Kind, Trait
from tests.support.sandbox import Sandbox

BLOCK = 25


@pytest.fixture
async def runtime(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Runtime]:
    """A worker's runtime with every credential of the sandbox."""
    more = {"PROVIDER_SANDBOX_URL": sandbox.url, "RATE_WAIT_S": "30"}
    for name, value in {**program_env, **more}.items():
        monkeypatch.setenv(name, value)
    runtime = build_runtime(load_settings(), pool_size=5)
    assert isinstance(runtime.credentials, CredentialManager)
    for source, credentials in sandbox.credentials.items():
        for credential in credentials:
            await runtime.credentials.insert_creds(source, credential.credentials, handle=credential.handle)
    yield runtime
    await runtime.aclose()


@pytest.fixture
def ctx(runtime: Runtime, sandbox: Sandbox) -> FlowContext:
    return FlowContext(runtime, None, datetime.fromtimestamp(sandbox.universe.now, UTC))


def one(sandbox: Sandbox, kind: Kind, trait: Trait = Trait.PLAIN) -> Creator:
    """The first creator of a kind and a trait."""
    creators = (sandbox.universe.creator(index) for index in range(sandbox.universe.size))
    return next(who for who in creators if who.kind is kind and who.trait is trait)


async def posts(pg: asyncpg.Connection) -> dict[str, dict[str, Any]]:
    return {row["shortcode"]: dict(row) for row in await pg.fetch("select * from instagram_post")}


def differences(row: dict[str, Any], wanted: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Columns that are not as wanted."""
    return {key: (row[key], value) for key, value in wanted.items() if row[key] != value}


async def assert_as_expected(pg: asyncpg.Connection, wanted: ExpectedCreator, source: str = JOTUCKER) -> None:
    """The rows of one creator, and of the posts found with it, are those of the universe."""
    if wanted.profile is None:
        return
    row = await pg.fetchrow("select * from instagram_account where profile_id = $1", wanted.profile.profile_id)
    assert row is not None
    assert differences(dict(row), asdict(wanted.profile)) == {}
    stored = await posts(pg)
    assert stored.keys() >= wanted.posts[source].keys()
    for shortcode, post in wanted.posts[source].items():
        assert differences(stored[shortcode], asdict(post)) == {}


async def test_a_block_of_creators_of_every_kind_ends_as_the_universe_says(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    handles = [sandbox.universe.creator(index).asked_handle for index in range(BLOCK)]
    outcomes = await asyncio.gather(
        *(refresh_profile_by_handle(HandleParams(handle=handle), ctx) for handle in handles), return_exceptions=True
    )
    wanted = expected_rows(sandbox.universe, handles)
    for handle, outcome in zip(handles, outcomes, strict=True):
        if wanted[handle].status == "FAILED":
            assert isinstance(outcome, ProviderError), handle
            assert outcome.code == wanted[handle].code
        else:
            assert isinstance(outcome, dict), (handle, outcome)
            assert outcome["posts"] == len(wanted[handle].usual_posts)
            await assert_as_expected(pg, wanted[handle])
    found = {shortcode for creator in wanted.values() for shortcode in creator.usual_posts}
    assert (await posts(pg)).keys() == found
    rows = await pg.fetch("select routing_key from event_outbox")
    assert Counter(row["routing_key"] for row in rows) == {
        "profile_log_events": sum(creator.profile is not None for creator in wanted.values()),
        "post_log_events": sum(len(creator.usual_posts) for creator in wanted.values()),
    }


async def test_a_refresh_by_id_asks_the_sources_of_ids(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Kind.RENAMED)
    result = await refresh_profile_by_profile_id(ProfileIdParams(profile_id=str(who.pk)), ctx)
    assert (result["source"], result["handle"], result["gaps"]) == (JOTUCKER, who.handle, [])
    await assert_as_expected(pg, expected_rows(sandbox.universe, [str(who.pk)])[str(who.pk)])
    assert await pg.fetchval("select refreshed_at is not null from instagram_account")


async def test_a_basic_refresh_makes_one_call_and_stores_what_came_along(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Kind.BUSINESS)
    result = await refresh_profile_basic(ProfileParams(handle=who.handle), ctx)
    assert result["source"] == "graphapi"
    assert (await sandbox.stats())["total"] == 1
    stored = await posts(pg)
    assert 0 < len(stored) == result["posts"] <= len(posts_of(sandbox.universe, who))
    assert all(row["post_id"] and row["post_id"] != row["media_pk"] for row in stored.values())
    assert await pg.fetchval("select refreshed_at is null from instagram_account")


async def test_graph_ids_and_media_numbers_of_one_post_end_in_one_row(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Kind.BUSINESS)
    await refresh_profile_by_handle(HandleParams(handle=who.handle), ctx)
    row = await pg.fetchrow("select post_id, media_pk from instagram_post order by publish_time desc limit 1")
    assert row is not None
    assert row["post_id"]
    assert row["media_pk"]
    assert row["post_id"] != row["media_pk"]


async def test_a_private_account_is_stored_and_its_posts_are_not_asked_for(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Kind.PRIVATE)
    result = await refresh_profile_by_handle(HandleParams(handle=who.handle), ctx)
    assert [gap["class"] for gap in result["gaps"]] == ["private"]
    assert await pg.fetchval("select is_private from instagram_account where profile_id = $1", str(who.pk))
    functions = {row["function"] for row in (await sandbox.stats())["rows"]}
    assert not functions & {"fetch_profile_posts_by_id", "fetch_reels_posts"}


@pytest.mark.parametrize(("kind", "error", "code"), [(Kind.MISSING, NotFound, 404), (Kind.CLOSED, Private, 403)])
async def test_who_cannot_be_seen_fails_and_leaves_nothing(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, kind: Kind, error: type[ProviderError], code: int
) -> None:
    who = one(sandbox, kind)
    with pytest.raises(error) as failure:
        await refresh_profile_by_handle(HandleParams(handle=who.asked_handle), ctx)
    assert failure.value.code == code
    assert await pg.fetchval("select count(*) from instagram_account") == 0
    assert await pg.fetchval("select count(*) from event_outbox") == 0


async def test_posts_come_from_the_next_source_when_the_first_one_fails(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Kind.PERSONAL)
    await sandbox.fault(JOTUCKER, "server_error", function="fetch_profile_posts_by_id")
    result = await refresh_profile_by_handle(HandleParams(handle=who.handle), ctx)
    assert result["gaps"] == []
    assert result["sources"] == {"profile": ARRAYBOBO, "posts": LAMA, "reels": ARRAYBOBO}
    await assert_as_expected(pg, expected_rows(sandbox.universe, [who.handle])[who.handle], LAMA)


async def test_without_any_source_of_posts_the_profile_is_stored_and_the_gap_named(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Kind.PERSONAL)
    await sandbox.fault("*", "server_error", function="fetch_profile_posts_by_id")
    result = await refresh_profile_by_handle(HandleParams(handle=who.handle), ctx)
    [gap] = result["gaps"]
    assert (gap["step"], gap["class"]) == ("fetch_profile_posts_by_id", "upstream")
    assert [source["source"] for source in gap["sources"]] == list(CHAINS["fetch_profile_posts_by_id"])
    assert await pg.fetchval("select count(*) from instagram_account") == 1
    assert all(row["post_type"] == "reels" for row in (await posts(pg)).values())


@pytest.mark.parametrize("source", [ARRAYBOBO, JOTUCKER])
async def test_one_post_is_refreshed_from_each_source(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, source: str
) -> None:
    who = one(sandbox, Kind.CREATOR)
    if source == JOTUCKER:
        await sandbox.fault(ARRAYBOBO, "html", function="fetch_post_by_shortcode")
    for shortcode, wanted in list(expected_of(sandbox, who).items())[:4]:
        result = await refresh_post_by_shortcode(ShortcodeParams(shortcode=shortcode), ctx)
        assert result == {"source": source, "shortcode": shortcode, "posts": 1}
        row = (await posts(pg))[shortcode]
        assert differences(row, {**asdict(wanted), "plays": row["plays"]}) == {}
        event = await pg.fetchrow("select payload from event_outbox order by id desc limit 1")
        assert event is not None
        assert json.loads(event["payload"])["profile_id"] == str(who.pk)


def expected_of(sandbox: Sandbox, who: Creator) -> Mapping[str, ExpectedPost]:
    return expected_rows(sandbox.universe, [who.handle])[who.handle].usual_posts


async def test_a_post_that_does_not_exist_fails_with_404(ctx: FlowContext) -> None:
    with pytest.raises(NotFound) as failure:
        await refresh_post_by_shortcode(ShortcodeParams(shortcode="CzzzzzzzzzA"), ctx)
    assert failure.value.code == 404
