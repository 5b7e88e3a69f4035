"""The supervisor: one per host, doing once what would otherwise be multiplied by every worker process.

It starts and replaces the children, owns the host's LISTEN session, looks at the queue once a second, keeps the leases,
and gives the tasks of dead processes to living ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Coroutine
from typing import Any

import asyncpg
from loguru import logger

from config import Settings
from core.flows.registry import ASSET_POOL, Registry
from core.queue.children import Child, Ears, Nursery
from core.queue.clock import Clock
from core.queue.listener import QueueListener
from core.queue.plan import RELAY, ProcessSpec
from core.queue.queue import QueueUnavailable
from core.queue.roster import Roster
from core.queue.upkeep import Upkeep
from utils.leave import stop_signals
from utils.paced import Paced

RELAY_PACE_S = 0.025  # a relay woken for every step would take a core from the workers


class Pool:
    """A supervisor and its children. ``runtime`` is the dotted path of what builds a child's clients."""

    def __init__(
        self, settings: Settings, registry: Registry, specs: list[ProcessSpec], *, runtime: str, host: str
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._specs = [*specs, ProcessSpec(RELAY)]
        self._upkeep = Upkeep(settings, registry, host, yields=all(spec.name != ASSET_POOL for spec in specs))
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["core.preload"])
        self._nursery = Nursery(context, settings, runtime, Ears(self._hear, self._died))
        self._listener = QueueListener(settings.database.pg_url, self._on_work, self._on_cancel, self._on_gap)
        self._roster = Roster(self._nursery.children)
        self._clock = Clock(settings, registry, self._upkeep, self._roster, self._nursery.children)
        self._stopping = False
        self._stopped = asyncio.Event()
        self._ready_logged = False
        self._relay = Paced(self._tell_relay, every_s=RELAY_PACE_S, delay_s=0.005)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def children(self) -> dict[int, Child]:
        """Living children by worker id."""
        return self._nursery.children

    async def run(self) -> None:
        """Run until a signal to stop, and until every child is gone."""
        loop = asyncio.get_running_loop()
        for sign in stop_signals():
            loop.add_signal_handler(sign, self.stop)
        self._spawn(self._start_all())
        self._spawn(self._listener.run())
        for round_ in self._clock.rounds():
            self._spawn(round_)
        await self._stopped.wait()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._upkeep.aclose()

    def stop(self) -> None:
        """Drain; called again, hurry."""
        hurry, self._stopping = self._stopping, True
        self._clock.draining = True
        grace_s = 0.0 if hurry else self._settings.workers.worker_grace_s
        logger.bind(grace_s=grace_s, children=len(self.children)).info("pool is stopping")
        for child in list(self.children.values()):
            if child.spec.name != RELAY:
                child.link.tell("drain", str(grace_s))
        if not hurry:
            self._spawn(self._wait_for_end(grace_s))

    # -- children -----------------------------------------------------------------------------------------------------

    async def _start_all(self) -> None:
        look = await self._insist(lambda: self._upkeep.look([]))  # what is paused must not run until the first tick
        self._roster.see(look.control)
        for seat, spec in enumerate(self._specs):
            await self._start(spec, seat)

    async def _start(self, spec: ProcessSpec, seat: int) -> None:
        while not self._stopping:
            worker = await self._insist(lambda: self._upkeep.add_worker(spec))
            self._clock.starting.add(worker)  # the fork server may take longer than a lease to import everything
            try:
                child = await self._nursery.start(spec, seat, worker)
                break
            except (OSError, EOFError) as error:
                logger.bind(error=type(error).__name__).warning("fork server was lost: starting another")
                self._clock.lost(worker)
                await asyncio.sleep(0.5)
            finally:
                self._clock.starting.discard(worker)
        else:
            return
        self._roster.add(child)
        if self._stopping:
            child.link.tell("drain", "0")

    def _died(self, child: Child) -> None:
        self._roster.remove(child)
        self._clock.lost(child.worker)
        self._spawn(self._clock.rescue())
        if self._stopping:
            return
        pause_s = self._nursery.pause_before(child)
        logger.bind(worker=child.worker, pid=child.pid, process=child.spec.name, pause_s=pause_s).warning("child died")
        self._spawn(self._replace_later(child, pause_s))

    async def _replace_later(self, child: Child, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        await self._start(child.spec, child.seat)

    def _hear(self, child: Child, words: list[str]) -> None:
        match words:
            case ["idle"]:
                self._roster.idle(child)
            case ["full", *flows]:
                self._roster.full(child, flows)
            case ["events"]:
                self._relay.ask()
            case ["counts", text]:
                self._upkeep.count(text)
            case ["slots", flow, slots]:
                self._roster.confirm(child, flow, int(slots))
            case ["pong"]:
                child.pong_at = time.monotonic()
            case ["ready"]:
                child.ready = True
                self._spawn(self._named(child))
                self._log_ready()

    async def _named(self, child: Child) -> None:
        """An asset pool counts as alive from its first name on: it must not stay without one."""
        await self._insist(lambda: self._upkeep.name_worker(child.worker, child.pid))

    def _log_ready(self) -> None:
        ready = sum(child.ready for child in self.children.values())
        if not self._ready_logged and ready == len(self._specs):
            self._ready_logged = True
            logger.bind(processes=ready).info("pool is ready")

    # -- wake-ups -----------------------------------------------------------------------------------------------------

    def _tell_relay(self) -> None:
        for child in self.children.values():
            if child.spec.name == RELAY:
                child.link.tell("wake")

    def _on_work(self, flow: str) -> None:
        if flow in self._roster.flows:
            self._roster.wake(flow)
        elif flow not in self._registry or not self._registry[flow].target:
            self._clock.strange_flow = True
        self._relay.ask()

    def _on_cancel(self, worker: int, task_id: int) -> None:
        if worker in self.children:
            self.children[worker].link.tell("cancel", str(task_id))

    def _on_gap(self) -> None:
        for flow in self._roster.flows:
            self._roster.wake(flow)

    # -- the end ------------------------------------------------------------------------------------------------------

    async def _wait_for_end(self, grace_s: float) -> None:
        """Workers first, then the relay, so that their last events go out; then whoever is left is killed."""
        await self._until_gone(lambda child: child.spec.name != RELAY, grace_s + 6.0)
        for child in list(self.children.values()):
            child.link.tell("drain", "0")
        await self._until_gone(lambda _: True, 10.0)
        await self._clock.rescue()
        with contextlib.suppress(QueueUnavailable):
            await self._upkeep.store_counts()
        logger.info("pool has stopped")
        self._stopped.set()

    async def _until_gone(self, which: Any, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while left := [child for child in self.children.values() if which(child)]:
            if time.monotonic() > deadline:
                for child in left:
                    child.kill()
            await asyncio.sleep(0.02)

    async def _insist(self, ask: Any) -> Any:
        """Ask the database again and again until it answers."""
        pause = 0.2
        while True:
            try:
                return await ask()
            except (QueueUnavailable, asyncpg.PostgresError) as error:
                logger.bind(error=str(error), pause_s=pause).warning("database was unavailable")
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)

    def _spawn(self, body: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(body)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.opt(exception=error).error("supervisor task failed")
