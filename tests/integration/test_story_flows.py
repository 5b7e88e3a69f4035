"""Stories and highlights against the provider sandbox: whose they are, what their rows are called, what is gone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest

from core.crawler.errors import NoSourceAvailable, NotFound, ProviderError
from core.models.params import HandleParams, ProfileIdParams, ProfileStoriesParams
from core.runtime import FlowContext
from instagram.flows.highlights import fetch_profile_highlights
from instagram.flows.stories import refresh_stories_posts, refresh_story_posts_by_profile_id
from tests.sandbox.credentials import token_owners
from tests.sandbox.expected import ARRAYBOBO, GRAPH, JOTUCKER
from tests.sandbox.hosts.graph_media import own_posts
from tests.sandbox.posts import DAY, highlights_of, stories_of
from tests.sandbox.universe import OPEN_KINDS, Creator
from tests.support.flow_runtime import flow_context
from tests.support.sandbox import Sandbox
from tests.support.stored import announced, stored_posts, told


@pytest.fixture
async def ctx(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FlowContext]:
    async with flow_context(sandbox, program_env, monkeypatch, [GRAPH, JOTUCKER, ARRAYBOBO]) as context:
        yield context


def owner_with_stories(sandbox: Sandbox) -> Creator:
    universe = sandbox.universe
    return next(who for who in token_owners(universe) if stories_of(universe, who) and own_posts(universe, who))


def creator(sandbox: Sandbox, stories: int) -> Creator:
    creators = (sandbox.universe.creator(index) for index in range(200))
    return next(who for who in creators if who.kind in OPEN_KINDS and len(stories_of(sandbox.universe, who)) == stories)


async def test_a_connected_account_has_its_stories_and_its_media_of_three_months_stored(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = owner_with_stories(sandbox)
    stories, posts = stories_of(sandbox.universe, who), own_posts(sandbox.universe, who)
    result = await refresh_stories_posts(HandleParams(handle=f"@{who.handle.upper()}"), ctx)
    assert (result["source"], result["handle"], result["gaps"]) == (GRAPH, who.handle, [])
    rows = await stored_posts(pg)
    assert (result["stories"], result["posts"]) == (len(stories), len(rows) - len(stories))
    for story in stories:
        wanted = {
            "profile_id": str(who.pk), "handle": who.handle, "post_type": "story", "media_pk": str(story.pk),
            "post_id": str(story.graph_id), "content_type": "video" if story.is_video else "image",
        }  # fmt: skip
        row = rows.pop(str(story.pk))
        assert told(row, wanted) == wanted
        assert row["publish_time"].timestamp() == story.taken_at
    recent = {post.shortcode for post in posts if post.taken_at > sandbox.universe.now - 90 * DAY}
    assert recent <= rows.keys() <= {post.shortcode for post in posts}
    assert {row["profile_id"] for row in rows.values()} == {str(who.pk)}
    events = await announced(pg)
    assert Counter(event["shortcode"] for event in events) == Counter([*rows, *(str(one.pk) for one in stories)])
    assert {event["profile_id"] for event in events} == {str(who.pk)}


async def test_a_stored_account_is_not_asked_for_again(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = owner_with_stories(sandbox)
    await pg.execute("insert into instagram_account (profile_id, handle) values ($1, $2)", str(who.pk), who.handle)
    await refresh_stories_posts(HandleParams(handle=who.handle), ctx)
    functions = {row["function"] for row in (await sandbox.stats())["rows"]}
    assert functions == {"fetch_stories_posts", "fetch_profile_posts_by_id"}


async def test_media_that_cannot_be_had_are_a_gap_and_stories_a_failure(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = owner_with_stories(sandbox)
    await sandbox.fault(GRAPH, "server_error", function="fetch_profile_posts_by_id")
    result = await refresh_stories_posts(HandleParams(handle=who.handle), ctx)
    assert ([gap["step"] for gap in result["gaps"]], result["posts"]) == (["media"], 0)
    assert len(await stored_posts(pg)) == result["stories"] > 0
    await sandbox.fault(GRAPH, "server_error", function="fetch_stories_posts")
    with pytest.raises(ProviderError):
        await refresh_stories_posts(HandleParams(handle=who.handle), ctx)


async def test_media_that_fail_once_are_asked_for_again(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = owner_with_stories(sandbox)
    await sandbox.fault(GRAPH, "truncated_json", function="fetch_stories_posts", times=1)
    await sandbox.fault(GRAPH, "truncated_json", function="fetch_profile_posts_by_id", times=1)
    result = await refresh_stories_posts(HandleParams(handle=who.handle), ctx)
    assert (result["gaps"], (await sandbox.hits())[GRAPH]) == ([], 2)
    assert len(await stored_posts(pg)) == result["stories"] + result["posts"]


async def test_stories_of_an_account_that_is_not_connected_are_not_asked_for(
    ctx: FlowContext, sandbox: Sandbox
) -> None:
    connected = {owner.index for owner in token_owners(sandbox.universe)}
    stranger = next(who for who in map(sandbox.universe.creator, range(50)) if who.index not in connected)
    with pytest.raises(NoSourceAvailable):
        await refresh_stories_posts(HandleParams(handle=stranger.handle), ctx)
    assert (await sandbox.stats())["total"] == 0


def params(who: Creator, **values: object) -> ProfileStoriesParams:
    return ProfileStoriesParams.model_validate({"profile_id": str(who.pk), "handle": who.handle, **values})


async def test_stories_of_anybody_are_stored_with_the_numbers_of_their_account_and_lost_ones_as_stubs(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = creator(sandbox, 3)
    stories = stories_of(sandbox.universe, who)
    numbers = {"profile_follower": 5, "profile_er": 1.5, "profile_static_er": 2.5, "profile_reels_er": 0.0}
    asked = [str(stories[0].pk), "3012345678901234567", "3012345678901234567"]
    result = await refresh_story_posts_by_profile_id(params(who, story_ids=asked, **numbers), ctx)
    assert result == {"source": ARRAYBOBO, "profile_id": str(who.pk), "stories": 3, "stubs": 1, "gaps": []}
    rows = await stored_posts(pg)
    assert rows.keys() == {*(str(story.pk) for story in stories), asked[1]}
    both = {"profile_id": str(who.pk), "handle": who.handle, "post_type": "story", **numbers}
    for row in rows.values():
        assert told(row, both) == both
    stub = rows[asked[1]]
    assert (stub["post_id"], stub["publish_time"], stub["content_type"]) == (asked[1], None, None)
    for story in stories:
        row = rows[str(story.pk)]
        assert row["publish_time"].timestamp() == story.taken_at
        assert row["content_type"] == ("video" if story.is_video else "image")
        assert row["post_id"] == str(story.pk)
    events = {event["shortcode"]: event for event in await announced(pg)}
    assert events.keys() == rows.keys()
    assert all(event["dimensions"]["post_id"] == name for name, event in events.items())
    assert events[asked[1]]["source"] == ""
    assert events[str(stories[0].pk)]["metrics"]["profile_er"] == 1.5


async def test_an_id_with_its_owner_behind_it_is_the_same_story(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = creator(sandbox, 3)
    pks = [str(story.pk) for story in stories_of(sandbox.universe, who)]
    asked = [f"{pks[0]}_{who.pk}", f"3012345678901234567_{who.pk}", "3012345678901234567", "", f"_{who.pk}"]
    named = params(who, handle=f" @{who.handle.upper()}", story_ids=asked)
    result = await refresh_story_posts_by_profile_id(named, ctx)
    assert (result["stories"], result["stubs"]) == (3, 1)
    rows = await stored_posts(pg)
    assert rows.keys() == {*pks, "3012345678901234567"}
    assert {row["handle"] for row in rows.values()} == {who.handle}
    stub = rows["3012345678901234567"]
    assert (stub["post_id"], stub["media_pk"]) == ("3012345678901234567", "3012345678901234567")


async def test_a_stub_changes_nothing_of_a_story_that_is_known_better(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = creator(sandbox, 0)
    await pg.execute(
        "insert into instagram_post (shortcode, media_pk, post_id, profile_id, handle, post_type, content_type, "
        "profile_er) values ('7', '7', '17900000000000001', $1, $2, 'story', 'video', 1.5)",
        str(who.pk),
        who.handle,
    )
    before = (await stored_posts(pg))["7"]
    result = await refresh_story_posts_by_profile_id(params(who, story_ids=["7"], profile_er=9.0), ctx)
    assert (result["stories"], result["stubs"]) == (0, 1)
    after = (await stored_posts(pg))["7"]
    assert {key for key in before if before[key] != after[key]} == {"updated_at"}


async def test_graphs_id_of_a_story_stays_when_another_source_shows_it(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = creator(sandbox, 3)
    await refresh_story_posts_by_profile_id(params(who), ctx)
    await pg.execute("update instagram_post set post_id = '1790000' || id")
    before = {name: row["post_id"] for name, row in (await stored_posts(pg)).items()}
    await refresh_story_posts_by_profile_id(params(who), ctx)
    assert {name: row["post_id"] for name, row in (await stored_posts(pg)).items()} == before


async def test_no_story_is_called_lost_while_no_source_answers(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    await sandbox.fault("*", "server_error", function="fetch_story_posts_by_profile_id")
    with pytest.raises(ProviderError):
        await refresh_story_posts_by_profile_id(params(creator(sandbox, 3), story_ids=["7"]), ctx)
    assert await stored_posts(pg) == {}


async def test_an_account_without_stories_is_a_success(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    result = await refresh_story_posts_by_profile_id(params(creator(sandbox, 0)), ctx)
    assert (result["stories"], result["stubs"]) == (0, 0)
    assert await announced(pg) == []


async def test_highlights_are_stories_that_stay(ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection) -> None:
    who = next(
        one
        for one in map(sandbox.universe.creator, range(200))
        if one.kind in OPEN_KINDS and all(highlights_of(sandbox.universe, one).values())
    )
    kept = [story for stories in highlights_of(sandbox.universe, who).values() for story in stories]
    result = await fetch_profile_highlights(ProfileIdParams(profile_id=str(who.pk)), ctx)
    assert result == {
        "source": ARRAYBOBO, "profile_id": str(who.pk), "highlights": 2, "stories": len(kept), "gaps": [],
    }  # fmt: skip
    rows = await stored_posts(pg)
    assert rows.keys() == {str(story.pk) for story in kept}
    for story in kept:
        wanted = {"post_type": "story", "content_type": "video" if story.is_video else "image", "handle": who.handle}
        row = rows[str(story.pk)]
        assert told(row, wanted) == wanted
        assert row["publish_time"].timestamp() == story.taken_at
    assert Counter(event["shortcode"] for event in await announced(pg)) == Counter(list(rows))


async def test_a_highlight_that_cannot_be_had_is_a_gap(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = creator(sandbox, 2)
    names = list(highlights_of(sandbox.universe, who))
    await sandbox.fault(ARRAYBOBO, "server_error", function="fetch_highlight_posts", subject=names[0])
    result = await fetch_profile_highlights(ProfileIdParams(profile_id=str(who.pk)), ctx)
    assert [gap["step"] for gap in result["gaps"]] == [f"highlight {names[0]}"]
    assert len(await stored_posts(pg)) == result["stories"] == 3
    await sandbox.fault(ARRAYBOBO, "server_error", function="fetch_highlight_posts", subject=names[1])
    with pytest.raises(ProviderError):
        await fetch_profile_highlights(ProfileIdParams(profile_id=str(who.pk)), ctx)
    with pytest.raises(NotFound):
        await fetch_profile_highlights(ProfileIdParams(profile_id="1"), ctx)


async def test_story_rows_have_their_audit_trail(ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection) -> None:
    who = creator(sandbox, 2)
    await refresh_story_posts_by_profile_id(params(who, story_ids=["7"]), ctx)
    rows = await pg.fetch("select platform_post_id, source, dimensions from post_log order by platform_post_id")
    assert {row["source"] for row in rows} == {ARRAYBOBO, ""}
    assert [json.loads(row["dimensions"]) for row in rows if row["platform_post_id"] == "7"] == [
        [
            {"key": "post_id", "value": "7"},
            {"key": "media_pk", "value": "7"},
            {"key": "profile_id", "value": str(who.pk)},
            {"key": "handle", "value": who.handle},
            {"key": "post_type", "value": "story"},
        ]
    ]
