"""Storing: rows, audit trail and events of one refresh, in one short transaction. No network here.

Everything can run twice: a worker may die after the commit and before it reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.amqp import outbox
from core.amqp.events import post_log_event, profile_log_event
from core.entities.instagram import InstagramAccount, InstagramPost
from core.models.logs import PostLog, ProfileLog, key_values
from instagram.models.keys import PROFILE_ID
from instagram.tasks.averages import store_averages
from instagram.tasks.quality import Opinion, Verdict
from instagram.tasks.quarantine import checked
from instagram.tasks.transformer import account_row, post_row
from instagram.tasks.upserts import upsert
from utils.json_safe import json_safe, json_text

_FIRST_VALUE_STAYS = ("profile_follower", "profile_er", "profile_static_er", "profile_reels_er")

UPSERT_ACCOUNT = upsert(InstagramAccount, "profile_id", returning="profile_id")
UPSERT_POSTS = upsert(
    InstagramPost,
    "shortcode",
    returning="shortcode, profile_id",
    rules={
        **dict.fromkeys(_FIRST_VALUE_STAYS, "coalesce(t.{0}, excluded.{0})"),
        # A media pk stands in for the Graph media id only until that is known.
        "post_id": "case when excluded.post_id is distinct from excluded.media_pk"
        " then coalesce(excluded.{0}, t.{0}) else coalesce(t.{0}, excluded.{0}) end",
    },
)

HANDLE_SEEN = text("""
insert into handle_history as t (platform, handle, profile_id)
values (:platform, :handle, :profile_id)
on conflict (platform, handle, profile_id) do update set last_seen = now()
""")

ADD_PROFILE_LOG = text("""
insert into profile_log (profile_id, platform, dimensions, metrics, source, timestamp)
select profile_id, platform, dimensions, metrics, source, timestamp
from jsonb_to_recordset(cast(:rows as jsonb))
     as r(profile_id text, platform text, dimensions jsonb, metrics jsonb, source text, timestamp timestamptz)
""")

ADD_POST_LOGS = text("""
insert into post_log (platform_post_id, profile_id, platform, dimensions, metrics, source, timestamp)
select platform_post_id, profile_id, platform, dimensions, metrics, source, timestamp
from jsonb_to_recordset(cast(:rows as jsonb))
     as r(platform_post_id text, profile_id text, platform text, dimensions jsonb, metrics jsonb, source text,
          timestamp timestamptz)
""")

OWNER_BY_HANDLE = text("""
select profile_id from instagram_account where handle = lower(:handle) order by updated_at desc limit 1
""")


async def upsert_profile(
    session: AsyncSession,
    profile: ProfileLog,
    posts: Sequence[PostLog],
    *,
    refreshed: bool = False,
    others: Sequence[Opinion] | None = (),
) -> Verdict | None:
    """Store an account and its posts and announce each of them once: all of it, or nothing.

    The account's row is locked first, then the posts' in order of shortcode, so that concurrent tasks wait for each
    other and never in a circle. ``refreshed`` stamps the row as wholly refreshed and renews its averages. Followers
    that jump are stored when ``others`` confirm them; the verdict says so.

    Raises:
        Doubtful: they jump and ``others`` is None, which is to say that nobody else was asked; nothing is stored.
    """
    async with session.begin():
        profile, verdict = await checked(session, profile, others)
        row = account_row(profile)
        await write_rows(session, UPSERT_ACCOUNT, [row])
        if "handle" in row:
            await session.execute(
                HANDLE_SEEN,
                {"platform": profile.platform.value, "handle": row["handle"], "profile_id": profile.profile_id},
            )
        stored = await _store_posts(session, posts)
        if refreshed:
            await store_averages(session, profile.profile_id, refreshed=True)
        await add_profile_log(session, profile)
        await outbox.add(session, [profile_log_event(profile), *map(post_log_event, stored)])
    return verdict


async def add_profile_log(session: AsyncSession, profile: ProfileLog) -> None:
    """The audit row of a profile, in the session's transaction."""
    await session.execute(ADD_PROFILE_LOG, {"rows": _json([_audit(profile, profile_id=profile.profile_id)])})


async def add_post_logs(session: AsyncSession, posts: Iterable[PostLog]) -> None:
    """The audit rows of posts, in the session's transaction."""
    rows = [_audit(log, platform_post_id=log.shortcode, profile_id=log.profile_id) for log in posts]
    await session.execute(ADD_POST_LOGS, {"rows": _json(rows)})


async def upsert_posts(session: AsyncSession, posts: Sequence[PostLog]) -> None:
    """Store posts and announce each of them once: all of it, or nothing."""
    async with session.begin():
        stored = await _store_posts(session, posts)
        await outbox.add(session, [post_log_event(log) for log in stored])


async def _store_posts(session: AsyncSession, posts: Sequence[PostLog]) -> list[PostLog]:
    """Rows and audit rows of the posts; returns them with the owner that the rows know."""
    if not posts:
        return []
    ordered = sorted(posts, key=lambda log: log.shortcode or "")
    owners = dict(await write_rows(session, UPSERT_POSTS, map(post_row, ordered)))
    stored = [await _owned(session, log, owners) for log in ordered]
    await add_post_logs(session, stored)
    return stored


async def _owned(session: AsyncSession, log: PostLog, owners: dict[str, str | None]) -> PostLog:
    """The log with its owner: as its source said, else as the row knows, else the account that has the handle."""
    if log.profile_id:
        return log
    owner = owners.get(log.shortcode or "")
    handle = log.dimensions.get("handle")
    if owner is None and handle:
        owner = await session.scalar(OWNER_BY_HANDLE, {"handle": handle})
    if owner is None:
        return log
    return replace(log, profile_id=owner, dimensions={**log.dimensions, PROFILE_ID: owner})


async def write_rows(session: AsyncSession, statement: TextClause, rows: Iterable[dict[str, Any]]) -> list[Any]:
    """Run one of the upserts, in the session's transaction; gives what it returns."""
    result = await session.execute(statement, {"rows": _json(list(rows))})
    return list(result.all())


def _audit(log: ProfileLog | PostLog, **ids: str | None) -> dict[str, Any]:
    return {
        **ids,
        "platform": log.platform.value,
        "dimensions": key_values(log.dimensions),
        "metrics": key_values(log.metrics),
        "source": log.source,
        "timestamp": log.timestamp.isoformat(),
    }


def _json(rows: list[dict[str, Any]]) -> str:
    return json_text(json_safe([{key: _iso(value) for key, value in row.items()} for row in rows]))


def _iso(value: Any) -> Any:
    """Times with their offset: ``json_safe`` would give them the form of events."""
    return value.isoformat() if isinstance(value, datetime) else value
