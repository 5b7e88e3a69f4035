"""``python -m scripts.bench queue|latency|memory|pipeline|assets``: figures beside their limit, measured in one run.

Exit status: 0 measured (targets met or not), 2 it cannot be measured here.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from scripts.bench.place import BenchError, place
from scripts.bench.proc import machine_facts
from scripts.bench.rows import Row, show, write_json
from utils.logging import configure

BENCHES: dict[str, tuple[str, ...]] = {
    "queue": ("drain", "slots", "inserters", "idle"),
    "latency": ("pickup",),
    "memory": ("memory",),
    "pipeline": ("pipeline",),
    "assets": ("assets", "assets_memory"),
}
"""Bench -> its suites: modules of scripts.bench.suites with ``suite(place, quick=...)``."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("bench", choices=sorted(BENCHES))
    parser.add_argument("--suite", help="only these suites of the bench, separated by commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there, as a JSON list")
    parser.add_argument("--quick", action="store_true", help="one small run, not the medians of three")
    return parser


def chosen(bench: str, suites: str | None) -> tuple[str, ...]:
    """The suites to run.

    Raises:
        BenchError: the bench has no such suite.
    """
    known = BENCHES[bench]
    wanted = tuple(suites.split(",")) if suites else known
    if strange := set(wanted) - set(known):
        raise BenchError(f"bench {bench} has no suite {', '.join(sorted(strange))}; it has {', '.join(known)}")
    return wanted


async def measure(suites: Sequence[str], *, quick: bool) -> list[Row]:
    """Run the suites one after the other, each in a scratch database of its own."""
    rows: list[Row] = []
    for name in suites:
        module = importlib.import_module(f"scripts.bench.suites.{name}")
        print(f"measuring {name} ...", file=sys.stderr)
        async with place() as here:
            rows += await module.suite(here, quick=quick)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status as the module says."""
    options = build_parser().parse_args(argv)
    configure("ERROR")
    facts = machine_facts()
    try:
        rows = asyncio.run(measure(chosen(options.bench, options.suite), quick=options.quick))
    except (BenchError, OSError, asyncpg.PostgresError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    show(rows, facts)
    if options.json:
        write_json(rows, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
