"""GET /metrics for Prometheus: what all hosts have counted, and what the database shows now."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.api.deps import ResourcesDep
from core.api.keys import NEEDS_READ
from core.metrics import COUNTED, COUNTS, STORE, Count, Histogram, Sample, columns
from core.queue.holders import HOLDERS, described
from core.queue.status import DEPTH

router = APIRouter(tags=["health"])

CACHE_S = 5.0

NOW = """
select
    (select count(*) from scrape_request_log where status = 'PENDING' and run_after is not null) as delayed,
    (select count(*) from scrape_request_log where status = 'PROCESSING') as running,
    (select count(*) from beat_worker) as workers,
    (select count(*) from beat_flow where paused) as paused,
    (select count(*) from event_outbox) as events,
    coalesce((select extract(epoch from now() - created_at) from event_outbox order by id limit 1), 0)::float8 as lag_s,
    (select count(*) from scrape_schedule where enabled and last_outcome <> 'ok') as unwell,
    coalesce((select n_dead_tup from pg_stat_user_tables where relid = 'scrape_request_log'::regclass), 0) as dead"""

GAUGES = {
    "delayed": ("beat_queue_delayed_tasks", "Tasks that wait for their next attempt."),
    "running": ("beat_queue_running_tasks", "Tasks that workers hold."),
    "workers": ("beat_workers", "Worker processes with a lease."),
    "paused": ("beat_flows_paused", "Flows that operators have paused."),
    "events": ("beat_outbox_depth_events", "Events that wait for the relay."),
    "lag_s": ("beat_outbox_lag_seconds", "Age of the oldest event that waits for the relay."),
    "dead": ("beat_queue_dead_rows", "Row versions of the queue that vacuum has not removed (n_dead_tup)."),
    "unwell": ("beat_schedules_unwell", "Enabled schedules whose last run went wrong, wholly or in part."),
}


@dataclass(slots=True)
class Exposition:
    """The last answer, kept for some seconds so that many scrapers cost no more than one."""

    body: bytes = b""
    made_at: float = -CACHE_S
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@router.get("/metrics", response_class=Response, dependencies=[NEEDS_READ])
async def metrics(request: Request, resources: ResourcesDep) -> Response:
    """Counters, histograms and gauges in the text format of Prometheus; at most 5 s old."""
    kept: Exposition = request.app.state.metrics
    async with kept.lock:
        if time.monotonic() - kept.made_at >= CACHE_S:
            with COUNTS.taken() as counts:
                async with resources.begin() as session:
                    kept.body = await expose(session, counts)
            kept.made_at = time.monotonic()
    return Response(kept.body, media_type=CONTENT_TYPE_LATEST)


class _Given(Collector):
    """Metrics that are there already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


async def expose(session: AsyncSession, counts: Sequence[Sample]) -> bytes:
    """Add these counts to the others', then render everything."""
    if counts:
        connection = await session.connection()
        await connection.exec_driver_sql(STORE, columns(counts))
    stored: dict[str, dict[tuple[str, ...], float]] = {}
    for name, labels, value in await session.execute(text("select name, labels, value from beat_metric")):
        stored.setdefault(name, {})[tuple(json.loads(labels))] = value
    shown = [_histogram(one, stored) if isinstance(one, Histogram) else _counter(one, stored) for one in COUNTED]
    shown += await _gauges(session)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(shown))
    return generate_latest(registry)


def _counter(metric: Count, stored: Mapping[str, Mapping[tuple[str, ...], float]]) -> Metric:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    values = stored.get(metric.name, {})
    for labels, value in sorted(values.items()) if values or metric.labels else [((), 0.0)]:
        family.add_metric(labels, value)
    return family


def _histogram(metric: Histogram, stored: Mapping[str, Mapping[tuple[str, ...], float]]) -> Metric:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*(f"{bound:g}" for bound in metric.buckets), "+Inf"]
    hits: dict[tuple[str, ...], list[float]] = {}
    for (*labels, bucket), value in stored.get(f"{metric.name}_bucket", {}).items():
        hits.setdefault(tuple(labels), [0.0] * len(bounds))[min(int(bucket), len(bounds) - 1)] += value
    sums = stored.get(f"{metric.name}_sum", {})
    for key, counts in sorted(hits.items()):
        family.add_metric(key, list(zip(bounds, accumulate(counts), strict=True)), sums.get(key, 0.0))
    return family


async def _gauges(session: AsyncSession) -> list[Metric]:
    depth = GaugeMetricFamily("beat_queue_depth_tasks", "Tasks that could run now.", labels=("flow",))
    age = GaugeMetricFamily("beat_queue_oldest_age_seconds", "Age of the oldest of them.", labels=("flow",))
    for flow, count, age_s in await session.execute(text(DEPTH)):
        depth.add_metric((flow,), count)
        age.add_metric((flow,), max(0.0, age_s))
    confirmed = CounterMetricFamily(
        "beat_events_confirmed_total", "Events the broker has taken.", labels=("routing_key",)
    )
    for key, count in await session.execute(text("select routing_key, confirmed from event_confirmed")):
        confirmed.add_metric((key,), count)
    now = (await session.execute(text(NOW))).mappings().one()
    single = [GaugeMetricFamily(name, words, value=float(now[column])) for column, (name, words) in GAUGES.items()]
    return [depth, age, confirmed, *single, *await _holders(session)]


async def _holders(session: AsyncSession) -> list[Metric]:
    """Who holds back vacuum most, and for how long the oldest transaction has been open."""
    connection = await session.connection()
    rows = (await connection.exec_driver_sql(HOLDERS, (0.0,))).mappings().all()
    who = ("", "") if not rows else (str(rows[0]["pid"] or ""), described(rows[0])["application"])
    age = GaugeMetricFamily(
        "beat_oldest_xmin_age_seconds",
        "Age of the transaction that holds back vacuum most.",
        labels=("pid", "application"),
    )
    age.add_metric(who, (rows[0]["age_s"] or 0.0) if rows else 0.0)
    xids = GaugeMetricFamily(
        "beat_oldest_xmin_age_transactions", "Transactions begun since then.", labels=("pid", "application")
    )
    xids.add_metric(who, rows[0]["transactions"] if rows else 0)
    oldest = max((row["age_s"] or 0.0 for row in rows), default=0.0)
    words = "Age of the oldest transaction that holds back vacuum."
    return [age, xids, GaugeMetricFamily("beat_oldest_transaction_seconds", words, value=oldest)]
