"""Owners' numbers against the provider sandbox: each with the token of its account, what is stored, what is said."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from core.crawler.errors import CredentialInvalid, InsufficientData, NoSourceAvailable, NotFound, ProviderError
from core.models.params import (
    DaysLimitParams,
    HandleDaysParams,
    HandleParams,
    PostInsightsParams,
    ProfileParams,
    StoryInsightsParams,
)
from core.runtime import FlowContext
from credentials.manager import CredentialManager
from instagram.flows import schedule_insights as module
from instagram.flows.refresh_insights import (
    refresh_post_insights,
    refresh_profile_audience_insights,
    refresh_profile_insights,
    refresh_story_insights,
)
from instagram.flows.refresh_profile import refresh_profile_basic
from instagram.flows.schedule_insights import refresh_post_insights_by_profile, schedule_post_insights_refresh
from tests.sandbox.credentials import token_owners
from tests.sandbox.hosts.graph_insights import media_value
from tests.sandbox.posts import DAY, Media, Post, posts_of, stories_of
from tests.sandbox.universe import Creator, Universe
from tests.support.flow_runtime import flow_context
from tests.support.sandbox import Sandbox, running_sandbox

GRAPH = "graphapi"
ENOUGH_VIEWERS = 5
PAGE = 50
"""Media on a page of Graph's."""

TYPES = {Media.IMAGE: "image", Media.CAROUSEL: "carousel", Media.VIDEO: "reels", Media.REEL: "reels"}


@pytest.fixture
async def ctx(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FlowContext]:
    async with flow_context(sandbox, program_env, monkeypatch, [GRAPH]) as context:
        yield context


@pytest.fixture
async def newer(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FlowContext]:
    """With Graph API v18.0."""
    env = {**program_env, "GRAPH_VERSION": "v18.0"}
    async with flow_context(sandbox, env, monkeypatch, [GRAPH]) as context:
        yield context


def owners(sandbox: Sandbox) -> list[Creator]:
    """The accounts that have connected themselves."""
    found = [sandbox.universe.by_handle(one.handle or "") for one in sandbox.credentials[GRAPH]]
    return [who for who in found if who is not None]


def recent(sandbox: Sandbox, *media: Media) -> Iterator[tuple[Creator, Post]]:
    """Own posts of the last 90 days of connected accounts."""
    for who in owners(sandbox):
        for post in posts_of(sandbox.universe, who):
            young = post.taken_at > sandbox.universe.now - 90 * DAY
            if young and post.owner == who.index and post.media in media:
                yield who, post


def stories(sandbox: Sandbox, *, few_viewers: bool = False) -> Iterator[tuple[Creator, Post]]:
    for who in owners(sandbox):
        for story in stories_of(sandbox.universe, who):
            if (sandbox.universe.number("viewers", story.pk) % ENOUGH_VIEWERS == 0) is few_viewers:
                yield who, story


def asked(who: Creator, post: Post, post_id: str | None = None) -> PostInsightsParams:
    given = str(post.graph_id) if post_id is None else post_id
    return PostInsightsParams(shortcode=post.shortcode, handle=who.handle, post_id=given, post_type=TYPES[post.media])


def asked_story(who: Creator, story: Post, story_id: str | None = None) -> StoryInsightsParams:
    pk = str(story.pk)
    return StoryInsightsParams(story_id=story_id or pk, shortcode=pk, profile_id=str(who.pk), handle=who.handle)


async def row_of(pg: asyncpg.Connection, shortcode: str) -> dict[str, Any]:
    row = await pg.fetchrow("select * from instagram_post where shortcode = $1", shortcode)
    assert row is not None
    return dict(row)


async def last_event(pg: asyncpg.Connection, routing_key: str) -> dict[str, Any]:
    text = await pg.fetchval("select payload from event_outbox where routing_key = $1 order by id desc", routing_key)
    event: dict[str, Any] = json.loads(text)
    return event


async def put_account(pg: asyncpg.Connection, who: Creator) -> None:
    await pg.execute("insert into instagram_account (profile_id, handle) values ($1, $2)", str(who.pk), who.handle)


