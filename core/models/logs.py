"""What ingestion makes of a payload: one profile or post as a source saw it at a moment.

``dimensions`` and ``metrics`` are keyed by the words of the data model. An absent key was not said; ``None`` is not
stored either; ``""`` was said to be empty and clears a text column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.enums import Platform


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
