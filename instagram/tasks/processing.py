"""Storing: rows, audit trail and events of one refresh, in one short transaction. No network here.

Everything can run twice: a worker may die after the commit and before it reports.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from core.amqp import outbox
from core.amqp.events import post_log_event, profile_log_event
from core.models.logs import PostLog, ProfileLog, key_values
from instagram.models.keys import PROFILE_ID
from instagram.tasks import store_statements as sql
from instagram.tasks.averages import Numbers, averages_of, values_of
from instagram.tasks.quality import Opinion, Verdict
from instagram.tasks.quarantine import checked
from instagram.tasks.transformer import account_row, post_row
from instagram.tasks.upserts import Upsert
from utils.db import fetch
from utils.json_safe import json_safe, json_text, plain_text, safe_text

OWNER_BY_HANDLE = """
select profile_id from instagram_account where handle = lower($1) order by updated_at desc limit 1
"""


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
    ordered = _ordered(posts)
    post_rows = [post_row(log) for log in ordered]
    async with session.begin():
        profile, verdict = await checked(session, profile, others)
        account = account_row(profile)
        statement = sql.write_profile(
            sql.columns_of([account]),
            sql.columns_of(post_rows),
            owners=not all(log.profile_id for log in ordered),
            averages=refreshed,
        )
        answers = await fetch(session, statement, rows_text([account]), rows_text(post_rows), profile.platform.value)
        stored = await _owned(session, ordered, answers)
        events = [profile_log_event(profile), *map(post_log_event, stored)]
        said = *outbox.columns_of(events), _audit_text(stored), _audit_text([profile])
        if refreshed:
            await fetch(session, sql.SAY_REFRESHED, *said, profile.profile_id, *values_of(_averages(answers)))
        else:
            await fetch(session, sql.SAY_PROFILE, *said)
    return verdict


async def upsert_posts(session: AsyncSession, posts: Sequence[PostLog]) -> None:
    """Store posts and announce each of them once: all of it, or nothing."""
    if not posts:
        return
    ordered = _ordered(posts)
    async with session.begin():
        answers = await write_rows(session, sql.POSTS, map(post_row, ordered), returning=sql.OWNER)
        stored = await _owned(session, ordered, answers)
        events = [post_log_event(log) for log in stored]
        await fetch(session, sql.SAY_POSTS, *outbox.columns_of(events), _audit_text(stored))


async def add_profile_log(session: AsyncSession, profile: ProfileLog) -> None:
    """The audit row of a profile, in the session's transaction."""
    await fetch(session, sql.ADD_PROFILE_LOG, _audit_text([profile]))


async def add_post_logs(session: AsyncSession, posts: Sequence[PostLog]) -> None:
    """The audit rows of posts, in the session's transaction."""
    await fetch(session, sql.ADD_POST_LOGS, _audit_text(posts))


async def write_rows(
    session: AsyncSession, how: Upsert, rows: Iterable[Mapping[str, Any]], *, returning: str | None = None
) -> list[asyncpg.Record]:
    """Upsert rows of one table, in the session's transaction; gives what it returns, by default the keys."""
    written = list(rows)
    statement = how.statement(sql.columns_of(written), "$1::jsonb", returning=returning or f"t.{how.key}")
    return await fetch(session, statement, rows_text(written))


def rows_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a JSON array; times with their offset, where ``json_safe`` would give them the form of events."""
    text = plain_text(rows, _ROWS.encode)
    if text is None:
        timed = [
            {key: _iso(value) if isinstance(value, datetime) else value for key, value in row.items()} for row in rows
        ]
        text = json_text(json_safe(timed))
    return text


def _ordered(posts: Sequence[PostLog]) -> list[PostLog]:
    return sorted(posts, key=lambda log: log.shortcode or "")


async def _owned(session: AsyncSession, posts: Sequence[PostLog], answers: Sequence[asyncpg.Record]) -> list[PostLog]:
    """The logs with their owners: as the source said, else as the row knows, else the account that has the handle."""
    if all(log.profile_id for log in posts):
        return list(posts)
    known = {row["shortcode"]: row["profile_id"] for row in answers if row["shortcode"] is not None}
    return [log if log.profile_id else await _with_owner(session, log, known.get(log.shortcode)) for log in posts]


async def _with_owner(session: AsyncSession, log: PostLog, owner: str | None) -> PostLog:
    handle = log.dimensions.get("handle")
    if owner is None and handle:
        found = await fetch(session, OWNER_BY_HANDLE, handle)
        owner = found[0]["profile_id"] if found else None
    if owner is None:
        return log
    return replace(log, profile_id=owner, dimensions={**log.dimensions, PROFILE_ID: owner})


def _averages(answers: Sequence[asyncpg.Record]) -> dict[str, float | None]:
    """From what ``write_profile`` gives."""
    [followers] = [row["followers"] for row in answers if row["what"] == "account"]
    newest = [Numbers(*(row[name] for name in Numbers._fields)) for row in answers if row["what"] == "newest"]
    return averages_of(newest, followers)


def _audit_text(logs: Sequence[ProfileLog | PostLog]) -> str:
    return safe_text([_audit(log) for log in logs])


def _audit(log: ProfileLog | PostLog) -> dict[str, Any]:
    row = {
        "profile_id": log.profile_id,
        "platform": log.platform.value,
        "dimensions": key_values(log.dimensions),
        "metrics": key_values(log.metrics),
        "source": log.source,
        "timestamp": log.timestamp.isoformat(),
    }
    if isinstance(log, PostLog):
        row["platform_post_id"] = log.shortcode
    return row


def _iso(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError


_ROWS = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_iso)
