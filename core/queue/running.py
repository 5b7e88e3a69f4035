"""The tasks in the slots of one process: how they start, are cancelled and end, and what is counted of them."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from loguru import logger

from core.flows import scraper
from core.flows.registry import Flow, Registry
from core.metrics import COUNTS, DURATION, FENCED, PICKUP, RETRIES, TASKS
from core.models.params import Params
from core.queue.queue import Claim, Done, Failed

if TYPE_CHECKING:
    from loguru import Record

CANCEL_TRIES = 3
"""Cancellations a second apart that a task may swallow at its time limit before its process is given up."""

CANCEL_AGAIN_S = 1.0

Run = Callable[[Flow, Params, Claim], Awaitable[Any]]

_claim_of_log: ContextVar[Claim | None] = ContextVar("claim", default=None)


class Why(Enum):
    """Why a task was cancelled."""

    TIME_LIMIT = "its time limit"
    REVOKED = "its claim was taken away"
    DRAIN = "shutdown"


@dataclass(slots=True, eq=False)
class Running:
    """A task in a slot. ``deadline`` is the loop's time of its next cancellation; ``slot`` None means not begun."""

    claim: Claim
    flow: Flow | None
    started_at: float
    limit_s: float
    deadline: float
    slot: asyncio.Task[None] | None = None
    why: Why | None = None
    cancels: int = 0


