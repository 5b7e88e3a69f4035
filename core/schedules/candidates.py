"""Candidate queries: run as a role that can only read what it is meant to, within a time, on a connection of their own.

A query is an operator's text. It runs inside ``candidate_rows()``, a SECURITY DEFINER function of the role
beat_candidates: it cannot become its caller again, and the credentials are not among what the role may read. The
transaction is read-only and always rolled back, and the connection is closed, so that nothing the query did to its
session (locks, settings) outlives it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

import asyncpg

from core.queue.queue import LOST
from core.schedules import statements as sql
from core.schedules.schedule import Schedule, ScheduleError
from utils.db import connect

AT_A_TIME = 200
SLACK_S = 5.0
"""How much later than the server the client gives up."""

T = TypeVar("T")

NO_READER = (
    "candidates: the role beat_candidates is missing or may do too much, so candidate queries are not run. "
    "A superuser runs, in this database: SELECT prepare_candidates();"
)


async def fetch_candidates(url: str, schedule: Schedule, *, timeout_s: float) -> list[dict[str, Any]]:
    """The rows of the schedule's query, at most ``max_rows``; one empty row when it has no query.

    Raises:
        ScheduleError: the query is refused, wrong or too slow.
        OSError, asyncpg.PostgresError: the database was lost.
    """
    if schedule.candidates is None:
        return [{}]
    conn = await connect(url, name="beat schedule candidates", command_timeout_s=timeout_s + SLACK_S)
    try:
        if not await conn.fetchval(sql.READER):
            raise ScheduleError(NO_READER)
        transaction = conn.transaction(readonly=True)
        await transaction.start()
        await conn.execute("select set_config('statement_timeout', $1, true)", f"{max(1, round(timeout_s * 1000))}ms")
        rows = await conn.fetch(sql.CANDIDATES, schedule.candidates, schedule.max_rows)
        await transaction.rollback()
        return [candidate async for candidate in unhurried(_read(row[0]) for row in rows)]
    except (asyncpg.QueryCanceledError, TimeoutError):
        raise ScheduleError(f"candidates: the query took longer than {timeout_s:g} s") from None
    except asyncpg.ReadOnlySQLTransactionError as error:  # of this transaction, not of a standby
        raise ScheduleError(f"candidates: {error}") from error
    except LOST:
        raise
    except asyncpg.PostgresError as error:
        raise ScheduleError(f"candidates: {error}") from error
    finally:
        conn.terminate()


async def unhurried(things: Iterable[T]) -> AsyncIterator[T]:
    """The same, with a turn for the rest of the supervisor in between."""
    for number, thing in enumerate(things, 1):
        if not number % AT_A_TIME:
            await asyncio.sleep(0)
        yield thing


def _read(text: str) -> dict[str, Any]:
    try:
        candidate: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError):
        raise ScheduleError("candidates: a value is nested too deeply, or a number has too many digits") from None
    return candidate
