"""What the profile tasks mean."""

from __future__ import annotations

import asyncio
from typing import Any

from core.crawler.crawler import Fetched
from core.crawler.provider import Asked
from core.models.logs import PostLog
from core.models.params import HandleParams, ProfileIdParams, ProfileParams
from core.runtime import FlowContext
from instagram.models.keys import HANDLE, IS_PRIVATE, MEDIA_COUNT
from instagram.models.pages import ProfilePage
from instagram.tasks.ingestion import complete_posts, complete_profile, merge_posts, nameless
from instagram.tasks.processing import upsert_profile
from instagram.tasks.retrieval import Collected, Fetches, Gap, crawler_of, recent_posts, recent_reels, retrieve_profile


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


async def refresh_profile(ctx: FlowContext, profile_id: str | None, handle: str | None) -> dict[str, Any]:
    """Ask for everything first, then store it at once. Posts and reels that cannot be had are named as gaps.

    Raises:
        ProviderError: no source gave the profile.
    """
    crawler = crawler_of(ctx)
    fetched = await retrieve_profile(crawler, profile_id, handle)
    collected = await _recent(crawler, fetched.value, ctx)
    return await _store(ctx, fetched, collected, refreshed=True)


async def _recent(crawler: Fetches, page: ProfilePage, ctx: FlowContext) -> dict[str, Collected]:
    profile = page.profile
    if profile.dimensions.get(IS_PRIVATE):
        gap = Gap("posts", "private", message="the account is private: its posts were not asked for")
        return {"posts": Collected(gap=gap)}
    asked = Asked(profile_id=profile.profile_id, handle=profile.dimensions.get(HANDLE))
    collected = {"posts": await recent_posts(crawler, asked, ctx.started_at)}
    if profile.metrics.get(MEDIA_COUNT, 0) > 0:
        collected["reels"] = await recent_reels(crawler, asked, ctx.started_at)
    return collected


async def _store(
    ctx: FlowContext, fetched: Fetched[ProfilePage], collected: dict[str, Collected], *, refreshed: bool
) -> dict[str, Any]:
    profile = complete_profile(fetched.value.profile)
    found: list[PostLog] = [*fetched.value.posts, *(log for part in collected.values() for log in part.posts)]
    posts = await asyncio.to_thread(lambda: complete_posts(merge_posts(found), profile))  # keywords take milliseconds
    async with ctx.runtime.database.sessions() as session:
        await upsert_profile(session, profile, posts, refreshed=refreshed)
    gaps = [part.gap for part in collected.values() if part.gap is not None]
    if lost := nameless(found):
        gaps.append(Gap("posts", "malformed", message=f"{lost} posts do not say their shortcode"))
    return {
        "source": fetched.source,
        "profile_id": profile.profile_id,
        "handle": profile.dimensions.get(HANDLE),
        "posts": len(posts),
        "sources": {"profile": fetched.source} | {step: part.source for step, part in collected.items() if part.source},
        "gaps": [gap.as_result() for gap in gaps],
    }
