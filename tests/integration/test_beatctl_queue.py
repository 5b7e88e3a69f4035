"""The operator's flow and task commands, on a real queue and, where it matters, a real pool."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from tests.support.beatctl import Run, runner
from tests.support.pool import ROOT, queue_tasks, running_pool, wait_for_statuses
from tests.support.relay import until

FLOW = "refresh_profile_by_handle"
INSERT = "insert into scrape_request_log (flow, platform, params) values ($1, 'INSTAGRAM', '{}') returning id"
WORKER = """
insert into beat_worker (host, pid, flow, slots) values ('planted-host', 4711, 'w', $1::text::jsonb) returning id"""


@pytest.fixture
def beatctl(program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner({**program_env, "BEAT_EXTRA_FLOWS": "tests.support.flows"}, monkeypatch, capsys)


async def test_what_is_set_on_a_flow_is_stored_listed_and_reset(beatctl: Run, pg: asyncpg.Connection) -> None:
    options = ["--slots", "4", "--priority", "-2", "--max-retries", "5", "--time-limit", "90", "--retain", "30d"]
    assert (await beatctl("flows", "set", FLOW, *options)).err == ""
    row = await pg.fetchrow("select * from beat_flow")
    assert row is not None
    assert (row["slots"], row["priority"], row["max_retries"], row["timeout_s"]) == (4, -2, 5, 90)
    assert row["retain"] == timedelta(days=30)
    assert (await beatctl("flows", "set", FLOW, "--slots", "reset", "--time-limit", "80")).code == 0
    row = await pg.fetchrow("select * from beat_flow")
    assert row is not None
    assert (row["slots"], row["priority"], row["timeout_s"], row["paused"]) == (None, -2, 80, False)
    assert (await beatctl("flows", "pause", FLOW, "test_nap")).out == f"{FLOW} is paused\ntest_nap is paused\n"
    listed = (await beatctl("flows", "list")).out
    assert all(word in listed for word in (FLOW, "test_nap", "paused", "30 days", "80"))
    assert "test_mark" not in listed
    assert "test_mark" in (await beatctl("flows", "list", "--all")).out
    await pg.execute("update beat_flow set retain = '100000000 years' where flow = $1", FLOW)
    assert "100000000 years" in (await beatctl("flows", "list")).out
    await beatctl("flows", "reset", FLOW)
    await beatctl("flows", "resume", "test_nap")
    assert [tuple(r) for r in await pg.fetch("select flow, paused from beat_flow")] == [("test_nap", False)]


async def test_a_flow_on_which_zero_was_set_is_listed(beatctl: Run, pg: asyncpg.Connection) -> None:
    await beatctl("flows", "set", FLOW, "--slots", "0")
    await beatctl("flows", "set", "test_nap", "--priority", "0")
    listed = (await beatctl("flows", "list")).out
    assert (FLOW in listed, "test_nap" in listed, "test_mark" in listed) == (True, True, False)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("flows", "pause", "no_flow"), 1, "there is no flow no_flow"),
        (("flows", "pause", FLOW, "no_flow"), 1, "there is no flow no_flow"),
        (("flows", "set", FLOW), 1, "nothing to set"),
        (("flows", "set", FLOW, "--slots", "-1"), 2, "at least 0"),
        (("flows", "set", FLOW, "--slots", "few"), 2, "invalid number"),
        (("flows", "set", FLOW, "--retain", "30"), 2, "30d"),
        (("tasks", "show", "77"), 1, "there is no task 77"),
        (("tasks", "explain", "77"), 1, "there is no task 77"),
        (("tasks", "add", FLOW, "--params", "{}"), 1, "params.handle: Field required"),
        (("tasks", "add", FLOW, "--params", "{"), 1, "no JSON"),
        (("tasks", "add", FLOW, "--params", "[" * 100_000), 1, "no JSON"),
        (("tasks", "add", FLOW, "--account", "x" * 256), 1, "account_id: String should have at most 255 characters"),
        (("tasks", "add", FLOW, "--account", "\udcff"), 1, "account_id: Input should be a valid string"),
        (("tasks", "add", FLOW, "--expires-in", "0"), 2, "at least 1"),
        (("tasks", "add", FLOW, "--expires-in", "-5"), 2, "at least 1"),
        (("tasks", "add", FLOW, "--expires-in", "9" * 20), 2, "68 years"),
        (("tasks", "retry", "77"), 1, "there is no task 77"),
        (("tasks", "load", "none.csv"), 1, "No such file"),
        (("tasks", "load", "none.txt"), 1, "--format"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
async def test_wrong_use_is_one_clear_line(
    beatctl: Run, clean_db: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ran = await beatctl(*arguments)
    assert (ran.code, said in ran.err, "Traceback" in ran.err) == (code, True, False)


async def test_a_task_is_added_shown_listed_cancelled_and_retried(beatctl: Run, pg: asyncpg.Connection) -> None:
    add = ("tasks", "add", FLOW, "--params", '{"handle": "natgeo"}', "--key", "k", "--account", "42", "--priority", "8")
    assert (await beatctl(*add)).out == "task 1 is queued\n"
    assert (await beatctl(*add)).out == "task 1 has that key already\n"
    shown = json.loads((await beatctl("tasks", "show", "1")).out)
    assert (shown["status"], shown["account_id"], shown["priority"], shown["expires_at"]) == ("PENDING", "42", 8, None)
    assert "natgeo" in (await beatctl("tasks", "list", "--flow", FLOW, "--status", "pending")).out
    assert "natgeo" not in (await beatctl("tasks", "list", "--account", "43")).out
    assert (await beatctl("tasks", "cancel", "1")).out == "task 1 is CANCELLED\n"
    assert (await beatctl("tasks", "retry", "1")).out == "task 1 is PENDING\n"
    await pg.execute("update scrape_request_log set status = 'COMPLETE'")
    ran = await beatctl("tasks", "cancel", "1")
    assert (ran.code, "has ended as COMPLETE" in ran.err) == (1, True)


async def test_files_are_loaded_and_bad_lines_named(beatctl: Run, pg: asyncpg.Connection, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text(
        "flow,params.handle,priority,idempotency_key\n"
        f'{FLOW},natgeo,3,k1\n{FLOW},"nasa, earth",,k2\n{FLOW},,,k3\n{FLOW},again,,k1\n',
        encoding="utf-8",
    )
    ran = await beatctl("tasks", "load", str(table))
    assert (ran.code, ran.out) == (1, "2 queued, 0 there already, 2 refused\n")
    assert ran.err.splitlines() == [
        "line 4: params.handle: Field required",
        "line 5: idempotency_key: belongs to task 1, which has another flow or other params",
    ]
    rows = await pg.fetch("select params->>'handle', priority from scrape_request_log order by id")
    assert [tuple(row) for row in rows] == [("natgeo", 3), ("nasa, earth", 1)]
    lines = '{"params": {"handle": "natgeo"}, "idempotency_key": "k1"}\n\n{"params": {"handle": "x"}}\n'
    piped = await beatctl("tasks", "load", "-", "--format", "ndjson", "--flow", FLOW, stdin=lines)
    assert (piped.code, piped.out) == (0, "1 queued, 1 there already, 0 refused\n")
    broken = await beatctl("tasks", "load", "-", "--format", "ndjson", stdin="{\n")
    assert (broken.code, broken.err.startswith("line 1: row: ")) == (1, True)


@pytest.mark.parametrize(
    ("form", "lines"),
    [("csv", "flow,params.handle\r\n,a\r\n"), ("ndjson", '{"params": {"handle": "a"}}\r\n')],
    ids=["csv", "ndjson"],
)
@pytest.mark.parametrize("piped", [True, False], ids=["piped", "a file"])
async def test_a_byte_order_mark_is_no_part_of_the_first_line(
    beatctl: Run, pg: asyncpg.Connection, tmp_path: Path, form: str, lines: str, piped: bool
) -> None:
    text = "\ufeff" + lines
    file = tmp_path / "rows.txt"
    file.write_text(text, encoding="utf-8", newline="")
    ran = await beatctl(
        "tasks", "load", "-" if piped else str(file), "--format", form, "--flow", FLOW, stdin=text if piped else ""
    )
    assert (ran.code, ran.out) == (0, "1 queued, 0 there already, 0 refused\n")


async def test_an_open_quote_swallows_no_rows(beatctl: Run, pg: asyncpg.Connection, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(f'flow,params.handle\n{FLOW},"a\n{FLOW},b\n', encoding="utf-8")
    ran = await beatctl("tasks", "load", str(file))
    assert (ran.code, "is no CSV after line 1: unexpected end of data" in ran.err) == (1, True)
    assert await pg.fetchval("select count(*) from scrape_request_log") == 0


async def test_a_column_that_is_there_twice_loses_no_cells(
    beatctl: Run, pg: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(f"flow,params.handle,params.handle,,\n{FLOW},a,b,,\n", encoding="utf-8")
    ran = await beatctl("tasks", "load", str(file))
    assert (ran.code, "is no CSV after line 1: column params.handle is there twice" in ran.err) == (1, True)
    assert await pg.fetchval("select count(*) from scrape_request_log") == 0


async def test_what_went_in_before_a_file_broke_off_is_said(
    beatctl: Run, pg: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    rows = "".join(f"{FLOW},h{n}\n" for n in range(12_000))
    file.write_bytes(f"flow,params.handle\n{rows}{FLOW},".encode() + b"\xff\n")
    ran = await beatctl("tasks", "load", str(file))
    assert (ran.code, ran.out) == (1, "10000 queued, 0 there already, 0 refused\n")
    assert "is not UTF-8" in ran.err


async def test_a_file_goes_in_ten_thousand_rows_at_a_time(beatctl: Run, pg: asyncpg.Connection, tmp_path: Path) -> None:
    file = tmp_path / "rows.ndjson"
    lines = [json.dumps({"params": {"handle": f"h{n}"}, "idempotency_key": f"k{n}"}) for n in range(10_003)]
    lines[10_001] = '{"params": {"handle": "another"}, "idempotency_key": "k7"}'
    file.write_text("\n".join(lines), encoding="utf-8")
    ran = await beatctl("tasks", "load", str(file), "--flow", FLOW)
    assert (ran.code, ran.out) == (1, "10002 queued, 0 there already, 1 refused\n")
    assert ran.err == "line 10002: idempotency_key: belongs to task 8, which has another flow or other params\n"
    sizes = await pg.fetch("select count(*) from scrape_request_log group by xmin::text order by 1")
    assert [row["count"] for row in sizes] == [2, 10_000]
    ran = await beatctl("tasks", "load", str(file), "--flow", FLOW)
    assert ran.out == "0 queued, 10002 there already, 1 refused\n"


async def test_a_reader_that_has_left_ends_a_command_without_a_traceback(program_env: dict[str, str]) -> None:
    """Short output stays in the buffer until the end."""
    env = {name: value for name, value in program_env.items() if name != "PYTHONUNBUFFERED"}
    read, write = os.pipe()
    os.close(read)
    command = (sys.executable, "-m", "scripts.beatctl", "flows", "pause", FLOW)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdout=write, stderr=asyncio.subprocess.PIPE
    )
    os.close(write)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (1, b"")


async def test_explain_names_the_fact_that_decides(beatctl: Run, pg: asyncpg.Connection) -> None:
    async def said(change: str = "select 1") -> str:
        await pg.execute(change)
        ran = await beatctl("tasks", "explain", str(task))
        assert ran.code == 0
        return ran.out

    task = await pg.fetchval(INSERT, FLOW)
    first, second = [await pg.fetchval(INSERT, FLOW) for _ in range(2)]
    assert "no_worker: no worker of refresh_profile_by_handle is alive" in await said()
    worker = await pg.fetchval(WORKER, json.dumps({FLOW: 1, "test_nap": 9}))
    assert "next: nothing: it is the next one" in await said()
    assert "0 of 1 slots are busy" in await said()
    assert "behind: 1 waiting tasks" in await said(f"update scrape_request_log set priority = 2 where id = {first}")
    running = (
        f"update scrape_request_log set status = 'PROCESSING', worker = {worker}, picked_at = now() where id = {second}"
    )
    assert "busy: all 1 slots of refresh_profile_by_handle are busy with 1 tasks; 1 waiting" in await said(running)
    assert "run_after: it waits until 2099-01-01 00:00:00 UTC, attempt 1" in await said(
        f"update scrape_request_log set run_after = '2099-01-01', error_code = 'RATE_LIMITED' where id = {task}"
    )
    assert "after RATE_LIMITED" in await said()
    assert "no_slots: " in await said(f"insert into beat_flow (flow, slots) values ('{FLOW}', 0)")
    assert f"paused: flow {FLOW} is paused: beatctl flows resume {FLOW}" in await said(
        "update beat_flow set paused = true"
    )
    assert "expired: it expired at 2020-01-01 00:00:00 UTC" in await said(
        f"update scrape_request_log set expires_at = '2020-01-01' where id = {task}"
    )
    held = await said(
        f"update scrape_request_log set status = 'PROCESSING', worker = {worker}, picked_at = now() where id = {task}"
    )
    assert f"held: it is running: held by worker {worker} (pid 4711) on host planted-host since" in held
    silent = await said("update beat_worker set beat_at = '2024-05-05'")
    assert f"; held: held by worker {worker} (pid 4711) on host planted-host since" in silent
    assert "last heartbeat 2024-05-05 00:00:00 UTC, which is longer ago than its lease: the supervisor of" in silent
    assert "is gone: a supervisor rescues it" in await said("delete from beat_worker")
    assert "held: it was set to PROCESSING by somebody who is no worker" in await said(
        "update scrape_request_log set worker = null, picked_at = null where status = 'PROCESSING'"
    )
    assert "held: it was set to PROCESSING by somebody" in await said("update scrape_request_log set worker = 1")
    ended = f"""update scrape_request_log set status = 'FAILED', scraped_at = '2024-05-05', error_code = 'NOT_FOUND',
        data = 'token=EAABplantedtokenplantedtoken' where id = {task}"""
    assert "finished: it has failed since 2024-05-05 00:00:00 UTC, attempt 1 (NOT_FOUND): token=***" in await said(
        ended
    )
    unknown = "update scrape_request_log set status = 'PENDING', flow = '{}' where id = {}"
    assert "unknown_flow: there is no flow 'typo'" in await said(unknown.format("typo", task))
    assert "not_built: test_unbuilt is not built yet" in await said(unknown.format("test_unbuilt", task))


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC"])
async def test_a_row_with_times_that_no_date_holds_is_shown_listed_explained_and_cancelled(
    beatctl: Run, pg: asyncpg.Connection, moment: str
) -> None:
    task = str(await pg.fetchval(INSERT, FLOW))
    times = ", ".join(f"{column} = $1::text::timestamptz" for column in ("created_at", "expires_at", "run_after"))
    await pg.execute(f"update scrape_request_log set {times}, status = 'PENDING'", moment)
    year = "0001-" if moment.startswith("-") or "BC" in moment else "9999-"
    assert f'"created_at": "{year}' in (await beatctl("tasks", "show", task)).out
    assert year in (await beatctl("tasks", "list")).out
    explained = (await beatctl("tasks", "explain", task)).out
    assert f" {year}" in explained
    held = "update scrape_request_log set status = 'PROCESSING', worker = 7, picked_at = $1::text::timestamptz"
    await pg.execute(held, moment)
    assert f"worker 7 held it since {year}" in (await beatctl("tasks", "explain", task)).out
    assert (await beatctl("tasks", "cancel", task)).out == f"task {task} is CANCELLED\n"


async def test_explain_counts_the_slots_of_the_asset_pool_while_it_is_alive(
    beatctl: Run, pg: asyncpg.Connection
) -> None:
    async def said(change: str = "select 1") -> str:
        await pg.execute(change)
        return (await beatctl("tasks", "explain", str(task))).out

    both = json.dumps({"asset_upload_flow": 2, "asset_upload_flow_stories": 2, "*": 2})
    await pg.execute(WORKER, json.dumps({"asset_upload_flow": 75}))
    task = await pg.fetchval(INSERT, "asset_upload_flow")
    assert "next: nothing: it is the next one of asset_upload_flow, 0 of 75 slots are busy" in await said()
    worker = await pg.fetchval(WORKER, both)
    assert "0 of 2 slots are busy" in await said(f"update beat_worker set flow = 'asset pool' where id = {worker}")
    for flow in ("asset_upload_flow", "asset_upload_flow_stories"):
        other = await pg.fetchval(INSERT, flow)
        running = f"status = 'PROCESSING', worker = {worker}, picked_at = now()"
        await pg.execute(f"update scrape_request_log set {running} where id = {other}")
    shared = "its processes run 2 tasks in the 2 slots that they have in all; 1 of 2 slots are busy"
    assert f"busy: all slots are busy: {shared}; 0 waiting" in await said()
    assert "no_slots: flow asset_upload_flow is capped at -3 slots" in await said(
        "insert into beat_flow (flow, slots) values ('asset_upload_flow', -3)"
    )


async def test_explain_knows_the_slots_that_the_flows_of_a_process_share(
    beatctl: Run, pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    single = {"SINGLE_WORKER": "1", "WORKER_GRACE_S": "0.1", "SCRAPE_LOG_MAX_CONCURRENCY_PER_LOOP": "2"}
    async with running_pool(program_env, WORKER_FLOWS="test_nap,test_mark", **single) as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(pg, "test_nap", 2, low_ms=60_000, high_ms=60_000)
        await wait_for_statuses(pg, {"PROCESSING": 2})
        (task,) = await queue_tasks(pg, "test_mark", 1)
        said = (await beatctl("tasks", "explain", str(task))).out
        found = json.loads((await beatctl("pool", "status", "--json")).out)
        assert await pool.stop() == 0
    shared = "its processes run 2 tasks in the 2 slots that they have in all"
    assert f"busy: all slots are busy: {shared}; 0 of " in said
    assert {one["flow"]: one["state"] for one in found["flows"]} == {"test_nap": "open", "test_mark": "busy"}
    assert (found["hosts"][0]["slots"], found["hosts"][0]["flows"]) == (2, ["test_mark", "test_nap"])


async def test_explain_looks_for_a_free_slot_in_each_process(beatctl: Run, pg: asyncpg.Connection) -> None:
    full, other = [await pg.fetchval(WORKER, json.dumps({FLOW: 2, "test_nap": 2, "*": 3})) for _ in range(2)]
    running = "update scrape_request_log set status = 'PROCESSING', worker = $1, picked_at = now() where id = $2"
    for worker, flow in ((full, FLOW), (full, FLOW), (other, "test_nap"), (other, "test_nap")):
        await pg.execute(running, worker, await pg.fetchval(INSERT, flow))
    task = await pg.fetchval(INSERT, FLOW)
    assert "next: nothing: it is the next one" in (await beatctl("tasks", "explain", str(task))).out
    await pg.execute(running, other, await pg.fetchval(INSERT, "test_nap"))
    said = (await beatctl("tasks", "explain", str(task))).out
    assert "its processes run 5 tasks in the 6 slots that they have in all; 2 of 4 slots are busy" in said


async def test_a_pause_and_a_cap_are_followed_within_seconds(
    beatctl: Run, pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    async with running_pool(program_env, WORKER_FLOWS="test_nap") as pool:
        await pool.wait_for_line("pool is ready")
        await beatctl("flows", "pause", "test_nap")
        await beatctl("flows", "set", "test_nap", "--slots", "1")
        await until(lambda: pg.fetchval("select sum(slots) = 1 from beat_slot"))  # the pool has seen both by now
        await asyncio.sleep(0.5)
        (task,) = await queue_tasks(pg, "test_nap", 1)
        assert "paused" in (await beatctl("tasks", "explain", str(task))).out
        await wait_for_statuses(pg, {"PENDING": 1}, within_s=1)
        await beatctl("flows", "resume", "test_nap")
        await wait_for_statuses(pg, {"COMPLETE": 1})
        assert "finished: it is complete since" in (await beatctl("tasks", "explain", str(task))).out
        assert await pool.stop() == 0


@pytest.mark.parametrize("command", [("tasks", "list"), ("pool", "status")], ids=" ".join)
async def test_a_url_that_the_driver_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    wrong = {"PG_URL": "postgresql://beat:hunter2@127.0.0.1:1/beat?sslmode=sometimes"}
    ran = await runner(wrong, monkeypatch, capsys)(*command)
    assert ran.code == 1
    assert ran.err.startswith("beatctl: PG_URL: `sslmode`")
    assert (ran.err.count("\n"), "hunter2" in ran.err) == (1, False)


async def test_a_full_disk_is_not_called_a_database_that_is_away(program_env: dict[str, str]) -> None:
    with Path("/dev/full").open("wb") as full:  # noqa: ASYNC230 - no file that one waits for
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scripts.beatctl", "tasks", "list"),
            env=program_env,
            stdout=full,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
    assert process.returncode == 1
    assert said == b"beatctl: the output cannot be written: No space left on device\n"
