"""Rows whose media was never copied, and the tasks that copy it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from hashlib import md5
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.client.places import expires_at
from core.enums import Platform

SPARE_S = 60
"""An uploader does not ask for a URL that runs out sooner."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where URLs of one kind stand. ``select`` looks at ``:size`` rows after the key ``:after``, in its order, and
    gives ``entity_id`` and ``url`` of those without a copy, each with ``at``, the key of the last row that it looked
    at. If none of them lacks a copy it gives one row without a URL; at the end of the table ``at`` is null."""

    name: str
    flow: str
    entity_type: str
    priority: int
    select: str


def _select(table: str, entity: str, url: str, entity_type: str, more: str = "true") -> str:
    """A step costs the same however rare the rows are that lack a copy, and however large the table is."""
    return f"""
    with seen as materialized (
        select t.id, t.{entity} as entity_id, {url} as url, {more} as wanted
        from {table} t where t.id > :after order by t.id limit :size)
    select last.at, m.entity_id, m.url
    from (select max(id) as at from seen) last left join (
        select * from seen s where s.wanted and s.url like 'http%' and not exists (
            select from asset a where a.entity_id = s.entity_id and a.entity_type = '{entity_type}'
                and a.asset_type = 'IMAGE' and a.platform = :platform and a.asset_url <> '')) m on true
    order by m.id"""


_PICTURE = "case when t.thumbnail_url like 'http%' then t.thumbnail_url else t.display_url end"
_STORY = "t.post_type is not distinct from 'story'"
SOURCES: dict[Platform, tuple[Source, ...]] = {
    Platform.INSTAGRAM: (
        Source(
            "profile pictures", "asset_upload_flow", "PROFILE", 0,
            _select("instagram_account", "profile_id", "t.profile_pic_url", "PROFILE"),
        ),
        Source(
            "stories", "asset_upload_flow_stories", "POST", -1,
            _select("instagram_post", "shortcode", _PICTURE, "POST",
                    f"{_STORY} and t.publish_time > now() - interval '24 hours'"),
        ),
        Source(
            "thumbnails", "asset_upload_flow", "POST", -2,
            _select("instagram_post", "shortcode", _PICTURE, "POST", f"not {_STORY}"),
        ),
    ),
}  # fmt: skip
"""In the order of their worth. Their priorities are below that of a producer's task, 1: what is new goes first."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Tasks as ``insert_many`` takes them; ``expired`` rows besides have a dead URL."""

    expired: int
    tasks: list[dict[str, Any]]


async def missing(
    session: AsyncSession, platform: Platform, source: Source, size: int, today: date
) -> AsyncIterator[Batch]:
    """What every ``size`` rows lack, until all were looked at; the session may be committed between two batches."""
    after: int | None = 0
    while after is not None:
        asked = {"after": after, "size": size, "platform": platform.value}
        rows = (await session.execute(text(source.select), asked)).all()
        after = rows[0].at
        missed = [row for row in rows if row.url is not None]
        alive = [row for row in missed if not _dead(row.url)]
        tasks = [_task(platform, source, row.entity_id, row.url, today) for row in alive]
        yield Batch(len(missed) - len(alive), tasks)


def url_hash(url: str) -> int:
    """The first 8 bytes of the URL's MD5 as a number, which producers send along."""
    return int.from_bytes(md5(url.encode(errors="replace"), usedforsecurity=False).digest()[:8], "big")


def _dead(url: str) -> bool:
    until = expires_at(url)
    return until is not None and until < time.time() + SPARE_S


def _task(platform: Platform, source: Source, entity_id: str, url: str, today: date) -> dict[str, Any]:
    number = url_hash(url)
    return {
        "flow": source.flow,
        "platform": platform.value,
        "priority": source.priority,
        "idempotency_key": f"asset-backfill:{platform.value}:{source.entity_type}:{entity_id}:{number:x}:{today}",
        "params": {
            "entity_type": source.entity_type,
            "entity_id": entity_id,
            "asset_type": "IMAGE",
            "original_url": url,
            "platform": platform.value,
            "hash": number,
        },
    }
