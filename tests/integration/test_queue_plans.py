"""Plans of the queue's statements over a million finished rows: the index each must read, how few rows it touches."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from core.queue import retention
from core.queue import statements as sql
from scripts.migrate import migrate
from tests.support.scratch import scratch_database
from utils.db import connect

FINISHED, PENDING, FLOWS = 1_000_000, 20_000, 20
MANY = [f"flow_{number}" for number in range(FLOWS)]

# Without triggers, which would write an event for each row. Ids as an INSERT gives them: finished first, pending last.
FILL = f"""
set session_replication_role = replica;
insert into scrape_request_log (flow, platform, params, status, created_at, scraped_at, picked_at)
select 'flow_' || i % {FLOWS}, 'INSTAGRAM', '{{"handle": "natgeo"}}', 'COMPLETE', long_ago, long_ago, long_ago
    from generate_series(1, {FINISHED}) i, (select now() - interval '40 days' as long_ago) l;
insert into scrape_request_log (flow, platform, params, status, priority, expires_at, run_after)
select 'flow_' || i % {FLOWS}, 'INSTAGRAM', '{{"handle": "natgeo"}}', 'PENDING', i % 3,
    case when i % 2 = 0 then now() + interval '1 hour' - i * interval '0.2 s' end,
    case when i % 10 = 9 then now() + interval '1 hour' - i * interval '0.2 s' end from generate_series(1, {PENDING}) i;
insert into beat_worker (host, pid, flow, beat_at)
select 'h', i, 'w', now() - interval '1 day' * (i % 2) from generate_series(1, 300) i;
update scrape_request_log set status = 'PROCESSING', worker = id % 300 + 1, picked_at = now() - interval '1 minute'
where id > {FINISHED} and run_after is null and id % 17 = 0;
insert into beat_flow (flow, retain) select unnest(array['flow_1', 'flow_2']), interval '30 days';
reset session_replication_role"""


@pytest.fixture(scope="module")
async def million(stack_env: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    async with scratch_database(stack_env["PG_URL"]) as url:
        await migrate(url)
        connection = await connect(url, name="plans", command_timeout_s=None)
        await connection.execute("set synchronous_commit = off")
        await connection.execute(FILL)
        await connection.execute("vacuum analyze")
        yield connection
        await connection.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def rows_of(node: dict[str, Any]) -> int:
    """Rows that a scan has read at least: EXPLAIN rounds what one loop of many has read."""
    loops = int(node["Actual Loops"])
    return (int(node["Actual Rows"]) + int(node.get("Rows Removed by Filter", 0))) * loops - loops // 2


class Plan:
    """What EXPLAIN ANALYZE says of reading scrape_request_log."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.scans = [node for node in nodes(root) if "Scan" in node["Node Type"]]
        queue = [node for node in self.scans if node.get("Relation Name") == "scrape_request_log"]
        self.indexes = {node.get("Index Name", node["Node Type"]) for node in queue} | {
            node["Index Name"] for node in self.scans if node["Node Type"] == "Bitmap Index Scan"
        }
        self.rows = sum(rows_of(node) for node in queue)

    def of(self, table: str) -> list[dict[str, Any]]:
        """The scans of another table."""
        return [node for node in self.scans if node.get("Relation Name") == table]


async def explain(pg: asyncpg.Connection, statement: str, *args: Any, at: str = "select 1") -> Plan:
    """The plan of a statement that is run and rolled back, ``at`` having been run before it."""
    transaction = pg.transaction()
    await transaction.start()
    try:
        await pg.execute(at)
        text = await pg.fetchval("explain (analyze, buffers, format json) " + statement, *args)
    finally:
        await transaction.rollback()
    return Plan(json.loads(text)[0]["Plan"])


def step_args(flows: list[str], free: int) -> tuple[Any, ...]:
    return flows, [free] * len(flows), 1, [], [], [], []


@pytest.mark.parametrize(("flows", "free"), [(MANY[:1], 1), (MANY[:1], 100), (MANY, 5)])
@pytest.mark.parametrize(
    ("statement", "index"), [(sql.STEP, "srl_claim"), (sql.STEP_OLDEST_FIRST, "srl_fifo")], ids=["priority", "age"]
)
async def test_a_claim_reads_its_index_and_the_rows_it_takes(
    million: asyncpg.Connection, statement: str, index: str, flows: list[str], free: int
) -> None:
    plan = await explain(million, statement, *step_args(flows, free))
    assert plan.indexes == {index, "crawl_dump_pkey"}
    assert 0 < plan.rows <= 2 * free * len(flows)


async def test_a_probe_reads_one_row_of_each_flow(million: asyncpg.Connection) -> None:
    plan = await explain(million, sql.TICK, [*MANY, "flow_without_work"], 15.0)
    assert plan.indexes == {"srl_fifo", "srl_later", "srl_expiry"}
    assert plan.rows <= len(MANY) + 2


async def test_a_rescue_reads_the_tasks_of_the_dead(million: asyncpg.Connection) -> None:
    held = await million.fetchval("select count(*) from scrape_request_log where worker = any(array[1, 2, 3])")
    plan = await explain(million, sql.RESCUE_WORKERS, [1, 2, 3], MANY, [3] * FLOWS)
    assert plan.indexes == {"srl_running", "crawl_dump_pkey"}
    assert 0 < plan.rows <= 2 * held


async def test_a_rescue_of_hosts_reads_only_what_runs(million: asyncpg.Connection) -> None:
    running = await million.fetchval("select count(*) from scrape_request_log where status = 'PROCESSING'")
    plan = await explain(million, sql.RESCUE_HOSTS, 15.0, MANY, [3] * FLOWS)
    assert plan.indexes == {"srl_running", "crawl_dump_pkey"}
    assert 0 < plan.rows <= 2 * running


async def test_expiry_reads_what_it_ends(million: asyncpg.Connection) -> None:
    plan = await explain(million, sql.EXPIRE.replace("now()", "now() + interval '2 hours'"))
    assert plan.indexes == {"srl_expiry", "crawl_dump_pkey"}
    assert 0 < plan.rows <= 2 * 5000


async def test_a_promotion_reads_what_is_due(million: asyncpg.Connection) -> None:
    plan = await explain(million, sql.PROMOTE.replace("now()", "now() + interval '2 hours'"))
    assert plan.indexes == {"srl_later", "crawl_dump_pkey"}
    assert 0 < plan.rows <= 2 * 1000


@pytest.mark.parametrize("after", [0, 700_000])
async def test_pruning_walks_the_primary_key_a_batch_at_a_time(million: asyncpg.Connection, after: int) -> None:
    plan = await explain(million, retention.PRUNE, ["flow_1", "flow_2"], timedelta(days=30), after)
    assert plan.indexes == {"crawl_dump_pkey"}
    assert 0 < plan.rows <= 2 * 5000


@pytest.mark.parametrize("index", ["srl_claim", "srl_fifo"])
async def test_a_claim_without_its_index_is_noticed(million: asyncpg.Connection, index: str) -> None:
    statement = sql.STEP if index == "srl_claim" else sql.STEP_OLDEST_FIRST
    plan = await explain(million, statement, *step_args(MANY[:1], 5), at=f"drop index {index}")
    assert index not in plan.indexes
