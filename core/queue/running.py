"""A task in a slot of a worker, and what is counted of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum

from loguru import logger

from core.metrics import COUNTS, DURATION, FENCED, PICKUP, RETRIES, TASKS
from core.queue.queue import Claim, Done, Failed


class Why(Enum):
    """Why a task was cancelled."""

    TIME_LIMIT = "its time limit"
    REVOKED = "its claim was taken away"
    DRAIN = "shutdown"


@dataclass(slots=True)
class Running:
    """A task in a slot."""

    claim: Claim
    limit_s: float
    started_at: float
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    why: Why | None = None
    cancels: int = 0


def count_start(claim: Claim) -> None:
    """A claim begins to run."""
    if claim.attempt == 1 and claim.created_at is not None:
        COUNTS.observe(PICKUP, (claim.token - claim.created_at).total_seconds(), claim.flow)


def count_end(running: Running, report: Done | Failed | None, now_s: float) -> None:
    """An attempt has ended, or was given up."""
    outcome = running.why.name if running.why else type(report).__name__
    COUNTS.observe(DURATION, now_s - running.started_at, running.claim.flow, outcome.lower())


def count_report(claim: Claim, status: str | None, code: str = "") -> None:
    """A report was stored with this status; without one it was refused."""
    if status is None:
        COUNTS.add(FENCED, claim.flow)
        logger.bind(task_id=claim.id, flow=claim.flow).warning("report was refused: the claim was lost")
    elif status == "PENDING":
        COUNTS.add(RETRIES, claim.flow, code)
    else:
        COUNTS.add(TASKS, claim.flow, status.lower())
