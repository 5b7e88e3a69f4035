"""What was kept back from the rows, and what is kept for reading it again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from core.entities.base import Base, Json, Small, Stamp


class ProfileQuarantine(Base):
    """A value that a source said of a profile and that was not believed; open until ``resolved_at``."""

    __tablename__ = "profile_quarantine"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    platform: Mapped[str]
    profile_id: Mapped[str]
    source: Mapped[str]
    column: Mapped[str]
    old: Mapped[int | None]
    new: Mapped[int | None]
    reason: Mapped[str]
    seen_at: Mapped[Stamp]
    resolved_at: Mapped[datetime | None]
    resolution: Mapped[str | None]

    __table_args__ = (
        Index(
            "profile_quarantine_open",
            *("profile_id", "platform", "column", "source"),
            unique=True,
            postgresql_where=text("resolved_at IS NULL"),
        ),
        Index("profile_quarantine_seen", text("seen_at DESC")),
    )


class RawPayload(Base):
    """One answer of a provider, kept in the object store under ``s3_key``."""

    __tablename__ = "raw_payload"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    sha256: Mapped[str]
    s3_key: Mapped[str]
    source: Mapped[str]
    function: Mapped[str]
    request: Mapped[Json]
    status: Mapped[Small | None]
    outcome: Mapped[str] = mapped_column("class")
    fetched_at: Mapped[datetime]
    parser_version: Mapped[str]

    __table_args__ = (
        Index("raw_payload_fetched", "source", "function", "fetched_at"),
        Index("raw_payload_sha256", "sha256"),
    )
