"""What a candidate query cannot do, whoever wrote it, and when candidate queries are not run at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest

from core.schedules.candidates import NO_READER, fetch_candidates
from core.schedules.schedule import Schedule, ScheduleError
from scripts.migrate import migrate
from tests.support.names import session_name
from tests.support.scratch import scratch_database
from tests.support.stack import with_path
from utils.db import connect

SECRET = "planted-sealed-text"
RELAY = "pg_advisory_lock(8386676005410300001)"


def schedule(query: str) -> Schedule:
    return Schedule("s", "* * * * *", "f", {}, candidates=query, max_rows=50)


@pytest.fixture
async def planted(pg: asyncpg.Connection) -> asyncpg.Connection:
    """One credential, one account, one task and nothing else."""
    await pg.execute(
        """insert into credential (idempotency_key, source, credentials, handle)
        values ('graphapi:1', 'graphapi', jsonb_build_object('sealed', $1::text), 'natgeo')""",
        SECRET,
    )
    await pg.execute("insert into instagram_account (profile_id, handle) values ('1', 'natgeo')")
    return pg


async def facts(pg: asyncpg.Connection) -> list[object]:
    """Everything a query might have changed."""
    row = await pg.fetchrow(
        """select (select jsonb_agg(c) from credential c), (select jsonb_agg(a) from instagram_account a),
        (select count(*) from scrape_request_log), (select count(*) from pg_class),
        (select last_value from crawl_dump_id_seq),
        (select count(*) from pg_largeobject_metadata), (select count(*) from scrape_schedule),
        (select count(*) from pg_locks where locktype = 'advisory' and database = (
            select oid from pg_database where datname = current_database())),
        (select array_agg(rolname) from pg_roles where rolname = 'beat_candidates' and not rolsuper)"""
    )
    assert row is not None
    return list(row)


ESCAPES = {
    "another statement": "select 1 as a; delete from instagram_account",
    "another statement behind a bracket": "select 1 as a) c; delete from instagram_account; select (1",
    "a comment that hides the limit": "select 1 as a) c; delete from instagram_account; --",
    "delete": "delete from instagram_account returning *",
    "delete in a WITH": "with d as (delete from instagram_account returning *) select * from d",
    "delete in text": "select query_to_xml('delete from instagram_account', true, true, '')::text",
    "a transaction that writes": "select set_config('transaction_read_only', 'off', true)",
    "a sequence": "select nextval('crawl_dump_id_seq') as a",
    "a row lock": "select * from instagram_account for update",
    "RESET ROLE": "reset role; update instagram_account set handle = null",
    "RESET ROLE in text": "select query_to_xml('reset role', true, true, '')::text",
    "its caller again": """select set_config('role', session_user, true),
        query_to_xml('select * from credential', true, true, '')::text""",
    "nobody's role": "select set_config('role', 'none', false) as a",
    "its caller's session": "select set_config('session_authorization', session_user, true) as a",
    "credentials": "select * from credential",
    "one column of the credentials": "select handle from credential",
    "credentials in text": "select query_to_xml('select * from credential', true, true, '')::text",
    "credentials over a cursor": "select * from cursor_to_xml('c', 10, true, true, '')",
    "credentials by table": "select table_to_xml('credential', true, true, '')::text",
    "events": "select * from event_outbox",
    "passwords": "select * from pg_authid",
    "a file": "select pg_read_file('/etc/passwd') as a",
    "a program": "copy (select 1) to program 'true'",
    "another backend": """select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()""",
    "the schedules": "select * from scrape_schedule",
    "the owner's functions": "select * from make_log_partitions(60)",
    "more rights": "select prepare_candidates()",
    "DO": "do $$ begin perform 1; end $$",
}


@pytest.mark.parametrize("query", ESCAPES.values(), ids=ESCAPES.keys())
async def test_a_query_that_wants_more_is_refused_and_changes_nothing(
    planted: asyncpg.Connection, clean_db: str, query: str
) -> None:
    before = await facts(planted)
    with pytest.raises(ScheduleError) as refused:
        await fetch_candidates(clean_db, schedule(query), timeout_s=10)
    assert SECRET not in str(refused.value)
    assert await facts(planted) == before


HARMLESS = {
    "a large object": "select lo_from_bytea(0, 'x') as a",
    "a lock for the session": f"select {RELAY}::text as a",
    "a notification": "select pg_notify('beat', 'refresh_profile_by_handle')::text as a",
    "settings": "select set_config('statement_timeout', '0', false), set_config('search_path', 'x', false)",
}


@pytest.mark.parametrize("query", HARMLESS.values(), ids=HARMLESS.keys())
async def test_what_it_may_do_to_its_session_is_gone_with_it(
    planted: asyncpg.Connection, clean_db: str, query: str
) -> None:
    heard: list[object] = []
    await planted.add_listener("beat", lambda *said: heard.append(said))
    before = await facts(planted)
    assert len(await fetch_candidates(clean_db, schedule(query), timeout_s=10)) == 1
    for _ in range(3000):
        if await facts(planted) == before:
            break
        await asyncio.sleep(0.02)  # the server ends the session on its own time
    assert await facts(planted) == before
    assert heard == []
    await planted.reset()


@pytest.mark.parametrize(
    "query",
    [
        "select pg_sleep(60)::text as a",
        "select set_config('statement_timeout', '0', false), pg_sleep(60)::text as a",
        "select count(*) from generate_series(1, 10000000000)",
        "select query_to_xml('select pg_sleep(60)', true, true, '')::text as a",
    ],
)
async def test_no_query_takes_longer_than_its_time(clean_db: str, query: str) -> None:
    with pytest.raises(ScheduleError, match=r"candidates: the query took longer than 0.2 s"):
        await fetch_candidates(clean_db, schedule(query), timeout_s=0.2)


async def test_what_candidates_are_made_of_can_be_read(planted: asyncpg.Connection, clean_db: str) -> None:
    query = """select a.handle, a.profile_id, 18446744073709551615 as hash, current_user::text as me
        from instagram_account a join connected_account c using (handle) where c.source = 'graphapi' -- own ones"""
    assert await fetch_candidates(clean_db, schedule(query), timeout_s=10) == [
        {"handle": "natgeo", "profile_id": "1", "hash": 2**64 - 1, "me": "beat_candidates"}
    ]
    connected = await planted.fetch("select * from connected_account")
    assert [tuple(row) for row in connected] == [("graphapi", "natgeo")]
    await planted.execute("update credential set data_access_expired = true")
    assert await fetch_candidates(clean_db, schedule(query), timeout_s=10) == []


async def test_a_link_to_another_database_wants_a_password(stack_env: dict[str, str]) -> None:
    async with scratch_database(stack_env["PG_URL"]) as url:
        await migrate(url)
        pg = await connect(url, name="tests")
        await pg.execute("create extension dblink")
        await pg.close()
        query = f"select * from dblink('{url}', 'select credentials::text from credential') t(a text)"
        with pytest.raises(ScheduleError, match="password"):
            await fetch_candidates(url, schedule(query), timeout_s=10)


# -- who migrates ------------------------------------------------------------------------------------------------------

Owned = Callable[[str], AbstractAsyncContextManager[tuple[str, asyncpg.Connection]]]


@pytest.fixture
def owned_by(stack_env: dict[str, str]) -> Owned:
    """A database of a login role with these attributes: its URL as that role, and a superuser's connection to it."""

    @asynccontextmanager
    async def make(attributes: str) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
        role = session_name()
        async with scratch_database(stack_env["PG_URL"]) as url:
            admin = await connect(url, name="tests")
            await admin.execute(f'create role "{role}" login {attributes}')
            try:
                await admin.execute(f'alter database "{url.rpartition("/")[2]}" owner to "{role}"')
                host = url.partition("@")[2].partition("/")[0]
                yield with_path(f"postgresql://{role}@{host}/", url.rpartition("/")[2]), admin
            finally:
                await admin.execute(f'drop owned by "{role}" cascade')
                await admin.execute(f'alter database "{url.rpartition("/")[2]}" owner to current_user')
                await admin.execute(f'drop role "{role}"')
                await admin.close()

    return make


