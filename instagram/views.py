"""Instagram profiles as the API answers them, read from what is stored."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.api.profile_view import InstagramProfile, PostDimensions, PostMetrics, RecentPost, StoredProfile
from core.entities.instagram import InstagramAccount, InstagramPost
from core.enums import PostType
from instagram.helper import NEWEST, engagement_rate, post_metrics, reach

NEWEST_OF_HANDLE = """
select profile_id, updated_at from instagram_account where handle = :handle
order by updated_at desc nulls last, id desc limit 1"""
"""Handles are recycled: of several accounts the one seen last owns it. Reads instagram_account_handle."""

BY_ID = "select profile_id, updated_at from instagram_account where profile_id = :profile_id"

NEWEST_REELS = """
select * from instagram_post where profile_id = :profile_id and post_type = 'reels' and plays >= 0
order by publish_time desc nulls last, id desc limit :size"""
NEWEST_STATIC = """
select * from instagram_post where profile_id = :profile_id and post_type in ('image', 'carousel')
order by publish_time desc nulls last, id desc limit :size"""

_TYPES = frozenset(PostType)
_PLACES = {PostType.CAROUSEL: "p", PostType.IMAGE: "p", PostType.REELS: "reel"}


class InstagramProfiles:
    """Reads instagram_account and instagram_post."""

    async def find(self, session: AsyncSession, handle: str) -> StoredProfile | None:
        """The newest account with this (lower-case) handle."""
        row = (await session.execute(text(NEWEST_OF_HANDLE), {"handle": handle})).one_or_none()
        return StoredProfile(row.profile_id, row.updated_at) if row else None

    async def find_id(self, session: AsyncSession, profile_id: str) -> StoredProfile | None:
        """The account of this id."""
        row = (await session.execute(text(BY_ID), {"profile_id": profile_id})).one_or_none()
        return StoredProfile(row.profile_id, row.updated_at) if row else None

    async def show(self, session: AsyncSession, profile_id: str, *, full: bool) -> InstagramProfile:
        """The account; its newest reels and posts, and averages over them, only when ``full``."""
        query = select(InstagramAccount).where(InstagramAccount.profile_id == profile_id)
        account = (await session.scalars(query)).one()
        if not full:
            return show_account(account)
        reels = await _posts(session, NEWEST_REELS, profile_id)
        static = await _posts(session, NEWEST_STATIC, profile_id)
        averages = post_metrics(static, reels, account.followers)
        recent = [show_post(post, account.followers) for post in (*reels, *static)]
        return show_account(account).model_copy(update={"post_metrics": averages, "recent_posts": recent})


PROFILES = InstagramProfiles()


def show_account(account: InstagramAccount) -> InstagramProfile:
    """The account without posts."""
    same = (
        "handle",
        "profile_id",
        "fbid",
        "full_name",
        "biography",
        "followers",
        "following",
        "media_count",
        "is_private",
    )
    return InstagramProfile(
        platform="instagram",
        **{name: getattr(account, name) for name in same},
        profile_pic_url=url_or_none(account.profile_pic_url),
        profile_type=account.profile_type or ("business_or_creator" if account.is_business_or_creator else "personal"),
        updated_at=account.updated_at,
        post_metrics={},
        recent_posts=None,
    )


def show_post(post: InstagramPost, followers: int | None) -> RecentPost:
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


def post_url(post: InstagramPost) -> str:
    """Where a post is seen; for kinds without a page callers get a space and the shortcode."""
    place = _PLACES.get(PostType(post.post_type)) if post.post_type in _TYPES else None
    return f"https://www.instagram.com/{place}/{post.shortcode}" if place else f" {post.shortcode}"


def url_or_none(url: str | None) -> str | None:
    """A stored URL; empty ones and the word None are none."""
    return None if url is None or url.strip() in ("", "None") else url


async def _posts(session: AsyncSession, statement: str, profile_id: str) -> Sequence[InstagramPost]:
    query = select(InstagramPost).from_statement(text(statement))
    return (await session.scalars(query, {"profile_id": profile_id, "size": NEWEST})).all()
