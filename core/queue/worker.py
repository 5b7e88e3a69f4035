"""One worker process's loop: one statement in flight, which reports what finished and claims what fits.

While a statement is in flight finished tasks pile up and the next one takes them all: batches of one when idle, large
ones when busy, with no timer and no knob. A process never claims more than it has free slots.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from loguru import logger

from core.flows import scraper
from core.flows.registry import Flow, Registry
from core.models.params import Params
from core.queue.plan import ProcessSpec
from core.queue.queue import Claim, Done, Failed, QueueUnavailable, WorkerQueue
from core.queue.running import Running, Why, count_end, count_report, count_start

CANCEL_TRIES = 3
"""Cancellations a second apart that a task may swallow at its time limit before its process is given up."""

FAIRNESS = 10
"""Every so many steps claims go by age alone."""

ECHO_S = (2.0, 10.0, 40.0)
"""A statement given up by this process may still wait in the pooler and claim tasks later: when to look for them."""

FULL_AGAIN_S = 0.05
"""How often a process that finds more work than it can take says so, for another one to be woken."""

Run = Callable[[Flow, Params, Claim], Awaitable[Any]]


class Worker:
    """Runs the tasks of one process, from its first ``control`` on. ``tell`` sends words to the supervisor,
    ``run_flow`` runs one flow."""

    def __init__(
        self, spec: ProcessSpec, queue: WorkerQueue, registry: Registry, run_flow: Run, tell: Callable[..., bool]
    ) -> None:
        self._spec = spec
        self._slots = dict(spec.slots)
        self._queue = queue
        self._registry = registry
        self._run_flow = run_flow
        self._tell = tell
        self._running: dict[int, Running] = {}
        self._done: list[Done] = []
        self._failed: list[Failed] = []
        self._freed: list[Claim] = []
        self._hot = dict.fromkeys(self._slots)
        self._paused: frozenset[str] = frozenset()
        self._limits: dict[str, float] = {}
        self._shares: dict[str, int] = {}
        self._unconfirmed: dict[str, int] = {}
        self.default_limit_s = 600.0
        self._wake = asyncio.Event()
        self._claiming = True
        self._hurry = False
        self._uncertain = False
        self._wedged = False
        self._steps = 0
        self._said: str | None = None
        self._said_at = 0.0

    # -- what the supervisor says -------------------------------------------------------------------------------------

    def wake(self, flow: str) -> None:
        """There is work for this flow."""
        if flow in self._slots:
            self._hot[flow] = None
            self._said = None
            self._wake.set()

    def control(self, paused: frozenset[str], limits: dict[str, float], shares: dict[str, int]) -> None:
        """Flows that must not be claimed, time limits in seconds of tasks that start from now on, leased slots of flows
        that have a cap."""
        resumed, self._paused = self._paused - paused, paused
        self._limits = limits
        more = {flow for flow, before in self._shares.items() if shares.get(flow, before + 1) > before}
        self._shares, self._unconfirmed = shares, dict(shares)
        for flow in resumed | more:
            self.wake(flow)
        self._wake.set()

    def revoke(self, task_id: int) -> None:
        """The claim was taken away: cancel the task, report nothing."""
        self._cancel(task_id, Why.REVOKED)

    def drain(self, grace_s: float) -> None:
        """Claim nothing more; after the grace period hand the unfinished tasks back. A second call shortens it."""
        self._claiming = False
        self._wake.set()
        asyncio.get_running_loop().call_later(grace_s, self._hand_back)

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
                    asyncio.get_running_loop().call_later(delay_s, self._doubt)
                logger.bind(error=str(error), pause_s=pause).warning("queue was unavailable")
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
                self._wake.set()
        return self._wedged

    def _finished(self) -> bool:
        unsaid = self._done or self._failed or self._freed
        return not unsaid and (self._wedged or (not self._claiming and not self._running))

    async def _turn(self) -> None:
        if self._uncertain:
            await self._adopt()
        self._confirm_shares()
        if self._failed:
            await self._report_failed()
        if self._freed:
            freed = self._freed[:]
            await self._queue.release(freed)
            del self._freed[: len(freed)]
        free = self._free() if self._claiming and not self._wedged else {}
        if self._done or free:
            await self._step(free)

    async def _step(self, free: dict[str, int]) -> None:
        reported = self._done[:]
        self._steps += 1
        for flow in free:
            self._hot.pop(flow, None)  # before the statement: a wake-up during it must count
        claims, accepted = await self._queue.step(free, reported, oldest_first=self._steps % FAIRNESS == 0)
        del self._done[: len(reported)]
        for done in reported:
            count_report(done.claim, "COMPLETE" if done.claim.id in accepted else None)
        got: dict[str, int] = {}
        for claim in claims:
            got[claim.flow] = got.get(claim.flow, 0) + 1
            self._start(claim)
        if claims and self._hurry:  # claimed by a statement that was in flight when time was up
            asyncio.get_running_loop().call_later(0, self._hand_back)
        full = [flow for flow, asked in free.items() if got.get(flow, 0) >= asked]
        for flow in full:
            self._hot[flow] = None
        self._say_state(full)
        if reported or claims:
            self._tell("events")
        if self._hot:
            self._wake.set()

    async def _report_failed(self) -> None:
        reported = self._failed[:]
        stored = await self._queue.fail(reported)
        del self._failed[: len(reported)]
        for failed in reported:
            count_report(failed.claim, stored.get(failed.claim.id), failed.code)
        self._tell("events")

    def _doubt(self) -> None:
        """Look again at what the database thinks this process is running."""
        self._uncertain = True
        self._wake.set()

    async def _adopt(self) -> None:
        """After a lost connection: run what was claimed but never heard of, forget what is no longer ours."""
        held = {(claim.id, claim.token): claim for claim in await self._queue.held()}
        self._done = [d for d in self._done if (d.claim.id, d.claim.token) in held]
        self._failed = [f for f in self._failed if (f.claim.id, f.claim.token) in held]
        self._freed = [c for c in self._freed if (c.id, c.token) in held]
        for running in list(self._running.values()):
            if held.pop((running.claim.id, running.claim.token), None) is None:
                self.revoke(running.claim.id)
        reported = [*(d.claim for d in self._done), *(f.claim for f in self._failed), *self._freed]
        for claim in reported:
            held.pop((claim.id, claim.token), None)
        for claim in held.values():
            self._start(claim)
        self._hot = dict.fromkeys(self._slots)
        self._uncertain = False

    def _free(self) -> dict[str, int]:
        """Slots to offer per flow: hot flows and those of reported tasks, never more than the process has free."""
        left = self._spec.total_slots - len(self._running)
        used = self._used()
        free: dict[str, int] = {}
        for flow in [*self._hot, *(d.claim.flow for d in self._done)]:
            slots = self._slots.get(flow, 0)
            offer = min(left, min(slots, self._shares.get(flow, slots)) - used.get(flow, 0))
            if offer > 0 and flow not in free and flow not in self._paused:
                free[flow] = offer
                left -= offer
        return free

    def _used(self) -> dict[str, int]:
        used: dict[str, int] = {}
        for running in self._running.values():
            used[running.claim.flow] = used.get(running.claim.flow, 0) + 1
        return used

    def _confirm_shares(self) -> None:
        """Say which leased slots are enough; no statement is in flight that could claim more."""
        if self._unconfirmed:
            used = self._used()
            for flow, share in list(self._unconfirmed.items()):
                if used.get(flow, 0) <= share and self._tell("slots", flow, str(share)):
                    del self._unconfirmed[flow]

    def _say_state(self, full: list[str]) -> None:
        state, now = "full" if full else "idle", asyncio.get_running_loop().time()
        if state != self._said or (full and now - self._said_at > FULL_AGAIN_S):
            self._tell(state, *full)
            self._said, self._said_at = state, now

    # -- tasks --------------------------------------------------------------------------------------------------------

    def _start(self, claim: Claim) -> None:
        flow = self._registry.get(claim.flow)
        limit_s = self._limits.get(claim.flow) or (flow.time_limit_s if flow else None) or self.default_limit_s
        running = Running(claim, limit_s, asyncio.get_running_loop().time())
        count_start(claim)
        self._running[claim.id] = running
        running.task = asyncio.create_task(self._execute(running, flow))
        running.timer = asyncio.get_running_loop().call_later(limit_s, self._cancel, claim.id, Why.TIME_LIMIT)

    async def _execute(self, running: Running, flow: Flow | None) -> None:
        claim = running.claim
        report: Done | Failed | None
        with logger.contextualize(task_id=claim.id, flow=claim.flow):
            try:
                flow = scraper.built_flow(self._registry, claim.flow)
                report = scraper.done(
                    flow, claim, await self._run_flow(flow, scraper.claimed_params(flow, claim), claim)
                )
            except asyncio.CancelledError as error:
                report = None if running.why else scraper.failed(flow, claim, error)
            except (Exception, SystemExit) as error:  # noqa: BLE001  any flow's error becomes its row's
                report = scraper.failed(flow, claim, error)
                trace = None if isinstance(error, scraper.EXPECTED) else error
                logger.opt(exception=trace).bind(code=report.code, reason=report.data).info("task failed")
        self._end(running, report)

    def _end(self, running: Running, report: Done | Failed | None) -> None:
        if self._running.get(running.claim.id) is not running:
            return
        del self._running[running.claim.id]
        count_end(running, report, asyncio.get_running_loop().time())
        if running.timer:
            running.timer.cancel()
        if running.why is Why.TIME_LIMIT:
            report = scraper.timed_out(running.claim, running.limit_s)
        if running.why is Why.DRAIN and report is None:
            self._freed.append(running.claim)
        elif isinstance(report, Done) and running.why is not Why.REVOKED:
            self._done.append(report)
        elif isinstance(report, Failed) and running.why is not Why.REVOKED:
            self._failed.append(report)
        self._wake.set()

    def _cancel(self, task_id: int, why: Why) -> None:
        running = self._running.get(task_id)
        if running is None or running.task is None:
            return
        running.why = running.why or why
        if running.cancels == CANCEL_TRIES:
            self._give_up(running)
            return
        if running.timer:
            running.timer.cancel()
        running.cancels += 1
        running.task.cancel(why.value)
        running.timer = asyncio.get_running_loop().call_later(1.0, self._cancel, task_id, why)

    def _give_up(self, running: Running) -> None:
        """The task swallows cancellation: report it, hand everything else back, and let the process be replaced."""
        logger.bind(task_id=running.claim.id, flow=running.claim.flow).error("task would not be cancelled")
        self._wedged = True
        self._end(running, None)
        self._freed += [other.claim for other in self._running.values() if other.why is None or other.why is Why.DRAIN]
        self._running.clear()
        self._wake.set()

    def _hand_back(self) -> None:
        self._hurry = True
        for task_id in list(self._running):
            self._cancel(task_id, Why.DRAIN)
