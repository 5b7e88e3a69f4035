"""What a bench says: rows of figures beside their limit, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked of a metric: a bound on its value, or on its ratio to the limit."""

    sign: Literal["<=", ">="]
    bound: float
    of: Literal["ratio", "value"] = "ratio"

    def __str__(self) -> str:
        return f"{self.of} {self.sign} {self.bound:g}"

    def met(self, value: float, ratio: float | None) -> bool | None:
        """Whether the figures keep it; None when there is no ratio to judge."""
        judged = ratio if self.of == "ratio" else value
        if judged is None:
            return None
        return judged <= self.bound if self.sign == "<=" else judged >= self.bound


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure's name and what is asked of it."""

    suite: str
    name: str
    unit: str
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``limit`` is what the harness without Beat reached in the same run, None where there is none."""

    suite: str
    metric: str
    value: float
    unit: str
    limit: float | None
    ratio: float | None
    target: str | None
    met: bool | None


def row_of(metric: Metric, values: Sequence[float], limits: Sequence[float] | None = None) -> Row:
    """Medians of the runs. The ratio is the median of the runs' own ratios, each run beside its own limit.

    Raises:
        ValueError: no runs, or another number of limits than of values.
    """
    if not values or (limits is not None and len(limits) != len(values)):
        raise ValueError(f"{metric.name}: {len(values)} values, {len(limits or ())} limits")
    value = median(values)
    ratio = None
    if limits is not None and all(limits):
        ratio = median(v / limit for v, limit in zip(values, limits, strict=True))
    met = metric.target.met(value, ratio) if metric.target else None
    limit = median(limits) if limits is not None else None
    return Row(metric.suite, metric.name, value, metric.unit, limit, ratio, str(metric.target or "") or None, met)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed (nearest rank).

    Raises:
        ValueError: no values, or a share outside 0..1.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError(f"quantile {share} of {len(values)} values")
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def shares(runs: Sequence[Sequence[float]], share: float) -> list[float]:
    """That quantile of each run."""
    return [quantile(run, share) for run in runs]


def as_text(number: float | None) -> str:
    """Three significant figures, whole numbers from a thousand on; empty for None."""
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def show(rows: Sequence[Row], facts: Sequence[tuple[str, str]]) -> None:
    """Print the machine's facts and the rows."""
    table = Table(title="  ".join(f"{name}: {fact}" for name, fact in facts), title_justify="left")
    for column, side in (("suite", "left"), ("metric", "left"), ("value", "right"), ("unit", "left")):
        table.add_column(column, justify=side, overflow="fold")  # type: ignore[arg-type]
    for column in ("limit", "ratio", "target", "met"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "no"
        figures = (as_text(row.value), row.unit, as_text(row.limit), as_text(row.ratio), row.target or "", met)
        table.add_row(row.suite, row.metric, *figures)
    Console(width=None if Console().is_terminal else 160).print(table)


def write_json(rows: Sequence[Row], path: Path) -> None:
    """The rows as a JSON list."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
