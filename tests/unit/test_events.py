"""Payloads have exactly the keys that consumers require, and times in the one form they parse."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_type_hints
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from core.amqp.events import (
    Event,
    post_activity_bulk_event,
    post_activity_log_event,
    post_log_event,
    profile_log_event,
    profile_relationship_log_event,
    sentiment_log_event,
    token_invalid_event,
)
from core.amqp.payloads import (
    PUBLISHED,
    PostActivityBulk,
    PostActivityEvent,
    PostLogEvent,
    ProfileLogEvent,
    ProfileRelationshipEvent,
    SentimentEvent,
    TokenInvalidEvent,
)
from core.enums import ActivityType, Platform, RelationshipType
from core.models.logs import ActivityLog, PostLog, ProfileLog, RelationshipLog, SentimentLog

BODY = "metrics dimensions"
BOTH = "source_metrics target_metrics source_dimensions target_dimensions"
KEYS = {
    "post_log_events": f"event_id source platform profile_id handle shortcode publish_time event_timestamp {BODY}",
    "profile_log_events": f"event_id source platform profile_id handle event_timestamp {BODY}",
    "profile_relationship_log_events": "event_id source relationship_type platform source_profile_id "
    f"target_profile_id event_timestamp {BOTH}",
    "post_activity_log_events": "event_id source activity_type platform actor_profile_id shortcode publish_time "
    f"event_timestamp {BODY}",
    "post_activity_log_bulk": "platform activity_type post_activity_logs",
    "sentiment_log_events": "event_id source platform shortcode comment_id event_timestamp comment sentiment score "
    f"{BODY}",
    "order_log_events": f"event_id source platform platform_order_id store event_timestamp {BODY}",
    "yt_activity_log_events": "event_id activity_id activity_type source platform actor_channel_id event_timestamp "
    f"{BODY}",
    "yt_profile_relationship_log_events": "event_id relationship_id relationship_type source platform "
    f"source_channel_id target_channel_id {BOTH} subscribed_on event_timestamp",
    "scrape_request_log_events": "event_id scl_id flow platform params status priority reason event_timestamp "
    "picked_at expires_at retry_count",
}


def profile(**changes: Any) -> ProfileLog:
    values: dict[str, Any] = {
        "platform": Platform.INSTAGRAM,
        "profile_id": "17841400000000001",
        "source": "graphapi",
        "timestamp": datetime(2026, 3, 1, tzinfo=UTC),
        "dimensions": {"handle": "lena.example", "full_name": "Lena"},
        "metrics": {"followers": 12},
    }
    return ProfileLog(**(values | changes))


def post(**changes: Any) -> PostLog:
    values: dict[str, Any] = {
        "platform": Platform.INSTAGRAM,
        "shortcode": "Cabc123",
        "profile_id": "17841400000000001",
        "source": "graphapi",
        "timestamp": datetime(2026, 3, 1, tzinfo=UTC),
        "dimensions": {"handle": "lena.example", "taken_at_timestamp": 1_700_000_000},
        "metrics": {"likes": 3},
    }
    return PostLog(**(values | changes))


def relation(**changes: Any) -> RelationshipLog:
    values: dict[str, Any] = {
        "relationship_type": RelationshipType.FOLLOWS,
        "platform": Platform.INSTAGRAM,
        "source_profile_id": "11",
        "target_profile_id": "22",
        "source": "rocketapi",
        "timestamp": datetime(2026, 3, 1, tzinfo=UTC),
        "source_dimensions": {"handle": "lena.example"},
    }
    return RelationshipLog(**(values | changes))


def comment(**changes: Any) -> ActivityLog:
    values: dict[str, Any] = {
        "activity_type": ActivityType.COMMENT,
        "platform": Platform.INSTAGRAM,
        "shortcode": "Cabc123",
        "actor_profile_id": "11",
        "source": "rapidapi-jotucker",
        "timestamp": datetime(2026, 3, 1, 4, 5, 6, 789, tzinfo=UTC),
        "comment_id": "178",
        "dimensions": {"text": "nice", "comment_id": "178", "taken_at_timestamp": 1_700_000_000},
        "metrics": {"likes": 3},
    }
    return ActivityLog(**(values | changes))


def assert_valid(event: Event, model: type) -> None:
    TypeAdapter(model).validate_python(event.payload, strict=True)
    assert set(event.payload) == set(get_type_hints(model))


@pytest.mark.parametrize("routing_key", PUBLISHED)
def test_a_routing_key_has_its_keys_and_no_others(routing_key: str) -> None:
    assert set(get_type_hints(PUBLISHED[routing_key])) == set(KEYS[routing_key].split())


def test_every_published_routing_key_is_described() -> None:
    assert set(PUBLISHED) == set(KEYS)


def test_a_profile_event_says_what_the_log_says() -> None:
    event = profile_log_event(profile())
    assert_valid(event, ProfileLogEvent)
    assert (event.exchange, event.routing_key, event.entity_key) == (
        "beat.dx",
        "profile_log_events",
        "INSTAGRAM:17841400000000001",
    )
    assert event.payload["handle"] == "lena.example"
    assert event.payload["dimensions"] == {"handle": "lena.example", "full_name": "Lena"}
    assert event.payload["metrics"] == {"followers": 12}


def test_a_relation_event_says_who_follows_whom() -> None:
    event = profile_relationship_log_event(relation())
    assert_valid(event, ProfileRelationshipEvent)
    assert (event.routing_key, event.entity_key) == ("profile_relationship_log_events", "INSTAGRAM:FOLLOWS:11:22")
    assert event.payload["relationship_type"] == "FOLLOWS"
    assert event.payload["source_dimensions"] == {"handle": "lena.example"}
    assert (event.payload["target_dimensions"], event.payload["source_metrics"]) == ({}, {})


def test_a_comment_event_says_when_the_comment_was_written() -> None:
    event = post_activity_log_event(comment())
    assert_valid(event, PostActivityEvent)
    assert (event.routing_key, event.entity_key) == ("post_activity_log_events", "Cabc123:178")
    assert (event.payload["activity_type"], event.payload["publish_time"]) == ("COMMENT", "2023-11-14 22:13:20")


def test_a_like_is_known_by_who_likes() -> None:
    event = post_activity_log_event(comment(activity_type=ActivityType.LIKE, comment_id=None, dimensions={}))
    assert_valid(event, PostActivityEvent)
    assert (event.entity_key, event.payload["publish_time"]) == ("Cabc123:11", None)


def test_a_bulk_message_holds_its_comments_in_the_array_form() -> None:
    event = post_activity_bulk_event([comment(), comment(comment_id="179", actor_profile_id=None)])
    assert_valid(event, PostActivityBulk)
    assert (event.routing_key, event.entity_key) == ("post_activity_log_bulk", "Cabc123")
    first, second = event.payload["post_activity_logs"]
    assert first == {
        "activity_type": "COMMENT",
        "platform": "INSTAGRAM",
        "platform_post_id": "Cabc123",
        "actor_profile_id": "11",
        "dimensions": [
            {"key": "text", "value": "nice"},
            {"key": "comment_id", "value": "178"},
            {"key": "taken_at_timestamp", "value": 1_700_000_000},
        ],
        "metrics": [{"key": "likes", "value": 3}],
        "source": "rapidapi-jotucker",
        "timestamp": "2026-03-01T04:05:06.000789+00:00",
    }
    assert second["actor_profile_id"] is None


def test_there_is_no_empty_bulk_message() -> None:
    with pytest.raises(ValueError, match="at least one"):
        post_activity_bulk_event([])


def test_a_post_event_says_what_the_log_says() -> None:
    event = post_log_event(post())
    assert_valid(event, PostLogEvent)
    assert (event.routing_key, event.entity_key) == ("post_log_events", "Cabc123")
    assert event.payload["publish_time"] == "2023-11-14 22:13:20"
    assert event.payload["handle"] == "lena.example"


def test_each_event_has_a_random_id_and_the_time_of_now() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    first, second = profile_log_event(profile()), profile_log_event(profile())
    moment = datetime.strptime(first.payload["event_timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert before <= moment <= datetime.now(UTC)
    assert UUID(first.payload["event_id"]).version == 4
    assert first.payload["event_id"] != second.payload["event_id"]


@pytest.mark.parametrize("taken_at", [None, "1700000000", 1_700_000_000.5, True, 10**20])
def test_a_publish_time_that_is_no_whole_number_of_seconds_is_unknown(taken_at: Any) -> None:
    event = post_log_event(post(dimensions={"taken_at_timestamp": taken_at}))
    assert event.payload["publish_time"] is None
    assert_valid(event, PostLogEvent)


def test_a_post_without_a_shortcode_keeps_its_order_with_those_of_its_owner() -> None:
    event = post_log_event(post(shortcode=None))
    assert (event.entity_key, event.payload["shortcode"]) == ("INSTAGRAM:17841400000000001", None)


def test_a_sentiment_event_says_what_was_judged() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    event = sentiment_log_event(
        SentimentLog(Platform.INSTAGRAM, "Cabc123", "178", "so\x00 nice", "positive", 0.4215, "beat", at)
    )
    assert_valid(event, SentimentEvent)
    assert (event.routing_key, event.entity_key) == ("sentiment_log_events", "Cabc123:178")
    assert (event.payload["comment"], event.payload["score"]) == ("so nice", 0.4215)


@pytest.mark.parametrize(
    ("profile_id", "account"), [("17841400000000001", "17841400000000001"), (None, "lena.example")]
)
def test_a_notice_of_a_refused_token_goes_to_the_identity_service(profile_id: str | None, account: str) -> None:
    event = token_invalid_event("instagram_graph", "lena.example", profile_id, "gone")
    assert_valid(event, TokenInvalidEvent)
    assert (event.exchange, event.routing_key) == ("identity.dx", "token_invalid_notice")
    assert event.entity_key == f"instagram_graph:{account}"


def test_an_unknown_owner_is_null() -> None:
    event = post_log_event(post(profile_id=None, dimensions={}))
    assert event.payload["profile_id"] is None
    assert event.payload["handle"] is None
    assert_valid(event, PostLogEvent)


def test_the_handle_of_a_youtube_post_is_its_channel() -> None:
    event = post_log_event(post(platform=Platform.YOUTUBE, profile_id="UCxyz", dimensions={"handle": "other"}))
    assert event.payload["handle"] == "UCxyz"


def test_values_that_json_cannot_hold_are_made_harmless() -> None:
    event = profile_log_event(profile(metrics={"engagement": float("nan")}, dimensions={"bio": "a\x00b"}))
    assert event.payload["metrics"] == {"engagement": None}
    assert event.payload["dimensions"] == {"bio": "ab"}


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "2026-01-01 00:00", "yesterday"])
def test_a_time_in_any_other_form_is_no_valid_payload(text: str) -> None:
    payload = profile_log_event(profile()).payload | {"event_timestamp": text}
    with pytest.raises(ValueError, match="event_timestamp"):
        TypeAdapter(ProfileLogEvent).validate_python(payload)


def test_the_model_refuses_a_missing_key() -> None:
    payload = profile_log_event(profile()).payload
    del payload["handle"]
    with pytest.raises(ValueError, match="handle"):
        TypeAdapter(ProfileLogEvent).validate_python(payload)
