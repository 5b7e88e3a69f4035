"""Connections to PostgreSQL, direct and through a transaction pooler."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from utils.json_safe import stored_json
from utils.statement_pool import StatementPool

POOLED_NAME = "beat"
UTF8 = {"client_encoding": "UTF8"}
SAME_SETTINGS = {"application_name": POOLED_NAME, **UTF8}
"""What each connection through a pooler says of itself, in the server's own words (asyncpg would say 'utf-8'). Before
every transaction the pooler sets what its client has said otherwise than the one before: a round trip more."""


class Uncancelling(asyncpg.Connection):
    """What goes through a pooler: a statement that nobody waits for any more is given up with its connection.

    The driver would ask the pooler to cancel it, over a connection that is cut off in the middle when its owner ends:
    PgBouncer 1.18 ends at such a request ("bad client state"), and with it everybody's connections. All callers close
    the connection in this case anyway.
    """

    def _cancel_current_command(self, *_: object) -> None:
        asyncio.get_running_loop().call_soon(self.terminate)  # which completes both


POOLED_ARGS = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "command_timeout": 30,
    "server_settings": SAME_SETTINGS,
    "connection_class": Uncancelling,
}
"""What keeps asyncpg clear of named statements, which a transaction pooler cannot carry."""

KEPT_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    **dict.fromkeys(("enable_seqscan", "enable_sort", "enable_incremental_sort", "jit"), "off"),
}
_AWAY_STATES = ("08", "53", "57P", "25006")
"""SQLSTATE prefixes: connection lost, too many connections, shutting down or starting, a standby not promoted yet."""

SINGLE_ARGS = {
    "statement_cache_size": 0,
    "command_timeout": 30,
    "timeout": 10,
    "server_settings": SAME_SETTINGS,
    "connection_class": Uncancelling,
}


def plain_url(url: str) -> str:
    """The URL as asyncpg wants it: without SQLAlchemy's driver word."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def reason(error: BaseException) -> str:
    """Why a connection failed, in one line; some errors of the network have no text."""
    unsaid = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return (getattr(error, "strerror", None) or str(error) or unsaid).splitlines()[0]


def broke_off(error: DBAPIError) -> bool:
    """Whether a statement failed because the server went away, not because of what it said."""
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or state.startswith(_AWAY_STATES)


async def connect(
    url: str,
    *,
    name: str,
    command_timeout_s: float | None = 30.0,
    prepared: bool = False,
    kind: type[asyncpg.Connection] = asyncpg.Connection,
) -> asyncpg.Connection:
    """One connection without named statements, so that it works through a pooler as well as direct.

    ``name`` shows in pg_stat_activity as application_name. ``prepared`` keeps statements and their plans, which only a
    direct connection can. No plan of such a connection reads a whole table or sorts it: one made while the table
    is empty would outlive its emptiness.
    """
    settings = {"application_name": name, **UTF8} | (KEPT_PLANS if prepared else {})
    return await asyncpg.connect(
        plain_url(url),
        statement_cache_size=100 if prepared else 0,
        command_timeout=command_timeout_s,
        timeout=10,
        server_settings=settings,
        connection_class=kind,
    )


async def connect_kept(url: str, *, name: str, direct: bool) -> asyncpg.Connection:
    """A connection that runs the same few statements for as long as it lives: ``direct`` it keeps them prepared and has
    a name of its own, through a pooler neither."""
    if direct:
        return await connect(url, name=name, prepared=True)
    return await connect(url, name=POOLED_NAME, kind=Uncancelling)


def within_dates(column: str) -> str:
    """SQL for a timestamptz that a datetime can hold: the nearest one, outside the years 1 to 9999.

    Whoever may insert rows may write any time that PostgreSQL knows, infinity too.
    """
    return (
        f"case when {column} >= '10000-01-01 00:00+00' then '9999-12-31 23:59:59+00' "
        f"when {column} < '0001-01-01 00:00+00' then '0001-01-01 00:00+00' else {column} end"
    )


