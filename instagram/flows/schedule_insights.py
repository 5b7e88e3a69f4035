"""What the tasks mean that queue others about owners' numbers: one task per post and day, whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from core.crawler.errors import ProviderError
from core.enums import Platform, PostType
from core.models.params import DaysLimitParams, HandleDaysParams
from core.queue.tasks import NewTask, create_all
from core.runtime import FlowContext
from credentials.connected import connected_handles
from instagram.functions.retriever.crawler import GRAPH
from instagram.models.keys import POST_ID, POST_TYPE
from instagram.tasks.own_media import clean_handle, is_recent, own_posts, store_own
from instagram.tasks.retrieval import Gap

FLOW = "refresh_post_insights"
BATCH = 200
"""Tasks queued in one transaction."""

_RECENT = text("""
select p.id, p.publish_time, p.shortcode, a.handle, p.post_id, p.post_type
from unnest(cast(:handles as text[])) h(handle)
cross join lateral (select profile_id, handle from instagram_account where handle = h.handle
                    order by updated_at desc nulls last, id desc limit 1) a
join instagram_post p on p.profile_id = a.profile_id
where p.publish_time >= :since and p.post_type is distinct from :story
  and (cast(:before as timestamptz) is null or (p.publish_time, p.id) < (:before, cast(:below as bigint)))
order by p.publish_time desc, p.id desc limit :batch
""")
"""Stored posts of accounts, newest first; goes on below (``before``, ``below``)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A post whose numbers are wanted."""

    shortcode: str
    handle: str
    post_id: str
    post_type: str


async def refresh_post_insights_by_profile(params: HandleDaysParams, ctx: FlowContext) -> dict[str, Any]:
    """One task per recent post of a connected account, whose list is read first: it says Graph's media ids.

    Raises:
        ProviderError: the account's own token did not give the first page.
    """
    handle, since = clean_handle(params.handle), ctx.started_at - timedelta(days=params.days)
    walk, posts, queued = own_posts(handle, since), 0, 0
    gap: Gap | None = None
    try:
        async for page in store_own(ctx, walk, handle):
            recent = [log for log in page if is_recent(log, since)]
            posts += len(recent)
            queued += await _queue(
                ctx,
                [
                    Wanted(log.shortcode or "", handle, log.dimensions[POST_ID], log.dimensions.get(POST_TYPE) or "")
                    for log in recent
                ],
            )
    except ProviderError as error:
        if not walk.pages:
            raise
        gap = Gap.of(walk.listing.function.name, error)
    result = {"handle": handle, "posts": posts, "queued": queued, **walk.as_result()}
    return result if gap is None else {**result, "gaps": [gap.as_result()]}


async def schedule_post_insights_refresh(params: DaysLimitParams, ctx: FlowContext) -> dict[str, Any]:
    """Tasks for the stored recent posts of all connected accounts, newest first; ``limit`` counts new tasks."""
    sessions = ctx.runtime.database.sessions
    async with sessions() as session:
        handles = await connected_handles(session, GRAPH)
    wanted = {"handles": handles, "since": ctx.started_at - timedelta(days=params.days), "story": PostType.STORY.value}
    before, below, queued, posts = None, None, 0, 0
    while queued < params.limit:
        batch = min(BATCH, params.limit - queued)
        async with sessions() as session:
            rows = (await session.execute(_RECENT, {**wanted, "before": before, "below": below, "batch": batch})).all()
        if not rows:
            break
        before, below = rows[-1].publish_time, rows[-1].id
        posts += len(rows)
        queued += await _queue(
            ctx, [Wanted(row.shortcode, row.handle, row.post_id or "", row.post_type or "") for row in rows]
        )
    return {"accounts": len(handles), "posts": posts, "queued": queued}


async def _queue(ctx: FlowContext, posts: Sequence[Wanted]) -> int:
    """Queue what was not queued today; returns how many tasks are new."""
    day = ctx.started_at.date().isoformat()
    wanted = [
        NewTask(
            flow=FLOW,
            platform=Platform.INSTAGRAM.value,
            params=asdict(post),
            expires_at=ctx.started_at + timedelta(days=1),
            idempotency_key=f"{FLOW}:{post.shortcode}:{day}",
        )
        for post in posts
    ]
    async with ctx.runtime.database.sessions.begin() as session:
        return await create_all(session, wanted)
