"""A schedule as its row has it, and what became of a run."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import asyncpg

from core.queue.bulk import CREATED, EXISTS, REFUSED, RowResult
from utils.json_safe import stored_json
from utils.redact import redact_text

Outcome = Literal["ok", "partial", "failed"]
NAMED = 5
"""Different reasons that a run remembers."""

_LONGEST = 2000


class ScheduleError(Exception):
    """A schedule cannot be run as it stands; the text names what to mend."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One row of scrape_schedule. ``params`` is the template, ``candidates`` the query that fills it."""

    name: str
    cron: str
    flow: str
    params: Mapping[str, Any]
    platform: str | None = None
    candidates: str | None = None
    max_rows: int = 1000
    dedup_window: timedelta | None = None
    expires_in: timedelta | None = timedelta(hours=1)
    priority: int | None = None

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Schedule:
        """The schedule of a row that NEXT_DUE or ONE gave.

        Raises:
            ScheduleError: its params cannot be read.
        """
        names = [name for name in cls.__dataclass_fields__ if name != "params"]
        params = stored_json(row["params"])
        if not isinstance(params, dict):
            raise ScheduleError(f"params: {params}")
        return cls(params=params, **{name: row[name] for name in names})

    def key(self, candidate: Mapping[str, Any], params: Any, due: datetime) -> str:
        """The idempotency key of a candidate's task: the same within a de-dup window.

        Windows follow each other from 1970-01-01 on, in UTC. Without one each run has its own, which tells one by hand
        from one by the clock in the same second. What makes two candidates the same is their column ``dedup_key``, or
        where that is missing or null all their params.
        """
        start = due
        if self.dedup_window is not None:
            length_s = self.dedup_window.total_seconds()
            start = datetime.fromtimestamp(due.timestamp() // length_s * length_s, UTC)
        named = candidate.get("dedup_key")
        text = json.dumps(params if named is None else named, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(f"{self.flow}\n{text}".encode()).hexdigest()[:32]
        fraction = f".{start.microsecond:06}" if start.microsecond else ""
        return f"schedule:{self.name}:{start:%Y%m%dT%H%M%S}{fraction}Z:{digest}"


@dataclass(slots=True)
class RunReport:
    """What one run did. ``reasons``: why rows were refused, and how often."""

    created: int = 0
    existing: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    error: str | None = None

    def add(self, result: RowResult) -> None:
        """Count what became of one candidate. One whose key has a task with other params was seen before."""
        if result.outcome == CREATED:
            self.created += 1
        elif result.outcome == EXISTS or (result.outcome == REFUSED and result.id is not None):
            self.existing += 1
        else:
            self.refused += 1
            self.reasons[f"{result.field}: {result.message}"] += 1

    @property
    def outcome(self) -> Outcome:
        """``failed`` when nothing could be done, ``partial`` when some candidates were refused."""
        if self.error is not None:
            return "failed"
        if not self.refused:
            return "ok"
        return "partial" if self.created or self.existing else "failed"

    @property
    def text(self) -> str | None:
        """What to mend, in one line; None when there is nothing."""
        parts = [] if self.error is None else [self.error]
        if self.refused:
            total = self.created + self.existing + self.refused
            parts.append(f"{self.refused} of {total} candidates were refused")
            parts += [f"{reason} ({count} times)" for reason, count in self.reasons.most_common(NAMED)]
        return redact_text(" ".join("; ".join(parts).split()))[:_LONGEST] if parts else None
