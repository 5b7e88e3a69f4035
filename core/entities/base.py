"""What all entities share: the base, and how Python types are stored."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Double, Identity, Integer, Interval, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

Json = Annotated[Any, "jsonb"]
"""A decoded JSON value; None is stored as SQL NULL, never as the JSON word null."""

JsonText = Annotated[Any, "json"]
"""A decoded JSON value that is stored as its text."""

Small = Annotated[int, "integer"]
"""A 32-bit integer; a plain ``int`` is a bigint."""

RowId = Annotated[int, mapped_column(Identity(), primary_key=True)]
"""A bigint that the database numbers and a writer may set."""

Stamp = Annotated[datetime, mapped_column(server_default=func.now())]
"""A time that the database sets on insert; aware, UTC."""


class Base(DeclarativeBase):
    """Base of all entities; the DDL itself is schema.sql, and a test holds the two equal."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        Small: Integer,
        float: Double,
        datetime: DateTime(timezone=True),
        timedelta: Interval,
        Json: JSONB(none_as_null=True),
        JsonText: JSON(none_as_null=True),
        list[str]: ARRAY(Text),
    }
