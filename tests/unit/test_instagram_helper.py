"""The formulas, against hand-made figures and for any numbers at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instagram.helper import account_averages, engagement_rate, post_metrics, reach, story_reach, without_outliers

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@dataclass
class Post:
    post_type: str | None = "image"
    likes: int | None = None
    comments: int | None = None
    plays: int | None = None
    reach: int | None = None
    publish_time: datetime | None = NOON


@pytest.mark.parametrize(
    ("likes", "comments", "followers", "rate"),
    [(50, 10, 1000, 6.0), (1, 0, 3, 33.33), (None, 5, 100, 5.0), (5, 5, 0, 0.0), (5, 5, None, 0.0), (0, 0, 10, 0.0)],
)
def test_engagement_is_percent_of_followers(likes: int, comments: int, followers: int, rate: float) -> None:
    assert engagement_rate(likes, comments, followers) == rate


@pytest.mark.parametrize(
    ("post", "followers", "expected"),
    [
        (Post("reels", plays=0, reach=777), 0, 777),  # a real number comes before the guard
        (Post("reels", plays=1001), 1024, 930),  # 1001 * (0.94 - 10 * 0.001) = 930.93
        (Post("reels", plays=0), 1024, 0),
        (Post("reels", plays=1000), 0, 0),
        (Post("reels", plays=1000), 1, 940),
        (Post("reels", plays=1000), None, 0),
        (Post("reels", plays=None), 1024, 0),
        (Post("image", likes=100), 0, 527),  # (7.6 - 2 * 0.7) * 0.85 * 100
        (Post("carousel", likes=10), 5, 58),  # (7.6 - 0.7) * 0.85 * 10 = 58.65
        (Post("image", likes=0), 1000, 0),
        (Post("image", likes=100, reach=0), 5, 527),
        (Post("image", likes=100, reach=1), 5, 1),
        (Post("story", likes=100), 5, 0),
        (Post(None, likes=0), 5, 0),
        (Post("image", likes=10**12), 5, 0),  # the estimate would be negative
    ],
)
def test_reach_is_stored_or_estimated(post: Post, followers: int | None, expected: int) -> None:
    assert reach(post, followers) == expected


def test_story_reach_follows_followers_and_engagement() -> None:
    # -0.000025017 * 10000 + 1.11 * (10000 * log2(6 + 2) * 2 / 100) = -0.25017 + 666
    assert story_reach(10_000, 6) == 666.0
    assert story_reach(0, 6) == story_reach(10_000, 0) == story_reach(None, None) == 0.0


def test_two_highest_and_two_lowest_are_dropped_only_from_more_than_four() -> None:
    posts = [Post(likes=likes) for likes in (5, 1, 900, 3, 2, 800, 4)]
    assert [post.likes for post in without_outliers(posts, lambda post: post.likes or 0)] == [5, 4, 3]
    assert len(without_outliers(posts[:4], lambda post: post.likes or 0)) == 4


def test_reels_are_outliers_by_their_plays_and_other_posts_by_their_likes() -> None:
    static = [Post(likes=likes) for likes in (500, 4, 1, 3, 2)]
    reels = [Post("reels", likes=likes, plays=plays) for likes, plays in ((9, 50), (1, 10), (5, 40), (2, 30), (8, 20))]
    metrics = post_metrics(static, reels, 100)
    assert metrics["static"]["avg_likes"] == 3.0
    assert (metrics["reels"]["avg_plays"], metrics["reels"]["avg_likes"]) == (30.0, 2.0)
    assert account_averages(static, reels, 100)["avg_reels_plays"] == 30.0


def test_the_blocks_of_a_small_account() -> None:
    static = [Post("image", likes=100, comments=10), Post("carousel", likes=100, comments=20)]
    reels = [Post("reels", likes=40, comments=20, plays=1001)]
    assert post_metrics(static, reels, 1024) == {
        "static": {
            "avg_engagement": pytest.approx(100 * 230 / 2048),
            "avg_likes": 100.0,
            "avg_comments": 15.0,
            "avg_reach": 527.0,
        },
        "reels": {
            "avg_engagement": pytest.approx(100 * 60 / 1024),
            "avg_likes": 40.0,
            "avg_comments": 20.0,
            "avg_reach": 930.0,
            "avg_plays": 1001.0,
        },
        "story": {"avg_reach": story_reach(1024, 100 * 60 / 1024)},
        "all": {
            "avg_engagement": pytest.approx(100 * 290 / (1024 * 3)),
            "avg_likes": 80.0,
            "avg_comments": pytest.approx(50 / 3),
        },
    }


def test_story_reach_uses_all_posts_where_there_are_no_reels() -> None:
    metrics = post_metrics([Post(likes=51, comments=0)], [], 1000)
    assert metrics["reels"] == {}
    assert metrics["story"] == {"avg_reach": story_reach(1000, 5.1)}


def test_all_is_the_twelve_newest_of_both_kinds() -> None:
    old = [Post("image", likes=10**6, publish_time=NOON - timedelta(days=100 + day)) for day in range(12)]
    new = [Post("reels", likes=10, plays=1, publish_time=NOON - timedelta(days=day)) for day in range(11)]
    undated = [Post("image", likes=10**6, publish_time=None)]
    assert post_metrics([*undated, *old], new, 100)["all"]["avg_likes"] == 10.0


def test_the_twelfth_newest_counts_and_the_thirteenth_does_not() -> None:
    posts = [Post(likes=day, publish_time=NOON - timedelta(days=day)) for day in range(1, 15)]
    assert post_metrics(posts, [], 100)["all"]["avg_likes"] == 6.5  # of 1 to 12 without the two highest and lowest


def test_the_averages_of_an_account_are_those_of_block_all_and_the_plays_of_reels() -> None:
    static = [Post("image", likes=likes, comments=1, reach=likes * 2) for likes in (1, 10, 20, 30, 1000)]
    reels = [Post("reels", likes=25, comments=4, plays=300, reach=100), Post("reels", likes=2000, plays=500, reach=9)]
    # Of seven, 2000 and 1000, 1 and 10 are dropped: 30, 25 and 20 likes stay.
    assert account_averages(static, reels, 100) == {
        "avg_likes": 25.0,
        "avg_comments": 2.0,
        "avg_engagement": 27.0,  # 100 * (75 + 6) / (100 * 3)
        "avg_reach": 200 / 3,  # 60, 100 and 40
        "avg_reels_plays": 400.0,
    }


def test_averages_of_nothing_are_not_known() -> None:
    unknown = dict.fromkeys(("avg_likes", "avg_comments", "avg_engagement", "avg_reach", "avg_reels_plays"))
    assert account_averages([], [], 100) == account_averages([Post(likes=1)], [], 0) == unknown
    assert account_averages([Post(likes=1)], [], 100)["avg_reels_plays"] is None


@pytest.mark.parametrize("followers", [0, None, -5])
def test_without_followers_all_blocks_are_empty(followers: int | None) -> None:
    assert post_metrics([Post(likes=5)], [Post("reels", likes=5, plays=5)], followers) == {
        "static": {},
        "reels": {},
        "story": {},
        "all": {},
    }


numbers = st.one_of(st.none(), st.integers(-10, 10**6), st.integers(), st.integers(10**300, 10**320))
posts = st.builds(
    Post,
    post_type=st.sampled_from(["image", "carousel", "reels", "story", "", None]),
    likes=numbers,
    comments=numbers,
    plays=numbers,
    reach=numbers,
    publish_time=st.one_of(st.none(), st.datetimes(), st.datetimes(timezones=st.just(UTC))),
)


@given(st.lists(posts, max_size=20), st.lists(posts, max_size=20), st.one_of(numbers, st.floats()))
def test_any_numbers_give_finite_averages_of_at_least_nothing(
    static: list[Post], reels: list[Post], followers: float | None
) -> None:
    for block in post_metrics(static, reels, followers).values():
        for value in block.values():
            assert math.isfinite(value)
            assert value >= 0
    for post in (*static, *reels):
        assert reach(post, followers) >= 0
        assert math.isfinite(engagement_rate(post.likes, post.comments, followers))


@given(st.lists(posts, max_size=20))
def test_dropping_outliers_keeps_the_middle(given_posts: list[Post]) -> None:
    kept = without_outliers(given_posts, lambda post: float(post.likes or 0) if abs(post.likes or 0) < 10**18 else 0.0)
    assert len(kept) == (len(given_posts) - 4 if len(given_posts) > 4 else len(given_posts))
