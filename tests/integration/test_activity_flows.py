"""Likes, comments and replies against the provider sandbox: what is stored, what is announced."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from core.crawler.errors import NotFound
from core.crawler.provider import Asked, Payload
from core.models.params import CommentsParams, LikesParams, RepliesParams
from core.runtime import FlowContext
from instagram.flows import fetch_activities as module
from instagram.flows.fetch_activities import fetch_post_comment_replies, fetch_post_comments, fetch_post_likes
from instagram.functions.retriever.crawler import CHAINS
from instagram.models.functions import FETCH_POST_COMMENTS, FETCH_POST_LIKES
from instagram.models.pages import Comment
from instagram.tasks.activities_ingestion import comments_on
from instagram.tasks.activities_processing import upsert_activities
from instagram.tasks.keywords import keywords
from instagram.tasks.retrieval import crawler_of
from tests.sandbox.credentials import token_owners
from tests.sandbox.expected import JOTUCKER
from tests.sandbox.posts import Post, posts_of
from tests.sandbox.universe import Kind
from tests.support.flow_runtime import flow_context
from tests.support.sandbox import Sandbox

GRAPH = "graphapi"
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
LISTED, PAGE = 120, 50
"""How many likes and comments the sandbox lists at most, and how many on a page."""


@pytest.fixture
async def ctx(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FlowContext]:
    async with flow_context(sandbox, program_env, monkeypatch, [JOTUCKER, GRAPH]) as context:
        yield context


@pytest.fixture
def post(sandbox: Sandbox) -> Post:
    """A post with more comments and likes than the sandbox lists."""
    creators = map(sandbox.universe.creator, range(sandbox.universe.size))
    of_open = (one for who in creators if who.kind is Kind.PERSONAL for one in posts_of(sandbox.universe, who))
    return next(one for one in of_open if min(one.comments, one.likes) > LISTED)


async def rows(pg: asyncpg.Connection) -> list[dict[str, Any]]:
    found = [dict(row) for row in await pg.fetch("select * from post_activity_log order by id")]
    for row in found:
        row["dimensions"] = {one["key"]: one["value"] for one in json.loads(row["dimensions"])}
        row["metrics"] = {one["key"]: one["value"] for one in json.loads(row["metrics"])}
    return found


async def announced(pg: asyncpg.Connection, routing_key: str) -> list[dict[str, Any]]:
    query = "select payload from event_outbox where routing_key = $1 order by id"
    return [json.loads(row["payload"]) for row in await pg.fetch(query, routing_key)]


async def test_likes_are_stored_once_each_and_are_no_matter_of_what_is_said(
    ctx: FlowContext, post: Post, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    for _ in range(2):
        result = await fetch_post_likes(LikesParams(shortcode=post.shortcode), ctx)
        assert result == {
            "shortcode": post.shortcode,
            "likes": LISTED,
            "source": JOTUCKER,
            "sources": [JOTUCKER],
            "pages": 3,
            "gaps": [],
        }
    people = {str(one.pk): one.handle for one in sandbox.universe.others(post.index, LISTED, post.slot, "likes")}
    stored = await rows(pg)
    assert {row["actor_profile_id"]: row["dimensions"]["handle"] for row in stored} == people
    assert len(stored) == LISTED
    assert {(row["activity_type"], row["comment_id"], row["platform_post_id"]) for row in stored} == {
        ("LIKE", None, post.shortcode)
    }
    events = await announced(pg, "post_activity_log_events")
    assert len(events) == 2 * LISTED
    assert {(event["activity_type"], event["publish_time"]) for event in events} == {("LIKE", None)}
    assert await announced(pg, "post_activity_log_bulk") == []


async def test_comments_are_stored_with_their_keywords_and_announced_one_by_one_and_page_by_page(
    ctx: FlowContext, post: Post, pg: asyncpg.Connection
) -> None:
    result = await fetch_post_comments(CommentsParams(shortcode=post.shortcode, max_comments=None), ctx)
    assert (result["comments"], result["pages"], result["gaps"]) == (LISTED, 3, [])
    stored = {row["comment_id"]: row for row in await rows(pg)}
    assert len(stored) == LISTED
    for number, (comment_id, row) in enumerate(stored.items()):
        said = row["dimensions"]
        assert (row["activity_type"], said["comment_id"]) == ("COMMENT", comment_id)
        assert said["keywords"] == keywords(said["text"])
        assert row["metrics"].keys() == {"likes", "comments"}
        assert row["actor_profile_id"]
        assert said["taken_at_timestamp"] > post.taken_at, number
    events = await announced(pg, "post_activity_log_events")
    assert {event["dimensions"]["comment_id"] for event in events} == stored.keys()
    assert all(event["publish_time"] for event in events)
    bulks = await announced(pg, "post_activity_log_bulk")
    assert [len(bulk["post_activity_logs"]) for bulk in bulks] == [PAGE, PAGE, LISTED - 2 * PAGE]
    first = bulks[0]["post_activity_logs"][0]
    row = stored[next(one["value"] for one in first["dimensions"] if one["key"] == "comment_id")]
    assert {one["key"]: one["value"] for one in first["dimensions"]} == row["dimensions"]
    assert (first["actor_profile_id"], first["platform_post_id"]) == (row["actor_profile_id"], post.shortcode)


async def test_as_many_comments_as_wanted_and_the_rest_of_the_page(
    ctx: FlowContext, post: Post, pg: asyncpg.Connection
) -> None:
    result = await fetch_post_comments(CommentsParams(shortcode=post.shortcode, max_comments=51), ctx)
    assert (result["comments"], result["pages"], len(await rows(pg))) == (2 * PAGE, 2, 2 * PAGE)


async def test_as_many_likes_as_wanted_and_the_rest_of_the_page(
    ctx: FlowContext, post: Post, pg: asyncpg.Connection
) -> None:
    result = await fetch_post_likes(LikesParams(shortcode=post.shortcode, max_likes=51), ctx)
    assert (result["likes"], result["pages"], len(await rows(pg))) == (2 * PAGE, 2, 2 * PAGE)


async def test_likes_go_on_at_a_cursor_of_the_source_that_is_asked_first(
    ctx: FlowContext, sandbox: Sandbox, post: Post, pg: asyncpg.Connection
) -> None:
    first = await crawler_of(ctx).fetch(FETCH_POST_LIKES, Asked(shortcode=post.shortcode), source=JOTUCKER)
    await sandbox.fault(JOTUCKER, "truncated_json", function="fetch_post_likes", times=1)
    result = await fetch_post_likes(LikesParams(shortcode=post.shortcode, cursor=first.value.cursor), ctx)
    assert (result["likes"], result["pages"], len(await rows(pg))) == (LISTED - PAGE, 2, LISTED - PAGE)


async def test_comments_go_on_at_a_cursor_of_the_source_that_is_asked_first(
    ctx: FlowContext, sandbox: Sandbox, post: Post, pg: asyncpg.Connection
) -> None:
    first = await crawler_of(ctx).fetch(FETCH_POST_COMMENTS, Asked(shortcode=post.shortcode), source=JOTUCKER)
    await sandbox.fault(JOTUCKER, "truncated_json", function="fetch_post_comments", times=1)
    params = CommentsParams(shortcode=post.shortcode, max_comments=None, cursor=first.value.cursor)
    result = await fetch_post_comments(params, ctx)
    assert (result["comments"], result["pages"], len(await rows(pg))) == (LISTED - PAGE, 2, LISTED - PAGE)


async def test_comments_on_a_post_that_does_not_exist_fail_with_404(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    with pytest.raises(NotFound):
        await fetch_post_comments(CommentsParams(shortcode="CzzzzzzzzzA", max_comments=None), ctx)
    assert await rows(pg) == []


def page_of(*comments: Comment, source: str = JOTUCKER) -> Any:
    payload = Payload(source, "fetch_post_comments", Asked(), None, NOW)
    return comments_on("Cabc", comments, payload)


async def store(ctx: FlowContext, *comments: Comment, source: str = JOTUCKER) -> None:
    async with ctx.runtime.database.sessions() as session:
        await upsert_activities(session, page_of(*comments, source=source))


async def test_a_comment_without_text_is_stored_and_not_sent_to_be_understood(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    await store(ctx, Comment("1", "good", "11"), Comment("2", None, "12"), Comment("3", "", "13"), Comment("4", " "))
    assert [row["comment_id"] for row in await rows(pg)] == ["1", "2", "3", "4"]
    [bulk] = await announced(pg, "post_activity_log_bulk")
    [sent] = bulk["post_activity_logs"]
    assert {"key": "text", "value": "good"} in sent["dimensions"]
    assert len(await announced(pg, "post_activity_log_events")) == 4


async def test_pages_that_say_nothing_are_announced_by_no_message(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    await store(ctx)
    await store(ctx, Comment("2", None, "12"))
    assert await announced(pg, "post_activity_log_bulk") == []


async def test_a_comment_is_one_row_whether_its_author_is_known_by_number_or_not(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    await store(ctx, Comment("1", "good", None, "lena"), source=GRAPH)
    await store(ctx, Comment("1", "good", "11", "lena"))
    await store(ctx, Comment("1", "better", None, "lena"), source=GRAPH)
    [row] = await rows(pg)
    assert (row["actor_profile_id"], row["dimensions"]["text"], row["source"]) == ("11", "better", GRAPH)


async def test_a_comment_that_stands_twice_already_is_updated_under_the_name_of_its_author(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    await pg.executemany(
        "insert into post_activity_log"
        " (activity_type, platform, platform_post_id, actor_profile_id, comment_id, source, timestamp)"
        " values ('COMMENT', 'INSTAGRAM', 'Cabc', $1, '17', 'lama', '2024-01-01Z')",
        [(None,), ("5",)],
    )
    await store(ctx, Comment("17", "so nice", "5", "lena"))
    said = {row["actor_profile_id"]: row["source"] for row in await pg.fetch("select * from post_activity_log")}
    assert said == {None: "lama", "5": JOTUCKER}


async def test_a_page_that_was_fetched_earlier_and_stored_later_changes_nothing(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    new, old = (comments_on("Cabc", [Comment("1", said, "11")], _fetched(at)) for said, at in (("new", 2), ("old", 1)))
    for logs in (new, old, new):
        async with ctx.runtime.database.sessions() as session:
            await upsert_activities(session, logs)
        [row] = await rows(pg)
        assert row["dimensions"]["text"] == "new"


def _fetched(minute: int) -> Payload:
    return Payload(JOTUCKER, "fetch_post_comments", Asked(), None, NOW.replace(minute=minute))


async def test_replies_that_stand_under_a_comment_are_comments_in_its_thread(
    ctx: FlowContext, post: Post, pg: asyncpg.Connection
) -> None:
    await fetch_post_comments(CommentsParams(shortcode=post.shortcode, max_comments=None), ctx)
    parents = [row for row in await rows(pg) if row["metrics"]["comments"]]
    parent = parents[-1]
    assert len(parents) > 2 * PAGE // 4, "the last one stands on the third page"
    await pg.execute("truncate event_outbox")
    params = RepliesParams(shortcode=post.shortcode, comment_id=parent["comment_id"])
    result = await fetch_post_comment_replies(params, ctx)
    assert (result["replies"], result["partial"], result["source"], result["pages"]) == (1, False, JOTUCKER, 3)
    [reply] = [row for row in await rows(pg) if "comments_thread" in row["dimensions"]]
    assert reply["dimensions"]["comments_thread"] == parent["comment_id"]
    assert (reply["activity_type"], reply["comment_id"] != parent["comment_id"]) == ("COMMENT", True)
    [event] = await announced(pg, "post_activity_log_events")
    assert event["dimensions"]["comments_thread"] == parent["comment_id"]


async def test_replies_to_a_comment_that_the_post_does_not_have_fail_with_404(
    ctx: FlowContext, post: Post, pg: asyncpg.Connection
) -> None:
    with pytest.raises(NotFound, match="no such comment"):
        await fetch_post_comment_replies(RepliesParams(shortcode=post.shortcode, comment_id="17"), ctx)
    assert await rows(pg) == []


async def test_replies_that_were_not_looked_for_to_the_end_are_partial(
    ctx: FlowContext, post: Post, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMENT_PAGES", 2)
    result = await fetch_post_comment_replies(RepliesParams(shortcode=post.shortcode, comment_id="17"), ctx)
    assert (result["replies"], result["partial"], result["pages"]) == (0, True, 2)
    assert [gap["class"] for gap in result["gaps"]] == ["empty_pages"]
    assert await rows(pg) == []


async def test_all_replies_are_asked_of_graph_for_posts_of_a_connected_account(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    owner = token_owners(sandbox.universe)[0]
    shortcode = posts_of(sandbox.universe, owner)[0].shortcode
    await pg.execute("insert into instagram_post (shortcode, handle) values ($1, $2)", shortcode, owner.handle)
    comment_id, wanted = next(
        (str(number), many)
        for number in range(17_870_000_000_000_000, 17_870_000_000_001_000)
        if (many := sandbox.universe.number("replies", str(number)) % 121) > 2 * PAGE
    )
    result = await fetch_post_comment_replies(RepliesParams(shortcode=shortcode, comment_id=comment_id), ctx)
    assert (result["source"], result["replies"], result["partial"]) == (GRAPH, wanted, False)
    stored = await rows(pg)
    assert {row["dimensions"]["comments_thread"] for row in stored} == {comment_id}
    assert len(stored) == wanted
    assert {row["source"] for row in stored} == {GRAPH}
    asked = {row["credential"] for row in (await sandbox.stats())["rows"]}
    assert asked == {one.label for one in sandbox.credentials[GRAPH] if one.handle == owner.handle}
    few = RepliesParams(shortcode=shortcode, comment_id=comment_id, max_replies=PAGE + 1)
    assert (await fetch_post_comment_replies(few, ctx))["replies"] == 2 * PAGE


async def test_replies_that_graph_does_not_give_are_those_that_stand_under_the_comment(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    owner = token_owners(sandbox.universe)[0]
    shortcode = next(one.shortcode for one in posts_of(sandbox.universe, owner) if one.comments)
    await pg.execute("insert into instagram_post (shortcode, handle) values ($1, $2)", shortcode, owner.handle)
    await fetch_post_comments(CommentsParams(shortcode=shortcode, max_comments=1), ctx)
    parent = next(row["comment_id"] for row in await rows(pg) if row["metrics"]["comments"])
    await sandbox.fault(GRAPH, "server_error", function="fetch_post_comment_replies")
    result = await fetch_post_comment_replies(RepliesParams(shortcode=shortcode, comment_id=parent), ctx)
    assert (await sandbox.hits())[GRAPH] == 1
    assert (result["source"], result["replies"]) == (JOTUCKER, 1)


async def test_tasks_that_meet_at_a_post_neither_fail_nor_store_a_comment_twice(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    named = [Comment(str(number), "good", str(number)) for number in range(200)]
    unnamed = [Comment(comment.comment_id, "good") for comment in reversed(named)]
    await asyncio.gather(*(store(ctx, *(unnamed if turn % 2 else named)) for turn in range(8)))
    stored = await rows(pg)
    assert {row["comment_id"]: row["actor_profile_id"] for row in stored} == {str(n): str(n) for n in range(200)}
    assert len(stored) == 200


@pytest.mark.parametrize("source", [s for s in CHAINS["fetch_post_comments"] if s != JOTUCKER])
async def test_all_comments_and_likes_come_from_each_other_source_as_well(
    sandbox: Sandbox,
    program_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    pg: asyncpg.Connection,
    post: Post,
    source: str,
) -> None:
    async with flow_context(sandbox, program_env, monkeypatch, [source]) as ctx:
        result = await fetch_post_comments(CommentsParams(shortcode=post.shortcode, max_comments=None), ctx)
        assert (result["source"], result["comments"], result["gaps"]) == (source, LISTED, [])
        if source in CHAINS["fetch_post_likes"]:
            result = await fetch_post_likes(LikesParams(shortcode=post.shortcode), ctx)
            assert (result["source"], result["likes"]) == (source, LISTED)
    assert len([row for row in await rows(pg) if row["activity_type"] == "COMMENT"]) == LISTED