class RunningTasks:
    """Runs claims and keeps their reports for the next statement. ``on_end`` is called when there is one.

    A slot is an asyncio task that runs one claim after the other. While it runs one, another slot is ready to take the
    next as soon as the first has to wait: a task that waits for nothing costs no asyncio task of its own. One timer
    serves all time limits: it is set for the earliest deadline and looks at everything when it fires.
    """

    def __init__(self, registry: Registry, run_flow: Run, on_end: Callable[[], object]) -> None:
        self._registry = registry
        self._run_flow = run_flow
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, Running] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due: deque[Running] = deque()  # claimed, and not yet begun
        self._parked: list[asyncio.Future[None]] = []  # slots with nothing to do
        self._next_is_ready = False
        self._slots: set[asyncio.Task[None]] = set()
        # Seconds by flow and outcome, not yet counted.
        self._ran: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.done: list[Done] = []
        self.failed: list[Failed] = []
        self.freed: list[Claim] = []
        self.wedged = False
        self.limits: dict[str, float] = {}
        self.default_limit_s = 600.0

    def __len__(self) -> int:
        return len(self._running)

    @property
    def unsaid(self) -> bool:
        """Whether something is to be reported."""
        return bool(self.done or self.failed or self.freed)

    def used(self) -> Counter[str]:
        """Running tasks per flow."""
        return Counter(running.claim.flow for running in self._running.values())

    def start(self, claims: Sequence[Claim]) -> None:
        """Run claimed tasks in slots; ``limits`` hold for tasks that start from now on."""
        now = self._loop.time()
        by_flow: defaultdict[str, list[Claim]] = defaultdict(list)
        for claim in claims:
            by_flow[claim.flow].append(claim)
        for name, ours in by_flow.items():
            flow = self._registry.get(name)
            limit_s = self.limits.get(name) or (flow.time_limit_s if flow else None) or self.default_limit_s
            for claim in ours:
                self._running[claim.id] = running = Running(claim, flow, now, limit_s, now + limit_s)
                self._due.append(running)
            self._look_at(now + limit_s)
        if claims:
            self._ready_one()
            self._loop.call_soon(_count_picked, claims)  # after the first one's first line

    def count(self) -> None:
        """Count how long the tasks ran that have ended since the last time."""
        for (flow, outcome), durations in self._ran.items():
            COUNTS.observe(DURATION, durations, flow, outcome)
        self._ran.clear()

    def cancel(self, task_id: int, why: Why) -> None:
        """Cancel a task; one that swallows it is cancelled again, and given up in the end."""
        running = self._running.get(task_id)
        if running is None:
            return
        running.why = running.why or why
        if running.slot is None:  # not begun
            self._due.remove(running)
            self._end(running, None)
            return
        if running.cancels == CANCEL_TRIES:
            self._give_up(running)
            return
        running.cancels += 1
        running.deadline = self._loop.time() + CANCEL_AGAIN_S
        self._look_at(running.deadline)
        running.slot.cancel(why.value)

    def cancel_all(self, why: Why) -> None:
        """Cancel everything that runs."""
        for task_id in list(self._running):
            self.cancel(task_id, why)

    def keep(self, held: dict[tuple[int, Any], Claim]) -> list[Claim]:
        """Forget what is not in ``held`` (by id and token) and give what is held but was not known here."""
        self.done = [d for d in self.done if (d.claim.id, d.claim.token) in held]
        self.failed = [f for f in self.failed if (f.claim.id, f.claim.token) in held]
        self.freed = [c for c in self.freed if (c.id, c.token) in held]
        for running in list(self._running.values()):
            if (running.claim.id, running.claim.token) not in held:
                self.cancel(running.claim.id, Why.REVOKED)
        reports = [*(done.claim for done in self.done), *(failed.claim for failed in self.failed)]
        claims = [*(running.claim for running in self._running.values()), *reports, *self.freed]
        known = {(claim.id, claim.token) for claim in claims}
        return [claim for key, claim in held.items() if key not in known]

    # -- one task -----------------------------------------------------------------------------------------------------

    def _ready_one(self) -> None:
        """Let one slot look for work at the loop's next turn, unless one is about to."""
        if self._next_is_ready:
            return
        self._next_is_ready = True
        if self._parked:
            self._parked.pop().set_result(None)
        else:
            slot = self._loop.create_task(self._slot())
            self._slots.add(slot)
            slot.add_done_callback(self._slots.discard)

    async def _slot(self) -> None:
        """Run one due task after the other; written out in one coroutine, because each one more costs all tasks."""
        me = asyncio.current_task()
        report: Done | Failed | None
        while True:
            self._next_is_ready = False
            while self._due:
                running = self._due.popleft()
                running.slot, claim, flow = me, running.claim, running.flow
                if self._due:
                    self._ready_one()
                _claim_of_log.set(claim)
                try:
                    if flow is None or flow.target is None:
                        flow = scraper.built_flow(self._registry, claim.flow)
                    result = await self._run_flow(flow, scraper.claimed_params(flow, claim), claim)
                    report = scraper.done(flow, claim, result)
                except asyncio.CancelledError as error:
                    report = None if running.why else scraper.failed(flow, claim, error)
                except (Exception, SystemExit) as error:  # noqa: BLE001  any flow's error becomes its row's
                    report = _failed(flow, claim, error)
                self._end(running, report)
                if running.cancels:  # a cancelled asyncio task is not used again
                    return
            self._parked.append(parked := self._loop.create_future())
            await parked

    def _end(self, running: Running, report: Done | Failed | None) -> None:
        claim, why = running.claim, running.why
        if self._running.get(claim.id) is not running:
            return
        del self._running[claim.id]
        outcome = why.name.lower() if why else "done" if isinstance(report, Done) else "failed"
        self._ran[claim.flow, outcome].append(self._loop.time() - running.started_at)
        if why is Why.TIME_LIMIT:
            self.failed.append(scraper.timed_out(claim, running.limit_s))
        elif report is None and why is Why.DRAIN:
            self.freed.append(claim)
        elif why is Why.REVOKED:
            pass  # whoever took the claim has said what becomes of the task
        elif isinstance(report, Done):
            self.done.append(report)
        elif report is not None:
            self.failed.append(report)
        self._on_end()

    def _look_at(self, deadline: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        for running in list(self._running.values()):
            if running.deadline <= now:
                self.cancel(running.claim.id, running.why or Why.TIME_LIMIT)
        if self._running:
            self._look_at(min(running.deadline for running in self._running.values()))

    def _give_up(self, running: Running) -> None:
        """The task swallows cancellation: report it, hand everything else back, and let the process be replaced."""
        logger.bind(task_id=running.claim.id, flow=running.claim.flow).error("task would not be cancelled")
        self.wedged = True
        self._end(running, None)
        self.freed += [other.claim for other in self._running.values() if other.why in (None, Why.DRAIN)]
        self._running.clear()
        self._on_end()


def _failed(flow: Flow | None, claim: Claim, error: BaseException) -> Failed:
    report = scraper.failed(flow, claim, error)
    trace = None if isinstance(error, scraper.EXPECTED) else error
    logger.opt(exception=trace).bind(code=report.code, reason=report.data).info("task failed")
    return report


def name_task(record: Record) -> None:
    """Patch a log record: what a task's own code logs carries the task's id and flow."""
    if (claim := _claim_of_log.get()) is not None:
        record["extra"] = {"task_id": claim.id, "flow": claim.flow} | record["extra"]


def _count_picked(claims: Sequence[Claim]) -> None:
    """Tasks were claimed: how long they had waited for their first attempt."""
    waited: defaultdict[str, list[float]] = defaultdict(list)
    for claim in claims:
        created_at = claim.created_at or 0
        if claim.attempt == 1 and created_at > 0:  # a time before 2000 is no true one
            waited[claim.flow].append((claim.token - created_at) / 1e6)
    for flow, seconds in waited.items():
        COUNTS.observe(PICKUP, seconds, flow)


def count_done(reported: list[Done], accepted: set[int]) -> None:
    """Reports of success were stored, but for those whose claim had been lost."""
    claims = [done.claim for done in reported]
    if len(accepted) < len(claims):
        for claim in claims:
            if claim.id not in accepted:
                _refused(claim)
        claims = [claim for claim in claims if claim.id in accepted]
    for flow, number in Counter([claim.flow for claim in claims]).items():
        COUNTS.add(TASKS, flow, "complete", by=number)


def count_failed(failed: Failed, status: str | None) -> None:
    """A report of a failure was stored with this status; without one it was refused."""
    if status is None:
        _refused(failed.claim)
    elif status == "PENDING":
        COUNTS.add(RETRIES, failed.claim.flow, failed.code)
    else:
        COUNTS.add(TASKS, failed.claim.flow, status.lower())


def _refused(claim: Claim) -> None:
    COUNTS.add(FENCED, claim.flow)
    logger.bind(task_id=claim.id, flow=claim.flow).warning("report was refused: the claim was lost")
