"""Keys of the API."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from core.entities.base import Base, Stamp


class ApiKey(Base):
    """A caller's key; what it is itself is kept nowhere."""

    __tablename__ = "api_key"

    name: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    scope: Mapped[str]
    account_id: Mapped[str | None]
    created_at: Mapped[Stamp]
    expires_at: Mapped[datetime | None]
