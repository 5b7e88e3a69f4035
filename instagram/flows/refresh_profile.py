"""What the profile tasks mean. A task that is cancelled stores what it has read before it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from loguru import logger

from core.crawler.crawler import Fetched
from core.crawler.errors import ProviderError
from core.crawler.provider import Asked
from core.models.logs import PostLog
from core.models.params import HandleParams, ProfileCustomParams, ProfileIdParams, ProfileParams
from core.runtime import FlowContext
from instagram.functions.retriever.crawler import GRAPH
from instagram.models.functions import FETCH_PROFILE_BY_HANDLE, FETCH_PROFILE_POSTS_BY_ID
from instagram.models.keys import HANDLE, IS_PRIVATE, MEDIA_COUNT
from instagram.models.pages import ProfilePage
from instagram.tasks.ingestion import complete_profile, completed_posts, impossible, nameless
from instagram.tasks.page_walk import PageRule, pauses_of
from instagram.tasks.post_lists import posts_walk
from instagram.tasks.retrieval import Collected, Fetches, Gap, crawler_of, recent_posts, recent_reels, retrieve_profile
from instagram.tasks.second_opinion import Found, doubts, store_profile

_Collection = dict[str, Collected]
"""Step -> what it read."""


async def refresh_profile_by_handle(params: HandleParams, ctx: FlowContext) -> dict[str, Any]:
    """Profile, posts and reels of the last 30 days of a handle."""
    return await refresh_profile(ctx, None, params.handle)


async def refresh_profile_by_profile_id(params: ProfileIdParams, ctx: FlowContext) -> dict[str, Any]:
    """Profile, posts and reels of the last 30 days of an account."""
    return await refresh_profile(ctx, params.profile_id, None)


async def refresh_profile_basic(params: ProfileParams, ctx: FlowContext) -> dict[str, Any]:
    """The profile with the posts that come along with it; no further calls."""
    fetched = await retrieve_profile(crawler_of(ctx), params.profile_id, params.handle)
    return await _store(ctx, fetched, {}, refreshed=False)


async def refresh_profile_by_handle_from_graphapi(ctx: FlowContext, handle: str) -> dict[str, Any]:
    """The profile and its newest media as Graph tells the account's owner, with the account's own token.

    Raises:
        ProviderError: there is no such token, or it did not give the profile.
    """
    asked = Asked(handle=handle)
    fetched = await crawler_of(ctx).fetch(FETCH_PROFILE_BY_HANDLE, asked, source=GRAPH, handle=handle)
    return await _store(ctx, fetched, {}, refreshed=False)


async def refresh_profile(ctx: FlowContext, profile_id: str | None, handle: str | None) -> dict[str, Any]:
    """Ask for everything first, then store it at once. Posts and reels that cannot be had are named as gaps.

    Raises:
        ProviderError: no source gave the profile.
    """
    crawler = crawler_of(ctx)
    fetched = await retrieve_profile(crawler, profile_id, handle)
    return await _store_with(ctx, fetched, lambda collected: _recent(crawler, fetched.value, ctx, collected))


async def refresh_profile_custom(params: ProfileCustomParams, ctx: FlowContext) -> dict[str, Any]:
    """The profile and its newest posts, until more than ``max_posts`` are there; no reels.

    Raises:
        ProviderError: no source gave the profile.
    """
    crawler = crawler_of(ctx)
    fetched = await retrieve_profile(crawler, params.profile_id, params.handle)
    return await _store_with(ctx, fetched, lambda found: _newest(ctx, fetched.value, params.max_posts, found))


async def _store_with(
    ctx: FlowContext, fetched: Fetched[ProfilePage], collect: Callable[[_Collection], Awaitable[None]]
) -> dict[str, Any]:
    """The profile with what is collected, at once."""
    collected: _Collection = {}
    try:
        await collect(collected)
    except asyncio.CancelledError:
        await _store(ctx, fetched, collected, refreshed=False, ask=False)
        raise
    return await _store(ctx, fetched, collected, refreshed=True)


async def _recent(crawler: Fetches, page: ProfilePage, ctx: FlowContext, collected: _Collection) -> None:
    if _is_private(page, collected):
        return
    asked, collected["posts"] = _asked(page), Collected()
    await recent_posts(crawler, asked, ctx.started_at, collected["posts"])
    if page.profile.metrics.get(MEDIA_COUNT, 0) > 0:
        collected["reels"] = Collected()
        await recent_reels(crawler, asked, ctx.started_at, collected["reels"])


async def _newest(ctx: FlowContext, page: ProfilePage, most: int, collected: _Collection) -> None:
    if _is_private(page, collected):
        return
    found = collected["posts"] = Collected()
    walk = posts_walk(FETCH_PROFILE_POSTS_BY_ID, PageRule(items=most + 1, failures=6, failure_pause_s=10))
    try:
        async for read in walk.read(crawler_of(ctx), _asked(page), pauses_of(ctx)):
            found.source, found.pages, found.posts = walk.source, walk.pages, [*found.posts, *read.fresh]
        found.gap = walk.gap
    except ProviderError as error:
        found.gap = Gap.of(FETCH_PROFILE_POSTS_BY_ID.name, error)
        logger.bind(pages=walk.pages, reason=found.gap.reason).warning("posts ended early")


def _is_private(page: ProfilePage, collected: _Collection) -> bool:
    """Whether there is no use in asking for posts; then that is the gap."""
    if not page.profile.dimensions.get(IS_PRIVATE):
        return False
    gap = Gap("posts", "private", message="the account is private: its posts were not asked for")
    collected["posts"] = Collected(gap=gap)
    return True


def _asked(page: ProfilePage) -> Asked:
    return Asked(profile_id=page.profile.profile_id, handle=page.profile.dimensions.get(HANDLE))


async def _store(
    ctx: FlowContext, fetched: Fetched[ProfilePage], collected: _Collection, *, refreshed: bool, ask: bool = True
) -> dict[str, Any]:
    profile = complete_profile(fetched.value.profile)
    found: list[PostLog] = [*fetched.value.posts, *(log for part in collected.values() for log in part.posts)]
    posts = await completed_posts(found, profile)
    verdict = await store_profile(ctx, Found(fetched, profile, posts, refreshed), ask=ask)
    gaps = [part.gap for part in collected.values() if part.gap is not None] + doubts(verdict)
    if wrong := impossible(fetched.value.profile.metrics):
        gaps.append(Gap("profile", "refused", message=f"no possible counts: {', '.join(wrong)}"))
    if lost := nameless(found):
        gaps.append(Gap("posts", "malformed", message=f"{lost} posts do not say their shortcode"))
    sources = {"profile": fetched.source} | {step: part.source for step, part in collected.items() if part.source}
    if verdict is not None and verdict.believed is not None and verdict.believed.source != fetched.source:
        sources["followers"] = verdict.believed.source
    return {
        "source": fetched.source,
        "profile_id": profile.profile_id,
        "handle": profile.dimensions.get(HANDLE),
        "posts": len(posts),
        "sources": sources,
        "gaps": [gap.as_result() for gap in gaps],
    }
