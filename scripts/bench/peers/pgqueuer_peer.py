"""pgqueuer: asyncpg, uvloop, claims in batches and completions in batches."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from scripts.bench.peers import stamps
from scripts.bench.peers.program import main, wait_for_the_start

BATCH = int(os.environ.get("BENCH_SETTING") or 100)
FILL = 5_000


class Pgqueuer:
    """The setting is the size of a claim. One connection a process, no bound on the jobs at a time."""

    async def prepare(self) -> None:
        await (await _queries()).install()

    async def fill(self, count: int) -> None:
        queries = await _queries()
        for first in range(0, count, FILL):
            numbers = range(first, min(count, first + FILL))
            payloads = [str(number).encode() for number in numbers]
            await queries.enqueue(["noop"] * len(payloads), payloads, [0] * len(payloads))

    async def work(self) -> None:
        queue = PgQueuer(AsyncpgDriver(await asyncpg.connect(os.environ["BENCH_URL"])))
        queue.entrypoint("noop")(_noop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queue.shutdown.set)
        wait_for_the_start()
        await queue.run(batch_size=BATCH, dequeue_timeout=timedelta(seconds=30))

    async def ping(self, once: Callable[[Callable[[int], Awaitable[object]]], Awaitable[None]]) -> None:
        queries = await _queries()
        await once(lambda job: queries.enqueue("noop", str(job).encode()))


async def _queries() -> Any:
    return Queries(AsyncpgDriver(await asyncpg.connect(os.environ["BENCH_URL"])))


async def _noop(job: Any) -> None:
    stamps.mark(int(job.payload))


if __name__ == "__main__":
    main(Pgqueuer())
