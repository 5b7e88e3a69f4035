"""One fresh database a pytest session, emptied cheaply between tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from scripts.migrate import migrate
from tests.support.names import is_abandoned, session_name
from tests.support.stack import with_path
from utils.db import connect

EMPTY_EVERY_TABLE = """
do $$
declare
    candidate regclass;
    has_rows boolean;
    full_ones text[] := '{}';
begin
    set local lock_timeout = '10s';  -- an open transaction that a test left behind fails here, by name
    for candidate in
        select oid from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'schema_migration'
    loop
        execute format('select exists (select from %s)', candidate) into has_rows;
        if has_rows then
            full_ones := full_ones || candidate::text;
        end if;
    end loop;
    if full_ones <> '{}' then
        execute 'truncate ' || array_to_string(full_ones, ', ') || ' restart identity cascade';
    end if;
    perform setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    from pg_sequences where schemaname = 'public' and last_value is not null;
end $$
"""
"""Truncates what has rows (partitions one by one, so they stay); no table holds seed rows but schema_migration.
Sequences start again also where all rows were deleted or rolled back."""


SOMEONE_WAITS = """
select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"""
"""Whether a session of this database waits for a lock; other sessions of the tests use the same server."""


async def create_database(admin_url: str) -> str:
    """Make a migrated database beside that one and return its URL; databases of dead sessions are dropped."""
    name = session_name()
    admin = await connect(admin_url, name="tests")
    try:
        for row in await admin.fetch("select datname from pg_database"):
            if is_abandoned(row["datname"]):
                await admin.execute(f'drop database if exists "{row["datname"]}" with (force)')
        await admin.execute(f'create database "{name}"')
    finally:
        await admin.close()
    url = with_path(admin_url, name)
    await migrate(url)
    return url


async def drop_database(admin_url: str, url: str) -> None:
    """Remove a session's database, whoever is still connected."""
    admin = await connect(admin_url, name="tests")
    try:
        await admin.execute(f'drop database if exists "{url.rpartition("/")[2]}" with (force)')
    finally:
        await admin.close()


@asynccontextmanager
async def held_table(url: str, table: str) -> AsyncIterator[None]:
    """A table that can be read and not written while the block lasts."""
    blocker = await connect(url, name="blocker")
    async with blocker.transaction():
        await blocker.execute(f"lock table {table} in share mode")
        yield
    await blocker.close()


async def empty_tables(connection: asyncpg.Connection) -> None:
    """Leave the schema as migrated: no rows, sequences at 1."""
    await connection.execute(EMPTY_EVERY_TABLE)
