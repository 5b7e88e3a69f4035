"""What the single-post tasks mean."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from core.crawler.errors import NotFound
from core.models.params import PostIdParams, ShortcodeParams
from core.runtime import FlowContext
from instagram.functions.retriever.shortcode import shortcode_of
from instagram.tasks.ingestion import complete_post
from instagram.tasks.lookups import stored_shortcode
from instagram.tasks.processing import upsert_posts
from instagram.tasks.retrieval import crawler_of, retrieve_post

_GRAPH_MEDIA_ID = re.compile(r"1[78]\d{15}", re.ASCII)
"""Media pks of this length are those of some weeks in 2011."""


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


async def refresh_post_by_post_id(params: PostIdParams, ctx: FlowContext) -> dict[str, Any]:
    """One post by its media pk (also ``<pk>_<user>``), or by the Graph media id of a stored post.

    Raises:
        NotFound: the id leads to no shortcode.
        ProviderError: no source gave the post.
    """
    post_id = params.post_id
    plain = post_id.partition("_")[0]
    shortcode = await stored_shortcode(ctx, post_id, plain)
    if shortcode is None and plain == post_id and _GRAPH_MEDIA_ID.fullmatch(post_id):
        raise NotFound(f"no stored post has the Graph media id {post_id}, which says nothing about the post's address")
    shortcode = shortcode or shortcode_of(plain)
    if shortcode is None:
        raise NotFound("post_id is no media id")
    return {"post_id": post_id, **await refresh_post_by_shortcode(ShortcodeParams(shortcode=shortcode), ctx)}
