"""Storing: rows, audit trail and events of one refresh, all of it or nothing. No network here.

Everything can run twice: a worker may die after the commit and before it reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from core.amqp import outbox
from core.amqp.events import post_log_event, profile_log_event
from core.models.logs import PostLog, ProfileLog
from instagram.models.keys import HANDLE, PROFILE_ID
from instagram.tasks import store_statements as sql
from instagram.tasks.known import Known, Run, look
from instagram.tasks.quality import Opinion, Verdict
from instagram.tasks.quarantine import checked, plainly
from instagram.tasks.store_texts import audit_text, rows_text
from instagram.tasks.transformer import account_row, post_row
from instagram.tasks.upserts import Upsert
from utils.db import Database, fetch_in

OWNER_BY_HANDLE = """
select profile_id from instagram_account where handle = lower($1) order by updated_at desc limit 1
"""


class NotPlain(Exception):
    """The followers are in doubt, or the account changed meanwhile: ``upsert_profile`` has to sort it out."""


async def upsert_profile_plainly(
    database: Database, profile: ProfileLog, posts: Sequence[PostLog], *, refreshed: bool = False
) -> Verdict | None:
    """As ``upsert_profile``, for the usual case, by two statements: one looks, one writes if nothing changed since.

    Raises:
        NotPlain: it is not that case; nothing is stored.
    """
    ordered = _ordered(posts)
    known = await look(database.fetch, profile, ordered, averages=refreshed)
    judged = None if known.doubts else plainly(profile, known.followers) if known.version else (profile, None)
    if judged is None or not await _write(database.fetch, judged[0], ordered, known, refreshed=refreshed):
        raise NotPlain
    return judged[1]


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
    run = partial(fetch_in, session)
    async with session.begin():
        written = False
        while not written:  # a second time when the account appeared between the look and the write
            believed, verdict = await checked(session, profile, others)
            known = await look(run, believed, ordered, averages=refreshed)
            written = await _write(run, believed, ordered, known, refreshed=refreshed)
    return verdict


async def _write(run: Run, profile: ProfileLog, posts: Sequence[PostLog], known: Known, *, refreshed: bool) -> bool:
    """False when the account's row is not as known any more: then nothing was written."""
    account, rows = account_row(profile), [post_row(log) for log in posts]
    if refreshed:
        account |= known.averages(account, rows)
    stored = await _owned(run, posts, known.owners, profile)
    events = [profile_log_event(profile), *map(post_log_event, stored)]
    statement = sql.write_profile(sql.columns_of([account]), sql.columns_of(rows), refreshed=refreshed)
    return bool(
        await run(
            statement,
            rows_text([account]),
            rows_text(rows),
            profile.platform.value,
            known.version,
            audit_text([profile]),
            audit_text(stored),
            *outbox.columns_of(events),
        )
    )


async def upsert_posts(session: AsyncSession, posts: Sequence[PostLog]) -> None:
    """Store posts and announce each of them once: all of it, or nothing."""
    if not posts:
        return
    ordered = _ordered(posts)
    async with session.begin():
        answers = await write_rows(session, sql.POSTS, map(post_row, ordered), returning="t.shortcode, t.profile_id")
        owners = {row["shortcode"]: row["profile_id"] for row in answers}
        stored = await _owned(partial(fetch_in, session), ordered, owners)
        events = [post_log_event(log) for log in stored]
        await fetch_in(session, sql.SAY_POSTS, *outbox.columns_of(events), audit_text(stored))


async def add_profile_log(session: AsyncSession, profile: ProfileLog) -> None:
    """The audit row of a profile, in the session's transaction."""
    await fetch_in(session, sql.ADD_PROFILE_LOG, audit_text([profile]))


async def add_post_logs(session: AsyncSession, posts: Sequence[PostLog]) -> None:
    """The audit rows of posts, in the session's transaction."""
    await fetch_in(session, sql.ADD_POST_LOGS, audit_text(posts))


async def write_rows(
    session: AsyncSession, how: Upsert, rows: Iterable[Mapping[str, Any]], *, returning: str | None = None
) -> list[asyncpg.Record]:
    """Upsert rows of one table, in the session's transaction; gives what it returns, by default the keys."""
    written = list(rows)
    statement = how.statement(sql.columns_of(written), "$1::jsonb", returning=returning or f"t.{how.key}")
    return await fetch_in(session, statement, rows_text(written))


def _ordered(posts: Sequence[PostLog]) -> list[PostLog]:
    return sorted(posts, key=lambda log: log.shortcode or "")


async def _owned(
    run: Run, posts: Sequence[PostLog], owners: Mapping[str, str | None], account: ProfileLog | None = None
) -> list[PostLog]:
    """The logs with their owners: as the source said, else as the row knows, else the account that has the handle.

    ``account`` is one that is about to be stored, and so the newest with its handle.
    """
    found = []
    for log in posts:
        owner = log.profile_id or owners.get(log.shortcode or "")
        if not owner and (handle := log.dimensions.get(HANDLE)):
            owner = await _owner_of(run, handle, account)
        known = {} if owner is None or log.profile_id else {PROFILE_ID: owner}
        found.append(replace(log, profile_id=owner, dimensions={**log.dimensions, **known}) if known else log)
    return found


async def _owner_of(run: Run, handle: str, account: ProfileLog | None) -> str | None:
    if account is not None and str(account.dimensions.get(HANDLE, "")).lower() == str(handle).lower():
        return account.profile_id
    rows = await run(OWNER_BY_HANDLE, handle)
    return rows[0]["profile_id"] if rows else None
