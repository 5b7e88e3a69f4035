"""What processes count while they work, under the names that Prometheus sees.

Each process adds up in memory. Children hand their counts to the supervisor, which adds them to ``beat_metric`` every
few seconds while there is something to add; ``GET /metrics`` shows the sums of all hosts. A killed process loses what
it counted in its last seconds.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

FLUSH_S = 5.0
"""Seconds between a first count and handing it on."""


@dataclass(frozen=True, slots=True, eq=False)
class Count:
    """A counter; ``labels`` name what its values are kept apart by."""

    name: str
    help: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Histogram(Count):
    """Durations in seconds; ``buckets`` are their upper bounds, rising, without infinity."""

    buckets: tuple[float, ...]


TASKS = Count("beat_tasks_total", "Tasks that ended, by how they ended.", ("flow", "outcome"))
RETRIES = Count("beat_task_retries_total", "Attempts that failed and are made again.", ("flow", "reason"))
FENCED = Count("beat_fenced_total", "Reports refused because the claim had been lost.", ("flow",))
RESCUED = Count("beat_rescued_total", "Tasks taken from workers that were lost.", ())
PROVIDER_REQUESTS = Count("beat_provider_requests_total", "Questions to data sources.", ("source", "outcome"))
CREDENTIAL_REQUESTS = Count(
    "beat_credential_requests_total",
    "Questions by credential: its number, or account for the many that accounts have given.",
    ("source", "credential", "outcome"),
)
SCHEDULE_RUNS = Count("beat_schedule_runs_total", "Runs of schedules, by how they ended.", ("schedule", "outcome"))
SCHEDULE_TASKS = Count(
    "beat_schedule_tasks_total", "Candidates of schedules, by what became of them.", ("schedule", "outcome")
)
PAYLOAD_DRIFT = Count(
    "beat_payload_drift_total", "Changes in the shape of a source's answers.", ("source", "function", "kind")
)
DURATION = Histogram(
    "beat_task_duration_seconds",
    "Time that an attempt ran.",
    ("flow", "outcome"),
    (0.05, 0.25, 1, 2.5, 5, 10, 30, 60, 120, 300, 600),
)
PICKUP = Histogram(
    "beat_task_pickup_seconds",
    "Time from the creation of a task to a claim of its first attempt.",
    ("flow",),
    (0.002, 0.005, 0.01, 0.05, 0.25, 1, 5, 30, 60, 300, 3600),
)
COUNTED: tuple[Count, ...] = (
    TASKS, RETRIES, FENCED, RESCUED, PROVIDER_REQUESTS, CREDENTIAL_REQUESTS, SCHEDULE_RUNS, SCHEDULE_TASKS,
    PAYLOAD_DRIFT, DURATION, PICKUP,
)  # fmt: skip

Sample = tuple[str, str, float]
"""Name, labels as a JSON list of texts in the order of the metric, value. A histogram is samples ``NAME_bucket``, with
the index of the bucket as last label and not added up, and ``NAME_sum``."""

STORE = """
insert into beat_metric as m (name, labels, value)
select * from unnest($1::text[], $2::text[], $3::float8[]) s(name, labels, value) order by name, labels
on conflict (name, labels) do update set value = m.value + excluded.value"""
"""Add ``$1 names, $2 labels, $3 values``; rows are locked in one order, so that hosts cannot deadlock."""


class Counts:
    """The counts of one process since they were last taken. Not for threads."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, tuple[str, ...]], float] = {}
        self._durations: dict[tuple[Histogram, tuple[str, ...]], list[float]] = {}
        self._on_first: Callable[[], object] | None = None

    def watch(self, on_first: Callable[[], object]) -> None:
        """Call this at the first count after each taking."""
        self._on_first = on_first

    def add(self, metric: Count, *labels: str, by: int = 1) -> None:
        """Count events."""
        key = (metric.name, labels)
        seen = self._values.get(key, 0)
        if not seen:
            self._note()
        self._values[key] = seen + by

    def observe(self, metric: Histogram, durations: Iterable[float], *labels: str) -> None:
        """Count durations in seconds; one below 0 is of clocks that disagree, and counts as none at all."""
        found = self._durations.get((metric, labels))
        if found is None:
            self._note()
            found = self._durations[metric, labels] = [0.0] * (len(metric.buckets) + 2)
        buckets = metric.buckets
        for seconds in durations:
            found[bisect_left(buckets, seconds)] += 1
            if seconds > 0:
                found[-1] += seconds

    def take(self) -> list[Sample]:
        """Everything counted; the next count is a first one."""
        samples = [(name, json.dumps(labels), value) for (name, labels), value in self._values.items() if value]
        for (metric, labels), (*hits, total) in self._durations.items():
            samples += [
                (f"{metric.name}_bucket", json.dumps([*labels, str(bucket)]), hit)
                for bucket, hit in enumerate(hits)
                if hit
            ]
            samples.append((f"{metric.name}_sum", json.dumps(labels), total))
        self._values, self._durations = {}, {}
        return samples

    @contextmanager
    def taken(self) -> Iterator[list[Sample]]:
        """Everything counted; it is put back when what is done with it fails."""
        samples = self.take()
        try:
            yield samples
        except BaseException:
            self._put(samples)
            raise

    def add_taken(self, message: str) -> None:
        """Add one of ``messages``, of this process or another one, as if it had been counted here."""
        self._put(json.loads(message))

    def _put(self, samples: Iterable[Sample]) -> None:
        for name, labels, value in samples:
            key = (name, tuple(json.loads(labels)))
            self._note()
            self._values[key] = self._values.get(key, 0) + value

    def _note(self) -> None:
        if self._on_first is not None and not self._values and not self._durations:
            self._on_first()


COUNTS = Counts()
"""The counts of this process."""


def messages(samples: Iterable[Sample], longest: int) -> Iterator[str]:
    """Samples as JSON texts without blanks, none longer than ``longest`` characters."""
    part: list[str] = []
    size = 2
    for sample in samples:
        text = json.dumps(sample, separators=(",", ":")).replace(" ", "\\u0020")
        if part and size + len(text) + 1 > longest:
            yield f"[{','.join(part)}]"
            part, size = [], 2
        part.append(text)
        size += len(text) + 1
    if part:
        yield f"[{','.join(part)}]"


def columns(samples: Iterable[Sample]) -> tuple[list[str], list[str], list[float]]:
    """The arguments of STORE; samples of the same name and labels are added up."""
    total: dict[tuple[str, str], float] = {}
    for name, labels, value in samples:
        total[name, labels] = total.get((name, labels), 0.0) + value
    return [name for name, _ in total], [labels for _, labels in total], list(total.values())
