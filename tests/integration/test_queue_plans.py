"""Plans of the queue's statements over a million finished rows: the index each must read, how few rows it touches."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from core.queue import retention, status
from core.queue import statements as sql
from core.queue.queue import STEP
from core.queue.upkeep import STRAYS
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
async def million_url(stack_env: dict[str, str]) -> AsyncIterator[str]:
    async with scratch_database(stack_env["PG_URL"]) as url:
        await migrate(url)
        yield url


@pytest.fixture(scope="module")
async def million(million_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(million_url, name="plans", command_timeout_s=None)
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
        self.indexes = {
            node.get("Index Name", node["Node Type"])
            for node in self.scans
            if node in queue or node["Node Type"] == "Bitmap Index Scan"
        } - {"Bitmap Heap Scan"}
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


def claim_args(flows: list[str], free: int) -> tuple[Any, ...]:
    return flows, [free] * len(flows), 1


LATER = "now() + interval '2 hours'"
KNOWN = [MANY, [3] * FLOWS]
RUNNING = "(select count(*) from scrape_request_log where status = 'PROCESSING')"
HELD_BY_THREE = "(select count(*) from scrape_request_log where worker = any(array[1, 2, 3]))"
PKEY = "crawl_dump_pkey"


@dataclass(frozen=True)
class Statement:
    """A statement that runs all the time, the indexes that it must read, and the rows that it may touch: a number, or
    a query for it. ``drop``: the index without which its plan must change."""

    name: str
    sql: str
    args: tuple[Any, ...]
    indexes: frozenset[str]
    rows: int | str
    drop: str

    def __str__(self) -> str:
        return self.name


def reading(
    name: str, statement: str, *args: Any, by: str, rows: int | str, alone: bool = False, also: Sequence[str] = ()
) -> Statement:
    """One that finds rows by an index, and writes them (unless ``alone``) by the primary key."""
    indexes = {by, *also} if alone else {by, PKEY, *also}
    return Statement(name, statement, args, frozenset(indexes), rows, by)


CLAIMS = [
    reading(f"{word} of {len(flows)} flows, {free} slots", sql_text, *claim_args(flows, free), by=index,
            rows=2 * free * len(flows))
    for word, sql_text, index in (
        ("claim", sql.CLAIM, "srl_claim"), ("claim by age", sql.CLAIM_OLDEST_FIRST, "srl_fifo"))
    for flows, free in ((MANY[:1], 1), (MANY[:1], 100), (MANY, 5))
]  # fmt: skip
STATEMENTS = [
    *CLAIMS,
    reading("rescue of three", sql.RESCUE_WORKERS, [1, 2, 3], *KNOWN, by="srl_running", rows=f"2 * {HELD_BY_THREE}"),
    reading("rescue of hosts", sql.RESCUE_HOSTS, 15.0, *KNOWN, by="srl_running", rows=f"2 * {RUNNING}"),
    reading("rescue of orphans", sql.RESCUE_ORPHANS, True, *KNOWN, by="srl_running", rows=f"3 * {RUNNING}"),
    reading("rescue of rows without a worker", STRAYS, by="srl_running", rows=RUNNING),
    reading("expiry", sql.EXPIRE.replace("now()", LATER), by="srl_expiry", rows=2 * 5000,
            also=("srl_claim", "srl_fifo")),
    reading("promotion", sql.PROMOTE.replace("now()", LATER), by="srl_later", rows=2 * 1000),
    reading("held", sql.HELD, 1, by="srl_running", rows=HELD_BY_THREE, alone=True),
    reading("overdue", sql.OVERDUE, 1, MANY, [1.0] * FLOWS, by="srl_running", rows=HELD_BY_THREE, alone=True),
    reading("time-out", sql.TIME_OUT, 1, MANY, [1.0] * FLOWS, by="srl_running", rows=HELD_BY_THREE, alone=True),
    *(
        reading("look", sql.TICK, [*MANY, "flow_without_work"], 15.0, by=index, rows=FLOWS + 2)
        for index in ("srl_fifo", "srl_later", "srl_expiry")
    ),
    *(
        reading(f"pruning after {after}", retention.PRUNE, ["flow_1", "flow_2"], timedelta(days=30), after,
                by=PKEY, rows=2 * 5000, alone=True)
        for after in (0, 700_000)
    ),
    reading("flows of the pool", status.FLOWS, 15.0, by="srl_claim", rows=f"{PENDING} + 4 * {RUNNING} + {FLOWS}",
            also=("srl_later", "srl_running")),
    reading("failed lately", status.FAILED_LATELY, 50_000, by=PKEY, rows=50_000, alone=True),
    # Nothing unknown waits: it looks at one row of each flow.
    reading("search for unknown flows", sql.FAIL_UNKNOWN, MANY, ["flow_unbuilt"], by="srl_fifo", rows=2 * FLOWS),
    reading("failing of unknown flows", sql.FAIL_UNKNOWN, MANY[1:], [], by="srl_fifo",
            rows=2 * FLOWS + 2 * PENDING // FLOWS),
]  # fmt: skip


def look_reads(statement: Statement) -> frozenset[str]:
    """The look reads three indexes, each for one of its answers."""
    return frozenset({"srl_fifo", "srl_later", "srl_expiry"}) if statement.name == "look" else statement.indexes


@pytest.mark.parametrize("statement", STATEMENTS, ids=str)
async def test_a_statement_reads_its_index_and_few_rows(million: asyncpg.Connection, statement: Statement) -> None:
    most = statement.rows if isinstance(statement.rows, int) else await million.fetchval(f"select {statement.rows}")
    plan = await explain(million, statement.sql, *statement.args)
    assert plan.indexes == look_reads(statement)
    assert 0 < plan.rows <= most


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda one: f"{one} without {one.drop}")
async def test_a_missing_index_is_noticed(million: asyncpg.Connection, statement: Statement) -> None:
    """The test before would fail: another index or the whole table is read."""
    drop = (
        f"alter table scrape_request_log drop constraint {PKEY}"
        if statement.drop == PKEY
        else f"drop index {statement.drop}"
    )
    plan = await explain(million, statement.sql, *statement.args, at=drop)
    assert statement.drop not in plan.indexes
    assert plan.indexes != look_reads(statement)


def alone(complete: str) -> str:
    """Its parameters follow those of the claim: as a statement of its own it begins with $1."""
    return re.sub(r"\$(\d)", lambda found: f"${int(found[1]) - 2}", complete)


async def test_reports_find_their_rows_by_the_primary_key(million: asyncpg.Connection) -> None:
    """Completing, failing and handing back 100 tasks, whatever stands in the table."""
    rows = await million.fetch(
        "select id, picked_at from scrape_request_log where worker = any($1) limit 100", [*range(100)]
    )
    ids, tokens, some = [row["id"] for row in rows], [row["picked_at"] for row in rows], [""] * len(rows)
    nothing = [None] * len(rows)
    for statement, args in (
        (alone(sql.COMPLETE), (1, ids, tokens, some, nothing)),
        (sql.FAIL, (1, ids, tokens, some, nothing, some, ["BACKOFF"] * len(rows), [1.0] * len(rows), [3] * len(rows))),
        (sql.RELEASE, (1, ids, tokens)),
    ):
        plan = await explain(million, statement, *args)
        assert plan.indexes <= {PKEY, "srl_claim"}
        assert PKEY in plan.indexes
        assert plan.rows <= 2 * len(rows)


READ = """
select seq_tup_read, idx_tup_fetch from pg_stat_xact_user_tables where relname = 'scrape_request_log'"""


@pytest.mark.parametrize("pooled", [False, True], ids=["direct", "pooled"])
@pytest.mark.parametrize("oldest_first", [False, True], ids=["priority", "age"])
@pytest.mark.parametrize(("flows", "free"), [(MANY[:1], 1), (MANY[:1], 100), (MANY, 5)])
async def test_the_plan_that_workers_keep_reads_few_rows(
    million: asyncpg.Connection, million_url: str, oldest_first: bool, flows: list[str], free: int, pooled: bool
) -> None:
    """As they run it: a function whose call is prepared on a connection of their own, or not; planned once for all."""
    worker = await connect(million_url, name="plans", prepared=not pooled)
    transaction = worker.transaction()
    await transaction.start()
    try:
        claimed = 0
        for _ in range(3):
            rows = await worker.fetch(STEP, *claim_args(flows, free), [], [], [], [], oldest_first)
            claimed += len(rows) - 1
        read = await worker.fetchrow(READ)
    finally:
        await transaction.rollback()
        await worker.close()
    assert read is not None
    assert claimed >= 3 * free
    assert read["seq_tup_read"] == 0
    # Once to claim and once to write; and what the steps before have claimed is dead in the index until they commit.
    assert claimed <= read["idx_tup_fetch"] <= 4 * claimed
