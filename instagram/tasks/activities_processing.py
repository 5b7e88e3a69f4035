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

# Tasks that meet at a post wait for each other by ``ONE_AT_A_TIME``, and so never in a circle.
UPSERT_ACTIVITIES = text("""
insert into post_activity_log as t (activity_type, platform, platform_post_id, actor_profile_id, comment_id,
    dimensions, metrics, source, timestamp)
select activity_type, platform, platform_post_id,
    coalesce(actor_profile_id, (
        select max(known.actor_profile_id) from post_activity_log known
        where known.platform_post_id = r.platform_post_id and known.comment_id = r.comment_id
          and known.activity_type = r.activity_type and known.platform = r.platform)),
    comment_id, dimensions, metrics, source, timestamp
from jsonb_to_recordset(cast(:rows as jsonb))
     as r(activity_type text, platform text, platform_post_id text, actor_profile_id text, comment_id text,
          dimensions jsonb, metrics jsonb, source text, timestamp timestamptz)
order by platform_post_id, actor_profile_id, comment_id
on conflict (platform_post_id, actor_profile_id, comment_id, activity_type, platform) do update set
    dimensions = excluded.dimensions,
    metrics = excluded.metrics,
    source = excluded.source,
    timestamp = excluded.timestamp
where (excluded.timestamp < t.timestamp) is not true
""")

ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtextextended('post_activity_log:' || :shortcode, 0))")

# Some sources name who wrote a comment by handle alone: one comment is one row all the same.
NAME_ACTORS = text("""
update post_activity_log t set actor_profile_id = r.actor_profile_id
from jsonb_to_recordset(cast(:rows as jsonb))
     as r(activity_type text, platform text, platform_post_id text, actor_profile_id text, comment_id text)
where t.platform_post_id = r.platform_post_id and t.comment_id = r.comment_id
  and t.activity_type = r.activity_type and t.platform = r.platform
  and t.actor_profile_id is null and r.actor_profile_id is not null
  and not exists (
      select from post_activity_log known
      where known.platform_post_id = r.platform_post_id and known.comment_id = r.comment_id
        and known.activity_type = r.activity_type and known.platform = r.platform
        and known.actor_profile_id = r.actor_profile_id)
""")

OWNER_HANDLE = text("select handle from instagram_post where shortcode = :shortcode")


async def upsert_activities(session: AsyncSession, logs: Sequence[ActivityLog]) -> None:
    """Store likes or comments of one post, one row each, and announce each once: all of it, or nothing.

    Comments that have a text are announced together as well, for those who judge what is said. What is known is
    updated, so that this may run twice; a page that was fetched earlier changes nothing.
    """
    if not logs:
        return
    async with session.begin():
        rows = json_text(json_safe([_row(log) for log in logs]))
        await session.execute(ONE_AT_A_TIME, {"shortcode": logs[0].shortcode})
        await session.execute(NAME_ACTORS, {"rows": rows})
        await session.execute(UPSERT_ACTIVITIES, {"rows": rows})
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
