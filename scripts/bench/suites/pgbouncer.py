"""What PgBouncer in transaction mode between workers and server costs: drain and idle pick-up (T16).

The drain is that of production, with events and results: behind the pooler its statement is a function of the schema,
which the statement of the core alone is not.
"""

from __future__ import annotations

from scripts.bench.place import Place
from scripts.bench.rows import Metric, Row, Target, quantile, row_of
from scripts.bench.suites.drain import FULL, SMALL, drain
from scripts.bench.suites.pickup import pickups


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Through the pooler beside direct, in turns; of the pick-up also what is added."""
    jobs, small_jobs, probes, runs = (6_000, 2_000, 40, 1) if quick else (40_000, 10_000, 200, 3)
    pooled = place.pooled()
    rows = []
    for shape, count in ((FULL, jobs), (SMALL, small_jobs)):
        through, direct = [], []
        for _ in range(runs):
            direct.append((await drain(place, shape, count)).jobs_per_s)
            through.append((await drain(pooled, shape, count)).jobs_per_s)
        target = Target(">=", 0.9) if shape is FULL else None
        rows.append(row_of(Metric("pgbouncer", f"T16 drain, {shape.label}", "jobs/s", target), through, direct))
    through, direct = [], []
    for _ in range(runs):
        direct.append(quantile([one.commit_ms for one in await pickups(place, probes)], 0.5))
        through.append(quantile([one.commit_ms for one in await pickups(pooled, probes)], 0.5))
    added = [slow - fast for slow, fast in zip(through, direct, strict=True)]
    rows.append(row_of(Metric("pgbouncer", "T16 idle pick-up p50", "ms"), through, direct))
    rows.append(row_of(Metric("pgbouncer", "T16 idle pick-up p50, added", "ms", Target("<=", 2, of="value")), added))
    return rows
