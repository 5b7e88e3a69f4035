"""Bad input: each gets a clear error where its sender looks, and nothing else is disturbed."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from config import Settings
from credentials.manager import CredentialManager
from credentials.vault import Vault
from instagram.functions.retriever.crawler import INSTAGRAM
from tests.sandbox.universe import Creator, Kind, Trait, Universe
from tests.support.api import running_api
from tests.support.pool import ROOT, RunningPool, children_of, fork_servers_of, running_pool, wait_for_statuses
from tests.support.sandbox import Sandbox
from utils.db import open_database

FLOW = "refresh_profile_by_handle"
HANDLE = '\'{"handle": "natgeo"}\''
CAP_MB = 4


@dataclass(frozen=True)
class Bad:
    """A row as SQL words, and what its sender reads afterwards."""

    params: str
    said: str
    code: str = "BAD_INPUT"
    flow: str = FLOW
    platform: str = "'INSTAGRAM'"
    expires: str = "null"
    status: str = "FAILED"


BAD = [
    Bad(HANDLE, "flow: there is no flow refresh_everything; see docs/flows.md", "UNKNOWN_FLOW", "refresh_everything"),
    Bad("'{}'", "flow: test_unbuilt is not built yet", "NOT_BUILT", "test_unbuilt"),
    Bad("'[\"natgeo\"]'", "params: must be a JSON object, is list"),
    Bad("'\"natgeo\"'", "params: must be a JSON object, is str"),
    Bad("'7'", "params: must be a JSON object, is int"),
    Bad("'{}'", "params.handle: Field required"),
    Bad("'{\"handle\": null}'", "params.handle: Input should be a valid string"),
    Bad('\'{"handle": {"name": "natgeo"}}\'', "params.handle: Input should be a valid string"),
    Bad('\'{"handle": "  "}\'', "params.handle: String should have at least 1 character"),
    Bad('\'{"handle": "a", "colour": 1}\'', "params.colour: Extra inputs are not permitted"),
    Bad('\'{"Handle": "a"}\'', "params.handle: Field required; params.Handle: Extra inputs are not permitted"),
    Bad("jsonb_build_object('handle', repeat('x', 1 << 20))", "params: at most 262144 bytes of JSON, got 10485"),
    Bad("(repeat('[', 2000) || repeat(']', 2000))::jsonb", "params: nested too deeply"),
    Bad("jsonb_build_object('handle', repeat('9', 5000)::numeric)", "a number has too many digits"),
    Bad(HANDLE, "missing platform (such as INSTAGRAM)", platform="null"),
    Bad("null", "missing params (a JSON object, at least {})"),
    Bad(HANDLE, "platform: refresh_profile_by_handle is a flow of INSTAGRAM", platform="'YOUTUBE'"),
    Bad(HANDLE, "platform: refresh_profile_by_handle is a flow of INSTAGRAM", platform="'MYSPACE'"),
    Bad(HANDLE, "expired: not started", "EXPIRED", expires="now() - interval '1 minute'", status="EXPIRED"),
]
GOOD = 30


async def test_bad_rows_say_what_is_wrong_with_them_and_the_others_run(
    pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    rows = ",".join(f"('{one.flow}', {one.platform}, {one.params}::jsonb, ({one.expires})::timestamptz)" for one in BAD)
    insert = f"insert into scrape_request_log (flow, platform, params, expires_at) values {rows} returning id"
    expired = sum(one.status == "EXPIRED" for one in BAD)
    ends = {"FAILED": len(BAD) - expired, "EXPIRED": expired, "COMPLETE": GOOD}
    nap = "insert into scrape_request_log (flow, platform, params) select 'test_nap', 'INSTAGRAM', '{}'"
    async with running_pool(program_env, WORKER_FLOWS=f"{FLOW},test_nap", WORKER_SCALE="0.1") as pool:
        await pool.wait_for_line("pool is ready")
        ids = [row["id"] for row in await pg.fetch(insert)]
        await pg.execute(f"{nap} from generate_series(1, {GOOD})")
        await wait_for_statuses(pg, ends)
        assert await pool.stop() == 0
        assert noted(pool, "ERROR") == []
    for one, task_id in zip(BAD, ids, strict=True):
        row = await pg.fetchrow("select * from scrape_request_log where id = $1", task_id)
        assert row is not None
        assert one.said in row["data"]
        assert len(row["data"]) < 300
        assert (row["status"], row["error_code"], row["retry_count"]) == (one.status, one.code, 1)
        assert row["scraped_at"] is not None
    assert await pg.fetchval("select count(*) from beat_worker") == 0


@pytest.mark.parametrize(
    "params",
    [
        "(repeat('[', 3000) || repeat(']', 3000))::jsonb",
        "(repeat('[', 300) || repeat(']', 300))::jsonb",
        "jsonb_build_object('handle', repeat('9', 5000)::numeric)",
        "jsonb_build_object('handle', 1e400::numeric)",
        "jsonb_build_object('handle', repeat('x', 1 << 20))",
        "'7'",
    ],
)
async def test_a_row_with_any_params_can_be_shown_among_others(
    pg: asyncpg.Connection, settings: Settings, params: str
) -> None:
    insert = "insert into scrape_request_log (flow, platform, account_id, params) values ($1, 'INSTAGRAM', '42', "
    await pg.execute(f"{insert}{HANDLE})", FLOW)
    await pg.execute(f"{insert}{params})", FLOW)
    async with running_api(settings) as api:
        shown = await api.get("/scrape_request_log/flow/2")
        listed = await api.get("/list_scrape_data/42")
    assert (shown.status_code, shown.json()["post"]["scrape_id"]) == (200, 2)
    assert {task["scrape_id"] for task in listed.json()["scrape_list"]} == {1, 2}


ALL = len(INSTAGRAM.chain("fetch_profile_by_handle"))
SPOILED = {
    "truncated_json": ("PENDING", "(503, 'status 200 with ", "UPSTREAM", 8),
    "html": ("PENDING", "(503, 'the answer inside is no JSON", "UPSTREAM", 8),
    "huge_body": ("PENDING", "(503, 'body is larger than 4194304 bytes (POST https://", "UPSTREAM", 8),
    "error_in_200": ("PENDING", "(503, 'challenge_required \\x00 half a pair", "UPSTREAM", 8),
    "wrong_user": ("FAILED", "(404, 'the answer is about another handle')", "NOT_FOUND", 2),
}
"""Fault of every source -> status, data, error code, and how many sources the result tells of."""


def accounts(universe: Universe, count: int) -> Sequence[Creator]:
    """Business accounts with nothing odd about them."""
    creators = map(universe.creator, range(universe.size))
    return [who for who in creators if who.kind is Kind.BUSINESS and who.trait is Trait.PLAIN][:count]


async def register(settings: Settings, sandbox: Sandbox) -> None:
    """One credential a source, sealed with the pool's key."""
    database = open_database(settings.database.pg_url)
    manager = CredentialManager(database.sessions, Vault.from_ring(settings.secrets.beat_keys.get_secret_value()))
    for source, (first, *_) in sandbox.credentials.items():
        await manager.insert_creds(source, first.credentials, handle=first.handle)
    await database.dispose()


