"""``python -m scripts.bench queue|latency|memory|peers|pipeline|assets|api|limiter``: figures beside their limit.

Exit status: 0 measured (targets met or not), 2 a suite could not be measured here; the others were.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import asyncpg

from scripts.bench.comparison import write_table
from scripts.bench.place import BenchError, place
from scripts.bench.proc import machine_facts
from scripts.bench.rows import Row, show, write_json
from utils.logging import configure

BENCHES: dict[str, tuple[str, ...]] = {
    "queue": (
        "drain", "slots", "pickup", "inserters", "idle", "depth", "snapshot", "rescue", "pgbouncer", "fairness",
        "memory", "size", "peers",
    ),
    "latency": ("pickup",),
    "memory": ("memory",),
    "peers": ("peers",),
    "pipeline": ("pipeline",),
    "assets": ("assets", "assets_memory"),
    "api": ("api",),
    "limiter": ("limiter",),
}  # fmt: skip
"""Bench -> its suites."""

PARTS = {"rescue": ("deaths", "zombies", "storm", "deadlocks", "shutdown")}
"""Suites made of several, which can be chosen by themselves. All others are modules of scripts.bench.suites with
``suite(place, quick=...)``, and an argument for each option that they name in OPTIONS."""

DRAIN_NUMBERS = {
    "core alone, 4 x 100": "T1",
    "core alone, 1 x 100": "T2",
    "statements per job, core alone": "T4",
    "WAL per job, core alone, 4 x 100": "T4",
}


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("bench", choices=sorted(BENCHES))
    parser.add_argument("--suite", help="only these suites of the bench, separated by commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there, as a JSON list")
    parser.add_argument("--quick", action="store_true", help="one small run, not the medians of three")
    parser.add_argument("--trials", type=int, metavar="N", help="zombie reports of the rescue suite (10,000)")
    parser.add_argument("--write", action="store_true", help="bring the table of docs/comparison.md up to date (peers)")
    return parser


def chosen(bench: str, suites: str | None) -> tuple[str, ...]:
    """The suites to run, those of several parts as their parts.

    Raises:
        BenchError: the bench has no such suite.
    """
    known = BENCHES[bench]
    parts = {part for name in known for part in PARTS.get(name, ())}
    wanted = tuple(suites.split(",")) if suites else known
    if strange := set(wanted) - set(known) - parts:
        raise BenchError(f"bench {bench} has no suite {', '.join(sorted(strange))}; it has {', '.join(known)}")
    return tuple(part for name in wanted for part in PARTS.get(name, (name,)))


async def measure(name: str, options: argparse.Namespace) -> list[Row]:
    """The rows of one suite, run in a scratch database of its own."""
    module = importlib.import_module(f"scripts.bench.suites.{name}")
    more = {option: getattr(options, option) for option in getattr(module, "OPTIONS", ())}
    async with place() as here:
        rows: list[Row] = await module.suite(here, quick=options.quick, **more)
    if name == "drain":
        return [replace(row, metric=f"{DRAIN_NUMBERS.get(row.metric, '')} {row.metric}".lstrip()) for row in rows]
    return rows


def measure_all(suites: Sequence[str], options: argparse.Namespace, keep: Callable[[list[Row]], None]) -> bool:
    """Run one suite after the other, handing all rows so far to ``keep`` after each; False when one failed."""
    rows: list[Row] = []
    whole = True
    for number, name in enumerate(suites, 1):
        print(f"[{number}/{len(suites)}] measuring {name} ...", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            rows += asyncio.run(measure(name, options))
        except (BenchError, OSError, asyncpg.PostgresError) as error:
            print(f"bench: {name}: {error}", file=sys.stderr)
            whole = False
        print(f"    {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        keep(rows)
    return whole


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status as the module says."""
    options = build_parser().parse_args(argv)
    configure("ERROR")
    facts = machine_facts()
    found: list[Row] = []

    def keep(rows: list[Row]) -> None:
        found[:] = rows
        if options.json:
            write_json(rows, options.json)

    try:
        suites = chosen(options.bench, options.suite)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    whole = measure_all(suites, options, keep)
    show(found, facts)
    if options.write and any(row.suite == "peers" for row in found):
        write_table(found, facts)
    return 0 if whole else 2


if __name__ == "__main__":
    sys.exit(main())
