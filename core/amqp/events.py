"""Events: what Beat says about its data, addressed and ready for the outbox. Only here payloads are built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from core.amqp.payloads import PostLogEvent, ProfileLogEvent
from core.enums import Platform
from utils.json_safe import json_safe
from utils.times import event_time, from_epoch, utc_now

if TYPE_CHECKING:
    from core.models.logs import PostLog, ProfileLog

BEAT_EXCHANGE = "beat.dx"


@dataclass(frozen=True, slots=True)
class Event:
    """One message. Messages of the same routing key and entity key arrive in the order in which they were added."""

    routing_key: str
    entity_key: str
    payload: dict[str, Any]
    exchange: str = BEAT_EXCHANGE


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
    return Event("profile_log_events", f"{log.platform.value}:{log.profile_id}", json_safe(payload))


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
    return Event("post_log_events", log.shortcode or f"{log.platform.value}:{log.profile_id}", json_safe(payload))


def _now() -> str:
    return cast(str, event_time(utc_now()))


def _handle(log: ProfileLog | PostLog) -> str | None:
    """YouTube has no handles: there it is the channel id."""
    handle = log.profile_id if log.platform is Platform.YOUTUBE else log.dimensions.get("handle")
    return handle if handle is None else str(handle)


def _publish_time(log: PostLog) -> str | None:
    """From the dimension in epoch seconds; anything but a whole number that is a date counts as unknown."""
    taken_at = log.dimensions.get("taken_at_timestamp")
    if type(taken_at) is not int:
        return None
    try:
        return event_time(from_epoch(taken_at))
    except ValueError:
        return None
