"""Plans of the uploader's statements: a million uploads that wait, and many copies that are there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from core.assets import statements as assets
from core.queue import statements as sql
from core.queue.bulk import INSERT_MANY
from scripts.migrate import migrate
from tests.integration.test_queue_plans import claim_args, explain, rows_of
from tests.support.scratch import scratch_database
from utils.db import connect

FINISHED, BACKLOG, COPIES = 500_000, 1_000_000, 200_000
BY_ENTITY = {"asset_key", "asset_newest"}

FILL = f"""
set session_replication_role = replica;
insert into scrape_request_log (flow, platform, params, status, created_at, scraped_at, picked_at)
select 'asset_upload_flow', 'INSTAGRAM', '{{}}', 'COMPLETE', long_ago, long_ago, long_ago
    from generate_series(1, {FINISHED}) i, (select now() - interval '2 days' as long_ago) l;
insert into scrape_request_log (flow, platform, params, priority)
select case when i % 10 = 0 then 'asset_upload_flow_stories' else 'asset_upload_flow' end, 'INSTAGRAM',
    jsonb_build_object('entity_id', i), i % 3 - 1 from generate_series(1, {BACKLOG}) i;
insert into asset (entity_id, entity_type, asset_type, platform, asset_url, hash)
select i::text, 'POST', 'IMAGE', 'INSTAGRAM', 'assets/posts/instagram/' || i || '.jpg', i
from generate_series(1, {COPIES}) i;
reset session_replication_role"""


@pytest.fixture(scope="module")
async def backlog(stack_env: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    async with scratch_database(stack_env["PG_URL"]) as url:
        await migrate(url)
        connection = await connect(url, name="plans", command_timeout_s=None)
        await connection.execute("set synchronous_commit = off")
        await connection.execute(FILL)
        await connection.execute("vacuum analyze")
        yield connection
        await connection.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("statement", "index"), [(sql.CLAIM, "srl_claim"), (sql.CLAIM_OLDEST_FIRST, "srl_fifo")])
async def test_a_claim_before_a_million_uploads_reads_those_it_takes(
    backlog: asyncpg.Connection, statement: str, index: str
) -> None:
    plan = await explain(backlog, statement, *claim_args(["asset_upload_flow", "asset_upload_flow_stories"], 100))
    assert index in plan.indexes
    assert plan.indexes <= {index, "crawl_dump_pkey"}
    assert plan.rows <= 2 * 200 + 2


async def test_a_look_up_reads_the_copies_it_asks_for(backlog: asyncpg.Connection) -> None:
    names = [str(number) for number in range(1, 101)]
    args = (names, ["POST"] * 100, ["IMAGE"] * 100, ["INSTAGRAM"] * 100)
    scans = (await explain(backlog, assets.FIND, *args)).of("asset")
    assert {scan.get("Index Name") for scan in scans} <= BY_ENTITY
    assert sum(map(rows_of, scans)) <= 100


async def test_a_record_reads_and_writes_the_copies_it_is_of(backlog: asyncpg.Connection) -> None:
    names = [str(number) for number in range(COPIES - 50, COPIES + 50)]  # half of them new
    some = [None] * 100
    args = (names, ["POST"] * 100, ["IMAGE"] * 100, ["INSTAGRAM"] * 100, names, names, ["1"] * 100, *[some] * 6)
    scans = (await explain(backlog, assets.RECORD, *args)).of("asset")
    assert {scan.get("Index Name") for scan in scans} <= BY_ENTITY | {"asset_pkey"}
    assert sum(map(rows_of, scans)) <= 200


async def test_a_probe_beside_a_million_uploads_reads_one_row_of_each_flow(backlog: asyncpg.Connection) -> None:
    flows = ["asset_upload_flow", "asset_upload_flow_stories", "flow_without_work"]
    plan = await explain(backlog, sql.TICK, flows, 15.0)
    assert plan.rows <= 5


async def test_rows_of_unknown_flows_are_looked_for_without_reading_the_backlog(backlog: asyncpg.Connection) -> None:
    plan = await explain(backlog, sql.FAIL_UNKNOWN, ["asset_upload_flow", "asset_upload_flow_stories"], [])
    assert plan.rows <= 10


async def test_an_insert_into_a_million_waiting_uploads_takes_no_time(backlog: asyncpg.Connection) -> None:
    """What its trigger reads does not show in a plan; rows fetched by the session do."""
    read = "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'scrape_request_log'"
    transaction = backlog.transaction()
    await transaction.start()
    before = await backlog.fetchval(read)
    await backlog.execute(
        "insert into scrape_request_log (flow, platform, params) values ('asset_upload_flow', 'X', '{}')"
    )
    after = await backlog.fetchval(read)
    await transaction.rollback()
    assert after - before <= 5


@pytest.mark.parametrize(("statement", "call"), assets.CALLS.items(), ids=["find", "record"])
async def test_the_uploaders_functions_for_pooled_connections_hold_the_same_text(
    backlog: asyncpg.Connection, statement: str, call: str
) -> None:
    name = call.removeprefix("select * from ").partition("(")[0]
    assert statement in await backlog.fetchval("select prosrc from pg_proc where proname = $1", name)


async def test_the_function_that_queues_tasks_holds_the_same_text(backlog: asyncpg.Connection) -> None:
    assert INSERT_MANY in await backlog.fetchval("select prosrc from pg_proc where proname = 'tasks_insert'")
