"""The supervisor: one per host, doing once what would otherwise be multiplied by every worker process.

It starts and replaces the children, owns the host's LISTEN session, looks at the queue once a second, keeps the leases,
and gives the tasks of dead processes to living ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import random
import signal
import time
from collections.abc import Coroutine
from typing import Any

from loguru import logger

from config import Settings
from core.flows.registry import ASSET_POOL, Registry
from core.queue.children import Child, Ears, Nursery
from core.queue.listener import QueueListener
from core.queue.plan import RELAY, ProcessSpec
from core.queue.queue import QueueUnavailable
from core.queue.roster import Roster
from core.queue.upkeep import FlowControl, Upkeep

PING_S = 2.0
SILENT_S, OVERDUE_SLACK_S = 4.0, 3.0
"""Silent for so long a child may be wedged; the queue says whether a task is overdue: killed 5 s after its limit."""


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
        self._dead: set[int] = set()
        self._starting: set[int] = set()
        self._rescuing = asyncio.Lock()
        self._stopping = False
        self._stopped = asyncio.Event()
        self._ready_logged = False
        self._relay_due = False
        self._strange_flow = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def children(self) -> dict[int, Child]:
        """Living children by worker id."""
        return self._nursery.children

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT and every child is gone."""
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self.stop)
        self._spawn(self._start_all())
        self._spawn(self._listener.run())
        self._spawn(self._ticks())
        self._spawn(self._beats())
        self._spawn(self._pings())
        await self._stopped.wait()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._upkeep.aclose()

    def stop(self) -> None:
        """Drain; called again, hurry."""
        hurry, self._stopping = self._stopping, True
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
            self._starting.add(worker)  # the fork server may take longer than a lease to import everything
            try:
                child = await self._nursery.start(spec, seat, worker)
                break
            except (OSError, EOFError) as error:
                logger.bind(error=type(error).__name__).warning("fork server was lost: starting another")
                self._dead.add(worker)
                await asyncio.sleep(0.5)
            finally:
                self._starting.discard(worker)
        else:
            return
        self._roster.add(child)
        if self._stopping:
            child.link.tell("drain", "0")

    def _died(self, child: Child) -> None:
        self._roster.remove(child)
        self._dead.add(child.worker)
        self._spawn(self._rescue_dead())
        if self._stopping:
            return
        pause_s = self._nursery.pause_before(child)
        logger.bind(worker=child.worker, pid=child.pid, process=child.spec.name, pause_s=pause_s).warning("child died")
        self._spawn(self._replace_later(child, pause_s))

    async def _replace_later(self, child: Child, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        await self._start(child.spec, child.seat)

    async def _rescue_dead(self) -> None:
        async with self._rescuing:
            dead = list(self._dead)
            if not dead:
                return
            with contextlib.suppress(QueueUnavailable):
                await self._upkeep.rescue(dead)
                self._dead.difference_update(dead)

    def _hear(self, child: Child, words: list[str]) -> None:
        match words:
            case ["idle"]:
                self._roster.idle(child)
            case ["full", *flows]:
                self._roster.full(child, flows)
            case ["events"]:
                self._wake_relay()
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
        with contextlib.suppress(QueueUnavailable):
            await self._upkeep.name_worker(child.worker, child.pid)

    def _log_ready(self) -> None:
        ready = sum(child.ready for child in self.children.values())
        if not self._ready_logged and ready == len(self._specs):
            self._ready_logged = True
            logger.bind(processes=ready).info("pool is ready")

    # -- wake-ups -----------------------------------------------------------------------------------------------------

    def _wake_relay(self) -> None:
        if not self._relay_due:
            self._relay_due = True
            asyncio.get_running_loop().call_later(0.005, self._tell_relay)

    def _tell_relay(self) -> None:
        self._relay_due = False
        for child in self.children.values():
            if child.spec.name == RELAY:
                child.link.tell("wake")

    def _on_work(self, flow: str) -> None:
        self._wake_relay()
        if flow in self._roster.flows:
            self._roster.wake(flow)
        elif flow not in self._registry or not self._registry[flow].target:
            self._strange_flow = True

    def _on_cancel(self, worker: int, task_id: int) -> None:
        if worker in self.children:
            self.children[worker].link.tell("cancel", str(task_id))

    def _on_gap(self) -> None:
        for flow in self._roster.flows:
            self._roster.wake(flow)

    # -- the clockwork ------------------------------------------------------------------------------------------------

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(0.9, 1.1))
            with contextlib.suppress(QueueUnavailable):
                await self._tick()

    async def _tick(self) -> None:
        await self._rescue_dead()
        open_flows = [] if self._stopping else [f for f in self._roster.flows if self._roster.claimable(f)]
        if leases := self._roster.given_back():
            await self._upkeep.give_back(leases)
        look = await self._upkeep.look(open_flows)
        await self._take_control(look.control)
        for flow in look.pending:
            self._roster.wake(flow)
        if self._strange_flow:
            self._strange_flow = False
            await self._upkeep.fail_unknown()
        await self._upkeep.work(look)
        await self._look_for_wedged()

    async def _take_control(self, control: FlowControl) -> None:
        """Pass on what operators want, and lease slots of flows that have a cap."""
        changed, missing = self._roster.see(control)
        if missing:
            self._roster.granted(await self._upkeep.lease(missing))
        self._roster.tell(changed=changed or bool(missing))

    async def _beats(self) -> None:
        while True:
            with contextlib.suppress(QueueUnavailable):
                mine = set(self.children) | self._starting
                lost = mine - await self._upkeep.beat(list(mine))
                for worker in lost & set(self.children):
                    logger.bind(worker=worker).error("worker was declared lost by another host: killing it")
                    self.children[worker].kill()
            await asyncio.sleep(self._settings.workers.heartbeat_s)

    async def _pings(self) -> None:
        while True:
            for child in list(self.children.values()):
                child.link.tell("ping")
            await asyncio.sleep(PING_S)

    async def _look_for_wedged(self) -> None:
        now = time.monotonic()
        for child in list(self.children.values()):
            if child.ready and child.spec.name != RELAY and now - child.pong_at > SILENT_S:
                limits = {flow: self._limit_s(flow) for flow in child.spec.flows}
                if await self._upkeep.overdue(child.worker, limits, OVERDUE_SLACK_S) or now - child.pong_at > max(
                    limits.values(), default=self._settings.workers.task_time_limit_s
                ):
                    logger.bind(worker=child.worker, pid=child.pid, process=child.spec.name).error(
                        "child is wedged: killing it"
                    )
                    child.kill()
                    await self._upkeep.time_out(child.worker, limits)

    def _limit_s(self, flow: str) -> float:
        known = self._registry[flow].time_limit_s
        return self._roster.control.limits.get(flow) or known or self._settings.workers.task_time_limit_s

    # -- the end ------------------------------------------------------------------------------------------------------

    async def _wait_for_end(self, grace_s: float) -> None:
        """Workers first, then the relay, so that their last events go out; then whoever is left is killed."""
        await self._until_gone(lambda child: child.spec.name != RELAY, grace_s + 6.0)
        for child in list(self.children.values()):
            child.link.tell("drain", "0")
        await self._until_gone(lambda _: True, 10.0)
        await self._rescue_dead()
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
            except QueueUnavailable as error:
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
