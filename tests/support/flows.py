"""Flows for tests of the queue and the pool (BEAT_EXTRA_FLOWS=tests.support.flows)."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time

from sqlalchemy import text

from core.crawler.errors import ChainFailed, NotFound, Outcome, RateLimited
from core.enums import Platform
from core.flows.registry import Flow
from core.models.params import Params
from core.runtime import FlowContext

MARKS = "create table if not exists task_mark (task_id bigint, attempt int, at timestamptz default clock_timestamp())"


class SleepParams(Params):
    """``ms`` to sleep before the task ends."""

    ms: int = 0


async def mark(params: SleepParams, ctx: FlowContext) -> None:
    """Write (task, attempt) to task_mark, then sleep."""
    async with ctx.runtime.database.sessions.begin() as session:
        await session.execute(
            text("insert into task_mark (task_id, attempt) values (:task, :attempt)"),
            {"task": ctx.task_id, "attempt": ctx.attempt},
        )
    await asyncio.sleep(params.ms / 1000)


async def nap(params: SleepParams, ctx: FlowContext) -> dict[str, int]:
    """Sleep, touching nothing."""
    await asyncio.sleep(params.ms / 1000)
    return {"slept_ms": params.ms}


async def once_slow(params: SleepParams, ctx: FlowContext) -> None:
    """Sleep on the first attempt; a later one marks the task and ends at once."""
    if ctx.attempt == 1:
        await asyncio.sleep(params.ms / 1000)
    else:
        await mark(SleepParams(ms=0), ctx)


async def stubborn(params: SleepParams, ctx: FlowContext) -> None:
    """Swallow every cancellation."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


async def blocking(params: SleepParams, ctx: FlowContext) -> None:
    """Block the event loop."""
    time.sleep(params.ms / 1000)  # noqa: ASYNC251  that is the point


async def in_transaction(params: SleepParams, ctx: FlowContext) -> None:
    """Sit in an open transaction that has written."""
    async with ctx.runtime.database.sessions.begin() as session:
        await session.execute(text("insert into task_mark (task_id, attempt) values (:id, 0)"), {"id": ctx.task_id})
        await asyncio.sleep(params.ms / 1000)


async def suicidal(params: SleepParams, ctx: FlowContext) -> None:
    """Kill the own process."""
    os.kill(os.getpid(), signal.SIGKILL)


async def limited(params: SleepParams, ctx: FlowContext) -> None:
    """Fail as a chain whose sources were rate limited."""
    raise ChainFailed("f", (Outcome("a", RateLimited("slow down", retry_after_s=90)), Outcome("b", NotFound("no"))))


async def missing(params: SleepParams, ctx: FlowContext) -> None:
    """Fail as not found."""
    raise NotFound("no such profile")


async def broken(params: SleepParams, ctx: FlowContext) -> None:
    """Fail with a programming error that quotes a secret."""
    raise KeyError("access_token=EAABsecretsecretsecretsecretsecretsecret")


async def heap(params: SleepParams, ctx: FlowContext) -> dict[str, object]:
    """How garbage is looked for here."""
    return {"every": gc.get_threshold(), "frozen": gc.get_freeze_count()}


IG = Platform.INSTAGRAM
HERE = "tests.support.flows"
FLOWS = (
    Flow("test_mark", IG, SleepParams, 3, 5, f"{HERE}:mark"),
    Flow("test_nap", IG, SleepParams, 4, 10, f"{HERE}:nap"),
    Flow("test_once_slow", IG, SleepParams, 4, 25, f"{HERE}:once_slow"),
    Flow("test_stubborn", IG, SleepParams, 1, 5, f"{HERE}:stubborn", time_limit_s=1),
    Flow("test_blocking", IG, SleepParams, 1, 5, f"{HERE}:blocking", time_limit_s=1),
    Flow("test_in_transaction", IG, SleepParams, 1, 5, f"{HERE}:in_transaction", time_limit_s=1),
    Flow("test_suicidal", IG, SleepParams, 1, 5, f"{HERE}:suicidal"),
    Flow("test_limited", IG, SleepParams, 1, 5, f"{HERE}:limited"),
    Flow("test_missing", IG, SleepParams, 1, 5, f"{HERE}:missing"),
    Flow("test_broken", IG, SleepParams, 1, 5, f"{HERE}:broken"),
    Flow("test_heap", IG, SleepParams, 1, 5, f"{HERE}:heap"),
    Flow("test_unbuilt", IG, SleepParams, 1, 5),
)
