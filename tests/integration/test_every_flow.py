"""Every Instagram flow as a caller has it: a row by SQL, a real pool, then the database and the broker."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from config import Settings
from core.flows.registry import FLOWS
from credentials.manager import CredentialManager
from credentials.runtime import build_runtime
from tests.sandbox.credentials import token_owners
from tests.support.consume import drain_queue, purge_queue, wait_for_empty_outbox
from tests.support.flow_cases import ACTIVITY, POST, PROFILE, RELATION, SENTIMENT, TASK, FlowCase, cases, derived_cases
from tests.support.pool import running_pool
from tests.support.relay import until
from tests.support.sandbox import Sandbox, running_sandbox

SOURCES = ("graphapi", "rapidapi-jotucker", "rapidapi-arraybobo", "rocketapi")
KEYS = (POST, PROFILE, RELATION, ACTIVITY, SENTIMENT, TASK)
INSERT = (
    "insert into scrape_request_log (flow, platform, params) values ($1, 'INSTAGRAM', $2::text::jsonb) returning id"
)
LEFT = "select count(*) = 0 from scrape_request_log where status in ('PENDING', 'PROCESSING')"
TOLD = re.compile("PENDING PROCESSING( PENDING( PENDING)? PROCESSING)* COMPLETE")
"""What the broker hears of a task, in words; on a busy machine a source may be too slow, and is asked again later."""

BUILT = {flow.name for flow in FLOWS if (flow.target or "").startswith("instagram.")}


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[Sandbox]:
    """A sandbox whose limits nobody meets."""
    async with running_sandbox(creators=400, limit_factor=1000) as running:
        yield running


@pytest.fixture
async def env(program_env: dict[str, str], settings: Settings, world: Sandbox) -> dict[str, str]:
    """What the pool runs with; the sources have credentials."""
    runtime = build_runtime(settings)
    assert isinstance(runtime.credentials, CredentialManager)
    for source in SOURCES:
        for one in world.credentials[source]:
            await runtime.credentials.insert_creds(source, one.credentials, handle=one.handle)
    await runtime.aclose()
    return {**program_env, "PROVIDER_SANDBOX_URL": world.url, "DEMO_LIMIT_FACTOR": "1000", "SINGLE_WORKER": "1"}


async def run_tasks(
    pg: asyncpg.Connection, env: dict[str, str], tasks: Sequence[tuple[str, Any]]
) -> list[asyncpg.Record]:
    """Run them, and whatever they queue, to their ends and until all is at the broker; the rows of the tasks."""
    async with running_pool(env) as pool:
        await pool.wait_for_line("pool is ready")
        ids = [await pg.fetchval(INSERT, flow, json.dumps(params)) for flow, params in tasks]
        await until(lambda: pg.fetchval(LEFT), within_s=180)
        await wait_for_empty_outbox(pg)
        assert await pool.stop() == 0
    rows = {row["id"]: row for row in await pg.fetch("select * from scrape_request_log")}
    return [rows[task_id] for task_id in ids]


async def differences(
    pg: asyncpg.Connection, env: dict[str, str], wanted: Sequence[FlowCase], ended: Sequence[asyncpg.Record]
) -> list[str]:
    """What is not as the cases say, each with its flow."""
    messages = {key: await drain_queue(env["RMQ_URL"], f"{key}_q") for key in KEYS}
    found = []
    for case, row in zip(wanted, ended, strict=True):
        if row["status"] != "COMPLETE":
            found.append(f"{case.flow}: {row['status']} {row['data']}")
        query, value = case.rows
        stored = await pg.fetchval(query)
        if stored != value:
            found.append(f"{case.flow}: {query} gives {stored!r}, should be {value!r}")
        said = " ".join(message["status"] for message in messages[TASK] if message["scl_id"] == str(row["id"]))
        if not TOLD.fullmatch(said):
            found.append(f"{case.flow}: the broker was told {said}")
        key, part = case.event
        if not any(part.items() <= _flat(message).items() for message in messages[key]):
            found.append(f"{case.flow}: no {key} with {part}")
    return found


def _flat(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if not isinstance(value, dict | list)}


async def test_every_flow_of_providers_stores_and_announces_what_they_give(
    env: dict[str, str], world: Sandbox, pg: asyncpg.Connection
) -> None:
    for key in KEYS:
        await purge_queue(env["RMQ_URL"], f"{key}_q")  # what other tests left there
    owners = [("refresh_profile_basic", {"handle": who.handle}) for who in token_owners(world.universe)]
    await run_tasks(pg, env, owners)
    wanted = cases(world.universe)
    ended = await run_tasks(pg, env, [(case.flow, case.params) for case in wanted])
    assert await differences(pg, env, wanted, ended) == []
    shapes = await pg.fetchval("select count(*) from payload_read")
    assert shapes > 15, "a worker that ends hands on what it saw of answers"


async def test_every_flow_that_works_on_what_is_stored_does_its_work(
    env: dict[str, str], world: Sandbox, pg: asyncpg.Connection
) -> None:
    owners = [("refresh_profile_by_handle", {"handle": who.handle}) for who in token_owners(world.universe)]
    await run_tasks(pg, env, owners)
    await pg.execute(
        """insert into instagram_account (profile_id, handle, followers, refreshed_at)
        values ('77', 'kept.for.long', 1000, '2020-01-01Z')"""
    )
    await pg.execute(
        """insert into instagram_post (shortcode, profile_id, handle, caption, likes, comments, post_type, publish_time)
        values ('Ckeywords', '77', 'kept.for.long', 'Handmade ceramic bowls from Lisbon', 100, 10, 'image', now())"""
    )
    wanted = derived_cases(world.universe)
    ended = await run_tasks(pg, env, [(case.flow, case.params) for case in wanted])
    assert await differences(pg, env, wanted, ended) == []


def test_no_flow_is_left_out(world: Sandbox) -> None:
    tried = [case.flow for case in (*cases(world.universe), *derived_cases(world.universe))]
    assert set(tried) == BUILT
    assert len(tried) == len(BUILT)
