"""What runs in a child of the pool: a worker, listeners, or the event relay. What it needs arrives in its order."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import uvloop
from loguru import logger

from config import Settings
from core.amqp.amqp import run_listener
from core.amqp.relay import run_relay
from core.flows import scraper
from core.flows.registry import Flow, build_registry
from core.metrics import COUNTS, FLUSH_S, messages
from core.models.params import Params
from core.queue.link import MAX_MESSAGE, Link
from core.queue.plan import RELAY, ProcessSpec
from core.queue.queue import Claim, WorkerQueue
from core.queue.running import name_task
from core.queue.worker import Worker
from core.runtime import FlowContext, Runtime
from utils.garbage import settle
from utils.logging import configure_child
from utils.times import utc_now

WEDGED = 70
"""Exit code of a process that had to be given up."""

ORPHAN_S = 30.0
"""Longest life of a child without its supervisor."""

LAST_TRIES = 50
"""How often a child that ends tries to hand on its last counts, within a second."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a child is to do. ``runtime`` is the dotted path of the function that builds its clients."""

    spec: ProcessSpec
    worker: int
    settings: Settings
    runtime: str


def child_main(order: Order, end: socket.socket) -> None:
    """Entry point in the forked process; returns when drained."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settle()  # the pages of what was there before the fork stay shared
    configure_child(order.settings.general.log_level, order.settings.general.log_format)
    logger.configure(patcher=name_task)
    body = _relay if order.spec.name == RELAY else _listen if order.spec.listeners else _work
    with logger.contextualize(worker=order.worker):
        uvloop.run(body(order, end))


async def _work(order: Order, end: socket.socket) -> None:
    settings = order.settings
    registry = build_registry(settings.workers.beat_extra_flows)
    clients = _Clients(order)

    def run_flow(flow: Flow, params: Params, claim: Claim) -> Awaitable[Any]:
        context = FlowContext(clients.runtime, claim.id, utc_now(), claim.attempt)
        return scraper.resolve(str(flow.target))(params, context)

    database = settings.database
    queue = WorkerQueue(database.pooled_url, order.worker, direct=database.pgbouncer_url is None)

    def hear(words: list[str]) -> None:
        match words:
            case ["wake", flow]:
                worker.wake(flow)
            case ["cancel", task_id]:
                worker.revoke(int(task_id))
            case ["drain", grace_s]:
                worker.drain(float(grace_s))
            case ["ping"]:
                link.tell("pong")
                worker.last_word.repeat()
            case ["control", text]:
                control = json.loads(text)
                worker.control(frozenset(control["paused"]), control["limits"], control["slots"])

    def orphaned() -> None:
        """The supervisor is gone: hand everything back, and leave even if the database cannot be told."""
        worker.drain(0)
        asyncio.get_running_loop().call_later(ORPHAN_S, os._exit, WEDGED)

    link = Link(end, hear, orphaned)
    worker = Worker(order.spec, queue, registry, run_flow, link.tell)
    worker.limit(settings.workers.task_time_limit_s)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain, settings.workers.worker_grace_s)
    COUNTS.watch(lambda: asyncio.get_running_loop().call_later(FLUSH_S, hand_on, link))
    link.tell("ready")
    wedged = await _worked(worker)
    await clients.settle()  # what it finds is counted
    await hand_on_last(link)
    await queue.aclose()
    link.close()
    if wedged:
        os._exit(WEDGED)  # an orderly end would wait for the task that will not
    await clients.aclose()


async def _worked(worker: Worker) -> bool:
    """As ``Worker.run``. An error that it cannot mend ends the process at once: an orderly end would wait for running
    tasks, and as long as their process answers nobody gives them to another."""
    try:
        return await worker.run()
    except Exception as error:  # noqa: BLE001  whatever it is
        logger.opt(exception=error).error("worker failed")
        os._exit(WEDGED)


class _Clients:
    """The clients of a process, made with its first task: most children of a host are idle: 3 MB of each spared."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._opened: Runtime | None = None

    @property
    def runtime(self) -> Runtime:
        """To be asked for inside the running loop."""
        if self._opened is None:
            self._opened = _factory(self._order.runtime)(self._order.settings)
        return self._opened

    async def settle(self) -> None:
        if self._opened is not None:
            await self._opened.settle()

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()


def hand_on(link: Link) -> bool:
    """Tell the supervisor what was counted; True when it was. What its socket has no room for goes with what is counted
    next, or by itself after the same time."""
    refused = [text for text in messages(COUNTS.take(), MAX_MESSAGE // 2) if not link.tell("counts", text)]
    for text in refused:
        COUNTS.add_taken(text)
    return not refused


async def hand_on_last(link: Link) -> None:
    """The same when there is no next time."""
    for _ in range(LAST_TRIES):
        if hand_on(link) or link.closed:
            break
        await asyncio.sleep(0.02)


async def _listen(order: Order, end: socket.socket) -> None:
    """Read queues until drained; a message that is not handled in time is left to another process."""
    runtime = _factory(order.runtime)(order.settings)
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()

    def drain(grace_s: float) -> None:
        stopping.set()
        loop.call_later(grace_s, reading.cancel)

    def hear(words: list[str]) -> None:
        match words:
            case ["drain", grace_s]:
                drain(float(grace_s))
            case ["ping"]:
                link.tell("pong")

    url = order.settings.broker.rmq_url.get_secret_value()
    reading = asyncio.gather(*(run_listener(one, url, runtime, stopping=stopping) for one in order.spec.listeners))

    def orphaned() -> None:
        drain(0)
        loop.call_later(ORPHAN_S, os._exit, WEDGED)

    link = Link(end, hear, orphaned)
    loop.add_signal_handler(signal.SIGTERM, drain, order.settings.workers.worker_grace_s)
    COUNTS.watch(lambda: loop.call_later(FLUSH_S, hand_on, link))
    link.tell("ready")
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    await hand_on_last(link)
    link.close()
    await runtime.aclose()


async def _relay(order: Order, end: socket.socket) -> None:
    woken, stopping = asyncio.Event(), asyncio.Event()

    def hear(words: list[str]) -> None:
        match words:
            case ["wake", *_]:
                woken.set()
            case ["drain", *_]:
                stopping.set()
                woken.set()
            case ["ping"]:
                link.tell("pong")

    link = Link(end, hear, lambda: hear(["drain"]))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, hear, ["drain"])
    link.tell("ready")
    await run_relay(order.settings, woken=woken, stopping=stopping)
    link.close()


def _factory(path: str) -> Callable[[Settings], Runtime]:
    module, _, name = path.partition(":")
    factory: Callable[[Settings], Runtime] = getattr(importlib.import_module(module), name)
    return factory
