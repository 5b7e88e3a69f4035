"""The parts of the demo: what flows leave compares as true, and every kind of difference is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from core.crawler.errors import ProviderError
from core.flows.registry import build_registry
from core.flows.scraper import resolve
from core.models.params import ProfileParams
from core.runtime import FlowContext
from instagram.flows.refresh_profile import refresh_profile_basic
from scripts.demo.check import Verdict
from scripts.demo.parts import PARTS, comments, followers, insights, media, stories
from scripts.demo.parts.base import Part, Scene
from tests.sandbox.expected import ARRAYBOBO, GRAPH, JOTUCKER, ROCKETAPI
from tests.support.flow_runtime import flow_context
from tests.support.media import bucket_env
from tests.support.s3 import S3Access
from tests.support.sandbox import Sandbox, running_sandbox

CREATORS = 60
Compare = Callable[[Scene, Verdict], Awaitable[None]]
REGISTRY = build_registry()


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[Sandbox]:
    """A sandbox whose limits nobody meets."""
    async with running_sandbox(creators=CREATORS * 2, limit_factor=1000) as running:
        yield running


@pytest.fixture
async def ctx(
    world: Sandbox, program_env: dict[str, str], s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FlowContext]:
    env = {**program_env, **bucket_env(s3), "DEMO_LIMIT_FACTOR": "1000", "ASSET_SANDBOX_CDN": world.url}
    async with flow_context(world, env, monkeypatch, [GRAPH, JOTUCKER, ARRAYBOBO, ROCKETAPI]) as context:
        yield context


async def run(part: Part, ctx: FlowContext, world: Sandbox) -> None:
    """The part's tasks in this process; each must end as it says."""
    turn = asyncio.Semaphore(4)

    async def one(flow_name: str, params: Any, code: int | None) -> None:
        flow = REGISTRY[flow_name]
        ended = None
        async with turn:
            try:
                await resolve(str(flow.target))(flow.params.model_validate(params), ctx)
            except ProviderError as error:
                ended = error.code
        assert ended == code, (flow_name, params)

    tasks = part.tasks(world.universe, CREATORS)
    assert {task.flow for task in tasks} <= set(part.FLOWS)
    await asyncio.gather(*(one(task.flow, task.params, task.code) for task in tasks))


async def problems(compare: Compare, pg: asyncpg.Connection, world: Sandbox) -> list[str]:
    programs: Any = None
    verdict = Verdict()
    await compare(Scene(programs, pg, world.universe, CREATORS), verdict)
    assert verdict.rows > 0
    return verdict.problems


CASES = [
    (
        followers,
        followers.compare,
        {
            "delete from profile_relationship_log where id = (select min(id) from profile_relationship_log)": "missing",
            "update profile_relationship_log set target_profile_id = 'x' where id = (select min(id) from "
            "profile_relationship_log)": "should not be there",
            "update profile_relationship_log set source_dimensions = null, target_dimensions = null": "handle: is",
        },
    ),
    (
        comments,
        comments.compare,
        {
            "delete from post_activity_log where activity_type = 'LIKE'": "like",
            "delete from post_activity_log where activity_type = 'COMMENT'": "comment",
            "update post_activity_log set metrics = '[]' where activity_type = 'COMMENT'": "'likes': None",
            "update sentiment_log set comment = 'other'": "comment: is 'other'",
            "delete from sentiment_log where id = (select min(id) from sentiment_log)": "sentiment",
        },
    ),
    (
        stories,
        stories.compare,
        {
            "update instagram_post set taps_back = taps_back + 1 where post_type = 'story'": "taps_back",
            "update instagram_post set content_type = 'x' where post_type = 'story'": "content_type: is 'x'",
            "delete from instagram_post where post_type = 'story'": "missing",
            "insert into instagram_post (shortcode, post_type) values ('7', 'story')": "story 7 should not be there",
        },
    ),
    (
        media,
        media.compare_rows,
        {
            "update asset set bytes = bytes - 1 where id = (select min(id) from asset)": "bytes",
            "update asset set hash = hash + 1 where id = (select min(id) from asset)": "hash",
            "delete from asset where id = (select min(id) from asset)": "missing",
            "insert into asset (entity_id, entity_type, asset_type, platform, asset_url) values "
            "('7', 'POST', 'IMAGE', 'INSTAGRAM', 'x')": "media x should not be there",
        },
    ),
    (
        insights,
        insights.compare_rows,
        {
            "update instagram_profile_insights set audience_city = null": "audience_city': None",
            "update instagram_post set reach = reach + 1": "reach",
            "delete from instagram_profile_insights": "missing",
        },
    ),
]


@pytest.mark.parametrize(("part", "compare", "harm"), CASES, ids=lambda value: getattr(value, "NAME", None))
async def test_what_flows_leave_is_true_and_every_kind_of_difference_is_named(
    ctx: FlowContext,
    world: Sandbox,
    pg: asyncpg.Connection,
    part: Part,
    compare: Compare,
    harm: dict[str, str],
) -> None:
    for who in insights.owners(world.universe, CREATORS):
        await refresh_profile_basic(ProfileParams(handle=who.handle), ctx)
    await run(part, ctx, world)
    assert await problems(compare, pg, world) == []
    for key, count in part.events(world.universe, CREATORS).items():
        assert await pg.fetchval("select count(*) from event_outbox where routing_key = $1", key) == count
    for statement, word in harm.items():
        change = pg.transaction()
        await change.start()
        await pg.execute(statement)
        found = await problems(compare, pg, world)
        await change.rollback()
        assert [problem for problem in found if word in problem], (statement, found)
    assert await problems(compare, pg, world) == []


def test_every_part_is_tried() -> None:
    assert {part.NAME for part in PARTS} == {part.NAME for part, *_ in CASES}
    assert len({part.NAME for part in PARTS}) == len(PARTS)
