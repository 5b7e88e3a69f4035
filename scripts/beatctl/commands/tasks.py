"""``tasks add|show|list|retry|cancel|explain|load``: the rows of the queue, one by one or from a file."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.table import Table

from config import Settings, load_settings
from core.entities.task import ScrapeRequestLog
from core.enums import TaskStatus
from core.flows.registry import Registry, build_registry
from core.queue import tasks
from core.queue.bulk import CREATED, EXISTS, MAX_ROWS, REFUSED, RowResult, insert_many
from core.queue.explain import explain
from scripts.beatctl.cli import FAILED, OK, CommandFailed, database, show
from scripts.beatctl.rows import read_rows
from utils.redact import redact_text
from utils.times import event_time

if TYPE_CHECKING:
    from scripts.beatctl.cli import Verbs

HELP = "queue, look at, explain, retry and cancel tasks"
NAMED = 20
"""Refused rows that are named one by one."""


def add_verbs(verbs: Verbs) -> None:
    """The verbs of this noun."""
    add = verbs.add_parser("add", help="queue one task")
    add.add_argument("flow", metavar="FLOW")
    add.add_argument("--params", default="{}", metavar="JSON", help="a JSON object (%(default)s)")
    add.add_argument("--priority", type=int, metavar="N", help="higher runs first; the flow's when left out")
    add.add_argument("--account", metavar="ID", help="account to list it under")
    add.add_argument("--key", metavar="KEY", help="idempotency key: a second task with it is not queued")
    add.add_argument(
        "--expires-in",
        type=_seconds,
        metavar="S",
        help="seconds within which it must start; never expires when left out",
    )
    add.set_defaults(run=add_task)
    for verb, run, words in (
        ("show", show_task, "a task as it is now"),
        ("explain", explain_task, "why a task is not running"),
    ):
        one = verbs.add_parser(verb, help=words)
        one.add_argument("id", type=int, metavar="ID")
        one.set_defaults(run=run)
    listing = verbs.add_parser("list", help="the newest tasks")
    listing.add_argument("--flow", metavar="FLOW")
    listing.add_argument("--status", type=str.upper, choices=[status.value for status in TaskStatus], metavar="STATUS")
    listing.add_argument("--account", metavar="ID")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (%(default)s)")
    listing.set_defaults(run=list_tasks)
    for verb, status in (("retry", TaskStatus.PENDING), ("cancel", TaskStatus.CANCELLED)):
        move = verbs.add_parser(verb, help=f"{verb} tasks")
        move.add_argument("ids", type=int, nargs="+", metavar="ID")
        move.set_defaults(run=set_tasks, status=status)
    load = verbs.add_parser("load", help="queue the rows of a file; bad rows are named, good ones go in")
    load.add_argument(
        "file",
        metavar="FILE.csv|FILE.ndjson",
        help="columns or keys: flow, params (or params.NAME), priority, "
        "account_id, idempotency_key, expires_at, run_after, max_retries; - reads standard input",
    )
    load.add_argument("--flow", metavar="FLOW", help="flow of rows that name none")
    load.add_argument("--format", choices=("csv", "ndjson"), help="when the name of the file does not say it")
    load.set_defaults(run=load_tasks)


async def add_task(arguments: argparse.Namespace) -> int:
    """Queue one task and print its id."""
    try:
        params = json.loads(arguments.params)
    except (ValueError, RecursionError):
        raise CommandFailed("--params is no JSON") from None
    names = {"priority": arguments.priority, "account_id": arguments.account, "idempotency_key": arguments.key}
    row = {"flow": arguments.flow, "params": params, **names}
    expires_in = None if arguments.expires_in is None else timedelta(seconds=arguments.expires_in)
    settings = load_settings()
    async with database(settings) as opened, opened.sessions.begin() as session:
        (result,) = await insert_many(session, _registry(settings), [row], expires_in=expires_in)
    if result.outcome == REFUSED:
        raise CommandFailed(f"{result.field}: {result.message}")
    print(f"task {result.id} {'is queued' if result.outcome == CREATED else 'has that key already'}")
    return OK


async def show_task(arguments: argparse.Namespace) -> int:
    """Every column, as JSON; secrets in error texts are masked."""
    async with database() as opened, opened.sessions() as session:
        row = await tasks.get(session, arguments.id)
    if row is None:
        raise CommandFailed(f"there is no task {arguments.id}")
    shown = {column.key: getattr(row, column.key) for column in ScrapeRequestLog.__table__.columns}
    shown["data"] = redact_text(row.data) if row.data else row.data
    print(json.dumps(shown, indent=2, default=str, ensure_ascii=False))
    return OK


async def explain_task(arguments: argparse.Namespace) -> int:
    """The fact that decides."""
    settings = load_settings()
    async with database(settings) as opened, opened.sessions() as session:
        found = await explain(session, _registry(settings), arguments.id, lease_s=settings.workers.worker_lease_s)
    if found is None:
        raise CommandFailed(f"there is no task {arguments.id}")
    print(f"task {found.task_id} is {found.status}; {found.reason}: {found.text}")
    return OK


async def list_tasks(arguments: argparse.Namespace) -> int:
    """Newest first."""
    wanted = {"flow": arguments.flow, "status": arguments.status, "account_id": arguments.account}
    async with database() as opened, opened.sessions() as session:
        rows = await tasks.list_newest(session, arguments.limit, **wanted)
    table = Table("id", "flow", "status", "priority", "attempt", "created", "ended", "error", "params")
    for row in rows:
        times = [event_time(moment) or "" for moment in (row.created_at, row.scraped_at)]
        params = json.dumps(row.params, ensure_ascii=False)[:60]
        words = [str(row.id), row.flow, row.status, str(row.priority), str(row.retry_count)]
        table.add_row(*words, *times, row.error_code or "", params)
    show(table)
    return OK


async def set_tasks(arguments: argparse.Namespace) -> int:
    """Queue tasks again with a first attempt, or cancel them; a running one loses its worker."""
    failures = 0
    async with database() as opened:
        for task_id in arguments.ids:
            try:
                async with opened.sessions.begin() as session:
                    row = await tasks.update(session, task_id, arguments.status, 1)
            except tasks.TaskEnded as error:
                failures += 1
                print(f"beatctl: {error}", file=sys.stderr)
                continue
            if row is None:
                failures += 1
                print(f"beatctl: there is no task {task_id}", file=sys.stderr)
            else:
                print(f"task {task_id} is {row.status}")
    return FAILED if failures else OK


async def load_tasks(arguments: argparse.Namespace) -> int:
    """Queue a file, 10,000 rows a transaction. Exit status 1 when a row was refused."""
    counts: Counter[str] = Counter()
    settings = load_settings()
    rows = _with_flow(read_rows(arguments.file, arguments.format), arguments.flow)
    try:
        async with database(settings) as opened:
            while batch := list(islice(rows, MAX_ROWS)):
                async with opened.sessions.begin() as session:
                    results = await insert_many(session, _registry(settings), [row for _, row in batch])
                _name_refused(batch, results, already=counts[REFUSED])
                counts.update(result.outcome for result in results)
    except BaseException:
        if counts:  # it broke off, and what was queued stays
            _print_counts(counts)
        raise
    _print_counts(counts)
    return FAILED if counts[REFUSED] else OK


def _print_counts(counts: Counter[str]) -> None:
    print(f"{counts[CREATED]} queued, {counts[EXISTS]} there already, {counts[REFUSED]} refused")


def _seconds(word: str) -> int:
    value = int(word)
    if not 0 < value < 2**31:
        raise argparse.ArgumentTypeError("must be at least 1, and not more than 68 years")
    return value


def _with_flow(rows: Iterator[tuple[int, Any]], flow: str | None) -> Iterator[tuple[int, Any]]:
    for line, row in rows:
        yield line, {"flow": flow} | row if flow and isinstance(row, dict) else row


def _name_refused(batch: list[tuple[int, Any]], results: list[RowResult], *, already: int) -> None:
    refused = [result for result in results if result.outcome == REFUSED]
    for result in refused[: max(0, NAMED - already)]:
        print(f"line {batch[result.row][0]}: {result.field}: {result.message}", file=sys.stderr)
    if already < NAMED < already + len(refused):
        print("further refused rows are not named", file=sys.stderr)


def _registry(settings: Settings) -> Registry:
    return build_registry(settings.workers.beat_extra_flows)
