"""Beat beside other queues at their best settings, in one run: drain (T3) and idle pick-up."""

from __future__ import annotations

import sys
from pathlib import Path

import asyncpg

from scripts.bench import limit
from scripts.bench.peers import contest
from scripts.bench.peers.contest import PEERS, Peer
from scripts.bench.place import BenchError, Place
from scripts.bench.rows import Metric, Row, Target, row_of, shares
from scripts.bench.suites.drain import CORE, FULL, drain
from scripts.bench.suites.pickup import pickups

ASKED = {"procrastinate": 30.0, "pgqueuer": 1.5}
BEAT = {"Beat, queue core alone": CORE, "Beat, events and results": FULL}
DRAIN, PICKUP = "drain, ", "pick-up {}, "
BEAT_JOBS = 40_000


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """One row a system and measure, and Beat's drain as a multiple of each peer's."""
    runs, probes, part = (1, 20, 6) if quick else (3, 150, 1)
    environment = contest.Environment()
    versions, python = environment.versions(), environment.python
    best = {peer: await best_setting(place, python, peer, quick=quick) for peer in PEERS}
    labels = {peer: f"{peer.name.format(versions[peer.package])} ({peer.what.format(best[peer])})" for peer in PEERS}
    limits: list[float] = []
    drains: dict[str, list[float]] = {label: [] for label in (*BEAT, *labels.values())}
    picks: dict[str, list[list[float]]] = {"Beat": [], **{label: [] for label in labels.values()}}
    for _ in range(runs):
        jobs = BEAT_JOBS // part
        limits.append((await limit.drain(place.pg, place.url, processes=4, batch=100, jobs=jobs)).jobs_per_s)
        for label, shape in BEAT.items():
            drains[label].append((await drain(place, shape, jobs)).jobs_per_s)
        await at_rest(place.pg)
        picks["Beat"].append([one.confirmed_ms for one in await pickups(place, probes)])
        for peer, label in labels.items():
            rate, times = await contest.run(place, python, peer, best[peer], peer.jobs // part, probes)
            drains[label].append(rate)
            picks[label].append(times)
    return _rows(labels, limits, drains, picks)


async def at_rest(pg: asyncpg.Connection) -> None:
    """Nothing is left to do but the jobs to come: a drain keeps its events back, and the relay of the next pool would
    be sending tens of thousands of them beside the pick-ups."""
    await pg.execute("truncate event_outbox")
    await pg.execute("vacuum analyze")
    await pg.execute("checkpoint")


async def best_setting(place: Place, python: Path, peer: Peer, *, quick: bool) -> str:
    """The setting with which a short drain is fastest."""
    if quick:
        return peer.settings[0]
    rates: dict[str, float] = {}
    for each in peer.settings:
        try:
            rates[each] = (await contest.run(place, python, peer, each, peer.jobs // 3, 0))[0]
        except BenchError as error:  # another setting may do
            print(f"    {peer.package} on {peer.server}, {each}: {error}", file=sys.stderr, flush=True)
    if not rates:
        raise BenchError(f"{peer.package} on {peer.server} does not work with any of its settings")
    found = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
    print(f"    {peer.package} on {peer.server}: {found}", file=sys.stderr, flush=True)
    return max(rates, key=rates.__getitem__)


def _rows(
    labels: dict[Peer, str], limits: list[float], drains: dict[str, list[float]], picks: dict[str, list[list[float]]]
) -> list[Row]:
    rows = [row_of(Metric("peers", DRAIN + label, "jobs/s"), rates, limits) for label, rates in drains.items()]
    for label, shape in BEAT.items():
        for peer, other in labels.items():
            asked = ASKED.get(peer.package) if shape is CORE else None
            metric = Metric("peers", f"T3 {label}, beside {other}", "jobs/s", Target(">=", asked) if asked else None)
            rows.append(row_of(metric, drains[label], drains[other]))
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        rows += [
            row_of(Metric("peers", PICKUP.format(name) + label, "ms"), shares(times, share))
            for label, times in picks.items()
        ]
    return rows
