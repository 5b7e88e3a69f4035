"""Events: what Beat says about its data, addressed and ready for the outbox. Only here payloads are built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

from core.amqp.payloads import (
    BulkActivity,
    KeyValue,
    PostActivityBulk,
    PostActivityEvent,
    PostLogEvent,
    ProfileLogEvent,
    ProfileRelationshipEvent,
    SentimentEvent,
    TokenInvalidEvent,
    TraceEvent,
)
from core.enums import Platform
from utils.json_safe import json_safe, json_text, plain_text
from utils.times import event_time, from_epoch, utc_now

if TYPE_CHECKING:
    from datetime import datetime

    from core.models.logs import ActivityLog, PostLog, ProfileLog, RelationshipLog, SentimentLog
    from utils.request import Exchange

BEAT_EXCHANGE = "beat.dx"
IDENTITY_EXCHANGE = "identity.dx"
TRACE_KEY = "trace_log"
NOTICE_KEY = "token_invalid_notice"


@dataclass(frozen=True, slots=True)
class Event:
    """One message. Messages of the same routing key and entity key arrive in the order in which they were added.

    ``text`` is the payload as JSON where it was worked out before.
    """

    routing_key: str
    entity_key: str
    payload: dict[str, Any]
    exchange: str = BEAT_EXCHANGE
    text: str | None = field(default=None, compare=False, repr=False)

    def body(self) -> str:
        """The JSON text of the payload.

        Raises:
            ValueError: the payload is no JSON.
        """
        return json_text(self.payload) if self.text is None else self.text


def _event(routing_key: str, entity_key: str, said: Mapping[str, Any], exchange: str = BEAT_EXCHANGE) -> Event:
    """An event about what was said, fit for jsonb; most of it is fit already, which its text tells."""
    text = plain_text(said)
    return Event(routing_key, entity_key, json_safe(said) if text is None else dict(said), exchange, text)


def profile_log_event(log: ProfileLog) -> Event:
    """A profile was stored."""
    payload = ProfileLogEvent(
        event_id=str(uuid4()),
        source=log.source,
        platform=log.platform.value,
        profile_id=log.profile_id,
        handle=_handle(log),
        event_timestamp=_now(),
        metrics=log.metrics,
        dimensions=log.dimensions,
    )
    return _event("profile_log_events", f"{log.platform.value}:{log.profile_id}", payload)


def post_log_event(log: PostLog) -> Event:
    """A post was stored."""
    payload = PostLogEvent(
        event_id=str(uuid4()),
        source=log.source,
        platform=log.platform.value,
        profile_id=log.profile_id,
        handle=_handle(log),
        shortcode=log.shortcode,
        publish_time=_publish_time(log),
        event_timestamp=_now(),
        metrics=log.metrics,
        dimensions=log.dimensions,
    )
    return _event("post_log_events", log.shortcode or f"{log.platform.value}:{log.profile_id}", payload)


def profile_relationship_log_event(log: RelationshipLog) -> Event:
    """A relation of two profiles was stored."""
    payload = ProfileRelationshipEvent(
        event_id=str(uuid4()),
        source=log.source,
        relationship_type=log.relationship_type.value,
        platform=log.platform.value,
        source_profile_id=log.source_profile_id,
        target_profile_id=log.target_profile_id,
        event_timestamp=_now(),
        source_metrics=log.source_metrics,
        target_metrics=log.target_metrics,
        source_dimensions=log.source_dimensions,
        target_dimensions=log.target_dimensions,
    )
    key = f"{log.platform.value}:{log.relationship_type.value}:{log.source_profile_id}:{log.target_profile_id}"
    return _event("profile_relationship_log_events", key, payload)


def post_activity_log_event(log: ActivityLog) -> Event:
    """A like or a comment was stored."""
    payload = PostActivityEvent(
        event_id=str(uuid4()),
        source=log.source,
        activity_type=log.activity_type.value,
        platform=log.platform.value,
        actor_profile_id=log.actor_profile_id,
        shortcode=log.shortcode,
        publish_time=_publish_time(log),
        event_timestamp=_now(),
        metrics=log.metrics,
        dimensions=log.dimensions,
    )
    key = f"{log.shortcode}:{log.comment_id or log.actor_profile_id}"
    return _event("post_activity_log_events", key, payload)


def sentiment_log_event(log: SentimentLog) -> Event:
    """The sentiment of a comment was stored."""
    payload = SentimentEvent(
        event_id=str(uuid4()),
        source=log.source,
        platform=log.platform.value,
        shortcode=log.shortcode,
        comment_id=log.comment_id,
        event_timestamp=_now(),
        comment=log.comment,
        sentiment=log.sentiment,
        score=log.score,
        metrics=log.metrics,
        dimensions=log.dimensions,
    )
    return Event("sentiment_log_events", f"{log.shortcode}:{log.comment_id}", json_safe(payload))


def post_activity_bulk_event(logs: Sequence[ActivityLog]) -> Event:
    """Activities of one kind on one post, together: a page of comments to be understood.

    Raises:
        ValueError: there are none.
    """
    if not logs:
        raise ValueError("a bulk message needs at least one activity")
    payload = PostActivityBulk(
        platform=logs[0].platform.value,
        activity_type=logs[0].activity_type.value,
        post_activity_logs=[_bulk_activity(log) for log in logs],
    )
    return _event("post_activity_log_bulk", logs[0].shortcode, payload)


def token_invalid_event(source: str, handle: str | None, profile_id: str | None, reason: str) -> Event:
    """An account's token was refused, and is used no more."""
    payload = TokenInvalidEvent(
        event="access_token_expired",
        event_id=str(uuid4()),
        version=1,
        occurred_at=utc_now().isoformat(timespec="seconds"),
        source=source,
        handle=handle,
        profile_id=profile_id,
        reason=reason,
        detected_by="beat",
    )
    return _event(NOTICE_KEY, f"{source}:{profile_id or handle}", payload, IDENTITY_EXCHANGE)


