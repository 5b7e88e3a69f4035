"""Who keeps the database from cleaning up: while a transaction stays open, dead rows that it might still see stay in
the queue's indexes, and claims slow down.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from loguru import logger

from utils.redact import redact_text

LOOK_S = 60.0
LONG_TRANSACTION_S = 900.0

HOLDERS = """
select * from (
    select a.pid, coalesce(nullif(a.application_name, ''), a.backend_type) as application, a.state,
        a.xact_start as started,
        extract(epoch from clock_timestamp() - a.xact_start)::float8 as age_s,
        greatest(age(a.backend_xid), age(a.backend_xmin)) as transactions, a.query
    from pg_stat_activity a
    where (a.backend_xmin is not null or a.backend_xid is not null) and a.xact_start is not null
        and a.pid <> pg_backend_pid() and a.datname = current_database()
        and not exists (select from pg_stat_progress_vacuum v where v.pid = a.pid)
    union all
    select null, 'prepared transaction ' || gid, 'prepared', prepared,
        extract(epoch from clock_timestamp() - prepared)::float8, age(transaction), ''
    from pg_prepared_xacts where database = current_database()
    union all
    select null, 'replication slot ' || slot_name, 'inactive', null, null, age(xmin), ''
    from pg_replication_slots where xmin is not null and not active) t
where age_s is null or age_s >= $1 order by transactions desc, age_s desc nulls last limit 50"""
"""Open transactions that are older than ``$1 seconds``, and slots that nobody reads, whose age is not known; the one
that holds back most first. Vacuum itself holds back nothing. A user that is neither superuser nor in pg_read_all_stats
sees its own sessions only."""

_LITERAL = re.compile(r"'(?:[^']|'')*'|\b\d+\b")

Run = Callable[[Callable[[asyncpg.Connection], Awaitable[Any]]], Awaitable[Any]]


class HolderWatch:
    """Names each once when it gets old, and again when it has ended. ``run`` runs one body on a connection."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._due = 0.0
        self._named: dict[tuple[Any, ...], dict[str, Any]] = {}

    async def look(self) -> None:
        """Look, once a minute."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LOOK_S
        rows = await self._run(lambda conn: conn.fetch(HOLDERS, LONG_TRANSACTION_S))
        found = {(row["pid"], row["application"], row["started"]): described(row) for row in rows}
        for who, words in found.items():
            if who not in self._named:
                logger.bind(**words).warning("an old transaction holds back vacuum")
        for who, words in self._named.items():
            if who not in found:
                logger.bind(pid=words["pid"], application=words["application"]).info("an old transaction has ended")
        self._named = found


def described(row: Any) -> dict[str, Any]:
    """What may be shown of a holder: the query without its values."""
    return {
        "pid": row["pid"],
        "application": redact_text(row["application"]),
        "state": row["state"],
        "age_s": None if row["age_s"] is None else round(row["age_s"]),
        "transactions": row["transactions"],
        "query": without_values(row["query"]),
    }


def without_values(query: str) -> str:
    """The text of a query without what it holds, for a log line."""
    return " ".join(_LITERAL.sub("?", redact_text(query)).split())[:200]
