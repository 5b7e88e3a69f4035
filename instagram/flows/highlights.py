"""What the task about highlights means: stories that an account keeps on show."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from core.crawler.errors import ProviderError
from core.crawler.provider import Asked
from core.models.logs import PostLog
from core.models.params import ProfileIdParams
from core.runtime import FlowContext
from instagram.models.functions import FETCH_HIGHLIGHT_POSTS, FETCH_PROFILE_HIGHLIGHTS
from instagram.tasks.ingestion import nameless
from instagram.tasks.lookups import account_by_id
from instagram.tasks.page_walk import pauses_of
from instagram.tasks.post_lists import lost_posts
from instagram.tasks.posts_ingestion import named, of_account
from instagram.tasks.processing import upsert_posts
from instagram.tasks.retrieval import Gap, crawler_of

PAUSE_S = 1.0


async def fetch_profile_highlights(params: ProfileIdParams, ctx: FlowContext) -> dict[str, Any]:
    """The stories of each highlight of an account, stored as they come; a highlight that cannot be had is a gap.

    Raises:
        ProviderError: no source could tell which highlights there are, or none of them could be had.
    """
    asked, pause = Asked(profile_id=params.profile_id), pauses_of(ctx)
    fetched = await crawler_of(ctx).fetch(FETCH_PROFILE_HIGHLIGHTS, asked)
    account = await account_by_id(ctx, params.profile_id)
    known: set[str] = set()
    failures: list[ProviderError] = []
    gaps: list[dict[str, Any]] = []
    for number, highlight in enumerate(fetched.value.highlights):
        if number:
            await pause(PAUSE_S)
        try:
            found = await _stories(ctx, asked.profile_id, highlight.highlight_id, fetched.source)
        except ProviderError as error:
            failures.append(error)
            gaps.append(Gap.of(f"highlight {highlight.highlight_id}", error).as_result())
            continue
        new = {log.shortcode: log for log in found if log.shortcode and log.shortcode not in known}
        known |= new.keys()
        gaps += lost_posts(nameless(found))
        posts = await asyncio.to_thread(of_account, list(new.values()), account.as_log())
        async with ctx.runtime.database.sessions() as session:
            await upsert_posts(session, posts)
    if failures and not known:
        raise failures[0]
    counts = {"highlights": len(fetched.value.highlights), "stories": len(known)}
    return {"source": fetched.source, "profile_id": params.profile_id, **counts, "gaps": gaps}


async def _stories(ctx: FlowContext, profile_id: str | None, highlight_id: str, source: str) -> Sequence[PostLog]:
    asked = Asked(profile_id=profile_id, highlight_id=highlight_id)
    fetched = await crawler_of(ctx).fetch(FETCH_HIGHLIGHT_POSTS, asked, source=source)
    return [named(log) for log in fetched.value.posts]
