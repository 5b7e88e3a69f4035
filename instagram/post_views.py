"""Instagram posts as the API answers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.api.post_view import PostNumbers, ShownPost, WantedPosts
from core.api.profile_view import RecentPost
from core.assets.urls import cdn_url
from core.crawler.errors import NotFound
from core.crawler.provider import Asked
from core.entities.instagram import InstagramPost
from core.enums import PostType
from core.models.params import PostInsightsParams, ProfileStoriesParams, ShortcodeParams
from core.runtime import FlowContext
from instagram.flows.refresh_insights import refresh_post_insights
from instagram.flows.refresh_post import refresh_post_by_shortcode
from instagram.flows.refresh_profile import refresh_profile_by_handle_from_graphapi
from instagram.flows.stories import refresh_story_posts_by_profile_id
from instagram.functions.retriever.checks import same_handle
from instagram.functions.retriever.crawler import LAMA
from instagram.helper import NEWEST
from instagram.models.functions import FETCH_POST_BY_SHORTCODE
from instagram.models.keys import HANDLE
from instagram.tasks.ingestion import complete_post
from instagram.tasks.own_media import StoredPost, stored_post
from instagram.tasks.processing import upsert_posts
from instagram.tasks.retrieval import crawler_of
from instagram.views import POST_COLUMNS, PostRow, show_post, url_or_none
from utils.db import Database

_RECENT = f"""
select {POST_COLUMNS} from instagram_post where profile_id = $1
  and case when $2::text[] = '{{}}'
           then thumbnail_url is not null and thumbnail_url not in ('None', ' ', '') and post_type <> 'story'
           else post_type = any($2) and ($2 <> '{{reels}}' or plays >= 0) end
order by publish_time desc nulls last, id desc limit $3"""  # noqa: S608
_FOLLOWERS = "select followers from instagram_account where profile_id = $1"
_COPIES = """
select distinct on (entity_id) entity_id, asset_url from asset
where entity_id = any($1::text[]) and entity_type = 'POST' and asset_type = 'IMAGE' and upper(platform) = 'INSTAGRAM'
  and asset_url <> ''
order by entity_id, updated_at desc, id desc"""


class Posts:
    """Reads instagram_post, and refreshes it."""

    async def own(self, ctx: FlowContext, shortcode: str, handle: str) -> None:
        """Numbers of a post with the token of its owner, whose newest media are read first if the post is unknown.

        Raises:
            ProviderError: the token did not give them, or there is no such post.
        """
        post = await _stored(ctx, shortcode)
        if post.graph_id() is None:
            await refresh_profile_by_handle_from_graphapi(ctx, handle)
            post = await _stored(ctx, shortcode)
        params = PostInsightsParams(
            shortcode=shortcode, handle=handle, post_id=post.post_id or "", post_type=post.post_type or ""
        )
        try:
            await refresh_post_insights(params, ctx)
        except NotFound as error:
            raise NotFound(f"Post not found - {shortcode}") from error

    async def elsewhere(self, ctx: FlowContext, shortcode: str, handle: str) -> str:
        """A post of this handle from lama; somebody else's is not stored.

        Raises:
            ProviderError: lama did not give it, or it is somebody else's post.
        """
        fetched = await crawler_of(ctx).fetch(FETCH_POST_BY_SHORTCODE, Asked(shortcode=shortcode), source=LAMA)
        if not same_handle(fetched.value.dimensions.get(HANDLE), handle):
            raise NotFound(f"Post not found - {shortcode}")
        post = complete_post(replace(fetched.value, shortcode=shortcode))
        async with ctx.runtime.database.sessions() as session:
            await upsert_posts(session, [post])
        return LAMA.upper()

    async def public(self, ctx: FlowContext, shortcode: str, post_type: str, profile_id: str) -> str | None:
        """A story among those that its account shows now; any other post by its shortcode.

        Raises:
            ProviderError: no source gave it.
        """
        if post_type != PostType.STORY:
            await refresh_post_by_shortcode(ShortcodeParams(shortcode=shortcode), ctx)
            return None
        await refresh_story_posts_by_profile_id(ProfileStoriesParams(profile_id=profile_id, handle=""), ctx)
        return "GRAPHAPI"  # what callers have always been told about stories

    async def show(self, session: AsyncSession, shortcode: str) -> ShownPost | None:
        """The post as stored."""
        query = select(InstagramPost).where(InstagramPost.shortcode == shortcode)
        post = (await session.scalars(query)).one_or_none()
        return None if post is None else _shown(post)

    async def recent(self, database: Database, wanted: WantedPosts) -> list[RecentPost] | None:
        """Stored posts, newest first, with copied pictures in place of those that expire."""
        account = await database.fetch(_FOLLOWERS, wanted.profile_id)
        if not account:
            return None
        rows = await database.fetch(_RECENT, wanted.profile_id, list(wanted.post_types), NEWEST)
        posts = [show_post(PostRow(*row), account[0]["followers"]) for row in rows]
        if not wanted.cdn_host:
            return posts
        copied = await database.fetch(_COPIES, [post.shortcode for post in posts])
        copies = {row["entity_id"]: cdn_url(wanted.cdn_host, row["asset_url"]) for row in copied}
        return [_with_copy(post, copies) for post in posts]


POSTS = Posts()


async def _stored(ctx: FlowContext, shortcode: str) -> StoredPost:
    async with ctx.runtime.database.sessions() as session:
        return await stored_post(session, shortcode)


def _with_copy(post: RecentPost, copies: Mapping[str, str]) -> RecentPost:
    if post.shortcode not in copies:
        return post
    dimensions = post.dimensions.model_copy(update={"thumbnail_url": copies[post.shortcode]})
    return post.model_copy(update={"dimensions": dimensions})


def _shown(post: InstagramPost) -> ShownPost:
    same = ("handle", "shortcode", "post_id", "post_type", "content_type", "story_links", "story_hashtags")
    return ShownPost(
        platform="instagram",
        **{name: getattr(post, name) for name in (*same, "publish_time", "updated_at")},
        thumbnail=url_or_none(post.thumbnail_url),
        display_url=url_or_none(post.display_url),
        metrics=PostNumbers(
            reach=post.reach, views=post.views, likes=post.likes, play_count=post.plays, comments=post.comments
        ),
    )
