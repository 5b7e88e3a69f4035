"""What ingestion makes of a payload: a profile, post, relation or activity as a source saw it at a moment.

``dimensions`` and ``metrics`` are keyed by the words of the data model. An absent key was not said; ``None`` is not
stored either; ``""`` was said to be empty and clears a text column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.enums import ActivityType, Platform, RelationshipType


def key_values(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The array form of the audit tables: ``[{"key": ..., "value": ...}]``."""
    return [{"key": key, "value": value} for key, value in values.items()]


@dataclass(slots=True)
class ProfileLog:
    """A profile; ``profile_id`` is the platform's own id as text."""

    platform: Platform
    profile_id: str
    source: str
    timestamp: datetime
    dimensions: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class PostLog:
    """A post; ``shortcode`` is what the answer said, ``profile_id`` its owner when known."""

    platform: Platform
    shortcode: str | None
    profile_id: str | None
    source: str
    timestamp: datetime
    dimensions: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class RelationshipLog:
    """One profile's relation to another: with ``FOLLOWS`` the source follows the target."""

    relationship_type: RelationshipType
    platform: Platform
    source_profile_id: str
    target_profile_id: str
    source: str
    timestamp: datetime
    source_dimensions: dict[str, Any] = field(default_factory=dict)
    source_metrics: dict[str, Any] = field(default_factory=dict)
    target_dimensions: dict[str, Any] = field(default_factory=dict)
    target_metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class ActivityLog:
    """A like or a comment on a post; ``comment_id`` is null for a like."""

    activity_type: ActivityType
    platform: Platform
    shortcode: str
    actor_profile_id: str | None
    source: str
    timestamp: datetime
    comment_id: str | None = None
    dimensions: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class SentimentLog:
    """What a comment feels like: ``sentiment`` is positive, negative or neutral, ``score`` from -1 to 1."""

    platform: Platform
    shortcode: str
    comment_id: str
    comment: str
    sentiment: str
    score: float
    source: str
    timestamp: datetime
    dimensions: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
