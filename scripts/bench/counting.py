"""Counts the statements that worker processes send; imported by the bench's flow modules, so it works in every child.

The totals are written to BENCH_COUNTS/<pid> when a worker closes its queue connection.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg

from core.queue.queue import WorkerQueue

VARIABLE = "BENCH_COUNTS"

_run, _aclose = WorkerQueue._run, WorkerQueue.aclose
_sent = 0


async def _counted(self: WorkerQueue, statement: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
    global _sent  # noqa: PLW0603  one total a process
    _sent += 1
    return await _run(self, statement)


async def _closed(self: WorkerQueue) -> None:
    await _aclose(self)
    if folder := os.environ.get(VARIABLE):
        Path(folder, str(os.getpid())).write_text(str(_sent), encoding="ascii")  # noqa: ASYNC240  the process ends here


def install() -> None:
    """Put the counters in place; a second call changes nothing."""
    WorkerQueue._run = _counted  # type: ignore[method-assign]
    WorkerQueue.aclose = _closed  # type: ignore[method-assign]


def total(folder: Path) -> int:
    """Statements of all workers that have ended."""
    return sum(int(file.read_text(encoding="ascii")) for file in folder.iterdir())
