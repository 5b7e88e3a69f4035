"""scripts/start.sh on the stack: what ran before is gone, no task is lost, and what is wrong stops nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from core.api.key_ring import digest_of, new_key
from scripts.migrate import load_migrations
from tests.support.flows import MARKS
from tests.support.media import bucket_env
from tests.support.pool import command_of, kill, queue_tasks, wait_for_statuses
from tests.support.ports import free_port, silent_port
from tests.support.s3 import S3Access

ROOT = Path(__file__).resolve().parents[2]
FLOW = "test_mark"
LEFT_OUT = ("__pycache__", ".*", "docs", "samples", "logs", "*.pid")


@dataclass(frozen=True)
class Deployment:
    """A copy of the code with settings of its own."""

    path: Path
    port: int

    async def start(self, *arguments: str) -> tuple[int, str]:
        """Run start.sh there: exit code and what it said."""
        process = await asyncio.create_subprocess_exec(
            self.path / "scripts" / "start.sh",
            *arguments,
            cwd="/",
            env={"PATH": os.environ["PATH"], "HEARTBEAT_WAIT_S": "3"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def deploy(self) -> str:
        """What a deploy that succeeds says."""
        code, said = await self.start(str(self.port), "stage")
        assert code == 0, said + self.logs()
        return said

    def pids(self) -> dict[str, int]:
        """What the pid files say."""
        return {name: int((self.path / name).read_text()) for name in ("beat.pid", "beat_server.pid")}

    def processes(self) -> dict[int, str]:
        """Every living process that was started there, by its working directory."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                here = entry.name.isdigit() and (entry / "cwd").resolve(strict=True) == self.path
            except OSError:
                continue
            if here:
                found[int(entry.name)] = command_of(int(entry.name))
        return found

    def logs(self) -> str:
        """The ends of the programs' logs."""
        return "\n".join(file.read_text()[-2000:] for file in self.path.glob("logs/*.log"))

    async def heartbeat(self) -> int:
        """What the load balancer gets."""
        address = f"http://127.0.0.1:{self.port}/heartbeat"
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            return answer.status


