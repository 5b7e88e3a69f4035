"""Instagram profiles as the API answers them, read from what is stored."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

import asyncpg

from core.api.profile_view import InstagramProfile, PostDimensions, PostMetrics, RecentPost, StoredProfile
from core.enums import PostType
from instagram.helper import NEWEST, engagement_rate, post_metrics, reach
from utils.db import Database

NEWEST_OF_HANDLE = """
select profile_id, updated_at from instagram_account where handle = $1
order by updated_at desc nulls last, id desc limit 1"""
"""Handles are recycled: of several accounts the one seen last owns it. Reads instagram_account_handle."""

BY_ID = "select profile_id, updated_at from instagram_account where profile_id = $1"


@dataclass(frozen=True, slots=True)
class PostRow:
    """What is shown of a row of instagram_post, or reckoned with."""

    shortcode: str
    post_id: str | None
    post_type: str | None
    publish_time: datetime | None
    updated_at: datetime
    reach: int | None
    views: int | None
    likes: int | None
    comments: int | None
    plays: int | None
    caption: str | None
    thumbnail_url: str | None
    display_url: str | None


POST_COLUMNS = ", ".join(field.name for field in fields(PostRow))

_SAME = "handle, profile_id, fbid, full_name, biography, followers, following, media_count, is_private, updated_at"
ACCOUNT = f"""
select {_SAME}, profile_pic_url, profile_type, is_business_or_creator from instagram_account where profile_id = $1"""  # noqa: S608
NEWEST_REELS = f"""
select {POST_COLUMNS} from instagram_post where profile_id = $1 and post_type = 'reels' and plays >= 0
order by publish_time desc nulls last, id desc limit $2"""  # noqa: S608
NEWEST_STATIC = f"""
select {POST_COLUMNS} from instagram_post where profile_id = $1 and post_type in ('image', 'carousel')
order by publish_time desc nulls last, id desc limit $2"""  # noqa: S608

_TYPES = frozenset(PostType)
_PLACES = {PostType.CAROUSEL: "p", PostType.IMAGE: "p", PostType.REELS: "reel"}


class InstagramProfiles:
    """Reads instagram_account and instagram_post."""

    async def find(self, database: Database, handle: str) -> StoredProfile | None:
        """The newest account with this (lower-case) handle."""
        rows = await database.fetch(NEWEST_OF_HANDLE, handle)
        return StoredProfile(*rows[0]) if rows else None

    async def find_id(self, database: Database, profile_id: str) -> StoredProfile | None:
        """The account of this id."""
        rows = await database.fetch(BY_ID, profile_id)
        return StoredProfile(*rows[0]) if rows else None

    async def show(self, database: Database, profile_id: str, *, full: bool) -> InstagramProfile:
        """The account; its newest reels and posts, and averages over them, only when ``full``."""
        (account,) = await database.fetch(ACCOUNT, profile_id)
        if not full:
            return show_account(account)
        followers = account["followers"]
        reels = [PostRow(*row) for row in await database.fetch(NEWEST_REELS, profile_id, NEWEST)]
        static = [PostRow(*row) for row in await database.fetch(NEWEST_STATIC, profile_id, NEWEST)]
        averages = post_metrics(static, reels, followers)
        recent = [show_post(post, followers) for post in (*reels, *static)]
        return show_account(account).model_copy(update={"post_metrics": averages, "recent_posts": recent})


PROFILES = InstagramProfiles()


def show_account(account: asyncpg.Record) -> InstagramProfile:
    """The account, a row of ACCOUNT, without posts."""
    usual = "business_or_creator" if account["is_business_or_creator"] else "personal"
    return InstagramProfile(
        platform="instagram",
        **{name: account[name] for name in _SAME.split(", ")},
        profile_pic_url=url_or_none(account["profile_pic_url"]),
        profile_type=account["profile_type"] or usual,
        post_metrics={},
        recent_posts=None,
    )


def show_post(post: PostRow, followers: int | None) -> RecentPost:
    """A post with its numbers; the rate and the estimated reach need the account's followers."""
    return RecentPost(
        shortcode=post.shortcode,
        post_id=post.post_id,
        post_type=post.post_type,
        post_url=post_url(post),
        publish_time=post.publish_time,
        updated_at=post.updated_at,
        metrics=PostMetrics(
            reach=reach(post, followers),
            views=post.views,
            likes=post.likes,
            comments=post.comments,
            play_count=post.plays,
            engagement_rate=engagement_rate(post.likes, post.comments, followers),
        ),
        dimensions=PostDimensions(
            caption=post.caption,
            comments=post.comments,
            thumbnail_url=url_or_none(post.thumbnail_url),
            display_url=url_or_none(post.display_url),
        ),
    )


def post_url(post: PostRow) -> str:
    """Where a post is seen; for kinds without a page callers get a space and the shortcode."""
    place = _PLACES.get(PostType(post.post_type)) if post.post_type in _TYPES else None
    return f"https://www.instagram.com/{place}/{post.shortcode}" if place else f" {post.shortcode}"


def url_or_none(url: str | None) -> str | None:
    """A stored URL; empty ones and the word None are none."""
    return None if url is None or url.strip() in ("", "None") else url
