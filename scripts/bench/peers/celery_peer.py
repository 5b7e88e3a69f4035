"""Celery on the broker of BENCH_URL: results ignored, 200 jobs fetched ahead. The setting is the kind of its pool."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable

from celery import Celery
from celery.signals import celeryd_after_setup

from scripts.bench.peers import stamps
from scripts.bench.peers.program import main, wait_for_the_start

AHEAD = 200
POOLS = {
    "solo": ("--pool=solo",),
    "threads": ("--pool=threads", "--concurrency=4"),
    "prefork": ("--pool=prefork", "--concurrency=4"),
}

app = Celery("peer", broker=os.environ.get("BENCH_URL", "memory://"), set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    worker_prefetch_multiplier=AHEAD,
    worker_disable_rate_limits=True,
    worker_redirect_stdouts=False,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)


def _noop(job: int) -> None:
    stamps.mark(job)


noop = app.task(name="noop")(_noop)


class CeleryPeer:
    """Workers run without a loop; jobs are queued over one connection that stays open."""

    async def prepare(self) -> None:
        """A broker needs no tables."""

    async def fill(self, count: int) -> None:
        with app.producer_or_acquire() as producer:
            for job in range(count):
                noop.apply_async((job,), producer=producer)

    async def work(self) -> None:
        """See ``work`` below."""

    async def ping(self, once: Callable[[Callable[[int], Awaitable[object]]], Awaitable[None]]) -> None:
        with app.producer_or_acquire() as producer:

            async def queue(job: int) -> None:
                noop.apply_async((job,), producer=producer)

            await once(queue)


def work() -> None:
    """Celery brings its own main loop and signal handlers."""
    celeryd_after_setup.connect(_start)
    silent = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
    pool = POOLS[os.environ.get("BENCH_SETTING") or "solo"]
    app.worker_main(["worker", *pool, f"--hostname=peer-{os.getpid()}", *silent])


def _start(**_: object) -> None:
    wait_for_the_start()


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        work()
    else:
        main(CeleryPeer())