async def queue(pg: asyncpg.Connection, who: Creator) -> int:
    params = json.dumps({"handle": who.handle})
    insert = "insert into scrape_request_log (flow, platform, params) values ($1, 'INSTAGRAM', $2) returning id"
    return int(await pg.fetchval(insert, FLOW, params))


async def test_spoiled_answers_fail_their_own_task_and_no_other(
    pg: asyncpg.Connection, program_env: dict[str, str], settings: Settings, sandbox: Sandbox
) -> None:
    await register(settings, sandbox)
    spoiled, *fine = accounts(sandbox.universe, len(SPOILED) + 6)[len(SPOILED) - 1 :]
    victims = dict(zip(SPOILED, [spoiled, *accounts(sandbox.universe, len(SPOILED) - 1)], strict=True))
    for kind, who in victims.items():
        message = "challenge_required \x00 half a pair" if kind == "error_in_200" else None
        await sandbox.fault("*", kind, subject=who.handle, message=message)
    more = {"PROVIDER_SANDBOX_URL": sandbox.url, "HTTP_MAX_BODY_MB": str(CAP_MB), "RATE_WAIT_S": "30"}
    async with running_pool(program_env, WORKER_FLOWS=FLOW, WORKER_SCALE="0.1", **more) as pool:
        await pool.wait_for_line("pool is ready")
        good = [await queue(pg, who) for who in fine[:2]]
        await wait_for_statuses(pg, {"COMPLETE": 2})
        workers = children_of(fork_servers_of(pool.pid)[0])
        before = {pid: forget_peak(pid) for pid in workers}
        bad = {kind: await queue(pg, who) for kind, who in victims.items()}
        good += [await queue(pg, who) for who in fine[2:]]
        await wait_for_statuses(pg, {"COMPLETE": len(good), "PENDING": 4, "FAILED": 1})
        grown_mb = {pid: (memory(pid, "VmHWM") - before[pid]) / 1024 for pid in workers}
        assert await pool.stop() == 0
        assert [line for line in pool.lines if "child died" in line] == []
        assert [secret for secret in secrets(sandbox) if any(secret in line for line in pool.lines)] == []
    assert max(grown_mb.values()) < 8 * CAP_MB
    for kind, (status, data, code, told) in SPOILED.items():
        row = await pg.fetchrow("select * from scrape_request_log where id = $1", bad[kind])
        assert row is not None
        assert (row["status"], row["error_code"], row["retry_count"]) == (status, code, 1), kind
        assert row["data"].startswith(data)
        assert len(json.loads(row["result"])["sources"]) == told
        assert (row["run_after"] is not None) == (status == "PENDING")
        assert [secret for secret in secrets(sandbox) if secret in row["data"] + row["result"]] == []
    stored = {row["handle"] for row in await pg.fetch("select handle from instagram_account")}
    assert stored == {who.handle for who in fine}


