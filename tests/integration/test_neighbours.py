"""What a service with a role of its own may do: queue tasks with INSERT alone, and forge no event."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from scripts.migrate import migrate
from tests.support.names import session_name
from tests.support.scratch import scratch_database
from utils.db import connect

README = Path(__file__).parents[2] / "README.md"
FLOW = "refresh_profile_by_handle"
COLUMNS = "flow, platform, params"
TASK = f"'{FLOW}', 'INSTAGRAM', '{{\"handle\": \"mira\"}}'"
INSERT = f"insert into scrape_request_log ({COLUMNS}) values ({TASK})"
SCHEMA = "select current_schema()"


@dataclass(frozen=True)
class Place:
    """A database, its owner's connection, and that of a role which may insert tasks and do nothing else."""

    owner: asyncpg.Connection
    neighbour: asyncpg.Connection
    role: str

    async def events(self) -> list[tuple[str, str, int]]:
        """Flow, status and priority of each task event."""
        rows = await self.owner.fetch("select payload from event_outbox order by id")
        events = [json.loads(row["payload"]) for row in rows]
        return [(event["flow"], event["status"], event["priority"]) for event in events]


@pytest.fixture(scope="module", params=["public", "beat_tables"])
async def installed(request: pytest.FixtureRequest, stack_env: dict[str, str]) -> AsyncIterator[str]:
    """URL of a database with the tables in the usual schema, and of one with them in another."""
    async with scratch_database(stack_env["PG_URL"]) as url:
        admin = await connect(url, name="tests")
        await admin.execute(f"create schema if not exists {request.param}")
        await admin.execute(f'alter database "{url.rpartition("/")[2]}" set search_path to {request.param}')
        await admin.close()
        await migrate(url)
        yield url


@pytest.fixture
async def place(installed: str) -> AsyncIterator[Place]:
    owner = await connect(installed, name="owner")
    schema, role, (head, _, name) = await owner.fetchval(SCHEMA), session_name(), installed.rpartition("/")
    await owner.execute("truncate scrape_request_log, event_outbox, beat_flow restart identity")
    await owner.execute(
        f"""create role "{role}" login;
        grant usage on schema {schema} to "{role}"; grant create, temporary on database "{name}" to "{role}";
        grant insert on scrape_request_log to "{role}"; grant usage on sequence crawl_dump_id_seq to "{role}\""""
    )
    neighbour = await connect(f"postgresql://{role}@{head.rpartition('@')[2]}/{name}", name="neighbour")
    yield Place(owner, neighbour, role)
    await neighbour.close()
    await owner.execute(f'drop owned by "{role}" cascade; drop role "{role}"')
    await owner.close()


async def test_insert_on_the_table_and_usage_of_its_sequence_are_enough(place: Place) -> None:
    heard: asyncio.Queue[object] = asyncio.Queue()
    await place.owner.add_listener("beat", lambda *args: heard.put_nowait(args[3]))
    await place.neighbour.execute(INSERT)
    await place.neighbour.execute(f"{INSERT}, ('other', null, '{{}}')")
    await place.neighbour.copy_records_to_table(
        "scrape_request_log", records=[(FLOW, "INSTAGRAM", "{}")], columns=COLUMNS.split(", ")
    )
    await place.neighbour.execute(f"insert into scrape_request_log (id, {COLUMNS}) values (null, {TASK})")
    assert await place.events() == [
        (FLOW, "PENDING", 1), (FLOW, "PENDING", 1), ("other", "FAILED", 1), (FLOW, "PENDING", 1), (FLOW, "PENDING", 1)
    ]  # fmt: skip
    assert await asyncio.wait_for(heard.get(), 60) == FLOW


