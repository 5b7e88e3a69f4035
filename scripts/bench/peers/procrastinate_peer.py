"""procrastinate: asyncio worker with LISTEN, jobs queued in batches."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from procrastinate import App, PsycopgConnector

from scripts.bench.peers import stamps
from scripts.bench.peers.program import main, wait_for_the_start

CONCURRENCY = int(os.environ.get("BENCH_SETTING") or 20)
BATCH = 5_000


class Procrastinate:
    """The setting is how many jobs a process runs at a time, over a pool of as many connections."""

    def __init__(self) -> None:
        self._app = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_URL"], min_size=4, max_size=CONCURRENCY))
        self._noop = self._app.task(name="noop")(_noop)

    async def prepare(self) -> None:
        async with self._app.open_async():
            await self._app.schema_manager.apply_schema_async()

    async def fill(self, count: int) -> None:
        async with self._app.open_async():
            for first in range(0, count, BATCH):
                jobs: list[dict[str, Any]] = [{"job": job} for job in range(first, min(count, first + BATCH))]
                await self._noop.batch_defer_async(*jobs)

    async def work(self) -> None:
        async with self._app.open_async():
            wait_for_the_start()
            await self._app.run_worker_async(concurrency=CONCURRENCY, listen_notify=True)

    async def ping(self, once: Callable[[Callable[[int], Awaitable[object]]], Awaitable[None]]) -> None:
        async with self._app.open_async():
            await once(lambda job: self._noop.defer_async(job=job))


async def _noop(job: int) -> None:
    stamps.mark(job)


if __name__ == "__main__":
    main(Procrastinate())
