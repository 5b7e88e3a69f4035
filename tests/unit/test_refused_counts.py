"""Counts that cannot be true are refused wherever a source's or a caller's numbers come in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.crawler.crawler import Fetched
from core.crawler.errors import InsufficientData
from core.crawler.provider import Asked, Payload
from core.enums import Platform
from core.models.logs import PostLog, ProfileLog
from instagram.models.keys import COMMENTS, LIKES, PROFILE_FOLLOWER
from instagram.models.pages import Comment, Insights
from instagram.tasks.activities_ingestion import comments_on
from instagram.tasks.insights_ingestion import insights_log
from instagram.tasks.own_media import StoredPost
from instagram.tasks.posts_ingestion import story_stub, with_metrics

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
PAYLOAD = Payload("graphapi", "fetch_post_insights", Asked(), {}, NOON)
IMPOSSIBLE = [-1, 2 * 10**9 + 1, 2**63]


@pytest.mark.parametrize("count", IMPOSSIBLE)
def test_of_an_owners_numbers_only_the_possible_ones_are_stored(count: int) -> None:
    def log(**metrics: int) -> PostLog:
        post = StoredPost("A", "1")
        return insights_log(Fetched(Insights(metrics), "graphapi", PAYLOAD), post, "17", "me")

    assert log(reach=5, impressions=count).metrics == {"reach": 5}
    with pytest.raises(InsufficientData):
        log(reach=count)


@pytest.mark.parametrize("count", IMPOSSIBLE)
def test_of_a_comments_counts_only_the_possible_ones_are_stored(count: int) -> None:
    [log] = comments_on("A", [Comment("1", text="nice", likes=count, replies=3)], PAYLOAD)
    assert log.metrics == {COMMENTS: 3}
    [log] = comments_on("A", [Comment("1", text="nice", likes=3, replies=count)], PAYLOAD)
    assert log.metrics == {LIKES: 3}


@pytest.mark.parametrize("count", IMPOSSIBLE)
def test_a_callers_number_of_followers_is_refused_too(count: int) -> None:
    account = ProfileLog(Platform.INSTAGRAM, "1", "", NOON, {"handle": "me"})
    assert story_stub("9", account, {PROFILE_FOLLOWER: count, "profile_er": 1.5}).metrics == {"profile_er": 1.5}
    [log] = with_metrics(
        [PostLog(Platform.INSTAGRAM, "A", "1", "lama", NOON, {}, {LIKES: 1})], {PROFILE_FOLLOWER: count}
    )
    assert log.metrics == {LIKES: 1}