async def test_an_owner_that_may_make_roles_needs_nobody(owned_by: Owned) -> None:
    async with owned_by("createrole") as (url, _):
        await migrate(url)
        assert await fetch_candidates(url, schedule("select current_user::text as me"), timeout_s=10) == [
            {"me": "beat_candidates"}
        ]
        with pytest.raises(ScheduleError, match="permission denied for table credential"):
            await fetch_candidates(url, schedule("select * from credential"), timeout_s=10)


async def test_an_owner_that_may_not_is_told_and_no_query_runs_until_an_administrator_helped(
    owned_by: Owned, capsys: pytest.CaptureFixture[str]
) -> None:
    async with owned_by("nocreaterole") as (url, admin):
        await migrate(url)
        assert "schedules cannot have candidate queries yet" in capsys.readouterr().err
        with pytest.raises(ScheduleError) as refused:
            await fetch_candidates(url, schedule("select 1 as a"), timeout_s=10)
        assert str(refused.value) == NO_READER
        await admin.execute("select prepare_candidates()")
        assert await fetch_candidates(url, schedule("select 1 as a"), timeout_s=10) == [{"a": 1}]


@pytest.mark.parametrize(
    "change",
    [
        "grant select on credential to beat_candidates",
        "grant select (credentials) on credential to public",
        "alter function candidate_rows(text, integer) owner to beat",
        "alter function candidate_rows(text, integer) security invoker",
    ],
)
async def test_a_role_that_may_do_too_much_is_not_used(stack_env: dict[str, str], change: str) -> None:
    async with scratch_database(stack_env["PG_URL"]) as url:
        await migrate(url)
        pg = await connect(url, name="tests")
        await pg.execute(change)
        await pg.close()
        with pytest.raises(ScheduleError, match="may do too much"):
            await fetch_candidates(url, schedule("select 1 as a"), timeout_s=10)


async def test_tables_of_later_migrations_become_readable(stack_env: dict[str, str]) -> None:
    async with scratch_database(stack_env["PG_URL"]) as url:
        await migrate(url)
        pg = await connect(url, name="tests")
        await pg.execute("drop table if exists sentiment_log")
        await pg.execute("create table sentiment_log (comment text)")
        with pytest.raises(ScheduleError, match="permission denied for table sentiment_log"):
            await fetch_candidates(url, schedule("select * from sentiment_log"), timeout_s=10)
        await pg.execute("select prepare_candidates()")
        assert await fetch_candidates(url, schedule("select * from sentiment_log"), timeout_s=10) == []
        await pg.close()
