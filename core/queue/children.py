"""The children of one supervisor: started through the fork server, known dead for certain, replaced with back-off.

A child is dead when its end of the socket is closed and its process is gone (pidfd). The multiprocessing exit code says
nothing: children belong to the fork server, and outlive it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess

from loguru import logger

from config import Settings
from core.queue.child import Order, child_main
from core.queue.link import Link, socket_pair
from core.queue.plan import ProcessSpec

YOUNG_S = 10.0
"""A child that dies younger than this waits before it is replaced."""

MAX_PAUSE_S = 30.0


@dataclass(slots=True)
class Child:
    """One process. Its ``seat`` passes to the child that replaces it. ``busy``: flows that it was woken for since its
    last word, or that it found more work of than it could take. ``told`` is the last control message."""

    spec: ProcessSpec
    seat: int
    worker: int
    process: ForkServerProcess
    pid: int
    link: Link
    started_at: float
    pong_at: float
    busy: set[str]
    ready: bool = False
    told: str = ""

    def kill(self) -> None:
        """SIGKILL; its death is noticed as any other."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> None:
        """Free what multiprocessing keeps of a dead process."""
        with contextlib.suppress(ValueError, AssertionError, OSError):
            self.process.join(timeout=0)
            self.process.close()


@dataclass(frozen=True, slots=True)
class Ears:
    """What the supervisor wants to hear of its children."""

    words: Callable[[Child, list[str]], None]
    death: Callable[[Child], None]


class Nursery:
    """Starts children and watches them die."""

    def __init__(self, context: ForkServerContext, settings: Settings, runtime: str, ears: Ears) -> None:
        self._context = context
        self._settings = settings
        self._runtime = runtime
        self._ears = ears
        self._early_deaths: dict[int, int] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._forking = asyncio.Lock()  # to start a process multiprocessing looks at all: none may be freed meanwhile
        self.children: dict[int, Child] = {}

    async def start(self, spec: ProcessSpec, seat: int, worker: int) -> Child:
        """Fork one child: some milliseconds, seconds when the fork server has to be started first.

        Raises:
            OSError, EOFError: the fork server died meanwhile; try again.
        """
        ours, theirs = socket_pair()
        order = Order(spec, worker, self._settings, self._runtime)
        process = self._context.Process(target=child_main, args=(order, theirs), name=f"beat {spec.name}")
        try:
            async with self._forking:
                await asyncio.to_thread(process.start)  # heartbeats go on meanwhile
        except (OSError, EOFError):
            ours.close()
            raise
        finally:
            theirs.close()
        now = time.monotonic()
        child: Child
        link = Link(ours, lambda words: self._ears.words(child, words), lambda: self._watch(child))
        child = Child(spec, seat, worker, process, process.pid or 0, link, now, now, set(spec.flows))
        self.children[worker] = child
        return child

    def pause_before(self, child: Child) -> float:
        """Seconds to wait before a dead child is replaced: none after a long life, growing after short ones."""
        if time.monotonic() - child.started_at >= YOUNG_S:
            self._early_deaths.pop(child.seat, None)
            return 0.0
        deaths = self._early_deaths[child.seat] = self._early_deaths.get(child.seat, 0) + 1
        return 0.0 if deaths == 1 else min(MAX_PAUSE_S, 0.25 * 2 ** min(deaths, 10))

    def _watch(self, child: Child) -> None:
        task = asyncio.get_running_loop().create_task(self._bury(child))
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    async def _bury(self, child: Child) -> None:
        if not await gone(child.pid, within_s=2.0):
            logger.bind(worker=child.worker, pid=child.pid).warning("child closed its link and lived on: killing it")
            child.kill()
            await gone(child.pid, within_s=10.0)
        self.children.pop(child.worker, None)
        self._ears.death(child)
        async with self._forking:
            child.reap()


async def gone(pid: int, *, within_s: float) -> bool:
    """Whether the process ends within the time. Any process, not only a child of this one."""
    try:
        pidfd = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return True
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pidfd, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), within_s)
    except TimeoutError:
        return False
    else:
        return True
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
