"""Formulas over Instagram numbers. Total functions: any numbers, also missing, negative or huge ones, give a number.

Averages are over what is left of the newest posts of a block once the two highest and two lowest are dropped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from core.enums import PostType

NEWEST = 12
"""Posts of the block ``all``."""

Block = dict[str, float]
_EPOCH = datetime.fromtimestamp(0, UTC)


class PostNumbers(Protocol):
    """What the formulas read of a post; a row of instagram_post has it."""

    @property
    def post_type(self) -> str | None: ...
    @property
    def likes(self) -> int | None: ...
    @property
    def comments(self) -> int | None: ...
    @property
    def plays(self) -> int | None: ...
    @property
    def reach(self) -> int | None: ...
    @property
    def publish_time(self) -> datetime | None: ...


def engagement_rate(likes: float | None, comments: float | None, followers: float | None) -> float:
    """Percent of the followers who liked or commented, two decimals; 0 without followers."""
    base = _number(followers)
    return _finite(round((_number(likes) + _number(comments)) / base * 100, 2)) if base > 0 else 0.0


def reach(post: PostNumbers, followers: float | None) -> int:
    """Accounts that saw a post: as stored when there is a number, else estimated from plays or likes; at least 0."""
    stored = _number(post.reach)
    if stored > 0:
        return int(stored)
    if post.post_type == PostType.REELS:
        return _reels_reach(_number(post.plays), _number(followers))
    if post.post_type in (PostType.IMAGE, PostType.CAROUSEL):
        return _static_reach(_number(post.likes))
    return 0


def _reels_reach(plays: float, followers: float) -> int:
    return _whole(plays * (0.94 - math.log2(followers) * 0.001)) if plays > 0 and followers > 0 else 0


def _static_reach(likes: float) -> int:
    return _whole((7.6 - math.log10(likes) * 0.7) * 0.85 * likes) if likes > 0 else 0


def story_reach(followers: float | None, engagement: float | None) -> float:
    """Accounts that see a story, from the followers and an average engagement in percent; never negative."""
    base, rate = _number(followers), _number(engagement)
    if base <= 0 or rate <= 0:
        return 0.0
    estimate = -0.000025017 * base + 1.11 * (base * abs(math.log2(rate + 2)) * 2 / 100)
    return float(max(0, round(_finite(estimate))))


def without_outliers(posts: Iterable[PostNumbers], by: Callable[[PostNumbers], float]) -> list[PostNumbers]:
    """Highest first, without the two highest and the two lowest when there are more than four."""
    ranked = sorted(posts, key=by, reverse=True)
    return ranked[2:-2] if len(ranked) > 4 else ranked


def post_metrics(
    static: Sequence[PostNumbers], reels: Sequence[PostNumbers], followers: float | None
) -> dict[str, Block]:
    """Averages per block: ``static`` (images and carousels), ``reels``, ``story``, and ``all`` (the 12 newest of both).

    A block without posts, and every block of an account without followers, is ``{}``. Engagement is in percent.
    """
    of_static = _averages(without_outliers(static, _likes), followers)
    of_reels = _averages(without_outliers(reels, _plays), followers)
    of_all = _of_newest(static, reels, followers)
    story: Block = {}
    if of_all:
        engagement = of_reels["avg_engagement"] if of_reels else of_all["avg_engagement"]
        story = {"avg_reach": story_reach(followers, engagement)}
    return {
        "static": _only(of_static, "avg_engagement", "avg_likes", "avg_comments", "avg_reach"),
        "reels": _only(of_reels, "avg_engagement", "avg_likes", "avg_comments", "avg_reach", "avg_plays"),
        "story": story,
        "all": _only(of_all, "avg_engagement", "avg_likes", "avg_comments"),
    }


def account_averages(
    static: Sequence[PostNumbers], reels: Sequence[PostNumbers], followers: float | None
) -> dict[str, float | None]:
    """The ``avg_*`` columns of an account: of block ``all``, with the reach of those same posts, and plays of reels.

    An empty block gives null.
    """
    of_all = _of_newest(static, reels, followers)
    of_reels = _averages(without_outliers(reels, _plays), followers)
    names = ("avg_likes", "avg_comments", "avg_engagement", "avg_reach")
    return {**{name: of_all.get(name) for name in names}, "avg_reels_plays": of_reels.get("avg_plays")}


def _of_newest(static: Sequence[PostNumbers], reels: Sequence[PostNumbers], followers: float | None) -> Block:
    newest = sorted((*static, *reels), key=_published, reverse=True)[:NEWEST]
    return _averages(without_outliers(newest, _likes), followers)


def _averages(posts: Sequence[PostNumbers], followers: float | None) -> Block:
    count, base = len(posts), _number(followers)
    if not count or base <= 0:
        return {}
    likes = sum(_likes(post) for post in posts)
    comments = sum(_number(post.comments) for post in posts)
    return {
        "avg_engagement": _finite(100 * (likes + comments) / (base * count)),
        "avg_likes": _finite(likes / count),
        "avg_comments": _finite(comments / count),
        "avg_reach": _finite(sum(reach(post, followers) for post in posts) / count),
        "avg_plays": _finite(sum(_plays(post) for post in posts) / count),
    }


def _only(block: Block, *names: str) -> Block:
    return {name: block[name] for name in names} if block else {}


def _likes(post: PostNumbers) -> float:
    return _number(post.likes)


def _plays(post: PostNumbers) -> float:
    return _number(post.plays)


def _published(post: PostNumbers) -> datetime:
    moment = post.publish_time
    if moment is None:
        return _EPOCH
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(value: float | None) -> float:
    """A missing, negative or impossible number counts as 0."""
    if value is None:
        return 0.0
    try:
        number = float(value)
    except OverflowError:
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _whole(value: float) -> int:
    return max(0, int(_finite(value)))
