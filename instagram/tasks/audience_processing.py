"""Storing audiences: row, audit trail and event in one short transaction. No network here."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core.amqp import outbox
from core.amqp.events import profile_log_event
from core.entities.instagram import InstagramProfileInsights
from core.models.logs import ProfileLog, key_values
from instagram.tasks.processing import ADD_PROFILE_LOG
from instagram.tasks.upserts import upsert
from utils.json_safe import json_safe, json_text

UPSERT_INSIGHTS = upsert(InstagramProfileInsights, "profile_id", returning="profile_id")
_COLUMNS = frozenset(column.name for column in InstagramProfileInsights.__table__.columns)


async def upsert_audience(session: AsyncSession, log: ProfileLog) -> None:
    """Store the audience of an account and announce it: all of it, or nothing.

    What the log does not say stays as it is.
    """
    row = {"profile_id": log.profile_id, **{key: log.dimensions[key] for key in _COLUMNS & log.dimensions.keys()}}
    audit: dict[str, Any] = {
        "profile_id": log.profile_id,
        "platform": log.platform.value,
        "dimensions": key_values(log.dimensions),
        "metrics": key_values(log.metrics),
        "source": log.source,
        "timestamp": log.timestamp.isoformat(),
    }
    async with session.begin():
        await session.execute(UPSERT_INSIGHTS, {"rows": _json(row)})
        await session.execute(ADD_PROFILE_LOG, {"rows": _json(audit)})
        await outbox.add(session, [profile_log_event(log)])


def _json(row: dict[str, Any]) -> str:
    return json_text(json_safe([row]))
