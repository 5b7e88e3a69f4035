"""What the tasks about lists of anybody's posts mean: those that tag or mention an account, or carry a hashtag."""

from __future__ import annotations

from typing import Any

from core.crawler.provider import Asked, Function
from core.models.params import (
    HandleMentionsParams,
    HashtagPostsParams,
    HashtagTopParams,
    ProfilePostsParams,
    TaggedPostsParams,
)
from core.runtime import FlowContext
from instagram.functions.retriever.crawler import CHAINS, GRAPH
from instagram.models.functions import FETCH_HASHTAG_POSTS, FETCH_HASHTAG_TOP_POSTS, FETCH_TAGGED_POSTS
from instagram.models.keys import TAGGED_USER_HANDLES, TAGGED_USER_IDS
from instagram.models.pages import PostsPage
from instagram.tasks.page_walk import PageRule
from instagram.tasks.post_lists import PostList, store_list
from instagram.tasks.posts_ingestion import with_dimension, with_hashtags
from utils.handles import bare_handle


async def fetch_tagged_posts(params: TaggedPostsParams | ProfilePostsParams, ctx: FlowContext) -> dict[str, Any]:
    """Posts in which an account is tagged, until more than ``max_posts`` are there; what was read is kept.

    Raises:
        ProviderError: no source gave any.
    """
    profile_id = params.profile_id
    wanted = PostList(
        FETCH_TAGGED_POSTS,
        Asked(profile_id=profile_id),
        _tagged_rule(params.max_posts),
        lambda posts: with_dimension(posts, TAGGED_USER_IDS, profile_id),
    )
    return {"profile_id": profile_id, **await store_list(ctx, wanted)}


async def fetch_mentioned_posts(params: HandleMentionsParams, ctx: FlowContext) -> dict[str, Any]:
    """Posts in which a connected account is tagged, as the Graph API tells its owner; what was read is kept.

    Raises:
        ProviderError: Graph gave none, or the account is not connected.
    """
    handle = bare_handle(params.handle)
    wanted = PostList(
        FETCH_TAGGED_POSTS,
        Asked(handle=handle),
        _tagged_rule(params.max_posts),
        lambda posts: with_dimension(posts, TAGGED_USER_HANDLES, handle.lower()),
        source=GRAPH,
        handle=handle,
    )
    return {"handle": handle, **await store_list(ctx, wanted)}


async def fetch_hashtag_posts(params: HashtagPostsParams, ctx: FlowContext) -> dict[str, Any]:
    """The newest posts with a hashtag, ``max_posts`` or a page more; ``cursor`` is one of the source asked first.

    Raises:
        ProviderError: no source gave them, or none was left to go on with; the pages read are stored.
    """
    return await _hashtag(ctx, FETCH_HASHTAG_POSTS, params.hashtag, params.max_posts, params.cursor)


async def fetch_hashtag_top_posts(params: HashtagTopParams, ctx: FlowContext) -> dict[str, Any]:
    """The most popular posts with a hashtag, ``max_posts`` or a page more.

    Raises:
        ProviderError: as ``fetch_hashtag_posts``.
    """
    return await _hashtag(ctx, FETCH_HASHTAG_TOP_POSTS, params.hashtag, params.max_posts)


async def _hashtag(
    ctx: FlowContext, function: Function[PostsPage], hashtag: str, most: int, cursor: str | None = None
) -> dict[str, Any]:
    word = hashtag.removeprefix("#")
    wanted = PostList(
        function,
        Asked(hashtag=word, cursor=cursor or None),
        PageRule(items=most, pause_s=5, failures=5, failure_pause_s=10),
        with_hashtags,
        source=CHAINS[function.name][0] if cursor else None,
        keeps=False,
    )
    return {"hashtag": word, **await store_list(ctx, wanted)}


def _tagged_rule(most: int) -> PageRule:
    return PageRule(items=most + 1, failures=6, failure_pause_s=10)
