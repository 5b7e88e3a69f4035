"""What the task about the sentiment of a post's comments means."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from core.enums import Platform
from core.flows.scraper import BadTask
from core.models.params import CommentsParams, SentimentParams
from core.runtime import FlowContext
from core.sentiment import StoredComment, judged, store_sentiments, stored_comments
from instagram.flows.fetch_activities import fetch_post_comments
from utils.sentiment import NEGATIVE, NEUTRAL, POSITIVE
from utils.times import utc_now

BATCH = 200
"""Comments of one transaction."""

_PLATFORMS = (Platform.INSTAGRAM, Platform.YOUTUBE)


async def extract_post_sentiment(params: SentimentParams, ctx: FlowContext) -> dict[str, Any]:
    """The sentiment of a post's stored comments, which are fetched first when none are stored.

    Judging again changes and announces only what has changed since.

    Raises:
        BadTask: the platform is neither Instagram nor YouTube, or its comments would have to be fetched from YouTube.
        ProviderError: no source gave the comments.
    """
    platform = _platform(params.platform)
    comments = await _stored(ctx, platform, params)
    fetched: dict[str, Any] = {}
    if not comments:
        if platform is Platform.YOUTUBE:
            raise BadTask(
                f"params.shortcode: no comments on {params.shortcode} are stored, and comments are not fetched from"
                " YouTube yet"
            )
        fetched = await fetch_post_comments(
            CommentsParams(shortcode=params.shortcode, max_comments=params.max_comments), ctx
        )
        comments = await _stored(ctx, platform, params)
    logs = await asyncio.to_thread(judged, platform, params.shortcode, comments, utc_now())  # 0.1 ms each
    changed = 0
    for start in range(0, len(logs), BATCH):
        async with ctx.runtime.database.sessions.begin() as session:
            changed += await store_sentiments(session, logs[start : start + BATCH])
    found = Counter(log.sentiment for log in logs)
    return {
        "shortcode": params.shortcode,
        "comments": len(comments),
        "judged": len(logs),
        "changed": changed,
        **{word: found[word] for word in (POSITIVE, NEGATIVE, NEUTRAL)},
        "fetched": len(comments) if fetched else 0,
        "gaps": fetched.get("gaps", []),
    }


async def _stored(ctx: FlowContext, platform: Platform, params: SentimentParams) -> list[StoredComment]:
    async with ctx.runtime.database.sessions() as session:
        return await stored_comments(session, platform, params.shortcode, params.max_comments)


def _platform(word: str) -> Platform:
    found = next((platform for platform in _PLATFORMS if platform == word.upper()), None)
    if found is None:
        raise BadTask(f"params.platform: must be {' or '.join(_PLATFORMS)}")
    return found
