"""``scripts/demo.sh [--keep] [--creators N] [--limit-factor F]``: exit 0 only when everything compared is right."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import math
import signal
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from core.amqp.traces import HAND_ON_S
from scripts.demo.check import Verdict, compare, compare_broker, queue_depths
from scripts.demo.load import FLOW, queue_through_rest, queue_through_sql, register_credentials
from scripts.demo.parts import PARTS
from scripts.demo.parts.base import Scene
from scripts.demo.parts.run import Ended, flows_of, run_parts
from scripts.demo.report import gather, show, show_where
from scripts.demo.world import LOGS, DemoError, World, running_world
from utils.db import connect

PATIENCE_S = 600.0
STILL_S = 2 * HAND_ON_S
"""For so long there must be no new event: those about requests come a second after them."""

LEAST = 2
KEYS = (
    "post_log_events", "profile_log_events", "scrape_request_log_events", "profile_relationship_log_events",
    "post_activity_log_events", "post_activity_log_bulk", "sentiment_log_events",
    "trace_log",
)  # fmt: skip


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/demo.sh", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--creators", type=_even, default=400, help="how many to refresh (even number, default 400)")
    parser.add_argument(
        "--limit-factor", type=_factor, default=30.0, help="multiplies the providers' limits, default 30"
    )
    return parser.parse_args()


def _even(word: str) -> int:
    number = int(word)
    if number < LEAST or number % 2:
        raise argparse.ArgumentTypeError(f"must be an even number from {LEAST} on")
    return number


def _factor(word: str) -> float:
    factor = float(word)
    if not 0 < factor < math.inf:
        raise argparse.ArgumentTypeError("must be above 0")
    return factor


async def demo(chosen: argparse.Namespace, console: Console) -> int:
    """Run it; the exit code."""
    console.print(
        f"provider limits are multiplied by {chosen.limit_factor:g} in workers and simulator alike (--limit-factor)"
    )
    async with running_world(max(chosen.creators, 100), chosen.limit_factor, flows_of(PARTS)) as world:
        console.print(f"API {world.api_url}  simulator {world.sandbox.url}  database {world.pg_url}")
        console.print(f"{await register_credentials(world)} credentials registered through POST /tokens")
        before = await queue_depths(world.env["RMQ_URL"], KEYS)
        pg = await connect(world.pg_url, name="beat demo")
        try:
            handles = [world.sandbox.universe.creator(i).asked_handle for i in range(chosen.creators)]
            await queue(world, pg, handles, console)
            await follow(pg, len(handles), console)
            verdict = await compare(pg, world.sandbox.universe, handles)
            scene = Scene(world, pg, world.sandbox.universe, chosen.creators)
            ended = await run_parts(scene, verdict, PARTS, lambda total: follow(pg, total, console))
            code = await judge(world, pg, verdict, before, ended, console)
        finally:
            await pg.close()
        show_where(console, world, handles, kept=chosen.keep)
        if chosen.keep:
            console.print("\nrunning until Ctrl-C ...")
            await asyncio.Event().wait()
    return code


async def queue(world: World, pg: asyncpg.Connection, handles: Sequence[str], console: Console) -> None:
    """Half of the tasks through each door."""
    half = len(handles) // 2
    await queue_through_rest(world, [(FLOW, {"handle": handle}) for handle in handles[:half]])
    await queue_through_sql(pg, handles[half:])
    console.print(f"{half} tasks queued through REST, {len(handles) - half} through SQL INSERT")


async def follow(pg: asyncpg.Connection, total: int, console: Console) -> None:
    """Show progress until every task has ended and every event is out.

    Raises:
        DemoError: that takes too long.
    """
    deadline = time.monotonic() + PATIENCE_S
    still = (-1, time.monotonic())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        ended = progress.add_task("tasks ended", total=total)
        sent = progress.add_task("events confirmed", total=None)
        while True:
            done, waiting, confirmed = await pg.fetchrow(
                """select (select count(*) from scrape_request_log where status in ('COMPLETE', 'FAILED', 'EXPIRED')),
                    (select count(*) from event_outbox),
                    (select coalesce(sum(confirmed), 0)::bigint from event_confirmed)"""
            ) or (0, 0, 0)
            progress.update(ended, completed=done)
            progress.update(sent, completed=confirmed, total=confirmed + waiting)
            if waiting or confirmed != still[0]:
                still = (confirmed, time.monotonic())
            if done == total and time.monotonic() - still[1] > STILL_S:
                return
            if time.monotonic() > deadline:
                raise DemoError(f"{total - done} tasks and {waiting} events are not through: see {LOGS}/demo-main.log")
            await asyncio.sleep(0.2)


async def judge(
    world: World,
    pg: asyncpg.Connection,
    verdict: Verdict,
    before: Mapping[str, int],
    ended: Sequence[Ended],
    console: Console,
) -> int:
    """Compare with the broker, show the table; 0 when nothing differs."""
    after = await queue_depths(world.env["RMQ_URL"], KEYS)
    depths = {key: after[key] - before[key] for key in KEYS}
    stats = await world.sandbox.stats()
    result = await gather(pg, stats["by_source"], depths)
    compare_broker(verdict, depths, result.confirmed)
    show(console, result, verdict, ended)
    console.print("[green]all of it is true[/green]" if not verdict.problems else "[red]not all of it is true[/red]")
    return 1 if verdict.problems else 0


def main() -> int:
    """One demo at a time per checkout."""
    chosen, console = options(), Console()
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another demo runs in this checkout: end it first", file=sys.stderr)
            return 1
        with suppress(KeyboardInterrupt, asyncio.CancelledError):
            try:
                return asyncio.run(until_told(demo(chosen, console)))
            except DemoError as error:
                console.print(f"[red]{error}[/red]")
                return 1
    console.print("stopped")
    return 0 if chosen.keep else 130


async def until_told(body: Coroutine[Any, Any, int]) -> int:
    """Run it; SIGTERM and Ctrl-C end it with everything that it started, however the demo itself was started."""
    task = asyncio.ensure_future(body)
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    return await task


if __name__ == "__main__":
    sys.exit(main())
