"""The worker's step without its fence, to show that a test would notice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

NAME = "step_without_fence"
REPORTED = "where t.id = any(array[d.id])"
FENCE = f"{REPORTED} and t.picked_at = d.token and t.worker = $3"


@asynccontextmanager
async def taken_away(pg: asyncpg.Connection) -> AsyncIterator[None]:
    """The database has the function that the workers of ``flows_without_fence`` call."""
    definition = await pg.fetchval("select pg_get_functiondef('worker_step'::regproc)")
    if FENCE not in definition:
        raise AssertionError("the fence has moved: mend this module")
    await pg.execute(definition.replace(FENCE, REPORTED).replace("worker_step", NAME))
    try:
        yield
    finally:
        await pg.execute(f"drop function {NAME}")