@pytest.fixture
async def deployment(tmp_path: Path, program_env: dict[str, str]) -> AsyncIterator[Deployment]:
    path = tmp_path / "beat"
    shutil.copytree(ROOT, path, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (path / ".venv").symlink_to(ROOT / ".venv")
    names = ("PG_URL", "PGBOUNCER_URL", "REDIS_URL", "RMQ_URL", "BEAT_KEYS")
    settings = {name: program_env[name] for name in names} | {
        "BEAT_EXTRA_FLOWS": "tests.support.flows",
        "WORKER_FLOWS": FLOW,
        "WORKER_LISTENERS": "none",
        "WORKER_GRACE_S": "6",
    }
    lines = ["# settings of stage", "", *(f"{name}={value}" for name, value in settings.items())]
    (path / ".env.stage").write_bytes("\r\n".join(lines).encode())  # as some editors leave it
    here = Deployment(path, free_port())
    yield here
    for _ in range(2 if here.processes() else 0):  # the second signal hurries
        for pid, command in here.processes().items():
            if is_program(command):
                os.kill(pid, signal.SIGTERM)
        await asyncio.sleep(0.5)
    for _ in range(600):
        if not here.processes():
            break
        await asyncio.sleep(0.1)
    for pid in here.processes():
        kill(pid)


@pytest.fixture
async def marks(pg: asyncpg.Connection) -> asyncpg.Connection:
    await pg.execute(MARKS)
    await pg.execute("truncate task_mark")
    return pg


async def test_a_second_deploy_leaves_no_old_process_and_loses_no_running_task(
    deployment: Deployment, marks: asyncpg.Connection
) -> None:
    await deployment.deploy()
    before, old = deployment.pids(), deployment.processes()
    assert set(before.values()) <= set(old)
    assert await deployment.heartbeat() == 200
    deploying = asyncio.create_task(deployment.deploy())
    while await deployment.heartbeat() == 200:
        await asyncio.sleep(0.05)
    (short,) = await queue_tasks(marks, FLOW, 1, low_ms=4_000, high_ms=4_000)  # within the grace period
    (long,) = await queue_tasks(marks, FLOW, 1, low_ms=60_000, high_ms=60_000)  # beyond it
    await wait_for_statuses(marks, {"PROCESSING": 2})
    said = await deploying
    assert "hurrying" not in said
    new = deployment.processes()
    assert not set(old) & set(new)
    assert set(deployment.pids().values()) <= set(new)
    assert sorted(command.split()[-1] for command in new.values() if is_program(command)) == ["main.py", "server.py"]
    assert await deployment.heartbeat() == 200
    await wait_for_statuses(marks, {"COMPLETE": 1, "PROCESSING": 1})
    while await marks.fetchval("select count(*) from task_mark") < 3:  # claimed, and about to say so
        await asyncio.sleep(0.05)
    runs = await marks.fetch("select task_id, array_agg(attempt) from task_mark group by 1 order by 1")
    assert [tuple(row) for row in runs] == [(short, [1]), (long, [1, 1])]


async def test_the_asset_pool_runs_where_there_is_a_bucket_and_is_drained_by_every_deploy(
    deployment: Deployment, marks: asyncpg.Connection, s3: S3Access
) -> None:
    settings, pids = deployment.path / ".env.stage", deployment.path / "beat_assets.pid"
    bucket = "\n".join(f"{name}={value}" for name, value in bucket_env(s3).items())
    settings.write_text(f"{settings.read_text()}\n{bucket}\nASSET_PROCESSES=1\n")
    await deployment.deploy()
    first = int(pids.read_text())
    await wait_for_asset_pool(marks)
    await deployment.deploy()
    second = int(pids.read_text())
    alive = deployment.processes()
    assert (first in alive, second in alive) == (False, True)
    settings.write_text(f"{settings.read_text()}\nDEPLOY_ASSETS=0\n")
    said = await deployment.deploy()
    assert "assets none" in said
    assert not [command for command in deployment.processes().values() if "main_assets" in command]
    assert not pids.exists()


async def wait_for_asset_pool(pg: asyncpg.Connection) -> None:
    for _ in range(300):
        if await pg.fetchval("select count(*) from beat_worker where flow = 'asset pool' and pid > 0"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("no asset pool has come up")


async def test_what_is_wrong_is_said_before_anything_is_stopped(deployment: Deployment) -> None:
    await deployment.deploy()
    before, settings = deployment.pids(), deployment.path / ".env.stage"
    good = settings.read_text()
    for text, hint in (
        (f"{good}\nWORKER_SCALE=many", "WORKER_SCALE"),
        (f"{good}\nBEAT_KEYS=k1:short", "BEAT_KEYS"),
        (f"{good}\nrm -rf everything", "is not NAME=value"),
        (f"{good}\nREDIS_URL=redis://:hunter2@127.0.0.1:1/0", "REDIS_URL: "),
        (f"{good}\nPGBOUNCER_URL=postgresql://beat@127.0.0.1:1/beat", "PGBOUNCER_URL: Connect call failed"),
    ):
        settings.write_text(text)
        await refused(deployment, hint)
    settings.write_text(good)
    (deployment.path / "beat.pid").unlink()
    await refused(deployment, f"main.py (pid {before['beat.pid']})")
    (deployment.path / "beat.pid").write_text(str(before["beat.pid"]))
    more = f"{len(load_migrations()) + 1:04d}_more"
    (deployment.path / "scripts" / "migrations" / f"{more}.sql").write_text("select 1")
    await refused(deployment, f"missing {more}", "python -m scripts.migrate")
    (deployment.path / "scripts" / "migrations" / f"{more}.sql").unlink()
    with silent_port() as taken:
        elsewhere = replace(deployment, port=taken)
        await refused(elsewhere, f"nothing was stopped: port {taken} of 127.0.0.1: Address already in use")
    assert set(before.values()) <= set(deployment.processes())
    assert await deployment.heartbeat() == 200


async def test_older_code_goes_back_onto_a_schema_of_newer_code(deployment: Deployment, pg: asyncpg.Connection) -> None:
    newer = len(load_migrations()) + 1
    await pg.execute("insert into schema_migration values ($1, 'of_tomorrow', '-')", newer)
    try:
        said = await deployment.deploy()
    finally:
        await pg.execute("delete from schema_migration where version = $1", newer)
    assert said.count("warning: the schema is newer than this code") == said.count(f"{newer:04d}_of_tomorrow") == 1
    assert await deployment.heartbeat() == 200
    assert deployment.logs().count(f"{newer:04d}_of_tomorrow") == 2, "the server's and the workers'"


@pytest.mark.parametrize("arguments", [(), ("8000",), ("8000", "production"), ("http", "stage"), ("70000", "stage")])
async def test_an_unknown_environment_or_port_is_refused(deployment: Deployment, arguments: tuple[str, ...]) -> None:
    code, said = await deployment.start(*arguments)
    assert (code, "usage: scripts/start.sh PORT stage|prod" in said) == (2, True), said
    assert not (deployment.path / ".env").exists()


async def refused(deployment: Deployment, *hints: str) -> None:
    code, said = await deployment.start(str(deployment.port), "stage")
    assert code == 1, said
    for hint in hints:
        assert hint in said


def is_program(command: str) -> bool:
    return command.rstrip().endswith(("main.py", "main_assets.py", "server.py"))


async def test_a_deploy_of_a_server_that_wants_keys_has_one_or_stops_nothing(
    deployment: Deployment, pg: asyncpg.Connection
) -> None:
    add = "insert into api_key (name, digest, scope) values ($1, $2, $3)"
    keys = {scope: new_key() for scope in ("write", "admin")}
    for scope, key in keys.items():
        await pg.execute(add, scope, digest_of(key), scope)
    env = deployment.path / ".env.stage"
    given = env.read_text() + "\nAPI_KEYS=1\n"
    for line, reason in (("", "there is no such key"), (f"API_KEY={keys['write']}", "has the scope write, not admin")):
        env.write_text(given + line)
        code, said = await deployment.start(str(deployment.port), "stage")
        assert code == 1
        assert reason in said
        assert "nothing was stopped: set API_KEY in .env.stage to a key of" in said
        assert deployment.processes() == {}
    env.write_text(given + f"API_KEY={keys['admin']}")
    said = await deployment.deploy()
    assert await deployment.heartbeat() == 200
    assert not any(key in said + deployment.logs() for key in keys.values())
