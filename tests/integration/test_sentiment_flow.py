"""extract_post_sentiment: comments that are stored, or fetched first; rows, events, and what a second run changes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from core.crawler.errors import ChainFailed, NotFound
from core.enums import ActivityType, Platform
from core.flows.scraper import BadTask
from core.models.logs import ActivityLog
from core.models.params import SentimentParams
from core.runtime import FlowContext
from instagram.flows.sentiment import extract_post_sentiment
from instagram.tasks.activities_processing import upsert_activities
from tests.sandbox.expected import JOTUCKER
from tests.sandbox.lists import comment, comment_count
from tests.sandbox.posts import posts_of
from tests.sandbox.universe import Kind
from tests.support.flow_runtime import flow_context
from tests.support.sandbox import Sandbox
from utils.sentiment import label, score

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
SAID = {
    "1": ("Love this look 😍", "positive"),
    "2": ("bilkul bakwas, paise barbad", "negative"),
    "3": ("price kya hai", "neutral"),
    "4": ("बहुत अच्छा", "positive"),
}


@pytest.fixture
async def ctx(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FlowContext]:
    async with flow_context(sandbox, program_env, monkeypatch, [JOTUCKER]) as context:
        yield context


def said(comment_id: str, words: str | None, platform: Platform = Platform.INSTAGRAM, **more: Any) -> ActivityLog:
    dimensions = {"comment_id": comment_id, "handle": f"user{comment_id}", "keywords": ["look"], "text": words}
    return ActivityLog(
        ActivityType.COMMENT, platform, "Cabc", f"9{comment_id}", "lama", more.pop("at", NOW), comment_id,
        {key: value for key, value in dimensions.items() if value is not None}, {"likes": 3},
    )  # fmt: skip


async def store(ctx: FlowContext, *logs: ActivityLog) -> None:
    async with ctx.runtime.database.sessions() as session:
        await upsert_activities(session, logs)


async def rows(pg: asyncpg.Connection) -> dict[str, dict[str, Any]]:
    found = [dict(row) for row in await pg.fetch("select * from sentiment_log order by id")]
    assert len({row["comment_id"] for row in found}) == len(found)
    return {row["comment_id"]: row for row in found}


async def events(pg: asyncpg.Connection) -> list[dict[str, Any]]:
    query = "select payload from event_outbox where routing_key = 'sentiment_log_events' order by id"
    return [json.loads(row["payload"]) for row in await pg.fetch(query)]


async def test_stored_comments_get_a_row_and_an_event_each(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    await store(ctx, *(said(comment_id, words) for comment_id, (words, _) in SAID.items()))
    result = await extract_post_sentiment(SentimentParams(shortcode="Cabc"), ctx)
    assert result == {
        "shortcode": "Cabc", "comments": 4, "judged": 4, "changed": 4,
        "positive": 2, "negative": 1, "neutral": 1, "fetched": 0, "gaps": [],
    }  # fmt: skip
    stored = await rows(pg)
    for comment_id, (words, sentiment) in SAID.items():
        row = stored[comment_id]
        assert (row["platform"], row["platform_post_id"], row["source"]) == ("INSTAGRAM", "Cabc", "beat")
        assert (row["comment"], row["sentiment"], row["score"]) == (words, sentiment, score(words))
        assert {one["key"] for one in json.loads(row["dimensions"])} == {
            "comment_id",
            "profile_id",
            "handle",
            "keywords",
        }
        assert json.loads(row["metrics"]) == [{"key": "likes", "value": 3}]
    said_events = await events(pg)
    assert [event["comment_id"] for event in said_events] == list(SAID)
    first = said_events[0]
    assert first.keys() == {
        "event_id", "source", "platform", "shortcode", "comment_id", "event_timestamp", "comment", "sentiment", "score",
        "metrics", "dimensions",
    }  # fmt: skip
    assert first["dimensions"] == {"comment_id": "1", "profile_id": "91", "handle": "user1", "keywords": ["look"]}
    assert (first["metrics"], first["sentiment"], first["score"]) == ({"likes": 3}, "positive", score(SAID["1"][0]))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", first["event_timestamp"])


async def test_a_second_run_changes_and_announces_only_what_changed(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    await store(ctx, *(said(comment_id, words) for comment_id, (words, _) in SAID.items()))
    await extract_post_sentiment(SentimentParams(shortcode="Cabc"), ctx)
    before = await rows(pg)
    again = await extract_post_sentiment(SentimentParams(shortcode="Cabc"), ctx)
    assert (again["judged"], again["changed"]) == (4, 0)
    assert (await rows(pg), len(await events(pg))) == (before, 4)
    await store(ctx, said("3", "worst ever", at=NOW.replace(hour=13)))
    assert (await extract_post_sentiment(SentimentParams(shortcode="Cabc"), ctx))["changed"] == 1
    assert (await rows(pg))["3"]["sentiment"] == "negative"
    assert [event["comment_id"] for event in (await events(pg))[4:]] == ["3"]


async def test_an_item_without_text_is_left_out_and_takes_nothing_from_the_one_before(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    await store(ctx, said("1", "Love it"), said("2", None), said("3", "   "), said("4", "hate it"))
    await pg.execute(
        """insert into post_activity_log (activity_type, platform, platform_post_id, comment_id, dimensions, metrics)
        values ('COMMENT', 'INSTAGRAM', 'Cabc', '5', '[{"key": "text", "value": 7}, 1, {"key": 2}]', '{"a": 1}')"""
    )
    result = await extract_post_sentiment(SentimentParams(shortcode="Cabc"), ctx)
    assert (result["comments"], result["judged"]) == (5, 2)
    assert {comment_id: row["sentiment"] for comment_id, row in (await rows(pg)).items()} == {
        "1": "positive", "4": "negative"
    }  # fmt: skip


async def test_a_comment_that_stands_twice_is_judged_once_by_its_newest_text(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    await pg.execute(
        """insert into post_activity_log (activity_type, platform, platform_post_id, comment_id, actor_profile_id,
            dimensions, timestamp)
        values ('COMMENT', 'INSTAGRAM', 'Cabc', '1', null, '[{"key": "text", "value": "hate it"}]', '2024-01-01Z'),
            ('COMMENT', 'INSTAGRAM', 'Cabc', '1', '9', '[{"key": "text", "value": "love it"}]', '2024-02-01Z'),
            ('LIKE', 'INSTAGRAM', 'Cabc', null, '9', '[]', '2024-02-01Z')"""
    )
    result = await extract_post_sentiment(SentimentParams(shortcode="Cabc"), ctx)
    assert (result["comments"], {row["comment"] for row in (await rows(pg)).values()}) == (1, {"love it"})


async def test_comments_are_fetched_when_none_are_stored(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    universe = sandbox.universe
    creators = map(universe.creator, range(universe.size))
    of_open = (one for who in creators if who.kind is Kind.PERSONAL for one in posts_of(universe, who))
    post = next(one for one in of_open if 60 < one.comments < 110)
    result = await extract_post_sentiment(SentimentParams(shortcode=post.shortcode), ctx)
    truth = [comment(universe, post, number) for number in range(comment_count(post))]
    wanted = Counter(label(score(one.text)) for one in truth)
    assert (result["comments"], result["fetched"]) == (len(truth), len(truth))
    assert {word: result[word] for word in ("positive", "negative", "neutral")} == {
        word: wanted[word] for word in ("positive", "negative", "neutral")
    }
    assert {row["comment"] for row in (await rows(pg)).values()} == {one.text for one in truth}
    requests = (await sandbox.stats())["total"]
    again = await extract_post_sentiment(SentimentParams(shortcode=post.shortcode), ctx)
    assert (again["fetched"], again["changed"], (await sandbox.stats())["total"]) == (0, 0, requests)


async def test_a_post_that_does_not_exist_fails_with_404(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    with pytest.raises((NotFound, ChainFailed)) as failure:
        await extract_post_sentiment(SentimentParams(shortcode="CzzzzzzzzzA"), ctx)
    assert failure.value.code == 404
    assert await rows(pg) == {}


async def test_stored_comments_on_a_youtube_video_are_judged_and_missing_ones_are_not_fetched(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    params = SentimentParams(shortcode="Cabc", platform="youtube")
    with pytest.raises(BadTask, match="no comments on Cabc are stored, and comments are not fetched from YouTube yet"):
        await extract_post_sentiment(params, ctx)
    await store(ctx, said("1", "great video", Platform.YOUTUBE))
    assert (await extract_post_sentiment(params, ctx))["positive"] == 1
    [event] = await events(pg)
    assert (event["platform"], event["shortcode"], event["comment_id"]) == ("YOUTUBE", "Cabc", "1")


async def test_another_platform_is_refused_by_name(ctx: FlowContext) -> None:
    with pytest.raises(BadTask, match=r"params.platform: must be INSTAGRAM or YOUTUBE"):
        await extract_post_sentiment(SentimentParams(shortcode="Cabc", platform="SHOPIFY"), ctx)


async def test_more_comments_than_one_transaction_holds(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    await store(ctx, *(said(str(number), "good") for number in range(450)))
    params = SentimentParams(shortcode="Cabc", max_comments=430)
    assert (await extract_post_sentiment(params, ctx))["changed"] == 430
    assert (len(await rows(pg)), len(await events(pg))) == (430, 430)
