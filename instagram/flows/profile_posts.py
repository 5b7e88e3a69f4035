"""What the tasks about the posts of one profile mean, when the profile itself is not asked for."""

from __future__ import annotations

from typing import Any

from core.crawler.provider import Asked, Function
from core.models.params import HandlePostsParams, RecentPostsParams
from core.runtime import FlowContext
from instagram.models.functions import (
    FETCH_PROFILE_POSTS_BY_HANDLE,
    FETCH_PROFILE_POSTS_BY_ID,
    FETCH_REELS_POSTS,
)
from instagram.models.pages import PostsPage
from instagram.tasks.lookups import account_by_handle, account_by_id
from instagram.tasks.page_walk import PageRule
from instagram.tasks.post_lists import PostList, store_list
from instagram.tasks.posts_ingestion import of_account
from utils.handles import bare_handle


async def refresh_profile_posts_by_handle(params: HandlePostsParams, ctx: FlowContext) -> dict[str, Any]:
    """The newest posts of a handle, about ``max_posts``.

    Raises:
        ProviderError: no source gave them.
    """
    handle = bare_handle(params.handle)
    account = (await account_by_handle(ctx, handle)).as_log()
    wanted = PostList(
        FETCH_PROFILE_POSTS_BY_HANDLE,
        Asked(handle=handle),
        _rule(params.max_posts),
        lambda posts: of_account(posts, account, handle),
    )
    return {"handle": handle, **await store_list(ctx, wanted)}


async def refresh_profile_posts_by_profile_id(params: RecentPostsParams, ctx: FlowContext) -> dict[str, Any]:
    """An account's posts of the last ``days``, until more than ``max_posts`` are there.

    Raises:
        ProviderError: no source gave them.
    """
    return await _recent(params, ctx, FETCH_PROFILE_POSTS_BY_ID)


async def refresh_reels_posts_by_profile_id(params: RecentPostsParams, ctx: FlowContext) -> dict[str, Any]:
    """An account's reels of the last ``days``, until more than ``max_posts`` are there.

    Raises:
        ProviderError: no source gave them.
    """
    return await _recent(params, ctx, FETCH_REELS_POSTS)


async def _recent(params: RecentPostsParams, ctx: FlowContext, function: Function[PostsPage]) -> dict[str, Any]:
    stored = await account_by_id(ctx, params.profile_id)
    account = stored.as_log()
    wanted = PostList(
        function,
        Asked(profile_id=params.profile_id, handle=stored.handle),
        _rule(params.max_posts + 1),
        lambda posts: of_account(posts, account),
        days=params.days,
    )
    return {"profile_id": params.profile_id, **await store_list(ctx, wanted)}


def _rule(posts: int) -> PageRule:
    return PageRule(items=posts, failures=1)
