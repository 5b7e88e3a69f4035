"""Storing likes and comments: rows and events of one page in one short transaction. No network here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.amqp import outbox
from core.amqp.events import Event, post_activity_bulk_event, post_activity_log_event
from core.models.logs import ActivityLog, key_values
from instagram.tasks.activities_ingestion import spoken
from utils.json_safe import json_safe, json_text

# Rows are locked in the order of the key, so that tasks that meet wait for each other and never in a circle.
UPSERT_ACTIVITIES = text("""
insert into post_activity_log as t (activity_type, platform, platform_post_id, actor_profile_id, comment_id,
    dimensions, metrics, source, timestamp)
select activity_type, platform, platform_post_id, actor_profile_id, comment_id, dimensions, metrics, source, timestamp
from jsonb_to_recordset(cast(:rows as jsonb))
     as r(activity_type text, platform text, platform_post_id text, actor_profile_id text, comment_id text,
          dimensions jsonb, metrics jsonb, source text, timestamp timestamptz)
order by platform_post_id, actor_profile_id, comment_id, activity_type, platform
on conflict (platform_post_id, actor_profile_id, comment_id, activity_type, platform) do update set
    dimensions = excluded.dimensions,
    metrics = excluded.metrics,
    source = excluded.source,
    timestamp = excluded.timestamp
""")

OWNER_HANDLE = text("select handle from instagram_post where shortcode = :shortcode")


async def upsert_activities(session: AsyncSession, logs: Sequence[ActivityLog]) -> None:
    """Store likes or comments, one row each, and announce each once: all of it, or nothing.

    Comments that have a text are announced together as well, for those who judge what is said. What is known is
    updated, so that this may run twice.
    """
    if not logs:
        return
    async with session.begin():
        await session.execute(UPSERT_ACTIVITIES, {"rows": json_text(json_safe([_row(log) for log in logs]))})
        await outbox.add(session, [*map(post_activity_log_event, logs), *_together(logs)])


async def owner_handle(session: AsyncSession, shortcode: str) -> str | None:
    """The handle of the account that a stored post belongs to."""
    handle: str | None = await session.scalar(OWNER_HANDLE, {"shortcode": shortcode})
    return handle


def _together(logs: Sequence[ActivityLog]) -> list[Event]:
    found = spoken(logs)
    return [post_activity_bulk_event(found)] if found else []


def _row(log: ActivityLog) -> dict[str, Any]:
    return {
        "activity_type": log.activity_type.value,
        "platform": log.platform.value,
        "platform_post_id": log.shortcode,
        "actor_profile_id": log.actor_profile_id,
        "comment_id": log.comment_id,
        "dimensions": key_values(log.dimensions),
        "metrics": key_values(log.metrics),
        "source": log.source,
        "timestamp": log.timestamp.isoformat(),
    }
