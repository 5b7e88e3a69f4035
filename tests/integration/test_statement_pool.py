"""Single statements on pooled connections, and statements by the driver inside a session's transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.support.http_client import turns
from tests.support.pool import command_of
from utils import statement_pool
from utils.db import Database, fetch_in, open_database

PID = "select pg_backend_pid() as pid"


@pytest.fixture
async def direct(clean_db: str) -> AsyncIterator[Database]:
    """Without the pooler, so that a backend can be told by its id."""
    opened = open_database(clean_db, pool_size=2)
    yield opened
    await opened.dispose()


@pytest.fixture
async def pooled(clean_db: str, pgbouncer_url: str) -> AsyncIterator[Database]:
    opened = open_database(pgbouncer_url, pool_size=2)
    yield opened
    await opened.dispose()


async def pid_of(database: Database) -> int:
    [row] = await database.fetch(PID)
    return int(row["pid"])


async def gone(pg: asyncpg.Connection, pid: int) -> None:
    await pg.execute("select pg_terminate_backend($1)", pid)
    await ended(pg, pid)
    while command_of(pid).startswith("postgres"):  # its socket is closed when the process ends
        await asyncio.sleep(0.01)


async def ended(pg: asyncpg.Connection, pid: int) -> None:
    """Wait until there is no such session."""
    while await pg.fetchval("select exists (select from pg_stat_activity where pid = $1)", pid):
        await asyncio.sleep(0.01)


async def asleep(pg: asyncpg.Connection, pid: int) -> None:
    """Wait until a session is in pg_sleep()."""
    query = "select exists (select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep')"
    while not await pg.fetchval(query, pid):
        await asyncio.sleep(0.01)


async def test_who_waits_too_long_for_a_connection_is_told_so(clean_db: str) -> None:
    database = open_database(clean_db, pool_size=1, wait_s=0.05)
    holding = asyncio.create_task(database.fetch("select pg_sleep(0.5)"))
    await turns()
    with pytest.raises(TimeoutError):
        await database.fetch(PID)
    await holding
    assert len({await pid_of(database) for _ in range(3)}) == 1
    await database.dispose()


async def test_a_connection_that_cannot_be_opened_takes_no_place() -> None:
    away = open_database("postgresql://beat@127.0.0.1:9/beat", pool_size=1, wait_s=0.05)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await away.fetch(PID)


async def test_a_statement_is_a_transaction_of_its_own(pooled: Database, pg: asyncpg.Connection) -> None:
    rows = await pooled.fetch(
        "insert into task_log (name, arguments) values ($1, $2::jsonb) returning name, arguments", "a", '{"b": [1]}'
    )
    assert [tuple(row) for row in rows] == [("a", '{"b": [1]}')]
    assert await pg.fetchval("select count(*) from task_log") == 1


async def test_as_many_connections_as_allowed_and_the_last_used_first(direct: Database) -> None:
    pids = await asyncio.gather(*(direct.fetch(f"{PID}, pg_sleep(0.2)") for _ in range(6)))
    assert len({rows[0]["pid"] for rows in pids}) == 2
    assert len({await pid_of(direct) for _ in range(3)}) == 1


async def test_a_refused_statement_is_a_database_error_and_its_connection_goes_on(direct: Database) -> None:
    pid = await pid_of(direct)
    with pytest.raises(DBAPIError, match="invalid input syntax") as caught:
        await direct.fetch("select ($1::text)::int", "secret")
    assert "[parameters" not in str(caught.value)
    assert await pid_of(direct) == pid


async def test_a_connection_that_died_is_replaced(direct: Database, pg: asyncpg.Connection) -> None:
    first = await pid_of(direct)
    await gone(pg, first)
    await turns()
    assert await pid_of(direct) != first


async def test_an_old_connection_is_replaced(direct: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await pid_of(direct)
    assert await pid_of(direct) == first
    monkeypatch.setattr(statement_pool, "RECYCLE_S", 0.0)
    assert await pid_of(direct) != first


async def test_what_is_in_use_when_the_pool_is_closed_is_closed_when_it_comes_back(
    direct: Database, pg: asyncpg.Connection
) -> None:
    pid = await pid_of(direct)
    waiting = asyncio.create_task(direct.fetch("select pg_sleep(0.2)"))
    await turns()
    await direct.dispose()
    await waiting
    await ended(pg, pid)


async def test_a_connection_that_dies_under_a_statement_is_a_database_error(
    direct: Database, pg: asyncpg.Connection
) -> None:
    pid = await pid_of(direct)
    waiting = asyncio.create_task(direct.fetch("select pg_sleep(60)"))
    await asleep(pg, pid)
    await gone(pg, pid)
    with pytest.raises(DBAPIError):
        await waiting
    assert await pid_of(direct) != pid


async def test_a_cancelled_statement_leaves_no_connection_with_an_open_answer(
    direct: Database, pg: asyncpg.Connection
) -> None:
    pid = await pid_of(direct)
    waiting = asyncio.create_task(direct.fetch("select pg_sleep(60)"))
    await asleep(pg, pid)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await pid_of(direct) != pid


async def test_in_a_session_a_statement_belongs_to_the_transaction(pooled: Database, pg: asyncpg.Connection) -> None:
    async with pooled.sessions() as session, session.begin():
        await fetch_in(session, "insert into task_log (name) values ($1)", "kept")
    async with pooled.sessions() as session:
        await fetch_in(session, "insert into task_log (name) values ($1)", "lost")
        assert await session.scalar(text("select count(*) from task_log")) == 2
        await session.rollback()
    assert await pg.fetchval("select array_agg(name) from task_log") == ["kept"]


async def test_in_a_session_an_error_undoes_what_was_done(pooled: Database, pg: asyncpg.Connection) -> None:
    async def fail() -> None:
        async with pooled.sessions() as session, session.begin():
            await fetch_in(session, "insert into task_log (name) values ($1)", "lost")
            await fetch_in(session, "select 1 / $1::int", 0)

    with pytest.raises(DBAPIError, match="division by zero"):
        await fail()
    assert await pg.fetchval("select count(*) from task_log") == 0
    async with pooled.sessions() as session, session.begin():
        assert [tuple(row) for row in await fetch_in(session, "select $1::int", 1)] == [(1,)]


async def test_in_a_session_a_lost_connection_says_so_and_is_replaced(direct: Database, pg: asyncpg.Connection) -> None:
    pids: list[int] = []

    async def lose() -> None:
        async with direct.sessions() as session, session.begin():
            pids.append((await fetch_in(session, PID))[0]["pid"])
            await gone(pg, pids[0])
            await fetch_in(session, PID)

    with pytest.raises(DBAPIError) as caught:
        await lose()
    assert caught.value.connection_invalidated
    async with direct.sessions() as session, session.begin():
        assert (await fetch_in(session, PID))[0]["pid"] not in pids


async def test_in_a_session_a_cancelled_statement_costs_its_connection(
    direct: Database, pg: asyncpg.Connection
) -> None:
    pids: list[int] = []

    async def long() -> None:
        async with direct.sessions() as session, session.begin():
            pids.append((await fetch_in(session, PID))[0]["pid"])
            await fetch_in(session, "select pg_sleep(30)")

    task = asyncio.create_task(long())
    while not pids:
        await asyncio.sleep(0.01)
    await asleep(pg, pids[0])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with direct.sessions() as session, session.begin():
        assert (await fetch_in(session, PID))[0]["pid"] not in pids


async def test_statements_are_shown_when_sql_is_to_be_shown(clean_db: str, caplog: pytest.LogCaptureFixture) -> None:
    opened = open_database(clean_db, echo=True)
    await opened.fetch("select $1::text as alone", "secret")
    async with opened.sessions() as session, session.begin():
        await fetch_in(session, "select $1::text as inside", "secret")
    await opened.dispose()
    shown = [message for message in caplog.messages if "::text" in message]
    assert ["alone" in shown[0], "inside" in shown[1], len(shown)] == [True, True, 2]
    assert "secret" not in caplog.text
