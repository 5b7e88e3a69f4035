"""Answers kept in a real object store, while flows run against the sandbox."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from core.crawler.errors import Malformed
from core.crawler.offline import read_answer
from core.crawler.provider import Asked
from core.crawler.raw import unpack
from core.models.params import HandleParams, ProfileIdParams, ProfileParams
from core.runtime import FlowContext
from instagram.flows.refresh_profile import (
    refresh_profile_basic,
    refresh_profile_by_handle,
    refresh_profile_by_profile_id,
)
from instagram.functions.retriever.crawler import INSTAGRAM
from tests.sandbox.expected import ARRAYBOBO, GRAPH, JOTUCKER
from tests.sandbox.universe import Creator, Kind
from tests.support.flow_runtime import flow_context
from tests.support.s3 import S3Access
from tests.support.sandbox import Sandbox

SOURCES = (GRAPH, JOTUCKER, ARRAYBOBO)
Context = Callable[..., AbstractAsyncContextManager[FlowContext]]


@pytest.fixture
def running(sandbox: Sandbox, program_env: dict[str, str], s3: S3Access, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A flow's context with this session's bucket; ``variables`` are further settings."""
    store = {
        "S3_ENDPOINT_URL": s3.endpoint_url, "AWS_ACCESS_KEY": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_REGION": s3.region, "AWS_BUCKET": s3.bucket,
    }  # fmt: skip

    @asynccontextmanager
    async def context(**variables: str) -> AsyncIterator[FlowContext]:
        async with flow_context(sandbox, {**program_env, **store, **variables}, monkeypatch, SOURCES) as found:
            yield found

    return context


def one(sandbox: Sandbox, kind: Kind) -> Creator:
    creators = (sandbox.universe.creator(index) for index in range(sandbox.universe.size))
    return next(who for who in creators if who.kind is kind and who.trait == "plain")


def stored(s3: S3Access, key: str) -> Any:
    client = s3.client()
    body = client.get_object(Bucket=s3.bucket, Key=key)["Body"].read()
    client.close()
    return unpack(body)


async def rows(pg: asyncpg.Connection) -> list[asyncpg.Record]:
    return await pg.fetch("select * from raw_payload order by id")


async def test_an_answer_that_no_parser_can_read_is_kept_and_read_again_later(
    running: Context, sandbox: Sandbox, pg: asyncpg.Connection, s3: S3Access
) -> None:
    who = one(sandbox, Kind.PERSONAL)
    await sandbox.fault(JOTUCKER, "changed_key", function="fetch_profile_by_id")
    async with running() as ctx:
        result = await refresh_profile_by_profile_id(ProfileIdParams(profile_id=str(who.pk)), ctx)
    assert result["source"] == ARRAYBOBO
    [row] = await rows(pg)
    day = f"{row['fetched_at']:%Y-%m-%d}"
    assert row["s3_key"] == f"raw/{JOTUCKER}/fetch_profile_by_id/{day}/{row['sha256']}.json.zst"
    assert (row["source"], row["function"], row["status"], row["class"]) == (
        JOTUCKER, "fetch_profile_by_id", 200, "malformed",
    )  # fmt: skip
    assert json.loads(row["request"]) == {"profile_id": str(who.pk)}
    body = json.dumps(stored(s3, row["s3_key"])).encode()
    with pytest.raises(Malformed):
        read_answer(INSTAGRAM.providers[JOTUCKER], "fetch_profile_by_id", Asked(profile_id=str(who.pk)), body=body)


async def test_what_was_read_is_kept_where_a_share_says_so_and_holds_no_secret(
    running: Context, sandbox: Sandbox, pg: asyncpg.Connection, s3: S3Access
) -> None:
    who = one(sandbox, Kind.BUSINESS)
    async with running(RAW_SAMPLE=f"{GRAPH}=1") as ctx:
        await refresh_profile_by_handle(HandleParams(handle=who.handle), ctx)
    kept = await rows(pg)
    assert [(row["source"], row["function"], row["class"]) for row in kept] == [
        (GRAPH, "fetch_profile_by_handle", "ok")
    ]
    data = stored(s3, kept[0]["s3_key"])
    page = read_answer(INSTAGRAM.providers[GRAPH], "fetch_profile_by_handle", Asked(), body=json.dumps(data).encode())
    assert (page.profile.profile_id, len(page.posts) > 0) == (str(who.pk), True)
    tokens = {value for one in sandbox.credentials[GRAPH] for name, value in one.credentials.items() if name == "token"}
    assert not [token for token in tokens if token in json.dumps(data)]


async def test_nothing_is_kept_and_no_client_made_while_all_is_well(
    running: Context, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Kind.BUSINESS)
    async with running() as ctx:
        await refresh_profile_basic(ProfileParams(handle=who.handle), ctx)
        assert ctx.runtime._kept is not None
        assert ctx.runtime._kept._store._client is None
    assert await rows(pg) == []


@pytest.mark.parametrize(
    "broken",
    [
        {"S3_ENDPOINT_URL": "http://127.0.0.1:1"},
        {"AWS_SECRET_ACCESS_KEY": "wrong"},
        {"AWS_BUCKET": "no-such-bucket"},
    ],
    ids=str,
)
async def test_a_store_that_fails_fails_no_task(
    running: Context, sandbox: Sandbox, pg: asyncpg.Connection, broken: dict[str, str]
) -> None:
    who = one(sandbox, Kind.PERSONAL)
    await sandbox.fault(JOTUCKER, "changed_key", function="fetch_profile_by_id")
    async with running(RAW_SAMPLE="1", **broken) as ctx:
        result = await refresh_profile_by_profile_id(ProfileIdParams(profile_id=str(who.pk)), ctx)
        assert ctx.runtime._kept is not None
        assert ctx.runtime._kept._rests_until > 0
    assert (result["source"], result["gaps"]) == (ARRAYBOBO, [])
    assert await rows(pg) == []
    assert await pg.fetchval("select count(*) from instagram_account") == 1


async def test_without_a_bucket_nothing_is_kept(running: Context, sandbox: Sandbox, pg: asyncpg.Connection) -> None:
    who = one(sandbox, Kind.PERSONAL)
    await sandbox.fault(JOTUCKER, "changed_key", function="fetch_profile_by_id")
    async with running(AWS_BUCKET="", RAW_SAMPLE="1") as ctx:
        await refresh_profile_by_profile_id(ProfileIdParams(profile_id=str(who.pk)), ctx)
        assert ctx.runtime._kept is None
    assert await rows(pg) == []
