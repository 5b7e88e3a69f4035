"""Storing audiences: row, audit trail and event in one short transaction. No network here."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from core.amqp import outbox
from core.amqp.events import profile_log_event
from core.entities.instagram import InstagramProfileInsights
from core.models.logs import ProfileLog
from instagram.tasks.processing import add_profile_log, write_rows
from instagram.tasks.upserts import upsert

INSIGHTS = upsert(InstagramProfileInsights, "profile_id")
_COLUMNS = frozenset(column.name for column in InstagramProfileInsights.__table__.columns)


async def upsert_audience(session: AsyncSession, log: ProfileLog) -> None:
    """Store the audience of an account and announce it: all of it, or nothing.

    What the log does not say stays as it is.
    """
    row = {"profile_id": log.profile_id, **{key: log.dimensions[key] for key in _COLUMNS & log.dimensions.keys()}}
    async with session.begin():
        await write_rows(session, INSIGHTS, [row])
        await add_profile_log(session, log)
        await outbox.add(session, [profile_log_event(log)])
