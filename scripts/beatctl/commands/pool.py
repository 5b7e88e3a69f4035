"""``pool status``: hosts, flows, events and what holds things up, on one page."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from config import load_settings
from core.queue.status import FlowState, Host, PoolStatus, pool_status
from scripts.beatctl.cli import OK, show
from utils.db import connect
from utils.times import spoken

if TYPE_CHECKING:
    from scripts.beatctl.cli import Verbs

HELP = "look at the worker pool of all hosts"
NAMED = 3
"""Flows of a host and transactions that are named."""


def add_verbs(verbs: Verbs) -> None:
    """The verbs of this noun."""
    status = verbs.add_parser("status", help="hosts, heartbeats, depth and age per flow, events, oldest transaction")
    status.add_argument("--all", action="store_true", help="also flows that are served and have nothing to do")
    status.add_argument("--json", action="store_true", help="everything, for programs")
    status.set_defaults(run=show_status)


async def show_status(arguments: argparse.Namespace) -> int:
    """Print what there is."""
    settings = load_settings()
    conn = await connect(settings.database.pg_url, name="beatctl pool")
    try:
        found = await pool_status(conn.fetch, lease_s=settings.workers.worker_lease_s)
    finally:
        await conn.close()
    if arguments.json:
        print(json.dumps(found.as_json(), indent=2, default=str))
        return OK
    show(_hosts(found.hosts))
    show(_flows(found.flows, everything=arguments.all))
    console = Console()
    for line in lines(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return OK


def lines(found: PoolStatus) -> list[str]:
    """What stands under the tables."""
    oldest = f", the oldest {spoken(found.lag_s)} old" if found.events else ""
    said = [
        f"events: {found.events} wait for the broker{oldest}; relay: {found.relay or 'none works'}",
        f"schedules: {found.schedules} enabled"
        + (f", the next at {found.next_run:%Y-%m-%d %H:%M} UTC" if found.next_run else "")
        + (f"; went wrong: {', '.join(found.unwell)}" if found.unwell else ""),
    ]
    for one in found.holders[:NAMED]:
        who = one["application"] if one["pid"] is None else f"pid {one['pid']} ({one['application']})"
        age = "" if one["age_s"] is None else f" for {spoken(one['age_s'])}"
        words = (f"holds back vacuum: {who}{age}", f"{one['transactions']} transactions", one["state"], one["query"])
        said.append(", ".join(word for word in words if word))
    return said if found.holders else [*said, "holds back vacuum: nobody"]


def _hosts(hosts: list[Host]) -> Table:
    table = Table(
        "host", "state", "processes", "slots", "flows", "oldest heartbeat", title="hosts", title_justify="left"
    )
    for one in hosts:
        state = "lost" if not one.alive else f"{one.lost} lost" if one.lost else "alive"
        names = ", ".join(one.flows[:NAMED]) + (f" and {len(one.flows) - NAMED} more" if len(one.flows) > NAMED else "")
        table.add_row(one.host, state, str(one.processes), str(one.slots), names, spoken(one.beat_s))
    return table


def _flows(flows: list[FlowState], *, everything: bool) -> Table:
    table = Table("flow", "state", "ready", "oldest", "delayed", "running", "slots", "cap", "workers")
    for one in flows:
        if everything or one.ready or one.delayed or one.running or one.paused or one.cap is not None:
            oldest = "" if one.oldest_s is None else spoken(one.oldest_s)
            cap = "" if one.cap is None else str(one.cap)
            counts = (str(one.delayed), str(one.running), str(one.slots), cap, str(one.workers))
            table.add_row(one.flow, one.state, str(one.ready), oldest, *counts)
    return table
