"""Storing relations of profiles: rows and events of one page in one short transaction. No network here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.amqp import outbox
from core.amqp.events import profile_relationship_log_event
from core.models.logs import RelationshipLog, key_values
from utils.json_safe import json_safe, json_text

# Rows are locked in the order of the key, so that tasks that meet wait for each other and never in a circle.
UPSERT_RELATIONS = text("""
insert into profile_relationship_log as t (relationship_type, platform, source_profile_id, target_profile_id,
    source_dimensions, source_metrics, target_dimensions, target_metrics, source, timestamp)
select relationship_type, platform, source_profile_id, target_profile_id,
    source_dimensions, source_metrics, target_dimensions, target_metrics, source, timestamp
from jsonb_to_recordset(cast(:rows as jsonb))
     as r(relationship_type text, platform text, source_profile_id text, target_profile_id text,
          source_dimensions jsonb, source_metrics jsonb, target_dimensions jsonb, target_metrics jsonb,
          source text, timestamp timestamptz)
order by source_profile_id, target_profile_id, relationship_type, platform
on conflict (source_profile_id, target_profile_id, relationship_type, platform) do update set
    source_dimensions = excluded.source_dimensions,
    source_metrics = excluded.source_metrics,
    target_dimensions = excluded.target_dimensions,
    target_metrics = excluded.target_metrics,
    source = excluded.source,
    timestamp = excluded.timestamp
where (excluded.timestamp < t.timestamp) is not true
""")


async def upsert_relations(session: AsyncSession, logs: Sequence[RelationshipLog]) -> None:
    """Store relations, one row per pair and type, and announce each of them once: all of it, or nothing.

    A relation that is known is updated, so that this may run twice; a page that was fetched earlier changes nothing.
    """
    if not logs:
        return
    async with session.begin():
        await session.execute(UPSERT_RELATIONS, {"rows": json_text(json_safe([_row(log) for log in logs]))})
        await outbox.add(session, [profile_relationship_log_event(log) for log in logs])


def _row(log: RelationshipLog) -> dict[str, Any]:
    return {
        "relationship_type": log.relationship_type.value,
        "platform": log.platform.value,
        "source_profile_id": log.source_profile_id,
        "target_profile_id": log.target_profile_id,
        "source_dimensions": key_values(log.source_dimensions),
        "source_metrics": key_values(log.source_metrics),
        "target_dimensions": key_values(log.target_dimensions),
        "target_metrics": key_values(log.target_metrics),
        "source": log.source,
        "timestamp": log.timestamp.isoformat(),
    }
