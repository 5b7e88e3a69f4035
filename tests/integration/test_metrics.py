"""What Prometheus reads: counts of a real pool and of this process, gauges of the database, through the route."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from config import Settings
from core.flows.registry import build_registry
from core.metrics import COUNTS, DURATION, PICKUP, PROVIDER_REQUESTS, TASKS, Counts, Sample, columns, messages
from core.queue import child
from core.queue.link import MAX_MESSAGE, Link, socket_pair
from core.queue.queue import QueueUnavailable
from core.queue.upkeep import Upkeep
from tests.support.api import running_api
from tests.support.flows import MARKS
from tests.support.pool import queue_tasks, running_pool, wait_for_statuses
from tests.support.postgres import SOMEONE_WAITS, held_table
from tests.support.relay import until
from tests.support.schedules import plant
from utils.db import connect

BREAK = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name = 'beat supervisor here'"""
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    COUNTS.take()
    async with running_api(settings) as client:
        yield client


async def scrape(api: httpx2.AsyncClient) -> Samples:
    answer = await api.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    families = list(text_string_to_metric_families(answer.text))
    assert all(family.documentation and family.name.startswith("beat_") for family in families)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


async def test_a_pools_counts_reach_the_api(
    pg: asyncpg.Connection, program_env: dict[str, str], api: httpx2.AsyncClient
) -> None:
    await pg.execute(MARKS)
    async with running_pool(program_env, WORKER_FLOWS="test_nap,test_missing,test_broken,test_suicidal") as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(pg, "test_nap", 20, low_ms=1, high_ms=1)
        for flow in ("test_missing", "test_broken", "test_suicidal"):
            await queue_tasks(pg, flow, 1)
        await pg.execute("update scrape_request_log set max_retries = 1 where flow = 'test_suicidal'")
        await pool.wait_for_line("tasks of lost workers were rescued")
        await wait_for_statuses(pg, {"COMPLETE": 20, "FAILED": 2, "PENDING": 1})
        assert await pool.stop() == 0
    seen = await scrape(api)
    assert value(seen, "beat_tasks_total", flow="test_nap", outcome="complete") == 20
    assert value(seen, "beat_tasks_total", flow="test_missing", outcome="failed") == 1
    assert value(seen, "beat_task_retries_total", flow="test_broken", reason="KeyError") == 1
    assert value(seen, "beat_rescued_total") == 1
    assert value(seen, "beat_task_duration_seconds_count", flow="test_nap", outcome="done") == 20
    assert value(seen, "beat_task_duration_seconds_bucket", flow="test_nap", outcome="done", le="600") == 20
    assert value(seen, "beat_task_pickup_seconds_count", flow="test_nap") == 20
    assert 0 < value(seen, "beat_task_pickup_seconds_sum", flow="test_nap") < 20 * 60
    assert await pg.fetchval("select count(*) from beat_metric") > 5


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "20000-01-01"])
async def test_a_task_created_when_no_date_is_does_not_end_the_metrics(
    pg: asyncpg.Connection, api: httpx2.AsyncClient, moment: str
) -> None:
    await queue_tasks(pg, "test_nap", 1)
    await pg.execute("update scrape_request_log set created_at = $1::text::timestamptz", moment)
    seen = await scrape(api)
    assert value(seen, "beat_queue_depth_tasks", flow="test_nap") == 1
    assert (value(seen, "beat_queue_oldest_age_seconds", flow="test_nap") > 0) is moment.startswith("-")