async def calls(sandbox: Sandbox) -> dict[str, int]:
    """function -> requests that were answered with data or an error."""
    found: dict[str, int] = {}
    for row in (await sandbox.stats())["rows"]:
        found[row["function"]] = found.get(row["function"], 0) + row["count"]
    return found


@pytest.mark.parametrize("media", list(Media))
async def test_each_kind_of_post_gets_its_own_numbers(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, media: Media
) -> None:
    who, post = next(recent(sandbox, media))
    await put_account(pg, who)
    result = await refresh_post_insights(asked(who, post), ctx)
    assert (result["source"], result["profile_id"], result["gaps"]) == (GRAPH, str(who.pk), [])
    assert {"reach", "saved"} <= set(result["metrics"])
    row = await row_of(pg, post.shortcode)
    reach = "carousel_album_reach" if media is Media.CAROUSEL else "reach"
    assert row["reach"] == media_value(sandbox.universe, post, reach)
    assert (row["post_id"], row["profile_id"], row["handle"]) == (str(post.graph_id), str(who.pk), who.handle)
    if media is Media.REEL:
        assert (row["plays"], row["likes"], row["comments"]) == (post.plays, post.likes, post.comments)
        assert (row["interactions"] is None, row["impressions"]) == (False, None)
    else:
        assert row["engagement"] == post.likes + post.comments
    event = await last_event(pg, "post_log_events")
    assert (event["profile_id"], event["handle"], event["shortcode"]) == (str(who.pk), who.handle, post.shortcode)
    assert event["metrics"]["saves"] == event["metrics"]["saved"] == row["saved"]
    assert await pg.fetchval("select count(*) from post_log where profile_id = $1", str(who.pk)) == 1


