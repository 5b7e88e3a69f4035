"""What the tasks mean that work on what is stored and ask no provider: keywords of posts, averages of accounts."""

from __future__ import annotations

from typing import Any

from core.crawler.errors import NotFound
from core.enums import Platform
from core.flows.scraper import BadTask
from core.models.params import KeywordsParams, ProfileIdParams
from core.runtime import FlowContext
from instagram.tasks.averages import store_averages
from instagram.tasks.post_keywords import add_keywords

BATCH = 200
"""Posts of one transaction."""


async def extract_post_keywords(params: KeywordsParams, ctx: FlowContext) -> dict[str, Any]:
    """Keywords for those of the posts that are stored with a caption and without keywords.

    Raises:
        BadTask: posts of the platform are not stored.
    """
    if params.platform.upper() != Platform.INSTAGRAM:
        raise BadTask(f"params.platform: only posts of {Platform.INSTAGRAM} are stored with captions")
    shortcodes = sorted(set(params.shortcodes))
    extracted = 0
    for start in range(0, len(shortcodes), BATCH):
        extracted += await add_keywords(ctx, shortcodes[start : start + BATCH])
    return {"posts": len(shortcodes), "extracted": extracted}


async def refresh_profile_metrics(params: ProfileIdParams, ctx: FlowContext) -> dict[str, Any]:
    """The averages of a stored account, from its stored posts.

    Raises:
        NotFound: the account is not stored.
    """
    async with ctx.runtime.database.sessions.begin() as session:
        averages = await store_averages(session, params.profile_id)
    if averages is None:
        raise NotFound(f"no account with profile_id {params.profile_id} is stored")
    return {"profile_id": params.profile_id, **averages}
