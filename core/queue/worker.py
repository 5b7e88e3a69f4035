"""One worker process's loop: one statement in flight, which reports what finished and claims what fits.

While a statement is in flight finished tasks pile up and the next one takes them all: batches of one when idle, large
ones when busy, with no timer and no knob. A process never claims more than it has free slots.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

from loguru import logger

from core.flows.registry import Registry
from core.queue.last_word import LastWord
from core.queue.offers import Offers
from core.queue.plan import ProcessSpec
from core.queue.queue import QueueUnavailable, WorkerQueue
from core.queue.running import Run, RunningTasks, Why, count_done, count_failed
from utils.paced import Paced

FAIRNESS = 10
"""Every so many steps claims go by age alone."""

ECHO_S = (2.0, 10.0, 40.0)
"""A statement given up by this process may still wait in the pooler and claim tasks later: when to look for them."""

EVENTS_PACE_S = 0.02
"""Least time from one word about new events to the next: the relay is not woken more often than that."""


class Worker:
    """Runs the tasks of one process, from its first ``control`` on. ``tell`` sends words to the supervisor,
    ``run_flow`` runs one flow."""

    def __init__(
        self, spec: ProcessSpec, queue: WorkerQueue, registry: Registry, run_flow: Run, tell: Callable[..., bool]
    ) -> None:
        self._queue = queue
        self._tell = tell
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._tasks = RunningTasks(registry, run_flow, self._wake.set)
        self._offers = Offers(spec)
        self._claiming = True
        self._hurry = False
        self._uncertain = False
        self._steps = 0
        self.last_word = LastWord(tell)
        self._events = Paced(partial(tell, "events"), every_s=EVENTS_PACE_S)

    # -- what the supervisor says -------------------------------------------------------------------------------------

    def wake(self, flow: str) -> None:
        """There is work for this flow."""
        if self._offers.heat([flow]):
            self.last_word.forget()
            self._wake.set()

    def control(self, paused: frozenset[str], limits: dict[str, float], shares: dict[str, int]) -> None:
        """Flows that must not be claimed, time limits in seconds of tasks that start from now on, leased slots of flows
        that have a cap."""
        self._tasks.limits = limits
        self._offers.control(paused, shares)
        self.last_word.forget()
        self._wake.set()

    def limit(self, default_s: float) -> None:
        """Time limit of tasks whose flow names none."""
        self._tasks.default_limit_s = default_s

    def revoke(self, task_id: int) -> None:
        """The claim was taken away: cancel the task, report nothing."""
        self._tasks.cancel(task_id, Why.REVOKED)

    def drain(self, grace_s: float) -> None:
        """Claim nothing more; after the grace period hand the unfinished tasks back. A second call shortens it."""
        self._claiming = False
        self._wake.set()
        self._loop.call_later(grace_s, self._hand_back)

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> bool:
        """Work until drained; True when a task would not die and the process must be replaced."""
        pause = 0.1
        while not self._finished():
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._turn()
                pause = 0.1
            except QueueUnavailable as error:
                self._doubt()
                for delay_s in ECHO_S:
                    self._loop.call_later(delay_s, self._doubt)
                logger.bind(error=str(error), pause_s=pause).warning("queue was unavailable")
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
                self._wake.set()
        self._tasks.count()
        return self._tasks.wedged

    def _finished(self) -> bool:
        return not self._tasks.unsaid and (self._tasks.wedged or (not self._claiming and not self._tasks))

    async def _turn(self) -> None:
        tasks = self._tasks
        tasks.count()
        if self._uncertain:
            await self._adopt()
        self._confirm_shares()
        if tasks.failed:
            await self._report_failed()
        if tasks.freed:
            freed = tasks.freed[:]
            await self._queue.release(freed)
            del tasks.freed[: len(freed)]
        free = {}
        if self._claiming and not tasks.wedged:
            free = self._offers.free(tasks.used(), {done.claim.flow for done in tasks.done})
        if tasks.done or free:
            await self._step(free)

    async def _step(self, free: dict[str, int]) -> None:
        reported = self._tasks.done[:]
        self._steps += 1
        self._offers.cool(free)  # before the statement: a wake-up during it must count
        claims, accepted = await self._queue.step(free, reported, oldest_first=self._steps % FAIRNESS == 0)
        del self._tasks.done[: len(reported)]
        self._tasks.start(claims)
        if claims:
            await asyncio.sleep(0)  # their first lines come before what follows
        count_done(reported, accepted)
        if claims and self._hurry:  # claimed by a statement that was in flight when time was up
            self._loop.call_later(0, self._hand_back)
        got = Counter(claim.flow for claim in claims)
        full = [flow for flow, asked in free.items() if got[flow] >= asked]
        self._offers.heat(full)
        self.last_word.say(full)
        if reported or claims:
            self._events.ask()
        if self._offers.hot:
            self._wake.set()

    async def _report_failed(self) -> None:
        reported = self._tasks.failed[:]
        stored = await self._queue.fail(reported)
        del self._tasks.failed[: len(reported)]
        for failed in reported:
            count_failed(failed, stored.get(failed.claim.id))
        self._events.ask()

    def _doubt(self) -> None:
        """Look again at what the database thinks this process is running."""
        self._uncertain = True
        self._wake.set()

    async def _adopt(self) -> None:
        """After a lost connection: run what was claimed but never heard of, forget what is no longer ours."""
        held = {(claim.id, claim.token): claim for claim in await self._queue.held()}
        self._tasks.start(self._tasks.keep(held))
        self._offers.heat_all()
        self._uncertain = False

    def _confirm_shares(self) -> None:
        """Say which leased slots are enough; no statement is in flight that could claim more."""
        for flow, share in self._offers.confirmed(self._tasks.used):
            if not self._tell("slots", flow, str(share)):
                self._offers.unconfirm(flow, share)

    def _hand_back(self) -> None:
        self._hurry = True
        self._tasks.cancel_all(Why.DRAIN)
