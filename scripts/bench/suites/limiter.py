"""What a permit of four levels costs, beside a call of Redis that does nothing and beside the library's limiters."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

from scripts.bench.permits import CONCURRENCIES, FLOOR, LEVELS, LIBRARY, SCRIPT, SHARED, SLIDING, SOURCE, Taken
from scripts.bench.place import ROOT, BenchError, Place, redis_database
from scripts.bench.rows import Metric, Row, Target, row_of

WAYS = {LEVELS: "4 levels", SLIDING: "4 sliding levels", SOURCE: "1 sliding level"}
"""What is Beat's, as rows name it."""

Run = dict[tuple[str, int], Taken]
"""By way and callers at once."""

Figure = Callable[[Taken], float]


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Permits a second, their CPU and their times."""
    with redis_database(place.env["REDIS_URL"]) as redis:
        runs = [await taken(redis, 500 if quick else 3000) for _ in range(1 if quick else 3)]
    return rows_of(runs)


async def taken(redis: str, permits: int) -> Run:
    """One run, by a process of its own.

    Raises:
        BenchError: it failed.
    """
    words = [sys.executable, "-m", "scripts.bench.permits", redis, str(permits)]
    program = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    out, _ = await program.communicate()
    if program.returncode:
        raise BenchError("the program that takes permits failed")
    found = [Taken(**one) for one in json.loads(out)]
    return {(one.way, one.concurrency): one for one in found}


def rows_of(runs: list[Run]) -> list[Row]:
    """All rows."""
    rows = []
    for callers in CONCURRENCIES:
        for way, name in WAYS.items():
            label = f"{name}, {callers} at once"
            ours, floor = ([run[key, callers] for run in runs] for key in (way, FLOOR))
            rows.append(_row(f"permits, {label}", "1/s", per_s, ours, floor))
            rows.append(_row(f"client CPU per permit, {label}", "µs", client_us, ours, floor))
            rows.append(_row(f"Redis CPU per permit, {label}", "µs", redis_us, ours, floor))
        rows += _beside_the_library(runs, callers)
    for way, name in WAYS.items():
        ours, floor = ([run[key, 1] for run in runs] for key in (way, FLOOR))
        rows.append(_row(f"time of a permit, {name}, p50", "ms", lambda one: one.p50_s * 1e3, ours, floor))
        rows.append(_row(f"time of a permit, {name}, p99", "ms", lambda one: one.p99_s * 1e3, ours, floor))
    return rows


def _beside_the_library(runs: list[Run], callers: int) -> list[Row]:
    """The ratio is how many times the library's rate is Beat's, and how much of its CPU a permit takes.

    The library can be used in two ways: the better one of each run counts. What is asked is asked of the one call of
    Redis that stands for four of the library's; the limiter's own work comes on top.
    """
    peers = [[run[way, callers] for way in (LIBRARY, SHARED)] for run in runs]
    best = [max(map(per_s, peer)) for peer in peers]
    label = f"{callers} at once, times the library's four limiters"
    script = Metric("limiter", f"the script of 4 levels alone, {label}", "1/s", Target(">=", 5))
    rate = Metric("limiter", f"permits, 4 levels, {label}", "1/s")
    cost = Metric("limiter", f"client CPU per permit, 4 levels, {label}", "µs")
    return [
        row_of(script, [per_s(run[SCRIPT, callers]) for run in runs], best),
        row_of(rate, [per_s(run[LEVELS, callers]) for run in runs], best),
        row_of(
            cost,
            [client_us(run[LEVELS, callers]) for run in runs],
            [min(map(client_us, peer)) for peer in peers],
        ),
    ]


def _row(name: str, unit: str, figure: Figure, ours: list[Taken], floor: list[Taken]) -> Row:
    return row_of(Metric("limiter", name, unit), list(map(figure, ours)), list(map(figure, floor)))


def per_s(one: Taken) -> float:
    """Permits a second."""
    return one.permits / one.seconds


def client_us(one: Taken) -> float:
    """CPU of the process that asks, for one permit."""
    return one.client_s * 1e6 / one.permits


def redis_us(one: Taken) -> float:
    """CPU of the server, for one permit."""
    return one.redis_s * 1e6 / one.permits
