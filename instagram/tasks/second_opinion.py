"""Storing a profile whose followers may have to be confirmed by the next source of the chain first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from loguru import logger

from core.crawler.crawler import Crawler, Fetched
from core.crawler.errors import ProviderError
from core.crawler.provider import Function
from core.models.logs import PostLog, ProfileLog
from core.runtime import FlowContext
from instagram.models.functions import FETCH_PROFILE_BY_HANDLE, FETCH_PROFILE_BY_ID
from instagram.models.keys import FOLLOWERS
from instagram.models.pages import ProfilePage
from instagram.tasks.ingestion import complete_profile
from instagram.tasks.processing import NotPlain, upsert_profile, upsert_profile_plainly
from instagram.tasks.quality import Opinion, Verdict, judge
from instagram.tasks.quarantine import Doubtful
from instagram.tasks.retrieval import Gap, crawler_of

_FUNCTIONS: Mapping[str, Function[ProfilePage]] = {
    function.name: function for function in (FETCH_PROFILE_BY_ID, FETCH_PROFILE_BY_HANDLE)
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a refresh found, fit for storing; ``refreshed``: all of it was asked for."""

    fetched: Fetched[ProfilePage]
    profile: ProfileLog
    posts: Sequence[PostLog]
    refreshed: bool


async def store_profile(ctx: FlowContext, found: Found, *, ask: bool = True) -> Verdict | None:
    """Store it at once; followers that jump only when another source confirms them, which is asked when ``ask``."""
    try:
        return await _store(ctx, found, None if ask else ())
    except Doubtful as doubt:
        logger.bind(profile_id=found.profile.profile_id, source=doubt.first.source, old=doubt.old).warning(
            "followers jumped, the next source was asked"
        )
        try:
            others = await _other_opinions(crawler_of(ctx), found.fetched, doubt)
        except asyncio.CancelledError:
            await _store(ctx, found, ())
            raise
    return await _store(ctx, found, others)


def doubts(verdict: Verdict | None) -> list[Gap]:
    """What the result of the task says about followers that were not believed."""
    if verdict is None or not verdict.doubted or verdict.believed in verdict.doubted:
        return []
    said = ", ".join(map(str, verdict.doubted))
    return [Gap("followers", "quarantined", message=f"{said}; {verdict.resolution or 'nobody confirms it'}")]


async def _store(ctx: FlowContext, found: Found, others: Sequence[Opinion] | None) -> Verdict | None:
    database = ctx.runtime.database
    with suppress(NotPlain):
        return await upsert_profile_plainly(database, found.profile, found.posts, refreshed=found.refreshed)
    async with database.sessions() as session:
        return await upsert_profile(session, found.profile, found.posts, refreshed=found.refreshed, others=others)


async def _other_opinions(crawler: Crawler, fetched: Fetched[ProfilePage], doubt: Doubtful) -> list[Opinion]:
    """What the sources after the one that answered say, until it is decided or nobody is left to ask."""
    function = _FUNCTIONS[fetched.payload.function]
    chain = crawler.table.chain(function.name)
    opinions: list[Opinion] = []
    for source in chain[chain.index(fetched.source) + 1 :]:
        try:
            answer = await crawler.fetch(function, fetched.payload.asked, source=source)
        except ProviderError:
            continue
        profile = complete_profile(answer.value.profile)
        followers = profile.metrics.get(FOLLOWERS)
        if profile.profile_id == fetched.value.profile.profile_id and type(followers) is int:
            opinions.append(Opinion(source, followers))
        if judge(doubt.old, doubt.first, opinions, ()).resolution:
            break
    return opinions
