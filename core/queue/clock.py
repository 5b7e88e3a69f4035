"""What a supervisor does again and again: the look at the queue once a second, heartbeats, pings, and rescue."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from loguru import logger

from config import Settings
from core.flows.registry import Registry
from core.queue.children import Child
from core.queue.plan import RELAY
from core.queue.queue import QueueUnavailable
from core.queue.roster import Roster
from core.queue.upkeep import FlowControl, Upkeep

PING_S = 2.0
SILENT_S, OVERDUE_SLACK_S = 4.0, 3.0
"""Silent for so long a child may be wedged; the queue says whether a task is overdue: killed 5 s after its limit."""


class Clock:
    """The rounds of one supervisor. ``children`` is the nursery's own mapping of the living ones."""

    def __init__(
        self, settings: Settings, registry: Registry, upkeep: Upkeep, roster: Roster, children: Mapping[int, Child]
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._upkeep = upkeep
        self._roster = roster
        self._children = children
        self._dead: set[int] = set()
        self._rescuing = asyncio.Lock()
        self.starting: set[int] = set()
        """Workers that are known to the database and have no process yet."""
        self.draining = False
        self.strange_flow = False
        """Somebody queued a task of a flow that nobody serves."""

    def rounds(self) -> list[Coroutine[Any, Any, None]]:
        """The loops to run until the supervisor ends."""
        return [
            _again(self._tick, lambda: random.uniform(0.9, 1.1)),
            _again(self._beat, lambda: self._settings.workers.heartbeat_s),
            _again(self._ping, lambda: PING_S),
        ]

    def lost(self, worker: int) -> None:
        """A worker will never report again; the next rescue takes what it held."""
        self._dead.add(worker)

    async def rescue(self) -> None:
        """Give the tasks of lost workers to living ones; what cannot be done now is done at the next tick."""
        async with self._rescuing:
            dead = list(self._dead)
            if not dead:
                return
            with contextlib.suppress(QueueUnavailable):
                await self._upkeep.rescue(dead)
                self._dead.difference_update(dead)

    async def _tick(self) -> None:
        await self.rescue()
        open_flows = [] if self.draining else [f for f in self._roster.flows if self._roster.claimable(f)]
        if leases := self._roster.given_back():
            await self._upkeep.give_back(leases)
        look = await self._upkeep.look(open_flows)
        await self._take_control(look.control)
        for flow in look.pending:
            self._roster.wake(flow)
        if self.strange_flow:
            self.strange_flow = False
            await self._upkeep.fail_unknown()
        try:
            await self._upkeep.work(look)
        finally:  # also while something keeps upkeep waiting
            await self._look_for_wedged()

    async def _take_control(self, control: FlowControl) -> None:
        """Pass on what operators want, and lease slots of flows that have a cap."""
        changed, missing = self._roster.see(control)
        if missing:
            self._roster.granted(await self._upkeep.lease(missing))
        self._roster.tell(changed=changed or bool(missing))

    async def _beat(self) -> None:
        mine = self.starting | set(self._children)
        lost = mine - await self._upkeep.beat(list(mine))
        for worker in lost & set(self._children):
            logger.bind(worker=worker).error("worker was declared lost by another host: killing it")
            self._children[worker].kill()

    async def _ping(self) -> None:
        for child in list(self._children.values()):
            child.link.tell("ping")

    async def _look_for_wedged(self) -> None:
        for child in list(self._children.values()):
            silent_s = time.monotonic() - child.pong_at
            if not child.ready or child.spec.name == RELAY or silent_s <= SILENT_S:
                continue
            limits = {flow: self._limit_s(flow) for flow in child.spec.flows}
            longest_s = max(limits.values(), default=self._settings.workers.task_time_limit_s)
            if silent_s > longest_s or await self._upkeep.overdue(child.worker, limits, OVERDUE_SLACK_S):
                logger.bind(worker=child.worker, pid=child.pid, process=child.spec.name).error(
                    "child is wedged: killing it"
                )
                child.kill()
                await self._upkeep.time_out(child.worker, limits)

    def _limit_s(self, flow: str) -> float:
        known = self._registry[flow].time_limit_s
        return self._roster.control.limits.get(flow) or known or self._settings.workers.task_time_limit_s


async def _again(act: Callable[[], Awaitable[None]], pause_s: Callable[[], float]) -> None:
    """Act for ever; neither a database that is away nor a mistake in one round ends it."""
    while True:
        try:
            await act()
        except QueueUnavailable as error:
            logger.bind(error=str(error)).debug("database was unavailable")
        except Exception as error:  # noqa: BLE001  without its rounds a supervisor would lose its host silently
            logger.opt(exception=error).error("supervisor's round failed")
        await asyncio.sleep(pause_s())
