"""What a supervisor needs of PG_URL before it starts: PostgreSQL itself, with a schema that the code can work with.

Through a transaction pooler a supervisor would look alive and hear nothing: LISTEN and session locks belong to a server
process, and there each transaction may get another one.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
from loguru import logger

from config import ConfigError
from core.queue.queue import LOST
from core.schema import RECORDED, Lacking, newer_migrations, warn_of_newer
from utils.db import connect

HEAR_S = 2.0
"""Longest time that a notification to oneself may take."""

LONGEST_PAUSE_S = 5.0
REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""At start a mistake in the URL; later a server that is being replaced, see LOST."""

T = TypeVar("T")
_ADVICE = (
    "there LISTEN and advisory locks do not work, so supervisors and the relay would miss their work. "
    "Set PG_URL to PostgreSQL itself, and PGBOUNCER_URL to the pooler: workers and API go through it"
)
_PID = "select pg_backend_pid()"


async def require_database(url: str, schema_version: int) -> None:
    """Return once the database answers and is fit for a supervisor; as long as it is away, wait.

    Raises:
        ConfigError: it is not, or refuses the connection for good; the text says what to mend.
    """
    await require_direct(url)
    recorded = await _answered(lambda: _recorded(url))
    if recorded is None:
        raise ConfigError("PG_URL: it has no schema: run python -m scripts.migrate")
    if not recorded:  # made from schema.sql, and taken for current
        return
    try:
        warn_of_newer(newer_migrations(recorded, schema_version))
    except Lacking as error:
        raise ConfigError(f"PG_URL: {error}") from None


async def require_direct(url: str) -> None:
    """Return once the database answers and is no transaction pooler; as long as it is away, wait.

    Raises:
        ConfigError: it is a pooler, or refuses the connection for good; the text says what to mend.
    """
    problem = await _answered(lambda: pooled(url))
    if problem is not None:
        raise ConfigError(f"PG_URL: {advice(problem)}")


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    pause_s = 0.2
    while True:
        try:
            return await ask()
        except REFUSED as error:
            raise ConfigError(f"PG_URL: the server refuses it: {error}") from None
        except asyncpg.ClientConfigurationError as error:
            raise ConfigError(f"PG_URL: {error}") from None
        except LOST as error:
            logger.bind(error=type(error).__name__, pause_s=pause_s).warning("database was unavailable")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        except asyncpg.PostgresError as error:
            raise ConfigError(f"PG_URL: the server refuses it: {error}") from None


async def _recorded(url: str) -> dict[int, str] | None:
    """The names of the migrations that are recorded, by version; None without tables."""
    conn = await connect(url, name="beat schema check")
    try:
        if await conn.fetchval("select to_regclass('schema_migration') is null"):
            return None
        return {row["version"]: row["name"] for row in await conn.fetch(RECORDED)}
    finally:
        conn.terminate()


def advice(problem: str) -> str:
    """What ``pooled`` found, and what to do about it."""
    return f"leads through a transaction pooler ({problem}): {_ADVICE}"


async def pooled(url: str) -> str | None:
    """How a transaction pooler shows itself behind this URL; None when sessions are whole.

    PostgreSQL names its process when a session begins. A proxy makes up a number; whether it keeps a session together
    is then tried out: with a second session, and with a notification to the first.

    Raises:
        OSError, asyncpg.PostgresError: the database does not answer.
    """
    first = await connect(url, name="beat direct check")
    try:
        pid = await first.fetchval(_PID)
        if pid == first.get_server_pid():
            return None
        second = await connect(url, name="beat direct check")
        try:
            return await _shared(first, pid, second) or await _deaf(first, second)
        finally:
            second.terminate()
    finally:
        first.terminate()


async def _shared(first: asyncpg.Connection, pid: int, second: asyncpg.Connection) -> str | None:
    async with second.transaction():
        if await second.fetchval(_PID) == pid:
            return "two sessions were given one server process"
        if await first.fetchval(_PID) != pid:
            return "a session was given another server process"
    return None


async def _deaf(first: asyncpg.Connection, second: asyncpg.Connection) -> str | None:
    heard = asyncio.Event()
    channel = f"beat_{uuid.uuid4().hex}"
    await first.add_listener(channel, lambda *_: heard.set())
    await second.execute("select pg_notify($1, '')", channel)
    try:
        await asyncio.wait_for(heard.wait(), HEAR_S)
    except TimeoutError:
        return "a session does not hear what it listens to"
    return None
