"""Orders of connected stores."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from core.entities.base import Base, Json, RowId, Stamp


class Order(Base):
    """One order; the store's own id is its key."""

    __tablename__ = "order"

    id: Mapped[RowId]
    status: Mapped[str | None]
    name: Mapped[str | None]
    landing_site: Mapped[str | None]
    utm_params: Mapped[str | None]
    created_at: Mapped[Stamp]
    updated_at: Mapped[Stamp]
    store: Mapped[str | None]
    platform_order_id: Mapped[str]
    order_data: Mapped[Json | None]
    platform: Mapped[str | None]
    store_name: Mapped[str | None]

    __table_args__ = (UniqueConstraint("platform_order_id", name="order_platform_order_id"),)