def call_of(function: str, statement: str) -> str:
    """The call of the function of schema.sql that holds this statement, with as many parameters.

    A statement cannot stay prepared behind a pooler, but a function's plan is kept by each of its server connections.
    """
    most = max(map(int, re.findall(r"\$(\d+)", statement)))
    parameters = ", ".join(f"${number}" for number in range(1, most + 1))
    return f"select * from {function}({parameters})"  # noqa: S608 - a constant of the caller


FAILED = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a statement may end with. The last: the server said goodbye when nobody had asked it anything."""


@dataclass(frozen=True, slots=True)
class Database:
    """An engine and its session factory; made in the process that uses it, never before a fork."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    single: StatementPool
    """For statements that are a transaction each, and run often."""

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Run one statement in a transaction of its own; parameters are ``$1``, ``$2``, ..., and jsonb is text.

        Raises:
            DBAPIError: as ``session.execute`` does; the text shows no parameter.
        """
        try:
            return await self.single.fetch(statement, *values)
        except FAILED as error:
            lost = isinstance(error, asyncpg.InternalClientError)
            raise DBAPIError(statement, None, error, hide_parameters=True, connection_invalidated=lost) from error

    async def dispose(self) -> None:
        """Close every pooled connection."""
        await self.engine.dispose()
        await self.single.aclose()


def open_database(
    url: str, *, pool_size: int = 2, max_overflow: int = 3, echo: bool = False, wait_s: float | None = None
) -> Database:
    """Lazy pools on the pooled URL, of the same size; no connection is opened before the first use.

    ``wait_s`` is the longest wait of a single statement for a connection; a session waits 30 s.
    """
    engine = create_async_engine(
        "postgresql+asyncpg://",  # the driver reads the URL itself: SQLAlchemy would not know sslmode and its like
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_recycle=1800,
        echo=echo,
        hide_parameters=True,  # an error text must not show a credential
        json_deserializer=stored_json,
        connect_args={"dsn": plain_url(url), **POOLED_ARGS},
    )
    single = StatementPool(
        plain_url(url), size=pool_size, connect=SINGLE_ARGS, show=engine.sync_engine.logger.info, wait_s=wait_s
    )
    return Database(engine, async_sessionmaker(engine, expire_on_commit=False), single)


Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]
"""Runs a statement, given with its parameters ``$1``, ``$2``, ..., and gives its rows: ``fetch`` of a connection, or
``fetch_in`` of a session. It depends on which of them whether jsonb comes out as text."""


async def fetch_on(on: AsyncSession | Database, statement: str, *values: Any) -> list[asyncpg.Record]:
    """Run one statement in the session's transaction, or by a database in one of its own.

    Raises:
        DBAPIError: as ``session.execute`` does; the text shows no parameter.
    """
    return await (on.fetch(statement, *values) if isinstance(on, Database) else fetch_in(on, statement, *values))


async def fetch_in(session: AsyncSession, statement: str, *values: Any) -> list[asyncpg.Record]:
    """Run one statement by the driver itself, in the session's transaction, and give its rows.

    SQLAlchemy's own way costs the process more than twice as much (200 rather than 80 µs). Parameters are ``$1``,
    ``$2``, ...; jsonb goes in as text and comes out decoded.

    Raises:
        DBAPIError: as ``session.execute`` does; the text shows no parameter.
    """
    connection = await session.connection()
    adapted: Any = (await connection.get_raw_connection()).dbapi_connection
    driver: asyncpg.Connection = adapted.driver_connection
    connection.sync_engine.logger.info(statement)  # shown with DEBUG_SQL, as all others are
    try:
        if not driver.is_in_transaction():
            await adapted._start_transaction()  # SQLAlchemy begins with its first execute
        return await driver.fetch(statement, *values)
    except Exception as error:
        lost = driver.is_closed() or isinstance(error, asyncpg.InternalClientError)
        if lost:
            await connection.invalidate()
        if not isinstance(error, FAILED):
            raise
        raise DBAPIError(statement, None, error, hide_parameters=True, connection_invalidated=lost) from error
    except BaseException:
        await connection.invalidate()  # cancelled half-way: nobody knows what the connection has still to say
        raise