async def test_the_columns_of_a_task_are_enough_to_name_in_the_grant(place: Place) -> None:
    await place.owner.execute(f'revoke insert on scrape_request_log from "{place.role}"')
    await place.owner.execute(f'grant insert ({COLUMNS}, run_after) on scrape_request_log to "{place.role}"')
    await place.neighbour.execute(INSERT)
    await place.neighbour.execute(
        f"insert into scrape_request_log ({COLUMNS}, run_after) values ({TASK}, now() + interval '1 hour')"
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await place.neighbour.execute(f"insert into scrape_request_log (status, {COLUMNS}) values ('COMPLETE', {TASK})")
    assert await place.events() == [(FLOW, "PENDING", 1)] * 2


async def test_the_priority_of_a_flow_is_given_to_what_a_neighbour_inserts(place: Place) -> None:
    await place.owner.execute("insert into beat_flow (flow, priority) values ($1, 7)", FLOW)
    await place.neighbour.execute(INSERT)
    assert await place.owner.fetchval("select priority from scrape_request_log") == 7
    assert await place.events() == [(FLOW, "PENDING", 7)]


async def test_the_grants_of_the_readme_are_enough(place: Place) -> None:
    """Nor too much: the INSERT of the whole row is taken away first."""
    await place.owner.execute(f'drop owned by "{place.role}"')
    grants = re.findall(r"^grant [^;]*;$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(grants) == 3
    schema = await place.owner.fetchval(SCHEMA)
    for grant in grants:
        assert grant.endswith(" to neighbour;")
        await place.owner.execute(
            grant.replace("to neighbour", f'to "{place.role}"').replace("schema public", f"schema {schema}")
        )
    await place.neighbour.execute(INSERT)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await place.neighbour.execute(f"insert into scrape_request_log (status, {COLUMNS}) values ('COMPLETE', {TASK})")
    assert await place.events() == [(FLOW, "PENDING", 1)]


@pytest.mark.parametrize(
    "statement",
    [
        f"{INSERT} returning id",
        f"insert into scrape_request_log (idempotency_key, {COLUMNS}) values ('once', {TASK})"
        " on conflict (idempotency_key) do nothing",
        "select status from scrape_request_log",
        "table recent_scrape_request_log",
    ],
)
async def test_reading_takes_a_grant_of_its_own(place: Place, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await place.neighbour.execute(statement)
    await place.owner.execute(f'grant select on scrape_request_log, recent_scrape_request_log to "{place.role}"')
    await place.neighbour.execute(statement)


async def test_the_id_and_the_key_can_be_read_by_a_grant_of_these_columns(place: Place) -> None:
    await place.owner.execute(f'grant select (id, idempotency_key) on scrape_request_log to "{place.role}"')
    once = (
        f"insert into scrape_request_log (idempotency_key, {COLUMNS}) values ('once', {TASK})"
        " on conflict (idempotency_key) do nothing returning id"
    )
    assert await place.neighbour.fetchval(once) == 1
    assert await place.neighbour.fetchval(once) is None


@pytest.mark.parametrize(
    "statement",
    [
        "insert into event_outbox (routing_key, entity_key, payload) values ('scrape_request_log_events', '1', '{}')",
        "select * from event_outbox",
        "select * from beat_flow",
        "update scrape_request_log set status = 'COMPLETE'",
        "delete from scrape_request_log",
        "select srl_after_insert()",
        "create table mine.tasks (like scrape_request_log);"
        "create trigger forge after insert on mine.tasks referencing new table as inserted for each statement"
        " execute function srl_after_insert()",
        "create temporary table tasks (like scrape_request_log);"
        "create trigger forge after insert on tasks referencing new table as inserted for each statement"
        " execute function srl_after_insert()",
        "create trigger forge after insert on scrape_request_log execute function srl_after_insert()",
        "alter function srl_after_insert() security invoker",
        "create or replace function srl_after_insert() returns trigger language plpgsql as 'begin return null; end'",
    ],
)
async def test_the_trigger_lends_its_rights_to_nobody(place: Place, statement: str) -> None:
    await place.owner.execute(f'grant select on scrape_request_log to "{place.role}"')  # for LIKE
    await place.neighbour.execute("create schema mine")
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError)):
        await place.neighbour.execute(statement)
    assert await place.events() == []


SHADOWS = f"""
create schema mine;
create temporary table event_outbox (routing_key text, entity_key text, payload json);
create temporary table beat_flow (flow text, priority integer);
create temporary table scrape_request_log (like {{schema}}.scrape_request_log);
insert into beat_flow values ('{FLOW}', 99);
create table mine.trail (who text);
grant insert on mine.trail to public;
create table mine.event_outbox (routing_key text, entity_key text, payload json);
create table mine.beat_flow (flow text, priority integer);
create function mine.note(who text) returns text language plpgsql as $$
begin insert into mine.trail values (who); return who; end $$;
create function mine.pg_notify(text, text) returns void language sql
    as 'select mine.note(current_user); select null::void';
create function mine.gen_random_uuid() returns uuid language sql
    as 'select mine.note(current_user); select null::uuid';
create function mine.to_char(timestamp, text) returns text language sql as 'select mine.note(current_user)';
create function mine.row_to_json({{schema}}.task_event_body) returns json language sql
    as 'select to_json(mine.note(current_user))';
create function mine.task_event({{schema}}.scrape_request_log) returns json language sql
    as 'select to_json(mine.note(current_user))';
create function mine.random() returns double precision language sql
    as 'select mine.note(current_user); select 0.5::double precision';
create function mine.to_hex(bigint) returns text language sql as 'select mine.note(current_user)';
create function mine.jsonb_eq(jsonb, jsonb) returns boolean language sql as 'select mine.note(current_user) is null';
create function mine.octet_length(text) returns integer language sql as 'select mine.note(current_user); select 1';
create function mine.int4le(integer, integer) returns boolean language sql
    as 'select mine.note(current_user) is not null';
create function mine.int4eq(integer, integer) returns boolean language sql
    as 'select mine.note(current_user) is not null';
create function mine.format(text, name) returns text language sql as 'select mine.note(current_user)';
create function mine.current_setting(text) returns text language sql as 'select mine.note(current_user)';
create function mine.set_config(text, text, boolean) returns text language sql as 'select mine.note(current_user)';
create function mine.concat_ws(text, text, text) returns text language sql
    as 'select mine.note(current_user); select null';
create function mine.same(text, text) returns boolean language sql as 'select mine.note(current_user) is not null';
create operator mine.= (leftarg = text, rightarg = text, function = mine.same);
create function pg_temp.now() returns timestamptz language sql
    as 'select mine.note(current_user); select null::timestamptz';
set search_path to pg_temp, mine, pg_catalog, {{schema}}"""
"""All names that the trigger and what it calls use, taken."""


async def test_names_that_the_caller_has_taken_are_not_used(place: Place) -> None:
    schema = await place.owner.fetchval(SCHEMA)
    await place.owner.execute(f'grant select on scrape_request_log to "{place.role}"')  # for LIKE
    await place.neighbour.execute(SHADOWS.replace("{schema}", schema))
    await place.neighbour.execute(INSERT.replace("scrape_request_log", f"{schema}.scrape_request_log", 1))
    assert await place.neighbour.fetchval("select array_agg(who) from mine.trail") is None
    assert await place.events() == [(FLOW, "PENDING", 1)]
    sent = await place.owner.fetchrow("select routing_key, entity_key from event_outbox")
    assert tuple(sent or ()) == ("scrape_request_log_events", "1")


async def test_nor_for_a_task_that_is_mended_or_refused(place: Place) -> None:
    """The path that the caller has set is as he set it, then and after the transaction."""
    schema = await place.owner.fetchval(SCHEMA)
    await place.owner.execute(f'grant select on scrape_request_log to "{place.role}"')  # for LIKE
    await place.neighbour.execute(SHADOWS.replace("{schema}", schema))
    before = await place.neighbour.fetchval("select pg_catalog.current_setting('search_path')")
    async with place.neighbour.transaction():
        await place.neighbour.execute("set local search_path to mine, pg_catalog")
        await place.neighbour.execute(
            f"insert into {schema}.scrape_request_log (id, {COLUMNS})"
            f" values (null, {TASK}), (null, 'other', null, '{{}}')"
        )
        assert await place.neighbour.fetchval("select pg_catalog.current_setting('search_path')") == "mine, pg_catalog"
    assert await place.neighbour.fetchval("select pg_catalog.current_setting('search_path')") == before
    assert await place.neighbour.fetchval("select array_agg(who) from mine.trail") is None
    assert await place.events() == [(FLOW, "PENDING", 1), ("other", "FAILED", 1)]
    tasks = await place.owner.fetch("select data from scrape_request_log order by id")
    assert [task["data"] for task in tasks] == [
        None, "missing platform (such as INSTAGRAM): insert the task again with it set"
    ]  # fmt: skip


async def test_a_caller_whose_search_path_lacks_the_schema_is_served(place: Place) -> None:
    schema = await place.owner.fetchval(SCHEMA)
    await place.neighbour.execute("set search_path to pg_catalog")
    insert = f"insert into {schema}.scrape_request_log (id, {COLUMNS}) values (null, {TASK})"
    await place.neighbour.execute(insert)
    assert await place.events() == [(FLOW, "PENDING", 1)]
