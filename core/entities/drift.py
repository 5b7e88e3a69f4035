"""The shape of providers' answers, and what changed in it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Identity, Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.entities.base import Base, Json, Stamp


class PayloadPath(Base):
    """A path and the kind of value that stood there, in the answers that were looked through."""

    __tablename__ = "payload_path"

    source: Mapped[str]
    function: Mapped[str]
    path: Mapped[str]
    type: Mapped[str]
    read_by_parser: Mapped[bool]
    first_seen: Mapped[Stamp]
    last_seen: Mapped[Stamp]
    samples: Mapped[int]
    since_sample: Mapped[int]
    judged: Mapped[bool] = mapped_column(server_default=text("false"))

    __table_args__ = (PrimaryKeyConstraint("source", "function", "path", "type"),)


class PayloadRead(Base):
    """What stood at the paths that a parser reads, in all answers so far."""

    __tablename__ = "payload_read"

    source: Mapped[str]
    function: Mapped[str]
    payloads: Mapped[int] = mapped_column(server_default=text("0"))
    paths: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    updated_at: Mapped[Stamp]

    __table_args__ = (PrimaryKeyConstraint("source", "function"),)


class PayloadDrift(Base):
    """A change; unsettled until ``acknowledged_at``."""

    __tablename__ = "payload_drift"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    source: Mapped[str]
    function: Mapped[str]
    path: Mapped[str]
    kind: Mapped[str]
    was: Mapped[str]
    now: Mapped[str]
    read_by_parser: Mapped[bool]
    payloads: Mapped[int]
    noticed_at: Mapped[Stamp]
    last_seen: Mapped[Stamp]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]

    __table_args__ = (
        Index(
            "payload_drift_unsettled",
            *("source", "function", "path", "kind"),
            unique=True,
            postgresql_where=text("acknowledged_at IS NULL"),
        ),
    )
