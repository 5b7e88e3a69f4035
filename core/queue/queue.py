"""One worker's side of the queue: its connection, and the statements as typed calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import asyncpg

from core.queue import statements as sql
from utils.db import call_of, connect_kept

T = TypeVar("T")

LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.ProtocolViolationError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What a restarted or overloaded server, or a pooler that lost its server, looks like from here; and a standby that is
not promoted yet, or a server that does not know its users and databases yet."""


STEP, FAIL = call_of("worker_step", sql.STEP), call_of("queue_fail", sql.FAIL)
"""Calls of the functions of schema.sql that hold the statements."""

NO_DATA = "None"
"""The legacy text of a flow that returned nothing; the statement writes it when it is sent null."""


class QueueUnavailable(Exception):
    """The database cannot be reached now. Whether the statement took effect is unknown."""


class Claim(NamedTuple):
    """A task this worker holds. ``token`` with the worker's id is the fence; ``params`` is JSON text or null.

    Times are microseconds since PostgreSQL's epoch, as they go over the wire: whole numbers cost a third of datetimes,
    and the fence compares nothing else. A tuple, like the two below, because a busy process makes many thousands a
    second. In the statements' order.
    """

    id: int
    flow: str
    platform: str | None
    params: str | None
    attempt: int
    token: int
    created_at: int | None = None


class Done(NamedTuple):
    """A finished task: the legacy text and the JSON text of its result."""

    claim: Claim
    data: str
    result: str | None


class Failed(NamedTuple):
    """A failed task. ``rule`` is the name of a ``Retry``; ``delay_s`` counts for LATER and HELD."""

    claim: Claim
    data: str
    result: str | None
    code: str
    rule: str
    delay_s: float
    max_retries: int


class WorkerQueue:
    """The queue as one worker process sees it. Not for concurrent use: one statement is in flight at a time.

    What runs often is called as a function, whose plans each server connection keeps, a pooler's too. ``direct``:
    ``url`` leads to no pooler, so that the connection keeps the calls prepared as well.
    """

    def __init__(self, url: str, worker: int, *, direct: bool = False) -> None:
        self._url = url
        self._worker = worker
        self._direct = direct
        self._conn: asyncpg.Connection | None = None

    async def step(
        self, free: Mapping[str, int], done: Sequence[Done], *, oldest_first: bool
    ) -> tuple[list[Claim], set[int]]:
        """Complete ``done`` and claim up to ``free`` tasks per flow, in one commit.

        Returns the claims, and the ids of ``done`` that were accepted: the others had lost their claim.

        Raises:
            QueueUnavailable: the report may or may not have been stored; ``held`` tells what is still claimed.
        """
        claims = [report.claim for report in done]
        data = [None if report.data == NO_DATA else report.data for report in done]
        results = [report.result for report in done]
        rows = await self._run(
            lambda conn: conn.fetch(
                STEP,
                list(free),
                list(free.values()),
                self._worker,
                [claim.id for claim in claims],
                [claim.token for claim in claims],
                data if data.count(None) < len(data) else [],
                results if results.count(None) < len(results) else [],
                oldest_first,
            )
        )
        return [Claim._make(row[1:]) for row in rows[1:]], set(rows[0][0] or ())

    async def fail(self, failed: Sequence[Failed]) -> dict[int, str]:
        """End or postpone tasks; gives the new status of those that were still held."""
        rows = await self._run(
            lambda conn: conn.fetch(
                FAIL,
                self._worker,
                [f.claim.id for f in failed],
                [f.claim.token for f in failed],
                [f.data for f in failed],
                [f.result for f in failed],
                [f.code for f in failed],
                [f.rule for f in failed],
                [f.delay_s for f in failed],
                [f.max_retries for f in failed],
            )
        )
        return {row["id"]: row["status"] for row in rows}

    async def release(self, claims: Sequence[Claim]) -> None:
        """Hand unfinished tasks back to the other workers."""
        ids, tokens = [c.id for c in claims], [c.token for c in claims]
        await self._run(lambda conn: conn.execute(sql.RELEASE, self._worker, ids, tokens))

    async def held(self) -> list[Claim]:
        """Everything the database thinks this worker is running."""
        return [Claim._make(row) for row in await self._run(lambda conn: conn.fetch(sql.HELD, self._worker))]

    async def aclose(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            conn, self._conn = self._conn, None
            conn.terminate()

    async def _run(self, statement: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        try:
            if self._conn is None or self._conn.is_closed():
                self._conn = await connect_kept(self._url, name=f"beat worker {self._worker}", direct=self._direct)
                await self._conn.set_builtin_type_codec(
                    "timestamptz", schema="pg_catalog", codec_name="int8", format="binary"
                )
            return await statement(self._conn)
        except LOST as error:
            await self.aclose()
            raise QueueUnavailable(type(error).__name__) from error
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError) as error:
            raise QueueUnavailable(type(error).__name__) from error
