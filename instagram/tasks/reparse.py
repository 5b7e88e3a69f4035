"""A kept answer read again by the parsers of today: what they say otherwise, and rows brought in line with it.

What a parser no longer says stays as it is: an absent value never overwrites one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.amqp import outbox
from core.amqp.events import Event, post_log_event, profile_log_event
from core.crawler.provider import Payload
from core.models.logs import PostLog, ProfileLog
from instagram.models.functions import FETCH_PROFILE_POSTS_BY_ID, FETCH_REELS_POSTS, FETCH_STORY_POSTS_BY_PROFILE_ID
from instagram.models.keys import FOLLOWERS, PROFILE_ID
from instagram.models.pages import PostsPage, ProfilePage
from instagram.tasks.averages import store_averages
from instagram.tasks.ingestion import complete_post, complete_profile, merge_posts
from instagram.tasks.posts_ingestion import named
from instagram.tasks.processing import add_post_logs, add_profile_log, write_rows
from instagram.tasks.quality import is_jump
from instagram.tasks.store_statements import ACCOUNTS, POSTS
from instagram.tasks.transformer import account_row, post_row
from utils.json_safe import json_safe

_OF_ONE_ACCOUNT = frozenset(
    function.name for function in (FETCH_PROFILE_POSTS_BY_ID, FETCH_REELS_POSTS, FETCH_STORY_POSTS_BY_PROFILE_ID)
)
_SAID = """
select l.{entity} as entity, e->>'key' as key,
    (array_agg(e->'value' order by l.id desc) filter (where l.timestamp = :at and l.source = :source))[1] as value,
    coalesce(bool_or(l.timestamp = :at and l.source = :source), false) as said,
    coalesce(bool_or(l.timestamp > :at), false) as newer
from {log} l cross join jsonb_array_elements(coalesce(l.dimensions, '[]') || coalesce(l.metrics, '[]')) e
where l.{entity} = any(:ids) and l.platform = 'INSTAGRAM' and l.timestamp >= :at
group by 1, 2
"""
_PROFILES_SAID = text(_SAID.format(entity="profile_id", log="profile_log"))
_POSTS_SAID = text(_SAID.format(entity="platform_post_id", log="post_log"))
_ACCOUNTS = text("""
select profile_id as id, updated_at, followers from instagram_account where profile_id = any(:ids)
order by profile_id for no key update
""")
_POSTS = text("""
select shortcode as id, updated_at from instagram_post where shortcode = any(:ids) order by shortcode for no key update
""")
_KEEP_TIMES = """
update {table} t set updated_at = coalesce(r.updated_at, :at)
from unnest(cast(:ids as text[]), cast(:times as timestamptz[])) r(id, updated_at) where t.{key} = r.id
"""
_KEEP_ACCOUNTS = text(_KEEP_TIMES.format(table="instagram_account", key="profile_id"))
_KEEP_POSTS = text(_KEEP_TIMES.format(table="instagram_post", key="shortcode"))

Log = ProfileLog | PostLog


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is read otherwise now. ``current``: nothing newer was said, so that the row changes too."""

    entity: str
    key: str
    was: Any
    becomes: Any
    current: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says of profiles and posts. ``stored``: something of it was stored when it came."""

    payload: Payload
    stored: bool
    profile: ProfileLog | None = None
    posts: Sequence[PostLog] = ()


@dataclass(slots=True)
class _Correction:
    """One entity: the whole log for the audit trail, the part of it that is current, and what differs."""

    whole: Log
    part: Log
    differences: list[Difference] = field(default_factory=list)


def reading(payload: Payload, value: Any, *, stored: bool) -> Reading | None:
    """What a parser made of an answer, fit for storing; None when it is of neither profiles nor posts."""
    if isinstance(value, ProfilePage):
        profile = complete_profile(value.profile)
        return Reading(payload, stored, profile, _complete(value.posts, profile.profile_id))
    owner = payload.asked.profile_id if payload.function in _OF_ONE_ACCOUNT else None
    if isinstance(value, PostsPage):
        return Reading(payload, stored, None, _complete(value.posts, owner))
    return Reading(payload, stored, None, _complete([value], None)) if isinstance(value, PostLog) else None


def _complete(posts: Sequence[PostLog], owner: str | None) -> list[PostLog]:
    complete = [complete_post(log) for log in merge_posts(map(named, posts))]
    return [_with_owner(log, log.profile_id or owner) for log in complete]


def _with_owner(log: PostLog, owner: str | None) -> PostLog:
    known = {} if owner is None else {PROFILE_ID: owner}
    return replace(log, profile_id=owner, dimensions={**log.dimensions, **known})


async def reparse(session: AsyncSession, read: Reading, *, apply: bool) -> list[Difference]:
    """What differs from the audit rows of the same fetch, in one transaction.

    ``apply`` adds audit rows with the time of the fetch, changes what is current in the rows and announces it. A value
    counts as current when no newer audit row says it; followers that would jump never do. A second run changes nothing.
    """
    async with session.begin():
        owners = {log.profile_id for log in (read.profile, *read.posts) if log is not None and log.profile_id}
        accounts = await _locked(session, _ACCOUNTS, sorted(owners))
        posts = await _locked(session, _POSTS, [log.shortcode or "" for log in read.posts])
        corrections = await _corrections(session, read, accounts)
        if apply and corrections:
            await _apply(session, read.payload.fetched_at, corrections, {**accounts, **posts})
            for profile_id in sorted(owners & accounts.keys()):
                await store_averages(session, profile_id)
    return [difference for correction in corrections for difference in correction.differences]


async def _locked(session: AsyncSession, statement: Any, ids: Sequence[str]) -> dict[str, Any]:
    return {row.id: row for row in (await session.execute(statement, {"ids": list(ids)})).all()}


async def _corrections(session: AsyncSession, read: Reading, accounts: Mapping[str, Any]) -> list[_Correction]:
    found: list[_Correction] = []
    if read.profile is not None:
        profile, row = read.profile, accounts.get(read.profile.profile_id)
        followers = profile.metrics.get(FOLLOWERS)
        if row is not None and type(followers) is int and is_jump(row.followers, followers):
            profile = replace(profile, metrics={k: v for k, v in profile.metrics.items() if k != FOLLOWERS})
        said = await _said(session, _PROFILES_SAID, read, [profile.profile_id])
        found.append(_correction(profile, f"profile {profile.profile_id}", said.get(profile.profile_id, {}), read))
    said = await _said(session, _POSTS_SAID, read, [log.shortcode or "" for log in read.posts])
    found += [_correction(log, f"post {log.shortcode}", said.get(log.shortcode or "", {}), read) for log in read.posts]
    return [correction for correction in found if correction.differences]


async def _said(session: AsyncSession, statement: Any, read: Reading, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Entity -> key -> what the audit trail has of it since the fetch."""
    asked = {"ids": list(ids), "at": read.payload.fetched_at, "source": read.payload.source}
    found: dict[str, dict[str, Any]] = {}
    for row in (await session.execute(statement, asked)).all():
        found.setdefault(row.entity, {})[row.key] = row
    return found


