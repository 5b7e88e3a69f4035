"""schema.sql, the migrations and the entities describe one and the same database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from core.entities import Base
from scripts.migrate import migrate
from tests.support.catalog import of_kind, schema_facts
from tests.support.scratch import scratch_database
from utils.db import connect, open_database

SCHEMA = Path(__file__).parents[2] / "schema.sql"


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(url, name="schema tests")
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def migrated(stack_env: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    """A database made by all migrations from empty."""
    async with scratch_database(stack_env["PG_URL"]) as url:
        await migrate(url)
        async with _connected(url) as connection:
            yield connection


@pytest.fixture(scope="module")
async def from_file(stack_env: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    """A database made by schema.sql."""
    async with scratch_database(stack_env["PG_URL"]) as url, _connected(url) as connection:
        async with connection.transaction():
            await connection.execute(SCHEMA.read_text(encoding="utf-8"))
        yield connection


@pytest.fixture(scope="module")
async def from_entities(stack_env: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    """A database made by the ORM's metadata."""
    async with scratch_database(stack_env["PG_URL"]) as url:
        engine = open_database(url).engine
        async with engine.begin() as session:
            await session.run_sync(Base.metadata.create_all)
        await engine.dispose()
        async with _connected(url) as connection:
            yield connection


async def _facts_after(connection: asyncpg.Connection, change: str) -> set[tuple[str, str]]:
    """What the catalog would say after a change that is not kept."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(change)
        return await schema_facts(connection)
    finally:
        await transaction.rollback()


async def test_schema_file_and_migrations_make_the_same_database(
    migrated: asyncpg.Connection, from_file: asyncpg.Connection
) -> None:
    by_migrations, by_file = await schema_facts(migrated), await schema_facts(from_file)
    assert by_migrations == by_file
    kinds = {name.split(" ", 1)[0] for name, _ in by_file}
    assert kinds == {"column", "table", "constraint", "index", "view", "sequence", "trigger", "function", "database"}
    assert ("database", "TimeZone=UTC") in by_file


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ("drop index srl_fifo", "index srl_fifo"),
        ("drop index srl_claim; create index srl_claim on scrape_request_log (flow, id)", "index srl_claim"),
        ("drop index profile_log_profile", "index profile_log_profile"),
        ("alter table credential alter rest_count drop not null", "column credential.rest_count"),
        ("alter table scrape_request_log alter priority set default 2", "column scrape_request_log.priority"),
        ("alter table beat_worker alter pid type bigint", "column beat_worker.pid"),
        ("alter table beat_worker reset (fillfactor)", "table beat_worker"),
        ("alter table asset drop constraint asset_key", "constraint asset.asset_key"),
        (
            "alter table scrape_request_log drop constraint scrape_request_log_status_check",
            "constraint scrape_request_log.scrape_request_log_status_check",
        ),
        (
            "create or replace view recent_scrape_request_log as select id, idempotency_key, platform, source,"
            " account_id, flow, status, priority, params, data, created_at, scraped_at, expires_at, picked_at,"
            " retry_count from scrape_request_log where created_at > now() - interval '8 days'",
            "view recent_scrape_request_log",
        ),
        ("drop trigger srl_after_insert on scrape_request_log", "trigger scrape_request_log.srl_after_insert"),
        (
            "alter table scrape_request_log disable trigger srl_before_insert",
            "trigger scrape_request_log.srl_before_insert",
        ),
        ("alter function make_log_partitions reset timezone", "function make_log_partitions(integer)"),
        ("grant execute on function srl_after_insert() to public", "function srl_after_insert()"),
        ("alter sequence social_post_id_seq owned by none", "sequence social_post_id_seq"),
    ],
)
async def test_the_comparison_sees_one_changed_object(from_file: asyncpg.Connection, change: str, fact: str) -> None:
    before = await schema_facts(from_file)
    assert fact in {name for name, _ in before ^ await _facts_after(from_file, change)}


def _entity_facts(facts: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What an entity can promise: columns, primary and unique keys, indexes."""
    keys = {fact for fact in of_kind(facts, "constraint") if fact[1].startswith(("PRIMARY KEY", "UNIQUE"))}
    return of_kind(facts, "column", "index") | keys


async def test_entities_and_migrations_agree_on_columns_keys_and_indexes(
    migrated: asyncpg.Connection, from_entities: asyncpg.Connection
) -> None:
    assert _entity_facts(await schema_facts(from_entities)) == _entity_facts(await schema_facts(migrated))


@pytest.mark.parametrize(
    "change",
    [
        "drop index instagram_account_handle",
        "drop index srl_expiry; create index srl_expiry on scrape_request_log (expires_at)",
        "alter table post_activity_log drop constraint post_activity_log_key, add constraint post_activity_log_key"
        " unique (platform_post_id, actor_profile_id, comment_id, activity_type, platform)",
        "alter table instagram_post drop column keywords",
        "alter table instagram_account alter followers type integer",
        "alter table instagram_account alter profile_id drop not null",
        "alter table credential add column note text",
        "create table surplus (id bigint)",
    ],
)
async def test_the_entity_comparison_sees_one_change(
    migrated: asyncpg.Connection, from_entities: asyncpg.Connection, change: str
) -> None:
    assert _entity_facts(await _facts_after(migrated, change)) != _entity_facts(await schema_facts(from_entities))
