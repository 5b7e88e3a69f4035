"""The audit trail of profiles and posts, and the logs of relations and activities."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, PrimaryKeyConstraint, Sequence, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.entities.base import Base, Json, RowId, Stamp

_PROFILE_LOG_IDS = Sequence("profile_log_id_seq", metadata=Base.metadata)
_POST_LOG_IDS = Sequence("postlog_id_seq", metadata=Base.metadata)


class ProfileLogRow(Base):
    """What one source said of a profile at one moment; partitioned by month."""

    __tablename__ = "profile_log"

    id: Mapped[int] = mapped_column(server_default=_PROFILE_LOG_IDS.next_value())
    profile_id: Mapped[str]
    platform: Mapped[str]
    dimensions: Mapped[Json | None]
    metrics: Mapped[Json | None]
    source: Mapped[str | None]
    timestamp: Mapped[Stamp]

    __table_args__ = (
        PrimaryKeyConstraint("id", "timestamp"),
        Index("profile_log_profile", "profile_id", "platform", text("timestamp DESC")),
        {"postgresql_partition_by": "RANGE (timestamp)"},
    )


class PostLogRow(Base):
    """What one source said of a post at one moment; partitioned by month."""

    __tablename__ = "post_log"

    id: Mapped[int] = mapped_column(server_default=_POST_LOG_IDS.next_value())
    platform: Mapped[str]
    platform_post_id: Mapped[str]
    metrics: Mapped[Json | None]
    dimensions: Mapped[Json | None]
    profile_id: Mapped[str | None]
    source: Mapped[str | None]
    timestamp: Mapped[Stamp]

    __table_args__ = (
        PrimaryKeyConstraint("id", "timestamp"),
        Index("post_log_post", "platform_post_id", "platform", text("timestamp DESC")),
        {"postgresql_partition_by": "RANGE (timestamp)"},
    )


class ProfileRelationshipLog(Base):
    """A follower or following; one row per pair and type, updated when seen again."""

    __tablename__ = "profile_relationship_log"

    id: Mapped[RowId]
    relationship_type: Mapped[str]
    platform: Mapped[str]
    source_profile_id: Mapped[str]
    target_profile_id: Mapped[str]
    source_dimensions: Mapped[Json | None]
    source_metrics: Mapped[Json | None]
    target_dimensions: Mapped[Json | None]
    target_metrics: Mapped[Json | None]
    source: Mapped[str | None]
    timestamp: Mapped[Stamp]

    __table_args__ = (
        UniqueConstraint(
            "source_profile_id",
            "target_profile_id",
            "relationship_type",
            "platform",
            name="profile_relationship_log_key",
        ),
    )


class PostActivityLog(Base):
    """A like (``comment_id`` null) or a comment; one row each, updated when seen again."""

    __tablename__ = "post_activity_log"

    id: Mapped[RowId]
    activity_type: Mapped[str]
    platform: Mapped[str]
    platform_post_id: Mapped[str]
    actor_profile_id: Mapped[str | None]
    comment_id: Mapped[str | None]
    dimensions: Mapped[Json | None]
    metrics: Mapped[Json | None]
    source: Mapped[str | None]
    timestamp: Mapped[Stamp]

    __table_args__ = (
        UniqueConstraint(
            "platform_post_id",
            "actor_profile_id",
            "comment_id",
            "activity_type",
            "platform",
            name="post_activity_log_key",
            postgresql_nulls_not_distinct=True,
        ),
    )


class LogRetention(Base):
    """How far a log without partitions has been looked through for rows last seen before ``keep_from``."""

    __tablename__ = "log_retention"

    log: Mapped[str] = mapped_column(primary_key=True)
    keep_from: Mapped[datetime]
    pruned_to: Mapped[int | None]


class SentimentLog(Base):
    """The sentiment of one comment."""

    __tablename__ = "sentiment_log"

    id: Mapped[RowId]
    platform: Mapped[str | None]
    platform_post_id: Mapped[str | None]
    comment: Mapped[str | None]
    sentiment: Mapped[str | None]
    score: Mapped[float | None]
    dimensions: Mapped[Json | None]
    metrics: Mapped[Json | None]
    source: Mapped[str | None]
    timestamp: Mapped[Stamp]
    comment_id: Mapped[str | None]

    __table_args__ = (Index("sentiment_log_comment", "platform_post_id", "comment_id", "platform", unique=True),)