async def test_gauges_are_those_of_the_database_and_kept_for_some_seconds(
    pg: asyncpg.Connection, api: httpx2.AsyncClient
) -> None:
    await queue_tasks(pg, "test_nap", 3)
    await pg.execute("update scrape_request_log set created_at = now() - interval '1 hour' where id = 1")
    await queue_tasks(pg, "test_mark", 2)
    await pg.execute("update scrape_request_log set run_after = now() + interval '1 hour' where id = 5")
    await pg.execute("insert into event_confirmed (routing_key, confirmed) values ('k', 7)")
    await pg.execute("insert into beat_flow (flow, paused) values ('test_nap', true), ('test_mark', false)")
    await pg.execute("update scrape_request_log set status = 'PROCESSING', worker = 1, picked_at = now() where id = 4")
    await pg.execute("update event_outbox set created_at = now() - interval '2 hours' where entity_key = '1'")
    await pg.execute("insert into beat_worker (host, pid, flow, slots) values ('h', 1, 'w', '{}'), ('h', 2, 'w', '{}')")
    for name in ("well", "sick", "off"):
        await plant(pg, name)
    await pg.execute("update scrape_schedule set last_outcome = 'failed', enabled = name <> 'off' where name <> 'well'")
    COUNTS.add(PROVIDER_REQUESTS, "graphapi", "ok", by=2)
    seen = await scrape(api)
    assert value(seen, "beat_queue_depth_tasks", flow="test_nap") == 3
    assert 3600 <= value(seen, "beat_queue_oldest_age_seconds", flow="test_nap") < 3660
    assert value(seen, "beat_queue_delayed_tasks") == 1
    assert value(seen, "beat_queue_running_tasks") == 1
    assert value(seen, "beat_workers") == 2
    assert value(seen, "beat_schedules_unwell") == 1
    assert 7200 <= value(seen, "beat_outbox_lag_seconds") < 10_800
    assert value(seen, "beat_outbox_depth_events") == 5
    assert value(seen, "beat_events_confirmed_total", routing_key="k") == 7
    assert value(seen, "beat_flows_paused") == 1
    assert value(seen, "beat_provider_requests_total", source="graphapi", outcome="ok") == 2
    assert value(seen, "beat_rescued_total") == 0
    names = {name for name, _ in seen}
    assert {"beat_queue_dead_rows", "beat_oldest_transaction_seconds", "beat_workers", "beat_schedules_unwell"} <= names
    await queue_tasks(pg, "test_nap", 1)
    assert await scrape(api) == seen


async def test_counts_of_buckets_that_were_given_up_are_in_the_last_one(
    pg: asyncpg.Connection, api: httpx2.AsyncClient
) -> None:
    """As an older version, or one that is newer on another host, may have counted."""
    await pg.executemany(
        "insert into beat_metric (name, labels, value) values ('beat_task_pickup_seconds_bucket', $1, 1)",
        [('["test_nap", "0"]',), ('["test_nap", "99"]',)],
    )
    seen = await scrape(api)
    assert value(seen, "beat_task_pickup_seconds_bucket", flow="test_nap", le="3600") == 1
    assert value(seen, "beat_task_pickup_seconds_bucket", flow="test_nap", le="+Inf") == 2


