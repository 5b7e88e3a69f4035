"""Multi-row upserts, made from an entity: the columns that are written decide the statement, not the number of rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from core.entities.base import Base

_OWN = frozenset({"id", "created_at", "updated_at", "refreshed_at"})
"""Columns that the database fills in itself."""


@dataclass(frozen=True)
class Upsert:
    """How rows of one table are written: the SQL types of its columns, and what becomes of a value that is there.

    A value that is absent or null leaves the column as it is; ``rules`` says otherwise per column (``{0}`` is the
    column, ``t`` the row as it was).
    """

    table: str
    key: str
    types: Mapping[str, str]
    rules: Mapping[str, str] = field(default_factory=dict)

    def statement(
        self,
        columns: Collection[str],
        rows: str,
        *,
        returning: str,
        where: str = "true",
        stamp: str | None = None,
        guard: str | None = None,
    ) -> str:
        """INSERT ... ON CONFLICT over ``rows``, an expression that is a JSON array of objects from column to value.

        ``columns`` are those that any row has: every other one would only cost the database time. Rows are locked in
        order of the key, and ``updated_at`` is set each time, as is the column ``stamp``. ``where`` may name what has
        to run before; a row that is there and does not meet ``guard`` is left alone.
        """
        written = sorted({self.key, *columns} & self.types.keys())
        names = ", ".join(written)
        typed = ", ".join(f"{name} {self.types[name]}" for name in written)
        set_to = "".join(f"{name} = {self._value(name)}, " for name in written if name != self.key)
        stamped = f", {stamp}" if stamp else ""
        return f"""
insert into {self.table} as t ({names}{stamped})
select {names}{", now()" if stamp else ""} from jsonb_to_recordset({rows}) as r({typed})
where {where} order by {self.key}
on conflict ({self.key}) do update set {set_to}{f"{stamp} = now(), " if stamp else ""}updated_at = now()
{f"where {guard}" if guard else ""}
returning {returning}"""  # noqa: S608 - names come from the entity

    def _value(self, column: str) -> str:
        return self.rules.get(column, "coalesce(excluded.{0}, t.{0})").format(column)


def upsert(entity: type[Base], key: str, *, rules: Mapping[str, str] | None = None) -> Upsert:
    """How an entity's rows are written."""
    table = entity.__table__
    assert isinstance(table, Table)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    types = {column.name: column.type.compile(dialect=dialect) for column in table.columns if column.name not in _OWN}
    return Upsert(table.name, key, types, rules or {})
