"""What the tasks about owners' numbers mean. Each asks with the token of the account that it names."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import Any

from core.crawler.crawler import Fetched
from core.crawler.errors import NotFound
from core.crawler.provider import Asked, Function
from core.models.params import HandleParams, PostInsightsParams, StoryInsightsParams
from core.runtime import FlowContext
from instagram.models.functions import (
    FETCH_AUDIENCE_INSIGHTS,
    FETCH_FOLLOWER_AUDIENCE_INSIGHTS,
    FETCH_POST_INSIGHTS,
    FETCH_STORY_INSIGHTS,
)
from instagram.models.pages import Audience, Insights
from instagram.tasks.audience_processing import upsert_audience
from instagram.tasks.insights_ingestion import (
    AUDIENCE_COLUMNS,
    audience_gaps,
    audience_log,
    insights_gaps,
    insights_log,
)
from instagram.tasks.lookups import account_by_handle
from instagram.tasks.own_media import StoredPost, clean_handle, own_posts, own_stories, store_own, stored_post
from instagram.tasks.own_token import blame_token
from instagram.tasks.post_lists import PostsWalk
from instagram.tasks.processing import upsert_posts
from instagram.tasks.retrieval import crawler_of

LOOKED_BACK = timedelta(days=365)
"""How old a post may be whose Graph media id is looked for."""


async def refresh_post_insights(params: PostInsightsParams, ctx: FlowContext) -> dict[str, Any]:
    """Numbers of one post of a connected account.

    Raises:
        ProviderError: the account's own token did not give them.
    """
    handle = clean_handle(params.handle)
    post = await _stored(ctx, params.shortcode)
    post_id = post.graph_id(params.post_id)
    if post_id is None:
        post = await _found(ctx, own_posts(handle, ctx.started_at - LOOKED_BACK), handle, params.shortcode)
        post_id = post.graph_id()
    asked = Asked(
        post_id=_known(post_id, params.shortcode),
        shortcode=params.shortcode,
        handle=handle,
        post_type=post.post_type or params.post_type or None,
        product_type=post.product_type,
    )
    return await _refresh(ctx, FETCH_POST_INSIGHTS, asked, post)


async def refresh_story_insights(params: StoryInsightsParams, ctx: FlowContext) -> dict[str, Any]:
    """Numbers of one story of a connected account, while it is there.

    Raises:
        ProviderError: the account's own token did not give them.
    """
    handle = clean_handle(params.handle)
    post = await _stored(ctx, params.shortcode, params.profile_id)
    if post.graph_id() is None:
        post = await _found(ctx, own_stories(handle), handle, params.shortcode, params.profile_id)
    post_id = _known(post.graph_id(params.story_id), params.shortcode)
    asked = Asked(post_id=post_id, shortcode=params.shortcode, handle=handle, post_type=post.post_type)
    return await _refresh(ctx, FETCH_STORY_INSIGHTS, asked, post)


async def refresh_profile_insights(params: HandleParams, ctx: FlowContext) -> dict[str, Any]:
    """Who follows, is reached by and engages with a connected account. What cannot be had stays as it is stored.

    Raises:
        NotFound: no stored account has the handle.
        ProviderError: the account's own token gave nothing.
    """
    return await _audience(ctx, FETCH_AUDIENCE_INSIGHTS, params.handle, AUDIENCE_COLUMNS)


async def refresh_profile_audience_insights(params: HandleParams, ctx: FlowContext) -> dict[str, Any]:
    """The followers of a connected account by city and by gender and age only.

    Raises:
        NotFound: no stored account has the handle.
        ProviderError: the account's own token gave nothing.
    """
    wanted = ("audience_city", "audience_gender_age")
    return await _audience(ctx, FETCH_FOLLOWER_AUDIENCE_INSIGHTS, params.handle, wanted)


async def _stored(ctx: FlowContext, shortcode: str, profile_id: str | None = None) -> StoredPost:
    async with ctx.runtime.database.sessions() as session:
        post = await stored_post(session, shortcode)
    return post if post.profile_id else replace(post, profile_id=profile_id or None)


async def _found(
    ctx: FlowContext, walk: PostsWalk, handle: str, shortcode: str, profile_id: str | None = None
) -> StoredPost:
    """The post as it is known once the account's own list was read as far as it."""
    async with aclosing(store_own(ctx, walk, handle)) as pages:
        async for page in pages:
            if any(log.shortcode == shortcode for log in page):
                break
    return await _stored(ctx, shortcode, profile_id)


def _known(post_id: str | None, shortcode: str) -> str:
    if post_id is None:
        raise NotFound(f"Graph's media id of {shortcode} is not known: it is in none of the account's own lists")
    return post_id


async def _refresh(ctx: FlowContext, function: Function[Insights], asked: Asked, post: StoredPost) -> dict[str, Any]:
    try:
        fetched = await crawler_of(ctx).fetch(function, asked, handle=asked.handle)
    except NotFound:
        await blame_token(ctx, asked.handle or "")
        raise
    owner = (await account_by_handle(ctx, asked.handle or "")).profile_id
    post = replace(post, profile_id=post.profile_id or owner)
    handle = asked.handle if owner == post.profile_id or not post.handle else post.handle
    log = insights_log(fetched, post, asked.post_id or "", handle)
    async with ctx.runtime.database.sessions() as session:
        await upsert_posts(session, [log])
    return {
        "source": fetched.source,
        "shortcode": post.shortcode,
        "profile_id": log.profile_id,
        "metrics": sorted(fetched.value.metrics),
        "gaps": [gap.as_result() for gap in insights_gaps(fetched.value)],
    }


async def _audience(
    ctx: FlowContext, function: Function[Audience], given: str, wanted: tuple[str, ...]
) -> dict[str, Any]:
    handle = clean_handle(given)
    profile_id = (await account_by_handle(ctx, handle)).profile_id
    if profile_id is None:
        raise NotFound(f"no stored account has the handle {handle}: refresh its profile first")
    fetched: Fetched[Audience] = await crawler_of(ctx).fetch(function, Asked(handle=handle), handle=handle)
    log = audience_log(fetched, profile_id, handle)
    async with ctx.runtime.database.sessions() as session:
        await upsert_audience(session, log)
    stored = [column for column in wanted if column in log.dimensions]
    gaps = audience_gaps(fetched.value, wanted, log.dimensions)
    return {
        "source": fetched.source,
        "profile_id": profile_id,
        "handle": handle,
        "stored": stored,
        "gaps": [gap.as_result() for gap in gaps],
    }
