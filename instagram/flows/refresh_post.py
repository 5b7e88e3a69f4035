"""What the single-post tasks mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.models.params import ShortcodeParams
from core.runtime import FlowContext
from instagram.tasks.ingestion import complete_post
from instagram.tasks.processing import upsert_posts
from instagram.tasks.retrieval import crawler_of, retrieve_post


async def refresh_post_by_shortcode(params: ShortcodeParams, ctx: FlowContext) -> dict[str, Any]:
    """One post by its shortcode.

    Raises:
        ProviderError: no source gave it.
    """
    fetched = await retrieve_post(crawler_of(ctx), params.shortcode)
    post = complete_post(replace(fetched.value, shortcode=params.shortcode))
    async with ctx.runtime.database.sessions() as session:
        await upsert_posts(session, [post])
    return {"source": fetched.source, "shortcode": params.shortcode, "posts": 1}
