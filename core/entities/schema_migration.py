"""Which migrations a database has."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from core.entities.base import Base, Small, Stamp


class SchemaMigration(Base):
    """One applied migration file."""

    __tablename__ = "schema_migration"

    version: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    checksum: Mapped[str]
    applied_at: Mapped[Stamp]
