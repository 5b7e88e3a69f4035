"""The worker's step without its task events: the queue core alone."""

from __future__ import annotations

import asyncpg

NAME = "bench_step"

_SAID = ",\nsaid as ("
_WHOLE = "returning t.*"  # rows are handed on whole for the sake of their events
_ID, _CLAIM = "returning t.id", "returning t.id, t.flow, t.platform, t.params, t.retry_count, t.picked_at, t.created_at"


async def make(pg: asyncpg.Connection) -> None:
    """Leave the database with function ``bench_step``, beside worker_step."""
    await pg.execute(without_events(await pg.fetchval("select pg_get_functiondef('worker_step'::regproc)")))


def without_events(definition: str) -> str:
    """The definition of worker_step as one of bench_step, without its ``said`` parts and what only they read.

    Raises:
        ValueError: it is written otherwise than it was: mend this module.
    """
    head, *rest = definition.split(_SAID)
    text = head + "".join(part.partition(" e)\n")[2].join(("\n", "")) for part in rest)
    if len(rest) != 3 or text.count(_WHOLE) != 3 or "event_outbox" in text:
        raise ValueError("the worker's step has changed: mend scripts/bench/core_step.py")
    return text.replace(_WHOLE, _ID, 1).replace(_WHOLE, _CLAIM).replace("worker_step", NAME)
