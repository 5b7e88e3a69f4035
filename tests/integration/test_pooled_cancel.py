"""Statements through the pooler that nobody waits for any more: no cancel request is sent, and the next one works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from core.queue.queue import WorkerQueue
from tests.support.relay import until
from utils.db import connect_kept, open_database

SLOW = "select pg_sleep(1.5)"
RUNNING = "select count(*) from pg_stat_activity where query = $1 and state = 'active' and datname = current_database()"

CANCEL = b"\x00\x00\x00\x10\x04\xd2\x16\x2e"
"""How a cancel request begins: its length and the number that stands for it."""

Ask = Callable[[str], Awaitable[object]]
Close = Callable[[], Awaitable[object]]
Open = Callable[[str], Awaitable[tuple[Ask, Close]]]


class Passage:
    """Passes connections on to the pooler, and keeps what each said first."""

    def __init__(self, url: str) -> None:
        self._there = urlsplit(url)
        self.first: list[bytes] = []

    def url(self, port: int) -> str:
        """The pooler's URL, by way of this."""
        userinfo = self._there.netloc.rpartition("@")[0]
        return urlunsplit(self._there._replace(netloc=f"{userinfo}@127.0.0.1:{port}"))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        from_pooler, to_pooler = await asyncio.open_connection(self._there.hostname, self._there.port)
        self.first.append(first := await reader.read(8))
        to_pooler.write(first)
        await asyncio.gather(_copy(reader, to_pooler), _copy(from_pooler, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    writer.close()


@pytest.fixture
async def pooler(clean_db: str, pgbouncer_url: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Its URL, and what was said first on each connection to it."""
    passage = Passage(pgbouncer_url)
    server = await asyncio.start_server(passage.serve, "127.0.0.1", 0)
    async with server:
        yield passage.url(server.sockets[0].getsockname()[1]), passage.first


async def kept(url: str) -> tuple[Ask, Close]:
    connection = await connect_kept(url, name="test", direct=False)

    async def ask(statement: str) -> object:
        nonlocal connection
        if connection.is_closed():
            connection = await connect_kept(url, name="test", direct=False)
        return await connection.fetch(statement)

    async def close() -> None:
        connection.terminate()

    return ask, close


async def single(url: str) -> tuple[Ask, Close]:
    database = open_database(url, pool_size=1, max_overflow=0)
    return database.fetch, database.dispose


async def session(url: str) -> tuple[Ask, Close]:
    database = open_database(url, pool_size=1, max_overflow=0)

    async def ask(statement: str) -> object:
        async with database.engine.connect() as connection:
            return (await connection.exec_driver_sql(statement)).all()

    return ask, database.dispose


@pytest.mark.parametrize("opened", [kept, single, session])
async def test_a_cancelled_statement_is_given_up_with_its_connection(
    pg: asyncpg.Connection, pooler: tuple[str, list[bytes]], opened: Open
) -> None:
    url, said = pooler
    ask, close = await opened(url)
    try:
        task = asyncio.ensure_future(ask(SLOW))
        await until(lambda: pg.fetchval(RUNNING, SLOW))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await ask("select 1")
        await asyncio.sleep(0.1)
    finally:
        await close()
    assert CANCEL not in said
    assert len(said) in (2, 4), "the first connection and the next, each perhaps after asking for encryption"


async def test_a_statement_that_takes_too_long_is_given_up_with_its_connection(
    pooler: tuple[str, list[bytes]],
) -> None:
    url, said = pooler
    connection = await connect_kept(url, name="test", direct=False)
    with pytest.raises(TimeoutError):
        await connection.fetch(SLOW, timeout=0.2)
    with pytest.raises(asyncpg.InterfaceError):
        await connection.fetch("select 1")
    assert connection.is_closed()
    queue = WorkerQueue(url, worker=1)
    assert await queue.held() == []
    await queue.aclose()
    assert CANCEL not in said
