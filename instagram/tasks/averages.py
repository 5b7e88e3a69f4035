"""The averages of an account, worked out from its stored posts. No network here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from core.enums import PostType
from instagram.helper import NEWEST, account_averages
from utils.db import fetch

NAMES = ("avg_likes", "avg_comments", "avg_engagement", "avg_reach", "avg_reels_plays")


class Numbers(NamedTuple):
    """What the formulas read of a post, by the names of its columns."""

    post_type: str | None
    likes: int | None
    comments: int | None
    plays: int | None
    reach: int | None
    publish_time: datetime | None


def newest_of(posts: str, condition: str) -> str:
    """SQL: the ``Numbers`` of the newest reels, and of the newest images and carousels, among ``posts``.

    These are the posts that the API averages too.
    """
    select = f"select {', '.join(Numbers._fields)} from {posts} where {condition}"  # noqa: S608 - callers' constants
    newest = f"order by publish_time desc nulls last, id desc limit {NEWEST}"
    return f"""
({select} and post_type = 'reels' and plays >= 0 {newest})
union all
({select} and post_type in ('image', 'carousel') {newest})"""


def averages_of(posts: Sequence[Numbers], followers: int | None) -> dict[str, float | None]:
    """The ``avg_*`` columns from what ``newest_of`` gives."""
    reels = [post for post in posts if post.post_type == PostType.REELS]
    static = [post for post in posts if post.post_type != PostType.REELS]
    return account_averages(static, reels, followers)


def set_averages(first: int, *, refreshed: bool) -> str:
    """SQL: store averages; parameter ``$first`` is the profile's id, and those after it are ``NAMES``.

    ``refreshed`` stamps the row as wholly refreshed. ``updated_at`` says when a source was last heard: it stays.
    """
    values = ", ".join(f"{name} = ${first + number}::float8" for number, name in enumerate(NAMES, start=1))
    stamp = ", refreshed_at = now()" if refreshed else ""
    return f"update instagram_account set {values}{stamp} where profile_id = ${first}"  # noqa: S608 - own names


_FOLLOWERS = "select followers from instagram_account where profile_id = $1 for no key update"
_NEWEST = newest_of("instagram_post", "profile_id = $1")
_STORE = set_averages(1, refreshed=False)


async def store_averages(session: AsyncSession, profile_id: str) -> dict[str, float | None] | None:
    """Set the ``avg_*`` columns in the session's transaction and return them; None: there is no such account."""
    account = await fetch(session, _FOLLOWERS, profile_id)
    if not account:
        return None
    posts = [Numbers(*row) for row in await fetch(session, _NEWEST, profile_id)]
    averages = averages_of(posts, account[0]["followers"])
    await fetch(session, _STORE, profile_id, *values_of(averages))
    return averages


def values_of(averages: dict[str, float | None]) -> list[Any]:
    """The parameters of ``set_averages`` behind the profile's id."""
    return [averages[name] for name in NAMES]