def noted(pool: RunningPool, level: str) -> list[str]:
    """Log lines of a level."""
    return [line for line in pool.lines if f'"level": "{level}"' in line]


def memory(pid: int, name: str) -> int:
    """A figure of a process's status, in KB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def forget_peak(pid: int) -> int:
    """Measure the peak from now on; what the process has now, in KB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return memory(pid, "VmRSS")


def secrets(sandbox: Sandbox) -> list[str]:
    rows = [one.credentials for credentials in sandbox.credentials.values() for one in credentials]
    return [value for row in rows for name, value in row.items() if name in SECRET_NAMES]


SECRET_NAMES = ("token", "X-RapidAPI-Key", "x-access-key", "Authorization")
FREE_TEXT = {
    *("ENVIRONMENT", "BEAT_HOST_ID", "GRAPH_APP_SECRET", "API_HOST", "WORKER_FLOWS", "BEAT_KEYS"),
    *("AWS_BUCKET", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"),
    *("ASSET_SPOOL_DIR", "ASSET_CACHE_CONTROL", "WORKER_LISTENERS"),
}
"""Any text parses; some are looked at when the others are right."""


def variables() -> list[str]:
    """Every variable that the settings read."""
    groups: list[Any] = [field.annotation for field in Settings.model_fields.values()]
    return [(field.alias or name).upper() for group in groups for name, field in group.model_fields.items()]


async def started(program: str, environment: dict[str, str]) -> tuple[int | None, str]:
    """Exit code and standard error of a program that is refused at its start."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), 120)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, said.decode()


@pytest.mark.parametrize("program", ["server.py", "main.py"])
async def test_every_variable_that_does_not_parse_is_named_at_the_start(program: str) -> None:
    wrong = [name for name in variables() if name not in FREE_TEXT]
    assert len(wrong) > 25
    code, said = await started(program, {**os.environ, **dict.fromkeys(wrong, "p1anted-junk"), "ENVIRONMENT": "test"})
    assert code == 2
    assert [name for name in wrong if f"  {name}: " not in said] == []
    assert "Traceback" not in said
    assert "p1anted" not in said


async def test_a_key_ring_that_cannot_be_used_stops_the_pool_and_is_not_quoted() -> None:
    code, said = await started("main.py", {**os.environ, "ENVIRONMENT": "test", "BEAT_KEYS": "k1:p1anted=="})
    assert (code, "BEAT_KEYS" in said) == (2, True)
    assert "Traceback" not in said
    assert "p1anted" not in said


async def test_a_flow_that_does_not_exist_stops_the_pool_at_its_start() -> None:
    ring = "test:" + base64.b64encode(bytes(32)).decode()
    code, said = await started("main.py", {**os.environ, "BEAT_KEYS": ring, "WORKER_FLOWS": "refresh_everything"})
    assert (code, "WORKER_FLOWS: there is no flow 'refresh_everything'" in said) == (2, True)
    assert "Traceback" not in said