async def test_the_stored_product_type_decides_which_numbers_are_asked_for(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who, video = next(recent(sandbox, Media.VIDEO))
    await refresh_post_insights(asked(who, video), ctx)
    unknown = await calls(sandbox)
    await pg.execute("update instagram_post set product_type = 'FEED', post_type = 'reels'")
    await sandbox.clear()
    await refresh_post_insights(asked(who, video), ctx)
    assert unknown == {"fetch_post_insights": 2}
    assert await calls(sandbox) == {"fetch_post_insights": 1}
    assert (await row_of(pg, video.shortcode))["video_views"] == video.views


async def test_the_stored_type_of_a_post_goes_before_the_one_that_is_said(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who, post = next(recent(sandbox, Media.CAROUSEL))
    await pg.execute("insert into instagram_post (shortcode, post_type) values ($1, 'carousel')", post.shortcode)
    await refresh_post_insights(asked(who, post).model_copy(update={"post_type": "image"}), ctx)
    row = await row_of(pg, post.shortcode)
    assert row["reach"] == media_value(sandbox.universe, post, "carousel_album_reach")


@pytest.mark.parametrize("given", ["", "None", "pk"])
async def test_a_post_without_its_graph_id_is_found_in_the_accounts_own_list(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, given: str
) -> None:
    who, post = next(recent(sandbox, Media.REEL))
    await put_account(pg, who)
    await refresh_post_insights(asked(who, post, f"{post.pk}_{who.pk}" if given == "pk" else given), ctx)
    row = await row_of(pg, post.shortcode)
    assert (row["post_id"], row["media_pk"], row["product_type"]) == (str(post.graph_id), str(post.pk), "REELS")
    assert (row["plays"], row["profile_id"]) == (post.plays, str(who.pk))


async def test_numbers_of_a_post_leave_what_others_said_of_it(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who, post = next(recent(sandbox, Media.IMAGE))
    await pg.execute(
        "insert into instagram_post (shortcode, profile_id, handle, caption, likes, keywords)"
        " values ($1, 'owner', 'somebody', 'words', 77, 'k')",
        post.shortcode,
    )
    await refresh_post_insights(asked(who, post), ctx)
    row = await row_of(pg, post.shortcode)
    assert (row["profile_id"], row["handle"], row["caption"], row["likes"]) == ("owner", "somebody", "words", 77)
    assert row["keywords"] == "k"
    event = await last_event(pg, "post_log_events")
    assert (event["profile_id"], event["handle"]) == ("owner", "somebody")


@pytest.mark.parametrize("connected", [True, False])
async def test_a_post_of_somebody_else_stays_theirs_and_one_of_a_renamed_account_gets_its_handle(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, connected: bool
) -> None:
    who, post = next(recent(sandbox, Media.IMAGE))
    await put_account(pg, who)
    profile_id = str(who.pk) if connected else "owner"
    await pg.execute(
        "insert into instagram_post (shortcode, profile_id, handle) values ($1, $2, 'older')",
        post.shortcode,
        profile_id,
    )
    assert (await refresh_post_insights(asked(who, post), ctx))["profile_id"] == profile_id
    event = await last_event(pg, "post_log_events")
    assert (event["profile_id"], event["handle"]) == (profile_id, who.handle if connected else "older")


async def test_a_post_that_is_in_no_list_of_the_account_fails_and_names_why(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = owners(sandbox)[0]
    params = PostInsightsParams(shortcode="CzzzzzzzzzA", handle=who.handle, post_id="", post_type="")
    with pytest.raises(NotFound, match="media id of CzzzzzzzzzA is not known"):
        await refresh_post_insights(params, ctx)
    assert await pg.fetchval("select count(*) from instagram_post where reach is not null") == 0


async def test_an_account_without_a_token_of_its_own_is_not_asked_about_with_anothers(
    ctx: FlowContext, sandbox: Sandbox
) -> None:
    _, post = next(recent(sandbox, Media.IMAGE))
    params = PostInsightsParams(
        shortcode=post.shortcode, handle="somebody.else", post_id=str(post.graph_id), post_type=""
    )
    with pytest.raises(NoSourceAvailable):
        await refresh_post_insights(params, ctx)
    assert await calls(sandbox) == {}


@pytest.mark.parametrize(("state", "expired"), [("expired", True), ("scopeless", False)])
async def test_a_token_that_lost_its_access_is_blamed_for_a_post_that_is_not_found(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, state: str, expired: bool
) -> None:
    own = sandbox.credentials[GRAPH][0]
    keys = {**own.credentials, "token": f"{own.credentials['token']}:{state}"}
    assert isinstance(ctx.runtime.credentials, CredentialManager)
    await ctx.runtime.credentials.insert_creds(GRAPH, keys, handle=own.handle)
    _, post = next((who, post) for who, post in recent(sandbox, *Media) if who.handle != own.handle)
    params = PostInsightsParams(
        shortcode=post.shortcode, handle=own.handle or "", post_id=str(post.graph_id), post_type=""
    )
    with pytest.raises(CredentialInvalid) as failure:
        await refresh_post_insights(params, ctx)
    assert failure.value.code == 401
    row = await pg.fetchrow("select data_access_expired, disabled_till from credential where handle = $1", own.handle)
    assert row is not None
    assert (row["data_access_expired"], row["disabled_till"] is not None) == (expired, not expired)


async def test_a_post_of_another_account_is_not_found_and_a_good_token_stays(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    own = sandbox.credentials[GRAPH][0]
    _, post = next((who, post) for who, post in recent(sandbox, *Media) if who.handle != own.handle)
    params = PostInsightsParams(
        shortcode=post.shortcode, handle=own.handle or "", post_id=str(post.graph_id), post_type="image"
    )
    with pytest.raises(NotFound):
        await refresh_post_insights(params, ctx)
    assert await pg.fetchval("select bool_and(disabled_till is null and not data_access_expired) from credential")


async def test_a_token_that_cannot_be_checked_is_not_blamed(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    own = sandbox.credentials[GRAPH][0]
    _, post = next((who, post) for who, post in recent(sandbox, *Media) if who.handle != own.handle)
    await sandbox.fault(GRAPH, "server_error", function="debug_token")
    params = PostInsightsParams(
        shortcode=post.shortcode, handle=own.handle or "", post_id=str(post.graph_id), post_type="image"
    )
    with pytest.raises(NotFound):
        await refresh_post_insights(params, ctx)
    assert (await calls(sandbox))["debug_token"] == 1
    assert await pg.fetchval("select bool_and(disabled_till is null and not data_access_expired) from credential")


async def test_a_story_known_by_its_pk_only_is_found_among_the_accounts_own(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who, story = next(stories(sandbox))
    await put_account(pg, who)
    await pg.execute(
        "insert into instagram_post (shortcode, post_id, media_pk, profile_id, post_type)"
        " values ($1, $1, $1, $2, 'story')",
        str(story.pk),
        str(who.pk),
    )
    result = await refresh_story_insights(asked_story(who, story), ctx)
    assert result["gaps"] == []
    assert await calls(sandbox) == {"fetch_stories_posts": 1, "fetch_story_insights": 1}
    row = await row_of(pg, str(story.pk))
    wanted = {"taps_forward": "taps_forward", "taps_back": "taps_back", "exits": "exits", "replies": "replies"}
    assert {column: row[column] for column in wanted} == {
        column: media_value(sandbox.universe, story, name) for column, name in wanted.items()
    }
    assert (row["post_id"], row["post_type"]) == (str(story.graph_id), "story")
    event = await last_event(pg, "post_log_events")
    assert (event["profile_id"], event["shortcode"]) == (str(who.pk), str(story.pk))
    for name, alias in {"tap_forward": "taps_forward", "tap_back": "taps_back", "tap_exit": "exits"}.items():
        assert event["metrics"][name] == event["metrics"][alias] == row[alias]
    assert await pg.fetchval("select count(distinct shortcode) from instagram_post") == len(
        stories_of(sandbox.universe, who)
    )


async def test_newer_versions_give_nine_numbers_of_a_story_and_how_people_moved_on(
    newer: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who, story = next(stories(sandbox))
    result = await refresh_story_insights(asked_story(who, story, str(story.graph_id)), newer)
    assert result["gaps"] == []
    assert result["profile_id"] == str(who.pk)
    row = await row_of(pg, str(story.pk))
    nine = ("impressions", "reach", "replies", "saved", "shares", "interactions", "follows", "profile_visits")
    assert all(row[name] is not None for name in (*nine, "profile_activity", "navigation", "automatic_forward"))
    moves = ("automatic_forward", "taps_back", "exits", "taps_forward", "swipe_back", "swipe_forward")
    assert row["navigation"] == sum(row[name] for name in moves)


async def test_what_one_call_about_a_story_gave_stays_when_the_other_fails(
    newer: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who, story = next(stories(sandbox))
    await pg.execute(
        "insert into instagram_post (shortcode, post_id) values ($1, $2)", str(story.pk), str(story.graph_id)
    )
    await sandbox.fault(GRAPH, "server_error", function="fetch_story_insights", times=1)
    result = await refresh_story_insights(asked_story(who, story), newer)
    assert [gap["class"] for gap in result["gaps"]] == ["upstream"]
    assert result["profile_id"] == str(who.pk)
    row = await row_of(pg, str(story.pk))
    assert (row["reach"] is None) != (row["navigation"] is None)


async def test_a_story_that_is_in_no_list_of_the_account_is_asked_for_by_the_id_that_is_said(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who, story = next(stories(sandbox))
    other = next(one for one in owners(sandbox) if one.handle != who.handle)
    with pytest.raises(NotFound, match="Graph's media id") as unknown:
        await refresh_story_insights(asked_story(other, story), ctx)
    with pytest.raises(NotFound) as failure:
        await refresh_story_insights(asked_story(other, story, str(story.graph_id)), ctx)
    assert str(failure.value) != str(unknown.value)
    assert (await calls(sandbox))["fetch_story_insights"] > 0


def seed_with_a_story_that_few_have_seen(now: int) -> int:
    for seed in range(1, 100):
        universe = Universe(seed, now, 100)
        seen = [story for owner in token_owners(universe) for story in stories_of(universe, owner)]
        if any(universe.number("viewers", story.pk) % ENOUGH_VIEWERS == 0 for story in seen):
            return seed
    raise AssertionError("one story in five has too few viewers")


async def test_a_story_that_few_have_seen_fails_for_good(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, pg: asyncpg.Connection
) -> None:
    now = sandbox.universe.now
    async with running_sandbox(seed=seed_with_a_story_that_few_have_seen(now), now=now, creators=100) as other:
        who, story = next(stories(other, few_viewers=True))
        async with flow_context(other, program_env, monkeypatch, [GRAPH]) as ctx:
            with pytest.raises(InsufficientData):
                await refresh_story_insights(asked_story(who, story), ctx)
    assert (await row_of(pg, str(story.pk)))["reach"] is None


def an_owner(sandbox: Sandbox) -> Creator:
    return next(who for who in owners(sandbox) if who.followers >= 100)


async def insights_row(pg: asyncpg.Connection) -> dict[str, Any]:
    row = await pg.fetchrow("select * from instagram_profile_insights")
    assert row is not None
    return {name: json.loads(value) if "audience" in name and value else value for name, value in row.items()}


async def test_older_versions_store_followers_and_name_the_rest_as_gaps(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = an_owner(sandbox)
    await put_account(pg, who)
    kept = {"IN": 7}
    await pg.execute(
        "insert into instagram_profile_insights (profile_id, reached_audience_country, audience_city)"
        " values ($1, $2, '{}')",
        str(who.pk),
        json.dumps(kept),
    )
    result = await refresh_profile_insights(HandleParams(handle=f"@{who.handle.upper()}"), ctx)
    assert result["stored"] == ["audience_city", "audience_country", "audience_gender_age", "audience_locale"]
    gaps = {gap["step"]: gap["class"] for gap in result["gaps"]}
    parts = ("city", "country", "gender_age")
    assert gaps == {f"{who}_audience_{part}": "unsupported" for who in ("reached", "engaged") for part in parts}
    row = await insights_row(pg)
    assert (row["profile_id"], row["handle"], row["reached_audience_country"]) == (str(who.pk), who.handle, kept)
    assert set(row["audience_gender_age"]) == {"male", "female", "uncategorized"}
    assert row["audience_gender_age"]["female"]["25-34"] >= 0
    assert row["audience_city"]
    event = await last_event(pg, "profile_log_events")
    assert (event["profile_id"], event["handle"], event["source"]) == (str(who.pk), who.handle, GRAPH)
    assert event["dimensions"]["audience_city"] == row["audience_city"]
    assert await pg.fetchval("select count(*) from profile_log") == 1


async def test_newer_versions_store_who_was_reached_and_who_engaged_each_under_its_name(
    newer: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = an_owner(sandbox)
    await put_account(pg, who)
    result = await refresh_profile_insights(HandleParams(handle=who.handle), newer)
    assert [gap["step"] for gap in result["gaps"]] == ["audience_locale"]
    assert await calls(sandbox) == {"fetch_audience_insights": 9}
    row = await insights_row(pg)
    for prefix, metric in {"": "follower_demographics", "reached_": "reached_audience_demographics",
                           "engaged_": "engaged_audience_demographics"}.items():  # fmt: skip
        of_india = sandbox.universe.number(metric, who.index, "IN") % (who.followers // 2 + 1)
        assert row[f"{prefix}audience_country"]["IN"] == of_india
        women = sandbox.universe.number(metric, who.index, "25-34", "F") % (who.followers // 2 + 1)
        assert row[f"{prefix}audience_gender_age"]["female"]["25-34"] == women


async def test_a_failed_part_of_an_audience_keeps_what_is_stored_and_is_named(
    newer: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = an_owner(sandbox)
    await put_account(pg, who)
    await refresh_profile_insights(HandleParams(handle=who.handle), newer)
    before = await insights_row(pg)
    await sandbox.fault(GRAPH, "server_error", function="fetch_audience_insights", times=2)
    result = await refresh_profile_insights(HandleParams(handle=who.handle), newer)
    failed = [gap for gap in result["gaps"] if gap["class"] == "upstream"]
    assert len(failed) == 2
    assert len(result["stored"]) == 7
    after = await insights_row(pg)
    assert {name: value for name, value in after.items() if "audience" in name} == {
        name: value for name, value in before.items() if "audience" in name
    }


async def test_an_audience_of_which_nothing_comes_fails_and_leaves_what_is_stored(
    newer: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = an_owner(sandbox)
    await put_account(pg, who)
    await sandbox.fault(GRAPH, "server_error", function="fetch_audience_insights")
    with pytest.raises(ProviderError):
        await refresh_profile_insights(HandleParams(handle=who.handle), newer)
    assert await pg.fetchval("select count(*) from instagram_profile_insights") == 0
    assert await pg.fetchval("select count(*) from event_outbox") == 0


async def test_the_short_form_is_one_call_with_the_older_metrics(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    await assert_short_form(ctx, sandbox, pg, requests=1)


async def test_the_short_form_is_two_calls_with_the_newer_metrics(
    newer: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    await assert_short_form(newer, sandbox, pg, requests=2)


async def assert_short_form(context: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, requests: int) -> None:
    """Followers by city and by gender and age, and nothing else."""
    who = an_owner(sandbox)
    await put_account(pg, who)
    result = await refresh_profile_audience_insights(HandleParams(handle=who.handle), context)
    assert (result["stored"], result["gaps"]) == (["audience_city", "audience_gender_age"], [])
    assert await calls(sandbox) == {"fetch_audience_insights": requests}
    row = await insights_row(pg)
    assert row["audience_city"]
    assert row["audience_gender_age"]
    assert row["audience_country"] is None


async def test_an_audience_without_a_stored_account_is_refused_before_anybody_is_asked(
    ctx: FlowContext, sandbox: Sandbox
) -> None:
    with pytest.raises(NotFound, match="refresh its profile first"):
        await refresh_profile_insights(HandleParams(handle=an_owner(sandbox).handle), ctx)
    assert await calls(sandbox) == {}


async def tasks(pg: asyncpg.Connection) -> list[dict[str, Any]]:
    rows = await pg.fetch("select flow, params, idempotency_key from scrape_request_log order by id")
    return [{**row, "params": json.loads(row["params"])} for row in rows]


def wanted(sandbox: Sandbox, who: Creator, days: int) -> set[str]:
    since = sandbox.universe.now - days * DAY
    posts = posts_of(sandbox.universe, who)
    return {post.shortcode for post in posts if post.owner == who.index and post.taken_at >= since}


async def test_one_task_per_recent_post_of_a_connected_account_and_day(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who, _ = next(recent(sandbox, *Media))
    await put_account(pg, who)
    params = HandleDaysParams(handle=who.handle)
    first = await refresh_post_insights_by_profile(params, ctx)
    found = await tasks(pg)
    assert {task["params"]["shortcode"] for task in found} == wanted(sandbox, who, 30)
    assert first["queued"] == first["posts"] == len(found)
    assert {task["flow"] for task in found} == {"refresh_post_insights"}
    by_code = {post.shortcode: post for post in posts_of(sandbox.universe, who)}
    for task in found:
        post = by_code[task["params"]["shortcode"]]
        said = PostInsightsParams.model_validate(task["params"])
        assert (said.handle, said.post_id, said.post_type) == (who.handle, str(post.graph_id), TYPES[post.media])
    again = await refresh_post_insights_by_profile(params, ctx)
    assert (again["queued"], len(await tasks(pg))) == (0, len(found))
    older = await refresh_post_insights_by_profile(HandleDaysParams(handle=who.handle, days=90), ctx)
    assert older["posts"] == len(wanted(sandbox, who, 90))
    tomorrow = replace(ctx, started_at=ctx.started_at + timedelta(hours=25))
    assert (await refresh_post_insights_by_profile(params, tomorrow))["queued"] > 0
    assert await pg.fetchval("select bool_and(profile_id = $1) from instagram_post", str(who.pk))


async def test_connected_accounts_get_tasks_for_their_stored_posts_up_to_the_limit(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    connected = owners(sandbox)[:2]
    for who in connected:
        await refresh_profile_basic(ProfileParams(handle=who.handle), ctx)
    since = datetime.fromtimestamp(sandbox.universe.now, UTC) - timedelta(days=30)
    stored = await pg.fetch(
        "select shortcode from instagram_post where publish_time >= $1 and handle = any($2)"
        " and post_type <> 'story' order by publish_time desc",
        since,
        [who.handle for who in connected],
    )
    codes = [row["shortcode"] for row in stored]
    assert len(codes) > 3
    first = await schedule_post_insights_refresh(DaysLimitParams(limit=3), ctx)
    assert (first["queued"], [task["params"]["shortcode"] for task in await tasks(pg)]) == (3, codes[:3])
    rest = await schedule_post_insights_refresh(DaysLimitParams(), ctx)
    assert rest["queued"] == len(codes) - 3
    assert (await schedule_post_insights_refresh(DaysLimitParams(), ctx))["queued"] == 0
    assert {task["params"]["shortcode"] for task in await tasks(pg)} == set(codes)


async def test_disabled_and_expired_accounts_are_not_connected(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    one, other = owners(sandbox)[:2]
    for who in (one, other):
        await refresh_profile_basic(ProfileParams(handle=who.handle), ctx)
    await pg.execute("update credential set enabled = false where handle = $1", one.handle)
    await pg.execute("update credential set data_access_expired = true where handle = $1", other.handle)
    result = await schedule_post_insights_refresh(DaysLimitParams(days=300), ctx)
    assert (result["queued"], result["accounts"]) == (0, len(owners(sandbox)) - 2)


def seed_with_an_owner_of_two_pages(now: int) -> int:
    return next(seed for seed in range(1, 100) if _of_two_pages(Universe(seed, now, 100)))


def _of_two_pages(universe: Universe) -> Creator | None:
    """A connected account with more own posts of the last month than a page holds."""
    for owner in token_owners(universe):
        own = [post for post in posts_of(universe, owner) if post.owner == owner.index]
        if sum(post.taken_at > universe.now - 25 * DAY for post in own) > PAGE:
            return owner
    return None


async def test_a_page_that_fails_leaves_tasks_for_the_posts_before_it_and_is_named(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, pg: asyncpg.Connection
) -> None:
    now = sandbox.universe.now
    async with running_sandbox(seed=seed_with_an_owner_of_two_pages(now), now=now, creators=100) as other:
        owner = _of_two_pages(other.universe)
        assert owner is not None
        params = HandleDaysParams(handle=owner.handle)
        async with flow_context(other, program_env, monkeypatch, [GRAPH]) as ctx:
            fetch = ctx.runtime.http.request

            async def failing_later(method: str, url: str, **options: Any) -> object:
                if "after" in str(options.get("params")):
                    await other.fault(GRAPH, "server_error", function="fetch_profile_posts_by_id")
                return await fetch(method, url, **options)

            monkeypatch.setattr(ctx.runtime.http, "request", failing_later)
            result = await refresh_post_insights_by_profile(params, ctx)
            assert (result["posts"], result["queued"], result["pages"]) == (PAGE, PAGE, 1)
            assert [gap["step"] for gap in result["gaps"]] == ["fetch_profile_posts_by_id"]
            assert len(await tasks(pg)) == PAGE
            with pytest.raises(ProviderError):
                await refresh_post_insights_by_profile(params, ctx)


async def test_a_task_says_all_that_is_stored_of_its_post_and_ends_after_a_day(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    who, *others = owners(sandbox)
    for number, seen in ((1, 9), (2, 1), (3, 5)):
        await pg.execute(
            "insert into instagram_account (profile_id, handle, updated_at) values ($1, $2, $3)",
            str(number),
            who.handle,
            ctx.started_at - timedelta(days=seen),
        )
    for code, profile_id, days, post_id, post_type in (
        ("foreign", "1", 1, "9", "image"),
        ("plain", "2", 40, None, None),
        ("story", "2", 1, "8", "story"),
        ("early", "2", 3, "6", "reels"),
        ("late", "2", 3, "7", "image"),
        ("last", "2", 3, "5", "carousel"),
        ("old", "2", 42, "4", "image"),
    ):
        await pg.execute(
            "insert into instagram_post (shortcode, profile_id, publish_time, post_id, post_type)"
            " values ($1, $2, $3, $4, $5)",
            code,
            profile_id,
            ctx.started_at - timedelta(days=days),
            post_id,
            post_type,
        )
    result = await schedule_post_insights_refresh(DaysLimitParams(days=41), ctx)
    assert result == {"accounts": 1 + len(others), "posts": 4, "queued": 4}
    found = await tasks(pg)
    assert [task["params"] for task in found] == [
        {"shortcode": "last", "handle": who.handle, "post_id": "5", "post_type": "carousel"},
        {"shortcode": "late", "handle": who.handle, "post_id": "7", "post_type": "image"},
        {"shortcode": "early", "handle": who.handle, "post_id": "6", "post_type": "reels"},
        {"shortcode": "plain", "handle": who.handle, "post_id": "", "post_type": ""},
    ]
    ends = await pg.fetch("select distinct platform, expires_at from scrape_request_log")
    assert [tuple(row) for row in ends] == [("INSTAGRAM", ctx.started_at + timedelta(days=1))]
