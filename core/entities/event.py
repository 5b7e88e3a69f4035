"""Events on their way to the broker."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Identity, text
from sqlalchemy.orm import Mapped, mapped_column

from core.entities.base import Base, JsonText, Stamp


class EventOutbox(Base):
    """An event not yet confirmed; written in the transaction of the data it speaks of."""

    __tablename__ = "event_outbox"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    exchange: Mapped[str] = mapped_column(server_default="beat.dx")
    routing_key: Mapped[str]
    entity_key: Mapped[str]
    payload: Mapped[JsonText]
    created_at: Mapped[Stamp]


class EventConfirmed(Base):
    """How many messages of a routing key the broker has confirmed."""

    __tablename__ = "event_confirmed"

    routing_key: Mapped[str] = mapped_column(primary_key=True)
    confirmed: Mapped[int] = mapped_column(server_default=text("0"))
    last_at: Mapped[datetime | None]
