"""Media copied to the object store. Neighbours read it through the view asset_log."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.entities.base import Base, RowId, Stamp


class Asset(Base):
    """One copied file of an entity; ``hash`` is the producer's unsigned 64-bit number, exact."""

    __tablename__ = "asset"

    id: Mapped[RowId]
    entity_id: Mapped[str]
    entity_type: Mapped[str]
    platform: Mapped[str]
    asset_type: Mapped[str]
    asset_url: Mapped[str | None]
    original_url: Mapped[str | None]
    updated_at: Mapped[Stamp]
    created_at: Mapped[Stamp]
    hash: Mapped[Decimal | None] = mapped_column(Numeric(20))
    etag: Mapped[str | None]
    last_modified: Mapped[str | None]
    content_type: Mapped[str | None]
    bytes: Mapped[int | None]
    sha256: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("entity_id", "entity_type", "asset_type", "platform", name="asset_key"),
        Index("asset_newest", "entity_id", text("updated_at DESC"), text("id DESC")),
    )
