"""The averages of an account, worked out from its stored posts. No network here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from core.enums import PostType
from instagram.helper import NEWEST, account_averages
from utils.db import fetch_in

NAMES = ("avg_likes", "avg_comments", "avg_engagement", "avg_reach", "avg_reels_plays")


class Numbers(NamedTuple):
    """What the formulas read of a post, by the names of its columns."""

    post_type: str | None
    likes: int | None
    comments: int | None
    plays: int | None
    reach: int | None
    publish_time: datetime | None


def newest_of(condition: str) -> str:
    """SQL: the ``Numbers`` and the ids of the newest reels, and of the newest images and carousels.

    These are the posts that the API averages too.
    """
    names = ", ".join(Numbers._fields)
    select = f"select {names}, id from instagram_post where {condition}"  # noqa: S608 - a constant of the caller
    newest = f"order by publish_time desc nulls last, id desc limit {NEWEST}"
    return f"""
({select} and post_type = 'reels' and plays >= 0 {newest})
union all
({select} and post_type in ('image', 'carousel') {newest})"""


def newest(posts: Iterable[tuple[int, Numbers]]) -> list[Numbers]:
    """The same choice among posts that are at hand, each with its id."""
    ranked = [post for _, post in sorted(posts, key=_rank, reverse=True)]
    reels = [post for post in ranked if post.post_type == PostType.REELS and post.plays is not None and post.plays >= 0]
    static = [post for post in ranked if post.post_type in (PostType.IMAGE, PostType.CAROUSEL)]
    return reels[:NEWEST] + static[:NEWEST]


def _rank(post: tuple[int, Numbers]) -> tuple[float, int]:
    row_id, numbers = post
    return (-math.inf if numbers.publish_time is None else numbers.publish_time.timestamp()), row_id


def averages_of(posts: Sequence[Numbers], followers: int | None) -> dict[str, float | None]:
    """The ``avg_*`` columns from what ``newest_of`` gives."""
    reels = [post for post in posts if post.post_type == PostType.REELS]
    static = [post for post in posts if post.post_type != PostType.REELS]
    return account_averages(static, reels, followers)


_FOLLOWERS = "select followers from instagram_account where profile_id = $1 for no key update"
_NEWEST = newest_of("profile_id = $1")
_STORE = f"""
update instagram_account set {", ".join(f"{name} = ${place}::float8" for place, name in enumerate(NAMES, start=2))}
where profile_id = $1
"""  # noqa: S608 - own names
"""``updated_at`` says when a source was last heard: it stays."""


async def store_averages(session: AsyncSession, profile_id: str) -> dict[str, float | None] | None:
    """Set the ``avg_*`` columns in the session's transaction and return them; None: there is no such account."""
    account = await fetch_in(session, _FOLLOWERS, profile_id)
    if not account:
        return None
    posts = [Numbers(*row[:-1]) for row in await fetch_in(session, _NEWEST, profile_id)]
    averages = averages_of(posts, account[0]["followers"])
    await fetch_in(session, _STORE, profile_id, *(averages[name] for name in NAMES))
    return averages
