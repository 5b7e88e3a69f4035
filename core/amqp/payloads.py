"""Shapes of the published messages: exactly these keys, times as text ``YYYY-MM-DD HH:MM:SS`` in UTC.

Typed dictionaries: building one costs what a dict costs. ``PUBLISHED`` names the routing key of each.
"""

from typing import Annotated, Any

from pydantic import StringConstraints
from typing_extensions import TypedDict  # pydantic reads only this one before Python 3.12

EventTime = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")]
Values = dict[str, Any]
"""A flat object, key to value; a value may be nested or null."""


class PostLogEvent(TypedDict):
    """A post as a source saw it."""

    event_id: str
    source: str
    platform: str
    profile_id: str | None
    handle: str | None
    shortcode: str | None
    publish_time: EventTime | None
    event_timestamp: EventTime
    metrics: Values
    dimensions: Values


class ProfileLogEvent(TypedDict):
    """A profile as a source saw it."""

    event_id: str
    source: str
    platform: str
    profile_id: str
    handle: str | None
    event_timestamp: EventTime
    metrics: Values
    dimensions: Values


class TaskEvent(TypedDict):
    """A task that changed its status; made in the database by ``task_event()``."""

    event_id: str
    scl_id: str
    flow: str
    platform: str | None
    params: Any
    status: str
    priority: int
    reason: str | None
    event_timestamp: EventTime
    picked_at: EventTime | None
    expires_at: EventTime | None
    retry_count: int


class ProfileRelationshipEvent(TypedDict):
    """A follower or a followed profile."""

    event_id: str
    source: str
    relationship_type: str
    platform: str
    source_profile_id: str
    target_profile_id: str
    event_timestamp: EventTime
    source_metrics: Values
    target_metrics: Values
    source_dimensions: Values
    target_dimensions: Values


class PostActivityEvent(TypedDict):
    """A like or a comment."""

    event_id: str
    source: str
    activity_type: str
    platform: str
    actor_profile_id: str | None
    shortcode: str
    publish_time: EventTime | None
    event_timestamp: EventTime
    metrics: Values
    dimensions: Values


class KeyValue(TypedDict):
    """One dimension or metric in the array form."""

    key: str
    value: Any


class BulkActivity(TypedDict):
    """One like or comment of a bulk message; ``timestamp`` is ISO 8601."""

    activity_type: str
    platform: str
    platform_post_id: str
    actor_profile_id: str | None
    dimensions: list[KeyValue]
    metrics: list[KeyValue]
    source: str
    timestamp: str


class PostActivityBulk(TypedDict):
    """One page of likes or comments; Beat reads it itself."""

    platform: str
    activity_type: str
    post_activity_logs: list[BulkActivity]


class SentimentEvent(TypedDict):
    """What a comment feels like; ``source`` is ``beat``."""

    event_id: str
    source: str
    platform: str
    shortcode: str
    comment_id: str
    event_timestamp: EventTime
    comment: str
    sentiment: str
    score: float
    metrics: Values
    dimensions: Values


class OrderEvent(TypedDict):
    """An order of a shop."""

    event_id: str
    source: str
    platform: str
    platform_order_id: str
    store: str
    event_timestamp: EventTime
    metrics: Values
    dimensions: Values


class YoutubeActivityEvent(TypedDict):
    """Something a channel did."""

    event_id: str
    activity_id: str
    activity_type: str
    source: str
    platform: str
    actor_channel_id: str
    metrics: Values
    dimensions: Values
    event_timestamp: EventTime


class YoutubeRelationshipEvent(TypedDict):
    """A subscription of one channel to another."""

    event_id: str
    relationship_id: str
    relationship_type: str
    source: str
    platform: str
    source_channel_id: str
    target_channel_id: str
    source_metrics: Values
    target_metrics: Values
    source_dimensions: Values
    target_dimensions: Values
    subscribed_on: str | None
    event_timestamp: EventTime


class TokenInvalidEvent(TypedDict):
    """The token of an account is refused: it has to connect itself again. Goes to ``identity.dx``.

    ``source`` and ``profile_id`` are the identity service's; ``occurred_at`` is ISO 8601.
    """

    event: str
    event_id: str
    version: int
    occurred_at: str
    source: str
    handle: str | None
    profile_id: str | None
    reason: str
    detected_by: str


class TraceEvent(TypedDict):
    """A request to a data provider and what came of it; goes to ``identity.dx``.

    ``timeTaken`` is in milliseconds, ``timestamp`` (of its end) ISO 8601; ``responseStatus`` is 0 when no answer came,
    ``remoteAddress`` the provider's host. Secrets in ``uri`` and ``headers`` are masked, bodies stay out. Readers want
    ``hostName``, and were sent ``hostname``.
    """

    id: str
    hostName: str
    hostname: str
    serviceName: str
    timestamp: str
    timeTaken: int
    method: str
    uri: str
    headers: dict[str, str]
    responseStatus: int
    remoteAddress: str
    onlyRequest: bool
    requestBody: str
    responseBody: str


PUBLISHED: dict[str, type] = {
    "post_log_events": PostLogEvent,
    "profile_log_events": ProfileLogEvent,
    "profile_relationship_log_events": ProfileRelationshipEvent,
    "post_activity_log_events": PostActivityEvent,
    "post_activity_log_bulk": PostActivityBulk,
    "sentiment_log_events": SentimentEvent,
    "order_log_events": OrderEvent,
    "yt_activity_log_events": YoutubeActivityEvent,
    "yt_profile_relationship_log_events": YoutubeRelationshipEvent,
    "scrape_request_log_events": TaskEvent,
}
"""Everything published to the exchange ``beat.dx``, by routing key."""
