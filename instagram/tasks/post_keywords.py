"""Keywords for stored posts that have none: read, think outside of any transaction, store and announce."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from core.enums import Platform
from core.models.logs import PostLog
from core.runtime import FlowContext
from instagram.models.keys import HANDLE, KEYWORDS, PROFILE_ID, TAKEN_AT
from instagram.tasks.keywords import keywords
from instagram.tasks.processing import upsert_posts
from utils.times import utc_now

SOURCE = "beat"
"""Who says so: nobody was asked."""

_WITHOUT = text("""
select shortcode, profile_id, handle, caption, publish_time from instagram_post
where shortcode = any(:shortcodes) and caption <> '' and coalesce(keywords, '') = ''
""")


async def add_keywords(ctx: FlowContext, shortcodes: Sequence[str]) -> int:
    """Store keywords of those posts that have a caption and no keywords; returns how many got some."""
    async with ctx.runtime.database.sessions() as session:
        rows = (await session.execute(_WITHOUT, {"shortcodes": list(shortcodes)})).all()
    posts = await asyncio.to_thread(lambda: [log for row in rows if (log := _keyworded(row)) is not None])
    async with ctx.runtime.database.sessions() as session:
        await upsert_posts(session, posts)
    return len(posts)


def _keyworded(row: Any) -> PostLog | None:
    """What is now known besides; None when the caption has no telling word."""
    found = keywords(row.caption)
    if not found:
        return None
    dimensions = {
        PROFILE_ID: row.profile_id,
        HANDLE: row.handle,
        TAKEN_AT: int(row.publish_time.timestamp()) if row.publish_time else None,
        KEYWORDS: found,
    }
    said = {key: value for key, value in dimensions.items() if value is not None}
    return PostLog(Platform.INSTAGRAM, row.shortcode, row.profile_id, SOURCE, utc_now(), said)