async def test_counts_outlive_a_database_that_fails(api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    COUNTS.add(PROVIDER_REQUESTS, "graphapi", "ok", by=2)
    with monkeypatch.context() as broken:
        broken.setattr("core.api.metrics.NOW", "select 1 / 0")
        assert (await api.get("/metrics")).status_code == 500
    COUNTS.add(PROVIDER_REQUESTS, "graphapi", "ok")
    assert value(await scrape(api), "beat_provider_requests_total", source="graphapi", outcome="ok") == 3


async def test_counts_that_come_in_while_others_are_stored_are_kept(
    pg: asyncpg.Connection, settings: Settings, api: httpx2.AsyncClient
) -> None:
    def told(count: int) -> str:
        return json.dumps([["beat_tasks_total", '["a flow", "complete"]', count]])

    upkeep = Upkeep(settings, build_registry(), "here")
    upkeep.count(told(1))
    blocked = await connect(settings.database.pg_url, name="test")
    transaction = blocked.transaction()
    await transaction.start()
    await blocked.execute("lock table beat_metric")
    storing = asyncio.create_task(upkeep.store_counts())
    while not await pg.fetchval(SOMEONE_WAITS):
        await asyncio.sleep(0.01)
    upkeep.count(told(2))
    await transaction.rollback()
    await storing
    upkeep.count(told(4))
    await upkeep.store_counts()
    await upkeep.aclose()
    await blocked.close()
    assert value(await scrape(api), "beat_tasks_total", flow="a flow", outcome="complete") == 7


async def test_counts_outlive_a_socket_that_is_full() -> None:
    COUNTS.take()
    ours, theirs = socket_pair()
    link = Link(theirs, lambda _: None, lambda: None)
    COUNTS.watch(lambda: asyncio.get_running_loop().call_later(0.05, child.hand_on, link))
    try:
        while link.tell("full", "x" * 10_000):
            pass
        for _ in range(3):
            COUNTS.add(TASKS, "a flow", "complete")
            COUNTS.observe(DURATION, [0.2, 70], "a flow", "done")
            await asyncio.sleep(0.1)  # handed on, and refused
        counted = await read_all(ours)
    finally:
        COUNTS.watch(lambda: None)
        COUNTS.take()
        link.close()
        ours.close()
    names, labels, values = columns(counted)
    found = dict(zip(zip(names, labels, strict=True), values, strict=True))
    assert found["beat_tasks_total", '["a flow", "complete"]'] == 3
    assert found["beat_task_duration_seconds_bucket", '["a flow", "done", "1"]'] == 3
    assert found["beat_task_duration_seconds_sum", '["a flow", "done"]'] == pytest.approx(3 * 70.2)
    assert len(counted) == 4, "what was refused again and again is one sum"


async def read_all(end: socket.socket) -> list[Sample]:
    """The counts that come within half a second after the backlog."""
    counted: list[Sample] = []
    for _ in range(50):
        with contextlib.suppress(BlockingIOError):
            while True:
                word, text = end.recv(MAX_MESSAGE, socket.MSG_DONTWAIT).decode().split(" ")
                if word == "counts":
                    counted += [(name, labels, count) for name, labels, count in json.loads(text)]
        await asyncio.sleep(0.01)
    return counted


@pytest.mark.parametrize("reads", [True, False])
async def test_the_last_counts_wait_a_moment_for_room(monkeypatch: pytest.MonkeyPatch, *, reads: bool) -> None:
    monkeypatch.setattr(child, "LAST_TRIES", 15)
    COUNTS.take()
    ours, theirs = socket_pair()
    link = Link(theirs, lambda _: None, lambda: None)
    while link.tell("full", "x" * 10_000):
        pass
    COUNTS.add(TASKS, "a flow", "complete")
    ending = asyncio.create_task(child.hand_on_last(link))
    await asyncio.sleep(0.1)
    counted = await read_all(ours) if reads else []
    await asyncio.wait_for(ending, 2)
    assert (len(counted), len(COUNTS.take())) == ((1, 0) if reads else (0, 1))
    link.close()
    ours.close()


@pytest.mark.parametrize("breaks", [False, True])
async def test_what_a_pool_counts_while_it_stores_counts_is_stored_next(
    pg: asyncpg.Connection, clean_db: str, settings: Settings, *, breaks: bool
) -> None:
    """And once more what was being stored, when its session breaks."""
    COUNTS.take()
    upkeep = Upkeep(settings, build_registry(), "here")
    upkeep.count('[["some","[]",1]]')
    async with held_table(clean_db, "beat_metric"):
        storing = asyncio.gather(upkeep.store_counts(), return_exceptions=True)
        await until(partial(pg.fetchval, SOMEONE_WAITS))
        upkeep.count('[["some","[]",2]]')
        if breaks:
            await pg.execute(BREAK)
            await storing
    assert [type(error) for error in await storing] == [QueueUnavailable if breaks else type(None)]
    for _ in range(2):
        await upkeep.store_counts()
        assert await pg.fetchval("select value from beat_metric where name = 'some'") == 3
    await upkeep.aclose()


def test_counts_are_handed_on_once_and_add_up() -> None:
    counts, firsts = Counts(), []
    counts.watch(lambda: firsts.append(1))
    for _ in range(2):
        counts.add(TASKS, "a flow", "complete")
        counts.observe(DURATION, [0.2], "a flow", "done")
        counts.observe(PICKUP, [9999, -1], "a flow")
    counts.add(TASKS, "nothing", "complete", by=0)
    taken = counts.take()
    assert (len(firsts), counts.take()) == (1, [])
    counts.add(TASKS, "a flow", "failed")
    assert len(firsts) == 2
    texts = list(messages(taken, longest=150))
    assert len(texts) > 1
    assert all(" " not in text and len(text) <= 150 for text in texts)
    back = [tuple(sample) for text in texts for sample in json.loads(text)]
    assert back == taken
    names, labels, values = columns([*taken, *taken])
    assert values[names.index("beat_tasks_total")] == 4
    assert values[names.index("beat_task_duration_seconds_sum")] == pytest.approx(0.8)
    assert values[names.index("beat_task_pickup_seconds_sum")] == 4 * 9999
    assert '["a flow", "11"]' in labels, "beyond the last bound"
