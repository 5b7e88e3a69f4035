"""The sentiment of stored comments: read, judged outside of any transaction, stored and announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.amqp import outbox
from core.amqp.events import sentiment_log_event
from core.enums import Platform
from core.models.logs import SentimentLog, key_values
from utils.json_safe import json_safe, json_text
from utils.sentiment import label, score

SOURCE = "beat"
"""Who says so: nobody was asked."""

PASSED_ON = ("comment_id", "profile_id", "handle", "keywords", "comments_thread")
"""Dimensions of a comment that go with its sentiment; its likes go along as well."""

# One comment may stand twice: some sources name who wrote it by handle alone.
_COMMENTS = text("""
select comment_id, actor_profile_id, dimensions, metrics from (
    select distinct on (comment_id) id, comment_id, actor_profile_id, dimensions, metrics from post_activity_log
    where platform_post_id = :shortcode and platform = :platform and activity_type = 'COMMENT'
        and comment_id is not null
    order by comment_id, timestamp desc, id desc) newest
order by id limit :most
""")

# Only what changed is written, and announced: judging the same comments again says nothing new.
_UPSERT = text("""
insert into sentiment_log as t (platform, platform_post_id, comment_id, comment, sentiment, score, dimensions, metrics,
    source, timestamp)
select r.platform, r.platform_post_id, r.comment_id, r.comment, r.sentiment, r.score, r.dimensions, r.metrics, r.source,
    r.timestamp
from jsonb_to_recordset(cast(:rows as jsonb))
     as r(platform text, platform_post_id text, comment_id text, comment text, sentiment text, score float8,
          dimensions jsonb, metrics jsonb, source text, timestamp timestamptz)
order by r.comment_id
on conflict (platform_post_id, comment_id, platform) do update set
    comment = excluded.comment, sentiment = excluded.sentiment, score = excluded.score, timestamp = excluded.timestamp,
    dimensions = excluded.dimensions, metrics = excluded.metrics, source = excluded.source
where (t.comment, t.sentiment, t.score) is distinct from (excluded.comment, excluded.sentiment, excluded.score)
returning comment_id
""")


@dataclass(frozen=True, slots=True)
class StoredComment:
    """A comment as post_activity_log holds it; ``text`` is None when it has none."""

    comment_id: str
    text: str | None
    dimensions: Mapping[str, Any]
    metrics: Mapping[str, Any]


async def stored_comments(session: AsyncSession, platform: Platform, shortcode: str, most: int) -> list[StoredComment]:
    """Comments on a post and the replies to them, in the order in which they were first stored."""
    values = {"shortcode": shortcode, "platform": platform.value, "most": most}
    return [_comment(row) for row in (await session.execute(_COMMENTS, values)).all()]


def judged(platform: Platform, shortcode: str, comments: Sequence[StoredComment], now: datetime) -> list[SentimentLog]:
    """Each comment by itself; one without a text is left out."""
    logs = []
    for comment in comments:
        if comment.text is None or not comment.text.strip():
            continue
        value = score(comment.text)
        logs.append(
            SentimentLog(
                platform, shortcode, comment.comment_id, comment.text, label(value), value, SOURCE, now,
                dimensions={key: comment.dimensions[key] for key in PASSED_ON if key in comment.dimensions},
                metrics={key: comment.metrics[key] for key in ("likes",) if key in comment.metrics},
            )
        )  # fmt: skip
    return logs


async def store_sentiments(session: AsyncSession, logs: Sequence[SentimentLog]) -> int:
    """Store and announce what is new or has changed, in the session's transaction; returns how many that were."""
    rows = json_text(json_safe([_row(log) for log in logs]))
    changed = set((await session.execute(_UPSERT, {"rows": rows})).scalars())
    await outbox.add(session, [sentiment_log_event(log) for log in logs if log.comment_id in changed])
    return len(changed)


def _comment(row: Any) -> StoredComment:
    dimensions = _flat(row.dimensions)
    if row.actor_profile_id is not None:
        dimensions["profile_id"] = row.actor_profile_id
    said = dimensions.get("text")
    return StoredComment(row.comment_id, said if isinstance(said, str) else None, dimensions, _flat(row.metrics))


def _flat(pairs: Any) -> dict[str, Any]:
    """Of the array form; a row that another program has written may hold anything."""
    items = pairs if isinstance(pairs, list) else []
    return {one["key"]: one.get("value") for one in items if isinstance(one, dict) and isinstance(one.get("key"), str)}


def _row(log: SentimentLog) -> dict[str, Any]:
    return {
        "platform": log.platform.value,
        "platform_post_id": log.shortcode,
        "comment_id": log.comment_id,
        "comment": log.comment,
        "sentiment": log.sentiment,
        "score": log.score,
        "dimensions": key_values(log.dimensions),
        "metrics": key_values(log.metrics),
        "source": log.source,
        "timestamp": log.timestamp.isoformat(),
    }
