"""Logs that neighbours know by name and that travel as events only: Beat writes no row here."""

from __future__ import annotations

from sqlalchemy.orm import Mapped

from core.entities.base import Base, Json, RowId, Stamp


class OrderLog(Base):
    """What a store said of an order."""

    __tablename__ = "order_log"

    id: Mapped[RowId]
    platform: Mapped[str | None]
    platform_order_id: Mapped[str | None]
    store: Mapped[str | None]
    dimensions: Mapped[Json | None]
    metrics: Mapped[Json | None]
    source: Mapped[str | None]
    timestamp: Mapped[Stamp]


class ProfileActivityLog(Base):
    """An activity of a YouTube channel."""

    __tablename__ = "profile_activity_log"

    id: Mapped[RowId]
    activity_id: Mapped[str | None]
    activity_type: Mapped[str | None]
    actor_channel_id: Mapped[str | None]
    platform: Mapped[str | None]
    source: Mapped[str | None]
    dimensions: Mapped[Json | None]
    metrics: Mapped[Json | None]


class ProfileSubscriptionLog(Base):
    """A subscription between two YouTube channels."""

    __tablename__ = "profile_subscription_log"

    id: Mapped[RowId]
    relationship_id: Mapped[str | None]
    relationship_type: Mapped[str | None]
    source_channel_id: Mapped[str | None]
    target_channel_id: Mapped[str | None]
    platform: Mapped[str | None]
    source: Mapped[str | None]
    source_dimensions: Mapped[Json | None]
    source_metrics: Mapped[Json | None]
    target_dimensions: Mapped[Json | None]
    target_metrics: Mapped[Json | None]
    subscribed_on: Mapped[str | None]


class TaskLog(Base):
    """A run of a named task."""

    __tablename__ = "task_log"

    id: Mapped[RowId]
    name: Mapped[str | None]
    arguments: Mapped[Json | None]
    source: Mapped[str | None]
    status: Mapped[str | None]
    created_at: Mapped[Stamp]
