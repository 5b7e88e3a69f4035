"""``flows list|pause|resume|set|reset``: an operator's word on flows; supervisors follow it within about a second."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.table import Table
from sqlalchemy import RowMapping, text

from config import Settings, load_settings
from core.flows.registry import Registry, build_registry
from core.queue import control
from scripts.beatctl.cli import OK, CommandFailed, database, show
from utils.times import duration

if TYPE_CHECKING:
    from scripts.beatctl.cli import Verbs

HELP = "pause flows, and set their slots, priority, attempts, time limit and retention"

RESET = "reset"

LIST = """
select f.flow, b.paused, b.slots, b.priority, b.max_retries, b.timeout_s, b.retain::text as retain,
    (select count(*) from scrape_request_log t
        where t.flow = f.flow and t.status = 'PENDING' and t.run_after is null) as ready,
    (select count(*) from scrape_request_log t where t.flow = f.flow and t.status = 'PROCESSING') as running,
    (select count(*) from beat_worker w where jsonb_exists(w.slots, f.flow)
        and w.beat_at > now() - cast(:lease_s as float8) * interval '1 second') as workers
from unnest(cast(:flows as text[])) f(flow) left join beat_flow b on b.flow = f.flow
order by f.flow"""


def add_verbs(verbs: Verbs) -> None:
    """The verbs of this noun."""
    listing = verbs.add_parser("list", help="show what was set, what waits and what runs")
    listing.add_argument("--all", action="store_true", help="also flows with nothing set, waiting or running")
    listing.set_defaults(run=list_flows)
    for verb, paused in (("pause", True), ("resume", False)):
        switch = verbs.add_parser(verb, help=f"{verb} flows; running tasks go on")
        switch.add_argument("flows", nargs="+", metavar="FLOW")
        switch.set_defaults(run=pause_flows, paused=paused)
    setting = verbs.add_parser("set", help=f"set what is named; the word {RESET} leaves it to the registry again")
    setting.add_argument("flow", metavar="FLOW")
    setting.add_argument("--slots", type=_number(0), metavar="N", help="tasks running at a time, on all hosts together")
    setting.add_argument("--priority", type=_number(None), metavar="N", help="of new tasks whose sender named none")
    setting.add_argument("--max-retries", type=_number(1), metavar="N", help="attempts of tasks that name none")
    setting.add_argument("--time-limit", type=_number(1), metavar="S", dest="timeout_s", help="seconds a task may take")
    setting.add_argument("--retain", type=_duration, metavar="TIME", help="keep finished tasks so long: 12h, 30d, 8w")
    setting.set_defaults(run=set_flow)
    reset = verbs.add_parser("reset", help="forget everything that was set, a pause too")
    reset.add_argument("flows", nargs="+", metavar="FLOW")
    reset.set_defaults(run=reset_flows)


async def list_flows(arguments: argparse.Namespace) -> int:
    """A line per flow."""
    settings = load_settings()
    values = {"flows": list(_registry(settings)), "lease_s": settings.workers.worker_lease_s}
    async with database(settings) as opened, opened.sessions() as session:
        rows = (await session.execute(text(LIST), values)).mappings().all()
    shown = rows if arguments.all else [row for row in rows if _has_news(row)]
    table = Table(
        "flow", "state", "slots", "priority", "max retries", "time limit", "retain", "ready", "running", "workers"
    )
    for row in shown:
        table.add_row(row["flow"], "paused" if row["paused"] else "open", *_cells(row))
    show(table)
    return OK


async def pause_flows(arguments: argparse.Namespace) -> int:
    """Stop or resume claiming."""
    settings = load_settings()
    async with database(settings) as opened, opened.sessions.begin() as session:
        await control.pause_flows(session, _registry(settings), arguments.flows, paused=arguments.paused)
    print("\n".join(f"{flow} is {'paused' if arguments.paused else 'open'}" for flow in arguments.flows))
    return OK


async def set_flow(arguments: argparse.Namespace) -> int:
    """Set what was named and leave the rest."""
    settings = load_settings()
    names = ("slots", "priority", "max_retries", "timeout_s", "retain")
    changes = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if not changes:
        raise CommandFailed(
            "nothing to set: name at least one of --slots --priority --max-retries --time-limit --retain"
        )
    values = {name: None if value == RESET else value for name, value in changes.items()}
    async with database(settings) as opened, opened.sessions.begin() as session:
        await control.set_flow(session, _registry(settings), arguments.flow, **values)
    print(f"{arguments.flow}: " + ", ".join(f"{name} {_plain(value) or RESET}" for name, value in values.items()))
    return OK


async def reset_flows(arguments: argparse.Namespace) -> int:
    """Leave flows to the registry; also names that it no longer holds."""
    async with database() as opened, opened.sessions.begin() as session:
        await control.reset_flows(session, arguments.flows)
    print("\n".join(f"{flow} is as the registry has it" for flow in arguments.flows))
    return OK


def _registry(settings: Settings) -> Registry:
    return build_registry(settings.workers.beat_extra_flows)


def _has_news(row: RowMapping) -> bool:
    """Whether something is set, a zero too, or waits or runs."""
    settings = ("slots", "priority", "max_retries", "timeout_s", "retain")
    return bool(row["paused"] or row["ready"] or row["running"] or any(row[name] is not None for name in settings))


def _cells(row: RowMapping) -> list[str]:
    names = ("slots", "priority", "max_retries", "timeout_s", "retain", "ready", "running", "workers")
    return [_plain(row[name]) for name in names]


def _plain(value: object) -> str:
    return "" if value is None else str(value)


def _number(least: int | None) -> Any:
    """A reader of whole numbers from ``least`` on, or the word that resets."""

    def read(word: str) -> int | str:
        if word == RESET:
            return word
        value = int(word)
        if not (-(2**31) if least is None else least) <= value < 2**31:
            raise argparse.ArgumentTypeError(f"must be at least {least}, or {RESET}")
        return value

    read.__name__ = "number"
    return read


def _duration(word: str) -> timedelta | str:
    """``30d`` and the like, or the word that resets."""
    if word == RESET:
        return word
    try:
        return duration(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, or {RESET}") from None
