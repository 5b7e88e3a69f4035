"""`beatctl pool status`: what it shows of hosts, flows, events, schedules and an old transaction."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest

from core.queue.status import FlowState
from tests.support.beatctl import Run, runner
from tests.support.pool import queue_tasks, running_pool, wait_for_statuses
from tests.support.schedules import plant
from utils.db import connect

WORKER = """
insert into beat_worker (host, pid, flow, slots, beat_at)
values ($1, 1, 'w', $2::text::jsonb, now() - $3::float8 * interval '1 second')"""


@pytest.fixture
def beatctl(program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner({**program_env, "BEAT_EXTRA_FLOWS": "tests.support.flows"}, monkeypatch, capsys)


async def test_an_empty_pool_says_so(beatctl: Run, clean_db: str) -> None:
    ran = await beatctl("pool", "status")
    assert (ran.code, ran.err) == (0, "")
    assert "events: 0 wait for the broker; relay: none works" in ran.out
    assert "schedules: 0 enabled\n" in ran.out


async def test_hosts_flows_events_schedules_and_holders_are_shown(
    beatctl: Run, pg: asyncpg.Connection, clean_db: str
) -> None:
    workers = (
        ("a", {"test_nap": 2}, 1), ("a", {"test_mark": 3}, 2), ("b", {"test_nap": 5}, 99), ("c", {"test_nap": 4}, 1)
    )  # fmt: skip
    for host, slots, age_s in workers:
        await pg.execute(WORKER, host, json.dumps(slots), age_s)
    await queue_tasks(pg, "test_nap", 3)
    await queue_tasks(pg, "test_broken", 1)
    await pg.execute("update scrape_request_log set created_at = now() - interval '3 hours' where id = 1")
    await pg.execute("update scrape_request_log set run_after = now() + interval '1 hour' where id = 2")
    await pg.execute("update scrape_request_log set status = 'PROCESSING', worker = 1, picked_at = now() where id = 3")
    await pg.execute("insert into beat_flow (flow, paused, slots) values ('test_mark', true, 7)")
    await plant(pg, "well")
    await plant(pg, "sick")
    await plant(pg, "off")
    await pg.execute("update scrape_schedule set last_outcome = 'failed' where name <> 'well'")
    await pg.execute("update scrape_schedule set enabled = name <> 'off', next_run_at = '2098-01-01'")
    await pg.execute("update scrape_schedule set next_run_at = '2097-01-01' where name = 'off'")
    export = await connect(clean_db, name="export")
    await export.execute("begin isolation level repeatable read")
    await export.fetch("select pg_advisory_lock(4711)")  # as relays hold one
    await export.fetch("select 'planted-value' from beat_flow")
    await asyncio.sleep(1.1)
    found = json.loads((await beatctl("pool", "status", "--json")).out)
    shown = (await beatctl("pool", "status")).out
    pid = export.get_server_pid()
    export.terminate()
    hosts = {one["host"]: one for one in found["hosts"]}
    assert (hosts["a"]["processes"], hosts["a"]["slots"], hosts["a"]["alive"]) == (2, 5, True)
    assert (hosts["a"]["flows"], hosts["b"]["alive"], hosts["b"]["lost"]) == (["test_mark", "test_nap"], False, 1)
    flows = {one["flow"]: one for one in found["flows"]}
    nap = flows["test_nap"]
    assert (nap["ready"], nap["delayed"], nap["running"], nap["slots"], nap["workers"]) == (1, 1, 1, 6, 2)
    assert (found["relay"], found["next_run"][:10]) == (None, "2098-01-01")
    assert 10_799 < nap["oldest_s"] < 10_900
    assert (nap["state"], flows["test_mark"]["state"], flows["test_broken"]["state"]) == ("open", "paused", "no worker")
    assert flows["test_mark"]["cap"] == 7
    assert (found["events"], found["schedules"], found["unwell"]) == (4, 2, ["sick"])
    (holder,) = [one for one in found["holders"] if one["application"] == "export"]
    assert (holder["pid"], holder["query"]) == (pid, "select ? from beat_flow")
    assert all(word in shown for word in ("no worker", "paused", "3 h 0 min", "lost", "went wrong: sick"))
    assert f"holds back vacuum: pid {holder['pid']} (export) for" in shown
    assert "planted-value" not in shown


async def test_a_pool_that_runs_is_seen_with_its_relay(
    beatctl: Run, pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    async with running_pool(program_env, WORKER_FLOWS="test_nap", BEAT_HOST_ID="here") as pool:
        await pool.wait_for_line("pool is ready")
        await pool.wait_for_line("relay started")
        await queue_tasks(pg, "test_nap", 1)
        await wait_for_statuses(pg, {"COMPLETE": 1})
        found = json.loads((await beatctl("pool", "status", "--json")).out)
        assert await pool.stop() == 0
    (host,) = found["hosts"]
    assert (host["host"], host["alive"], host["flows"]) == ("here", True, ["test_nap"])
    assert found["relay"].startswith("pid ")


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "open"),
        ({"ready": 1}, "open"),
        ({"ready": 1, "running": 4, "free": 0}, "busy"),
        ({"ready": 1, "running": 1, "free": 0}, "busy"),
        ({"running": 4, "free": 0}, "open"),
        ({"ready": 1, "running": 2, "cap": 2}, "busy"),
        ({"ready": 1, "cap": 0}, "no slots"),
        ({"cap": -3}, "no slots"),
        ({"ready": 1, "workers": 0}, "no worker"),
        ({"workers": 0}, ""),
        ({"paused": True, "ready": 1}, "paused"),
    ],
)
def test_the_state_of_a_flow_is_what_keeps_it(changes: dict[str, int], state: str) -> None:
    rest = {"flow": "f", "ready": 0, "oldest_s": None, "delayed": 0, "running": 0, "workers": 2, "slots": 4, "free": 4}
    assert FlowState(**{**rest, "cap": None, "paused": False, **changes}).state == state  # type: ignore[arg-type]
