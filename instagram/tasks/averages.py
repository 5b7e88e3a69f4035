"""The averages of an account, worked out from its stored posts. No network here."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.enums import PostType
from instagram.helper import NEWEST, account_averages

_FOLLOWERS = text("select followers from instagram_account where profile_id = :profile_id for no key update")
_NEWEST = text("""
(select post_type, likes, comments, plays, reach, publish_time from instagram_post
 where profile_id = :profile_id and post_type = 'reels' and plays >= 0
 order by publish_time desc nulls last, id desc limit :newest)
union all
(select post_type, likes, comments, plays, reach, publish_time from instagram_post
 where profile_id = :profile_id and post_type in ('image', 'carousel')
 order by publish_time desc nulls last, id desc limit :newest)
""")
"""The posts that the API averages too."""
_STORE = text("""
update instagram_account set avg_likes = cast(:avg_likes as float8), avg_comments = cast(:avg_comments as float8),
    avg_engagement = cast(:avg_engagement as float8), avg_reach = cast(:avg_reach as float8),
    avg_reels_plays = cast(:avg_reels_plays as float8),
    refreshed_at = case when :refreshed then now() else refreshed_at end
where profile_id = :profile_id
""")
"""``updated_at`` says when a source was last heard: it stays."""


async def store_averages(
    session: AsyncSession, profile_id: str, *, refreshed: bool = False
) -> dict[str, float | None] | None:
    """Set the ``avg_*`` columns in the session's transaction and return them; None: there is no such account.

    ``refreshed`` stamps the row as wholly refreshed.
    """
    account = (await session.execute(_FOLLOWERS, {"profile_id": profile_id})).one_or_none()
    if account is None:
        return None
    posts = (await session.execute(_NEWEST, {"profile_id": profile_id, "newest": NEWEST})).all()
    reels = [post for post in posts if post.post_type == PostType.REELS]
    static = [post for post in posts if post.post_type != PostType.REELS]
    averages = account_averages(static, reels, account.followers)
    await session.execute(_STORE, {**averages, "profile_id": profile_id, "refreshed": refreshed})
    return averages
