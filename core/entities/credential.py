"""Access to a source, sealed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Identity, Index, UniqueConstraint, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from core.entities.base import Base, Json, Small, Stamp


class CredentialRow(Base):
    """One credential; ``credentials`` holds the sealed envelope and a mask, never the secret."""

    __tablename__ = "credential"

    id: Mapped[Small] = mapped_column(Identity(always=True), primary_key=True)
    idempotency_key: Mapped[str]
    source: Mapped[str]
    credentials: Mapped[Json]
    handle: Mapped[str | None]
    created_at: Mapped[Stamp]
    updated_at: Mapped[Stamp]
    disabled_till: Mapped[datetime | None]
    enabled: Mapped[bool] = mapped_column(server_default=true())
    data_access_expired: Mapped[bool] = mapped_column(server_default=false())
    rest_count: Mapped[Small] = mapped_column(server_default=text("0"))
    last_error: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("idempotency_key", name="credential_idempotency_key"),
        Index("credential_usable", "source", "handle", postgresql_where=text("enabled")),
    )
