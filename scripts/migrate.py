"""Bring a database to the current schema: ``python -m scripts.migrate [--url URL] [--check]``.

Applies scripts/migrations/NNNN_name.sql in order, each in its own transaction, and records them in schema_migration.
Running it again, or twice at once, changes nothing; nor does it where newer code has brought the schema further.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from config import ConfigError, load_settings
from core.queue.direct import advice, pooled
from utils.db import connect, reason

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x62656174  # 'beat': one migration run per database at a time
LOCK_WAIT_S = 10
"""Everybody who comes to a table after the migration waits for it, and so for those that it waits for."""
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

LET_CANDIDATES_READ = """
do $$
begin
    if to_regproc('prepare_candidates') is not null then
        perform prepare_candidates();
    end if;
exception when insufficient_privilege then
    null;  -- the migration that made it has warned of this
end
$$"""
"""Tables of later migrations become readable for candidate queries, if they are on the list."""


class MigrationError(Exception):
    """The database cannot be brought to the current schema; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.version:04d}_{self.name}"


def load_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The numbered files of a folder, in order.

    Raises:
        MigrationError: a name that is not NNNN_name.sql, or numbers that are not 1, 2, 3...
    """
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is no migration: name it NNNN_name.sql")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError("migrations must be numbered 0001, 0002, ... without gaps or repeats")
    return found


async def migrate(pg_url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing and return the names applied.

    Raises:
        MigrationError: an applied file was changed, one is missing though newer code's are there, or a statement failed
            (rolled back).
    """
    connection = await connect(pg_url, name="beat migrate", command_timeout_s=None)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)  # ends with the session
        missing = await _missing(connection, load_migrations(folder))
        connection.add_log_listener(_show_warning)
        for migration in missing:
            await _apply(connection, migration)
        if missing:
            await connection.execute(LET_CANDIDATES_READ)
        return [str(migration) for migration in missing]
    finally:
        await connection.close()


async def pending(pg_url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Names of the migrations that ``migrate`` would apply; changes nothing and raises as it does."""
    connection = await connect(pg_url, name="beat migrate")
    try:
        return [str(migration) for migration in await _missing(connection, load_migrations(folder))]
    finally:
        await connection.close()


async def _missing(connection: asyncpg.Connection, known: list[Migration]) -> list[Migration]:
    """The known migrations that the database lacks, after its record was held against the files.

    Those of newer code are left alone: they keep this code running. One of ours below them could undo what they did.
    """
    if await connection.fetchval("select to_regclass('schema_migration') is null"):
        return known
    applied = {row["version"]: row for row in await connection.fetch("select * from schema_migration order by version")}
    if not applied:
        raise MigrationError(
            "no migration is recorded but the tables are there (schema.sql loaded?): use an empty database"
        )
    missing = []
    for migration in known:
        row = applied.pop(migration.version, None)
        if row is None:
            missing.append(migration)
        elif migration.checksum != row["checksum"]:
            raise MigrationError(f"{migration} was changed after it was applied: restore it and add a new migration")
    if not applied:
        return missing
    newer = ", ".join(f"{version:04d}_{row['name']}" for version, row in applied.items())
    if missing:
        raise MigrationError(f"{missing[0]} is missing below {newer} of newer code: migrate with that code")
    print(f"migrate: warning: the schema is newer than this code, which it keeps running: {newer}", file=sys.stderr)
    return []


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(f"set local lock_timeout = '{LOCK_WAIT_S}s'")
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into schema_migration (version, name, checksum) values ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
    except asyncpg.LockNotAvailableError as error:
        raise MigrationError(
            f"{migration} was rolled back: a session has held on to a table for more than {LOCK_WAIT_S} s, and others "
            "would wait behind both; `beatctl pool status` names old transactions. Run it again"
        ) from error
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{migration} failed and was rolled back: {error}") from error


def _show_warning(_: object, message: asyncpg.PostgresLogMessage) -> None:
    if getattr(message, "severity_en", None) == "WARNING":
        hint = getattr(message, "hint", None)
        print(f"migrate: {message}{f' ({hint})' if hint else ''}", file=sys.stderr)


async def _run(url: str, *, check: bool) -> int:
    if (problem := await pooled(url)) is not None:
        raise MigrationError(f"the URL {advice(problem)}")
    if not check:
        applied = await migrate(url)
        print("\n".join(f"applied {name}" for name in applied) or "nothing is missing")
        return 0
    missing = await pending(url)
    print("\n".join(f"missing {name}" for name in missing) or "nothing is missing")
    return 1 if missing else 0


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 current, 1 migrations missing (--check), 2 refused or unreachable."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.migrate", description="Bring a database to the current schema"
    )
    parser.add_argument("--url", help="direct PostgreSQL URL (default: PG_URL)")
    parser.add_argument("--check", action="store_true", help="only say what is missing; exit 1 if anything is")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_run(options.url or load_settings().database.pg_url, check=options.check))
    except OSError as error:
        said = f"PostgreSQL cannot be reached (PG_URL or --url): {reason(error)}"
    except asyncpg.ClientConfigurationError as error:
        said = f"PG_URL or --url: {error}"
    except (ConfigError, MigrationError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        said = str(error)
    print(f"migrate: {said}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
