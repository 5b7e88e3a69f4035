"""The measured table of docs/comparison.md, written by ``python -m scripts.bench peers --write``."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.bench.rows import Row, as_text
from scripts.bench.suites.peers import DRAIN, PICKUP
from scripts.generated import ROOT, Block, cell

PAGE = "docs/comparison.md"


def table(rows: Sequence[Row], facts: Sequence[tuple[str, str]]) -> str:
    """One line a system: drain, its ratio to the limit, pick-up."""
    peers = [row for row in rows if row.suite == "peers"]
    drains = {row.metric.removeprefix(DRAIN): row for row in peers if row.metric.startswith(DRAIN)}
    limit = next((row.limit for row in drains.values()), None)
    picks = {row.metric: as_text(row.value) for row in peers}
    lines = ["| system | drain, jobs/s | of the limit | pick-up p50, ms | p99, ms |", "|---|---|---|---|---|"]
    lines.append(f"| limit: raw asyncpg, no semantics | {as_text(limit)} | 1 | | |")
    for label, row in drains.items():
        asked = "Beat" if label.startswith("Beat, ") else label
        times = [picks.get(PICKUP.format(name) + asked, "") for name in ("p50", "p99")]
        lines.append(f"| {cell(label)} | {as_text(row.value)} | {as_text(row.ratio)} | {' | '.join(times)} |")
    where = ", ".join(f"{name}: {fact}" for name, fact in facts)
    return "\n".join([*lines, "", f"Medians of the runs. Measured on: {where}."])


def write_table(rows: Sequence[Row], facts: Sequence[tuple[str, str]]) -> None:
    """Put the table into the page.

    Raises:
        ValueError: the page has lost its marks.
    """
    block = Block(PAGE, "measured", "python -m scripts.bench peers", lambda: table(rows, facts))
    page = ROOT / PAGE
    page.write_text(block.renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
