"""``schedules list|show|run|enable|disable|load|remove``: tasks that are queued by the clock."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
from rich.table import Table

from config import Settings, load_settings
from core.flows.registry import Registry, build_registry
from core.schedules import statements as sql
from core.schedules.files import BadFile, Entry, read_entries
from core.schedules.run import run_schedule
from core.schedules.schedule import NAMED
from core.schedules.switch import NoSchedule, must_exist, must_run, state_of, stored, switch
from scripts.beatctl.cli import FAILED, OK, CommandFailed, show
from utils.db import connect
from utils.json_safe import stored_json
from utils.redact import redact_text
from utils.times import minute

if TYPE_CHECKING:
    from scripts.beatctl.cli import Verbs

HELP = "queue tasks by the clock: list, load, switch and run schedules"


def add_verbs(verbs: Verbs) -> None:
    """The verbs of this noun."""
    verbs.add_parser("list", help="when each is due next, and how its last run ended").set_defaults(run=list_schedules)
    show = verbs.add_parser("show", help="a schedule as it stands")
    show.add_argument("name", metavar="NAME")
    show.set_defaults(run=show_schedule)
    run = verbs.add_parser("run", help="run one now, whether it is enabled or not; when it is due next stays")
    run.add_argument("name", metavar="NAME")
    run.set_defaults(run=run_now)
    for verb, enabled, words in (
        ("enable", True, "switch schedules on, once they are found right; what they missed is not made up for"),
        ("disable", False, "switch schedules off"),
    ):
        switch = verbs.add_parser(verb, help=words)
        switch.add_argument("names", nargs="+", metavar="NAME")
        switch.set_defaults(run=switch_schedules, enabled=enabled)
    load = verbs.add_parser("load", help="store the schedules of a file, all or none; others stay")
    load.add_argument("file", metavar="FILE.toml", help="see scripts/schedules.example.toml")
    load.set_defaults(run=load_schedules)
    remove = verbs.add_parser("remove", help="forget schedules")
    remove.add_argument("names", nargs="+", metavar="NAME")
    remove.set_defaults(run=remove_schedules)


async def list_schedules(_: argparse.Namespace) -> int:
    """A line per schedule."""
    async with _connected(load_settings()) as conn:
        rows = await conn.fetch(sql.LIST)
    table = Table("name", "state", "cron", "flow", "next run", "last run", "outcome", "created", "there", "refused")
    table.add_column("error", overflow="fold")
    for row in rows:
        due = "never" if row["stopped"] else minute(row["next_run_at"]) if row["enabled"] else ""
        counts = [_plain(row[name]) for name in ("last_created", "last_existing", "last_refused")]
        outcome = row["last_outcome"] or ""
        words = [row["name"], state_of(row), row["cron"], row["flow"], due, minute(row["last_run_at"]), outcome]
        table.add_row(*words, *counts, row["last_error"] or "")
    show(table, columns=240)
    return OK


async def show_schedule(arguments: argparse.Namespace) -> int:
    """Every column, as JSON."""
    async with _connected(load_settings()) as conn:
        text = await conn.fetchval(sql.SHOW, arguments.name)
    if text is None:
        raise NoSchedule(arguments.name)
    print(json.dumps(stored_json(text), indent=2, ensure_ascii=False))
    return OK


async def run_now(arguments: argparse.Namespace) -> int:
    """Run a schedule; exit status 1 unless all went well."""
    settings = load_settings()
    registry = _registry(settings)
    async with _connected(settings) as conn:
        schedule = (await stored(conn.fetch, [arguments.name]))[0]
        if not await conn.fetchval(sql.TRY_LOCK_ONE, schedule.name):
            raise CommandFailed(f"{schedule.name} is being run at this moment: try again")
        due = await conn.fetchval("select now()")
        url, timeout_s = settings.database.pg_url, settings.workers.schedule_timeout_s
        report = await run_schedule(conn, url, registry, schedule, due, timeout_s=timeout_s)
        values = (report.outcome, report.created, report.existing, report.refused, report.text)
        await conn.execute(sql.NOTE, schedule.name, due, *values)
    if report.error is not None:
        raise CommandFailed(f"{schedule.name}: {redact_text(report.error)}")
    print(f"{schedule.name}: {report.created} created, {report.existing} there already, {report.refused} refused")
    for reason, count in report.reasons.most_common(NAMED):
        print(f"{reason} ({count} times)", file=sys.stderr)
    return OK if report.outcome == "ok" else FAILED


async def switch_schedules(arguments: argparse.Namespace) -> int:
    """Switch all of them or none."""
    settings = load_settings()
    async with _connected(settings) as conn:
        if arguments.enabled:
            await must_run(settings, _registry(settings), await stored(conn.fetch, arguments.names), built=True)
        async with conn.transaction():
            await switch(conn.fetch, arguments.names, enabled=arguments.enabled)
    print("\n".join(f"{name} is {'enabled' if arguments.enabled else 'disabled'}" for name in arguments.names))
    return OK


async def load_schedules(arguments: argparse.Namespace) -> int:
    """Insert or replace what the file names."""
    entries = _read(arguments.file)
    settings = load_settings()
    for switched in (True, False):
        some = [entry.schedule() for entry in entries if bool(entry.enabled) is switched]
        await must_run(settings, _registry(settings), some, built=switched)
    async with _connected(settings) as conn, conn.transaction():
        rows = [row for entry in entries for row in await conn.fetch(sql.PUT, *_columns(entry))]
    for row in rows:
        state = "enabled" if row["enabled"] else "disabled"
        print(f"{row['name']} is {'new' if row['is_new'] else 'replaced'} and {state}")
    return OK


async def remove_schedules(arguments: argparse.Namespace) -> int:
    """Tasks that they have queued stay."""
    async with _connected(load_settings()) as conn:
        await must_exist(conn.fetch, arguments.names)
        async with conn.transaction():
            await conn.executemany(sql.REMOVE, [(name,) for name in arguments.names])
    print("\n".join(f"{name} is removed" for name in arguments.names))
    return OK


def _read(file: str) -> list[Entry]:
    try:
        return read_entries(Path(file).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CommandFailed(f"cannot read {file}: {error.strerror}") from None
    except (BadFile, UnicodeDecodeError) as error:
        raise CommandFailed(f"{file} is wrong:\n{error}") from None


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    conn = await connect(settings.database.pg_url, name="beatctl schedules")
    try:
        yield conn
    finally:
        await conn.close()


def _registry(settings: Settings) -> Registry:
    return build_registry(settings.workers.beat_extra_flows)


def _columns(entry: Entry) -> tuple[Any, ...]:
    texts = (entry.name, entry.cron, entry.flow, entry.platform, json.dumps(entry.params), entry.candidates)
    return (*texts, entry.max_rows, entry.dedup_window, entry.expires_in, entry.priority, entry.enabled)


def _plain(value: object) -> str:
    return "" if value is None else str(value)
