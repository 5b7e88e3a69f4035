"""A supervisor whose PG_URL leads through a pooler says so at start and ends; workers behind one are well."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from config import ConfigError
from core.queue import direct
from core.queue.direct import pooled, require_database, require_direct
from scripts.migrate import main as migrate_main
from tests.support.pool import queue_tasks, running_pool, wait_for_statuses
from tests.support.ports import silent_port
from tests.support.scratch import scratch_database
from tests.support.stack import with_path
from utils.db import connect

ROOT = Path(__file__).resolve().parents[2]


async def test_the_server_itself_is_known_as_such(database: str) -> None:
    assert await pooled(database) is None
    await require_direct(database)


async def test_a_transaction_pooler_is_found_out(pgbouncer_url: str) -> None:
    assert await pooled(pgbouncer_url) == "two sessions were given one server process"
    with pytest.raises(ConfigError) as refused:
        await require_direct(pgbouncer_url)
    said = str(refused.value)
    assert said.startswith("PG_URL: leads through a transaction pooler (two sessions were given one server process)")
    assert "Set PG_URL to PostgreSQL itself, and PGBOUNCER_URL to the pooler" in said
    assert "\n" not in said


async def test_it_is_found_out_while_others_use_it_too(pgbouncer_url: str) -> None:
    busy = [await connect(pgbouncer_url, name="busy") for _ in range(3)]

    async def work(conn: asyncpg.Connection) -> None:
        while True:
            await conn.execute("select pg_sleep(0.001)")

    tasks = [asyncio.create_task(work(conn)) for conn in busy]
    try:
        assert None not in [await pooled(pgbouncer_url) for _ in range(10)]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for conn in busy:
            conn.terminate()


async def test_a_pooler_that_deals_out_processes_in_turn_is_heard_of(
    pgbouncer_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def as_if_whole(*_: object) -> None:
        return None

    monkeypatch.setattr(direct, "_shared", as_if_whole)
    monkeypatch.setattr(direct, "HEAR_S", 0.5)
    assert await pooled(pgbouncer_url) == "a session does not hear what it listens to"


@asynccontextmanager
async def session_proxy(url: str) -> AsyncIterator[str]:
    """A proxy that keeps sessions whole and, like poolers do, makes up the process number it gives to clients."""
    host, _, port = url.partition("@")[2].partition("/")[0].partition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(host, int(port))

        async def up() -> None:
            while data := await reader.read(65536):
                to_server.write(data)
            to_server.close()

        async def down() -> None:
            while data := await from_server.read(65536):
                at = data.find(b"K\x00\x00\x00\x0c")
                writer.write(data if at < 0 else data[: at + 5] + b"\x00\x00\x00\x07" + data[at + 9 :])
            writer.close()

        await asyncio.gather(up(), down(), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        own = f"{url.partition('@')[0]}@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield with_path(own, url.rpartition("/")[2])
    finally:
        server.close()


async def test_a_proxy_that_keeps_sessions_whole_is_let_through(database: str) -> None:
    async with session_proxy(database) as url:
        conn = await connect(url, name="test")
        assert conn.get_server_pid() == 7
        conn.terminate()
        assert await pooled(url) is None


async def test_a_refusal_is_said_and_a_server_that_is_away_is_waited_for(database: str) -> None:
    missing = with_path(database, "no_such_database")
    with pytest.raises(ConfigError, match='PG_URL: the server refuses it: database "no_such_database" does not exist'):
        await require_direct(missing)
    with pytest.raises(ConfigError, match=r"PG_URL: .*sslmode"):
        await require_direct(f"{database}?sslmode=sometimes")
    with silent_port() as port, pytest.raises(TimeoutError):
        await asyncio.wait_for(require_direct(f"postgresql://beat@127.0.0.1:{port}/beat"), 1)


async def test_a_schema_that_is_missing_or_too_old_is_refused_and_a_newer_one_is_let_through(
    stack_env: dict[str, str], logged: list[dict[str, Any]]
) -> None:
    async with scratch_database(stack_env["PG_URL"]) as url:
        with pytest.raises(ConfigError, match=r"no schema: run python -m scripts\.migrate"):
            await require_database(url, 2)
        conn = await connect(url, name="test")
        await conn.execute("create table schema_migration (version integer, name text)")
        await require_database(url, 2)  # made from schema.sql
        await conn.execute("insert into schema_migration values (1, 'a'), (3, 'c')")
        with pytest.raises(ConfigError, match=r"migration 0002 is missing: run python -m scripts\.migrate"):
            await require_database(url, 2)
        await conn.execute("insert into schema_migration values (2, 'b'), (4, 'd')")
        assert logged == []
        await require_database(url, 2)
        assert logged == [{"migrations": "0003_c, 0004_d", "event": "schema is newer than the code"}]
        await conn.close()


@pytest.mark.parametrize("program", ["main.py", "main_assets.py"])
async def test_a_pool_does_not_start_without_a_schema(
    program_env: dict[str, str], stack_env: dict[str, str], program: str
) -> None:
    async with scratch_database(stack_env["PG_URL"]) as url:
        code, said = await ended(program, {**program_env, "PG_URL": url, "AWS_BUCKET": "any"})
    assert (code, b"pool cannot start" in said, b"scripts.migrate" in said) == (2, True, True)


@pytest.mark.usefixtures("hang_ups_count")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda sign: sign.name)
async def test_a_pool_that_waits_for_the_database_ends_at_once_when_it_is_told_to(
    program_env: dict[str, str], sign: signal.Signals
) -> None:
    with silent_port() as port:
        away = {**program_env, "PG_URL": f"postgresql://beat@127.0.0.1:{port}/beat"}
        code, said = await ended("main.py", away, sign=sign)
    assert (code, b"Traceback" in said) == (0, False), said


async def ended(program: str, env: dict[str, str], *, sign: signal.Signals | None = None) -> tuple[int, bytes]:
    """Exit code and log of a program; ``sign`` is sent once it waits for its database."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, program, cwd=ROOT, env=env, stderr=pipe)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(120):
            said = b"" if sign is None else await process.stderr.readuntil(b"database was unavailable")
            if sign is not None:
                process.send_signal(sign)
            said += await process.stderr.read()
            return await process.wait(), said
    finally:
        if process.returncode is None:
            process.kill()


async def test_main_says_what_is_wrong_in_one_message_and_ends(
    program_env: dict[str, str], pgbouncer_url: str, clean_db: str
) -> None:
    async with running_pool({**program_env, "PG_URL": pgbouncer_url}, WORKER_FLOWS="test_nap") as pool:
        assert await asyncio.wait_for(pool.process.wait(), 120) == 2
        (line,) = [json.loads(line) for line in pool.lines]
    assert (line["event"], line["level"]) == ("pool cannot start", "ERROR")
    assert line["error"].startswith("PG_URL: leads through a transaction pooler")


async def test_a_migration_or_a_deploy_is_refused_before_anything_is_stopped(
    pgbouncer_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asyncio.to_thread(migrate_main, ["--url", pgbouncer_url, "--check"]) == 2
    assert "migrate: the URL leads through a transaction pooler" in capsys.readouterr().err


async def test_workers_behind_the_pooler_do_their_work(
    program_env: dict[str, str], pgbouncer_url: str, pg: asyncpg.Connection
) -> None:
    assert program_env["PGBOUNCER_URL"] == pgbouncer_url
    async with running_pool(program_env, WORKER_FLOWS="test_nap") as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(pg, "test_nap", 20)
        await wait_for_statuses(pg, {"COMPLETE": 20})
        assert await pool.stop() == 0
