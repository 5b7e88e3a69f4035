"""Counts of what was asked and how it was answered."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from pydantic import BaseModel, Field


class Outcome(NamedTuple):
    """One request; ``status`` is the HTTP status or, without one, the fault's name (reset, hang)."""

    source: str
    function: str
    status: str
    credential: str
    fault: str


class StatsRow(BaseModel):
    """Requests that ended alike."""

    source: str
    function: str
    status: str
    credential: str = Field(description="Label of the credential, empty for none; never its secret.")
    fault: str = Field(description="Injected fault, empty for none.")
    count: int


class StatsOut(BaseModel):
    """All requests since the start or the last DELETE."""

    total: int
    by_source: dict[str, int]
    rows: list[StatsRow]


class Stats:
    """A counter per outcome. ``era`` is another one after each clearing."""

    def __init__(self) -> None:
        self._counts: Counter[Outcome] = Counter()
        self.era = 0

    def count(self, outcome: Outcome, era: int) -> None:
        """Add one request that came in ``era``; one of an earlier era, which took its time, is nobody's any more."""
        if era == self.era:
            self._counts[outcome] += 1

    def clear(self) -> None:
        """Start anew."""
        self._counts.clear()
        self.era += 1

    def report(self) -> StatsOut:
        """Rows in order of source, function and status."""
        by_source: Counter[str] = Counter()
        for outcome, count in self._counts.items():
            by_source[outcome.source] += count
        rows = [StatsRow(**outcome._asdict(), count=count) for outcome, count in sorted(self._counts.items())]
        return StatsOut(total=sum(by_source.values()), by_source=dict(by_source), rows=rows)
