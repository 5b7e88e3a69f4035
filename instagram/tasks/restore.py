"""An account's row as it was at a moment, rebuilt from what the audit trail says. No network here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.amqp import outbox
from core.amqp.events import profile_log_event
from core.enums import Platform
from core.models.logs import ProfileLog
from instagram.models.keys import BIO, FULL_NAME, PROFILE_ID
from instagram.tasks.averages import store_averages
from instagram.tasks.processing import add_profile_log
from instagram.tasks.transformer import ACCOUNT_COLUMNS, account_row
from utils.json_safe import json_text
from utils.times import utc_now

SOURCE = "beatctl"
"""Who says it, in the audit row and in the event of a restored profile."""

_METRICS = frozenset({"followers", "following", "media_count"})
_CLEARED_BY_EMPTY = [BIO, FULL_NAME]

_LOCK = text("select * from instagram_account where profile_id = :profile_id for no key update")
_SAID = text("""
select e->>'key' as key,
    (array_agg(e->'value' order by l.timestamp desc, l.id desc) filter (where l.timestamp <= :at))[1] as value,
    max(l.timestamp) filter (where l.timestamp <= :at) as said_at
from profile_log l
    cross join jsonb_array_elements(coalesce(l.dimensions, '[]') || coalesce(l.metrics, '[]')) e
where l.profile_id = :profile_id and l.platform = 'INSTAGRAM' and e->>'key' = any(:keys)
    and (e->'value' <> '""' or e->>'key' = any(:cleared))
group by 1
""")
"""Per key its newest value at the moment; keys that were first said later have none."""
_FIRST = text("select min(timestamp) from profile_log where profile_id = :profile_id and platform = 'INSTAGRAM'")


class NothingKnown(Exception):
    """The audit trail does not reach back to the moment."""


@dataclass(frozen=True, slots=True)
class Change:
    """A column that is restored."""

    column: str
    was: Any
    becomes: Any


async def restore_profile(
    session: AsyncSession, profile_id: str, at: datetime, *, dry_run: bool = False
) -> Sequence[Change]:
    """Give the row the values that it had at ``at``, and announce them; returns what changed.

    A column is emptied when it was first heard of later, and left alone when the audit trail never mentions it.
    ``updated_at`` becomes the time of the newest value, so that the row counts as old. A second run changes nothing.

    Raises:
        NothingKnown: nothing was said about the account by then.
    """
    async with session.begin():
        row = (await session.execute(_LOCK, {"profile_id": profile_id})).mappings().one_or_none()
        known = {"profile_id": profile_id, "at": at, "keys": list(ACCOUNT_COLUMNS), "cleared": _CLEARED_BY_EMPTY}
        said = (await session.execute(_SAID, known)).all()
        times = [one.said_at for one in said if one.said_at is not None]
        if not times:
            raise NothingKnown(await _since(session, profile_id, at))
        values = {one.key: one.value for one in said}
        wanted = _columns(profile_id, values)
        changes = [
            Change(name, row and row[name], value) for name, value in wanted.items() if _differs(row, name, value)
        ]
        if changes and not dry_run:
            await _write(session, profile_id, wanted, max(times))
            await store_averages(session, profile_id)
            await add_profile_log(session, _log(profile_id, values))
            told = {key: value for key, value in values.items() if value is not None}
            await outbox.add(session, [profile_log_event(_log(profile_id, told))])
    return changes


async def _since(session: AsyncSession, profile_id: str, at: datetime) -> str:
    first = await session.scalar(_FIRST, {"profile_id": profile_id})
    if first is None:
        return f"the audit trail has nothing about {profile_id}"
    return f"the audit trail of {profile_id} begins at {first.isoformat()}, after {at.isoformat()}"


def _columns(profile_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    empty = dict.fromkeys((ACCOUNT_COLUMNS[key] for key in sorted(values)), None)
    row = account_row(_log(profile_id, values))
    return empty | {name: value for name, value in row.items() if name in empty}


def _differs(row: Mapping[Any, Any] | None, column: str, value: Any) -> bool:
    return row is None or row[column] != value


def _log(profile_id: str, values: Mapping[str, Any]) -> ProfileLog:
    return ProfileLog(
        Platform.INSTAGRAM,
        profile_id,
        SOURCE,
        utc_now(),
        {PROFILE_ID: profile_id} | {key: value for key, value in values.items() if key not in _METRICS},
        {key: value for key, value in values.items() if key in _METRICS},
    )


async def _write(session: AsyncSession, profile_id: str, wanted: Mapping[str, Any], updated_at: datetime) -> None:
    names = ", ".join(wanted)
    statement = text(f"""
        insert into instagram_account as t (profile_id, {names}, updated_at)
        select :profile_id, {names}, :updated_at
        from jsonb_populate_record(null::instagram_account, cast(:row as jsonb))
        on conflict (profile_id) do update set
            {", ".join(f"{name} = excluded.{name}" for name in wanted)}, updated_at = excluded.updated_at
    """)  # noqa: S608 - names come from ACCOUNT_COLUMNS
    row = json_text(dict(wanted))
    await session.execute(statement, {"profile_id": profile_id, "row": row, "updated_at": updated_at})