def trace_event(exchange: Exchange, ended_at: datetime, host: str) -> Event:
    """A request to a data provider was answered, or was not."""
    number = str(uuid4())
    payload = TraceEvent(
        id=number,
        hostName=host,
        hostname=host,
        serviceName="beat",
        timestamp=ended_at.isoformat(timespec="milliseconds"),
        timeTaken=round(exchange.elapsed_s * 1000),
        method=exchange.method,
        uri=exchange.url,
        headers=dict(exchange.headers),
        responseStatus=exchange.status or 0,
        remoteAddress=urlsplit(exchange.url).hostname or "",
        onlyRequest=False,
        requestBody="",
        responseBody="",
    )
    return _event(TRACE_KEY, number, payload, IDENTITY_EXCHANGE)


def _bulk_activity(log: ActivityLog) -> BulkActivity:
    return BulkActivity(
        activity_type=log.activity_type.value,
        platform=log.platform.value,
        platform_post_id=log.shortcode,
        actor_profile_id=log.actor_profile_id,
        dimensions=[KeyValue(key=key, value=value) for key, value in log.dimensions.items()],
        metrics=[KeyValue(key=key, value=value) for key, value in log.metrics.items()],
        source=log.source,
        timestamp=log.timestamp.isoformat(),
    )


def _now() -> str:
    return cast(str, event_time(utc_now()))


def _handle(log: ProfileLog | PostLog) -> str | None:
    """YouTube has no handles: there it is the channel id."""
    handle = log.profile_id if log.platform is Platform.YOUTUBE else log.dimensions.get("handle")
    return handle if handle is None else str(handle)


def _publish_time(log: PostLog | ActivityLog) -> str | None:
    """From the dimension in epoch seconds; anything but a whole number that is a date counts as unknown."""
    taken_at = log.dimensions.get("taken_at_timestamp")
    if type(taken_at) is not int:
        return None
    try:
        return event_time(from_epoch(taken_at))
    except ValueError:
        return None