def _correction(log: Log, entity: str, said: Mapping[str, Any], read: Reading) -> _Correction:
    """What of a log differs. Of a stored answer, an entity without an audit row was told by a newer one: it is left."""
    if read.stored and not any(row.said for row in said.values()):
        return _Correction(log, log)
    dimensions: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    differences: list[Difference] = []
    for values, part in ((log.dimensions, dimensions), (log.metrics, metrics)):
        for key, value in json_safe(values).items():
            before = said.get(key)
            was = before.value if before is not None and before.said else None
            if was == value:
                continue
            current = before is None or not before.newer
            differences.append(Difference(entity, key, was, value, current))
            if current:
                part[key] = value
    return _Correction(log, replace(log, dimensions=dimensions, metrics=metrics), differences)


async def _apply(
    session: AsyncSession, at: datetime, corrections: Sequence[_Correction], rows: Mapping[str, Any]
) -> None:
    events: list[Event] = []
    wholes = [one.whole for one in corrections]
    for log in (one.part for one in corrections if isinstance(one.part, ProfileLog) and _says(one.part)):
        await write_rows(session, ACCOUNTS, [account_row(log)])
        await session.execute(_KEEP_ACCOUNTS, _times(at, [log.profile_id], rows))
        events.append(profile_log_event(log))
    posts = [one.part for one in corrections if isinstance(one.part, PostLog) and _says(one.part)]
    if posts:
        told = [replace(log, profile_id=log.dimensions.get(PROFILE_ID)) for log in posts]
        await write_rows(session, POSTS, map(post_row, told))
        await session.execute(_KEEP_POSTS, _times(at, [log.shortcode or "" for log in posts], rows))
        events += map(post_log_event, posts)
    for whole in wholes:
        if isinstance(whole, ProfileLog):
            await add_profile_log(session, whole)
    await add_post_logs(session, [whole for whole in wholes if isinstance(whole, PostLog)])
    await outbox.add(session, events)


def _says(log: Log) -> bool:
    return bool(log.dimensions or log.metrics)


def _times(at: datetime, ids: Sequence[str], rows: Mapping[str, Any]) -> dict[str, Any]:
    """Rows keep the time at which their source was last heard; a new row has that of the fetch."""
    times = [rows[one].updated_at if one in rows else None for one in ids]
    return {"at": at, "ids": list(ids), "times": times}
