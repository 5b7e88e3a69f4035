"""What the tasks mean that queue refreshes of stale accounts and of connected accounts' stories."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from core.enums import Platform
from core.models.params import LimitParams, StaleParams
from core.queue.tasks import NewTask, create_all
from core.runtime import FlowContext
from credentials.connected import connected_handles
from instagram.functions.retriever.crawler import GRAPH

PROFILE_FLOW, STORY_FLOW = "refresh_profile_by_handle", "refresh_stories_posts"

_STALE = text("""
select a.handle from instagram_account a
where a.handle <> '' and (a.refreshed_at is null or a.refreshed_at < cast(:before as timestamptz))
  and not exists (select from instagram_account n where n.handle = a.handle
                  and (n.updated_at, n.id) > (a.updated_at, a.id))
  and not exists (select from scrape_request_log t where t.idempotency_key = cast(:prefix as text) || a.handle)
order by a.refreshed_at nulls first
limit :limit
""")
"""Of several accounts with one handle the one seen last owns it. Accounts that have their task of the day are passed
over, so that those which can never be refreshed do not stand in the way of the others.
"""


async def schedule_profile_refresh(params: StaleParams, ctx: FlowContext) -> dict[str, Any]:
    """A refresh for each account not wholly refreshed for so many days, the stalest first; one a day and handle."""
    prefix = f"{PROFILE_FLOW}:{ctx.started_at:%Y-%m-%d}:"
    before = ctx.started_at - timedelta(days=params.stale_days)
    async with ctx.runtime.database.sessions.begin() as session:
        rows = await session.scalars(_STALE, {"before": before, "prefix": prefix, "limit": params.limit})
        handles = list(rows)
        queued = await create_all(session, _tasks(ctx, PROFILE_FLOW, prefix, handles, timedelta(days=1)))
    return {"stale": len(handles), "queued": queued}


async def schedule_story_refresh(params: LimitParams, ctx: FlowContext) -> dict[str, Any]:
    """A refresh of the stories of each connected account; one an hour and handle, ``limit`` counts new ones."""
    prefix = f"{STORY_FLOW}:{ctx.started_at:%Y-%m-%dT%H}:"
    queued = position = 0
    async with ctx.runtime.database.sessions.begin() as session:
        handles = await connected_handles(session, GRAPH)
        while queued < params.limit and position < len(handles):
            some = handles[position : position + params.limit - queued]
            position += len(some)
            queued += await create_all(session, _tasks(ctx, STORY_FLOW, prefix, some, timedelta(hours=2)))
    return {"accounts": len(handles), "queued": queued}


def _tasks(ctx: FlowContext, flow: str, prefix: str, handles: Sequence[str], lasts: timedelta) -> list[NewTask]:
    return [
        NewTask(
            flow=flow,
            platform=Platform.INSTAGRAM.value,
            params={"handle": handle},
            expires_at=ctx.started_at + lasts,
            idempotency_key=f"{prefix}{handle}",
        )
        for handle in handles
    ]
