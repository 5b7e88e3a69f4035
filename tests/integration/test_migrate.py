"""The migrate command: order, repeats, two at once, and what it refuses."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from scripts.migrate import MigrationError, load_migrations, main, migrate, pending
from tests.support.scratch import scratch_database
from utils.db import connect

RECORD = "create table schema_migration (version int, name text, checksum text, applied_at timestamptz default now());"


@pytest.fixture
async def url(stack_env: dict[str, str]) -> AsyncIterator[str]:
    """An empty database."""
    async with scratch_database(stack_env["PG_URL"]) as scratch:
        yield scratch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small migrations."""
    (tmp_path / "0001_first.sql").write_text(RECORD + "create table t (a int); select pg_sleep(0.2);")
    (tmp_path / "0002_second.sql").write_text("alter table t add column b int;")
    return tmp_path


async def _columns(url: str) -> list[str]:
    connection = await connect(url, name="migrate tests")
    try:
        rows = await connection.fetch("select column_name from information_schema.columns where table_name = 't'")
        return sorted(row["column_name"] for row in rows)
    finally:
        await connection.close()


async def test_missing_migrations_are_applied_in_order_and_only_once(url: str, folder: Path) -> None:
    assert await pending(url, folder) == ["0001_first", "0002_second"]
    assert await migrate(url.replace("postgresql:", "postgresql+asyncpg:"), folder) == ["0001_first", "0002_second"]
    assert await _columns(url) == ["a", "b"]
    (folder / "0003_third.sql").write_text("alter table t add column c int;")
    assert await migrate(url, folder) == ["0003_third"]
    assert await migrate(url, folder) == []
    assert await _columns(url) == ["a", "b", "c"]


async def test_two_runs_at_once_apply_each_migration_once(url: str, folder: Path) -> None:
    applied = await asyncio.gather(*(migrate(url, folder) for _ in range(3)))
    assert sorted(map(len, applied)) == [0, 0, 2]


async def test_a_failing_migration_is_rolled_back_and_named(url: str, folder: Path) -> None:
    (folder / "0003_broken.sql").write_text("alter table t add column c int; select 1 / 0;")
    with pytest.raises(MigrationError, match="0003_broken failed and was rolled back: division by zero"):
        await migrate(url, folder)
    assert await _columns(url) == ["a", "b"]
    assert await pending(url, folder) == ["0003_broken"]


async def test_a_table_that_somebody_holds_on_to_is_not_waited_for_without_end(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.migrate.LOCK_WAIT_S", 1)
    await migrate(url, folder)
    holder = await connect(url, name="holder")
    (folder / "0003_third.sql").write_text("alter table t add column c int")
    async with holder.transaction():
        await holder.execute("select from t")
        with pytest.raises(MigrationError, match=r"0003_third was rolled back: a session .* Run it again"):
            await asyncio.wait_for(migrate(url, folder), 30)
    assert await migrate(url, folder) == ["0003_third"]
    await holder.close()


async def test_a_changed_migration_is_refused(url: str, folder: Path) -> None:
    await migrate(url, folder)
    with (folder / "0001_first.sql").open("a") as file:
        file.write("\n-- later thought\n")
    (folder / "0003_third.sql").write_text("alter table t add column c int;")
    with pytest.raises(MigrationError, match="0001_first was changed after it was applied"):
        await migrate(url, folder)
    assert await _columns(url) == ["a", "b"]


@pytest.mark.parametrize("ask", [migrate, pending])
async def test_a_schema_newer_than_the_code_is_accepted_and_left_alone(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str], ask: Callable[[str, Path], Awaitable[list[str]]]
) -> None:
    for number in (3, 4):
        (folder / f"000{number}_more.sql").write_text(f"alter table t add column c{number} int;")
    await migrate(url, folder)
    for number in (3, 4):
        (folder / f"000{number}_more.sql").unlink()
    capsys.readouterr()
    assert await ask(url, folder) == []
    said = "migrate: warning: the schema is newer than this code, which it keeps running: 0003_more, 0004_more\n"
    assert capsys.readouterr().err == said
    assert await _columns(url) == ["a", "b", "c3", "c4"]


async def test_a_changed_migration_is_refused_below_newer_ones_too(url: str, folder: Path) -> None:
    await migrate(url, folder)
    (folder / "0002_second.sql").unlink()
    with (folder / "0001_first.sql").open("a") as file:
        file.write("\n-- later thought\n")
    with pytest.raises(MigrationError, match="0001_first was changed after it was applied"):
        await pending(url, folder)


@pytest.mark.parametrize("ask", [migrate, pending])
async def test_a_migration_that_is_missing_below_newer_ones_is_refused(
    url: str, folder: Path, ask: Callable[[str, Path], Awaitable[list[str]]]
) -> None:
    await migrate(url, folder)
    connection = await connect(url, name="migrate tests")
    await connection.execute("update schema_migration set version = 9, name = 'later' where version = 2")
    await connection.close()
    with pytest.raises(MigrationError, match="0002_second is missing below 0009_later of newer code"):
        await ask(url, folder)
    assert await _columns(url) == ["a", "b"]


async def test_tables_without_a_record_are_refused(url: str, folder: Path) -> None:
    connection = await connect(url, name="migrate tests")
    await connection.execute(RECORD)
    await connection.close()
    with pytest.raises(MigrationError, match="no migration is recorded"):
        await migrate(url, folder)


@pytest.mark.parametrize("name", ["0003_Third.sql", "3_third.sql", "0004_gap.sql"])
def test_a_misnamed_or_misnumbered_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("select 1;")
    with pytest.raises(MigrationError):
        load_migrations(folder)


async def test_check_says_what_is_missing_and_changes_nothing(url: str) -> None:
    async def run(*arguments: str) -> tuple[int | None, str]:
        command = [sys.executable, "-m", "scripts.migrate", "--url", url, *arguments]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        return process.returncode, output.decode()

    assert await run("--check") == (1, "".join(f"missing {name}\n" for name in map(str, load_migrations())))
    assert (await run())[0] == 0
    assert await run("--check") == (0, "nothing is missing\n")


def test_an_unreachable_database_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "postgresql://beat@127.0.0.1:1/beat"]) == 2
    said = "migrate: PostgreSQL cannot be reached (PG_URL or --url): Connect call failed ('127.0.0.1', 1)\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("url", ["nonsense", "postgresql://beat:hunter2@127.0.0.1:1/beat?sslmode=sometimes"])
def test_a_url_that_the_driver_refuses_is_one_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", url]) == 2
    said = capsys.readouterr().err
    assert said.startswith("migrate: PG_URL or --url: ")
    assert (said.count("\n"), "hunter2" in said) == (1, False)


def test_a_server_that_says_nothing_is_named_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(url: str) -> None:
        raise TimeoutError

    monkeypatch.setattr("scripts.migrate.pooled", silent)
    assert main(["--url", "postgresql://beat@127.0.0.1:1/beat"]) == 2
    assert capsys.readouterr().err.endswith("(PG_URL or --url): no answer in time\n")
