"""Multi-row upserts, made from an entity: one statement text whatever the number of rows."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Table, TextClause, text
from sqlalchemy.dialects import postgresql

from core.entities.base import Base

_OWN = frozenset({"id", "created_at", "updated_at", "refreshed_at"})
"""Columns that the database fills in itself."""


def upsert(
    entity: type[Base], key: str, *, returning: str, rules: Mapping[str, str] | None = None
) -> TextClause:
    """INSERT ... ON CONFLICT over ``:rows``, a JSON array of objects from column to value.

    Rows are locked in order of ``key``. A value that is absent or null leaves the column as it is; ``rules`` says
    otherwise per column (``{0}`` is the column, ``t`` the row as it was). ``updated_at`` is set each time.
    """
    table = entity.__table__
    assert isinstance(table, Table)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    columns = [column for column in table.columns if column.name not in _OWN]
    names = ", ".join(column.name for column in columns)
    typed = ", ".join(f"{column.name} {column.type.compile(dialect=dialect)}" for column in columns)
    set_to = ",\n    ".join(
        f"{column.name} = " + (rules or {}).get(column.name, "coalesce(excluded.{0}, t.{0})").format(column.name)
        for column in columns
        if column.name != key
    )
    return text(f"""
insert into {table.name} as t ({names})
select {names} from jsonb_to_recordset(cast(:rows as jsonb)) as r({typed}) order by {key}
on conflict ({key}) do update set
    {set_to},
    updated_at = now()
returning {returning}
""")  # noqa: S608 - names come from the entity
