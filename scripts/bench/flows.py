"""Flows that do as little as possible (BEAT_EXTRA_FLOWS=scripts.bench.flows): what is left is Beat's own cost."""

from __future__ import annotations

import asyncio
import functools
import os
import time

from core.enums import Platform
from core.flows.registry import Flow
from core.models.params import HandleParams, NoParams, Params
from core.runtime import FlowContext
from scripts.bench import counting

counting.install()


class NapParams(Params):
    """``ms`` to sleep."""

    ms: int


async def bare(params: HandleParams, ctx: FlowContext) -> None:
    """Nothing."""


async def answering(params: HandleParams, ctx: FlowContext) -> dict[str, object]:
    """A small result, as most flows return."""
    return {"handle": params.handle, "posts": 12, "attempt": ctx.attempt}


async def clock(_params: NoParams, _ctx: FlowContext) -> int:
    """The host's clock at the first line, in nanoseconds."""
    return time.time_ns()


async def nap(params: NapParams, _ctx: FlowContext) -> None:
    """Sleep."""
    await asyncio.sleep(params.ms / 1000)


async def second_try(_params: NoParams, ctx: FlowContext) -> int:
    """Hang at first; later attempts give the host's clock at their first line."""
    now = time.time_ns()
    if ctx.attempt == 1:
        await asyncio.sleep(300)
    return now


async def attempt(params: NapParams, ctx: FlowContext) -> int:
    """Sleep, and give the number of the attempt."""
    await asyncio.sleep(params.ms / 1000)
    return ctx.attempt


MARKS = "BENCH_MARKS"


@functools.cache
def _marks(folder: str) -> int:
    return os.open(f"{folder}/{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


async def mark(params: NapParams, ctx: FlowContext) -> None:
    """Note in BENCH_MARKS that the task has begun, which outlives the process, then sleep."""
    os.write(_marks(os.environ[MARKS]), b"%d\n" % (ctx.task_id or 0))
    await asyncio.sleep(params.ms / 1000)


IG = Platform.INSTAGRAM
HERE = "scripts.bench.flows"
FLOWS = (
    Flow("bench_bare", IG, HandleParams, 4, 100, f"{HERE}:bare"),
    Flow("bench_result", IG, HandleParams, 4, 100, f"{HERE}:answering"),
    Flow("bench_shape", IG, HandleParams, 4, 5, f"{HERE}:answering"),
    Flow("bench_clock", IG, NoParams, 4, 5, f"{HERE}:clock"),
    Flow("bench_nap", IG, NapParams, 4, 10, f"{HERE}:nap"),
    Flow("bench_second", IG, NoParams, 4, 5, f"{HERE}:second_try"),
    Flow("bench_attempt", IG, NapParams, 4, 100, f"{HERE}:attempt"),
    Flow("bench_mark", IG, NapParams, 4, 5, f"{HERE}:mark"),
)
