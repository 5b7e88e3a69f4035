"""Whether the queue's core can be read in one sitting: its SQL, the worker's loop and the supervisor (T21)."""

from __future__ import annotations

from scripts.bench.place import ROOT, Place
from scripts.bench.rows import Metric, Row, Target, row_of

CORE = ("statements.py", "worker.py", "pool.py")


async def suite(_place: Place, *, quick: bool) -> list[Row]:  # noqa: ARG001  counting is quick
    """Lines of the three files, and of the longest."""
    counts = [len((ROOT / "core/queue" / name).read_text(encoding="utf-8").splitlines()) for name in CORE]
    return [
        row_of(Metric("size", "T21 lines of the queue's core", "lines", Target("<=", 700, of="value")), [sum(counts)]),
        row_of(Metric("size", "T21 lines of its longest file", "lines", Target("<=", 300, of="value")), [max(counts)]),
    ]
