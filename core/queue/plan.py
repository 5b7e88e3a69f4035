"""Which processes a pool runs: the counts of flows and listeners, narrowed and scaled by the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from config import ConfigError, Settings, WorkerSettings
from core.amqp.listeners import BY_QUEUE, LISTENERS
from core.amqp.models import AmqpListener
from core.flows.registry import ASSET_FLOWS, ASSET_POOL, Flow, Registry

RELAY = "event relay"
SHARED = "*"
"""Beside the flows in beat_worker.slots: all slots of a process whose flows share them."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process: the slots of each flow it serves, and the slots it has in all; or the queues of the broker that it
    listens to. Picklable."""

    name: str
    slots: tuple[tuple[str, int], ...] = ()
    total_slots: int = 0
    listeners: tuple[AmqpListener, ...] = ()

    @property
    def flows(self) -> tuple[str, ...]:
        """The names of the flows it serves."""
        return tuple(flow for flow, _ in self.slots)

    def stored_slots(self) -> dict[str, int]:
        """What others can know of its slots, as beat_worker holds it."""
        slots = dict(self.slots)
        return slots | {SHARED: self.total_slots} if self.total_slots < sum(slots.values()) else slots


def plan(registry: Registry, settings: WorkerSettings, *, bucket: bool = True) -> list[ProcessSpec]:
    """One spec per process to run. Flows that are not built start none, nor do asset flows without a bucket.

    Raises:
        ConfigError: WORKER_FLOWS names an unknown flow, or one that is not built or lacks its bucket.
    """
    flows = _chosen(registry, settings.worker_flows, frozenset() if bucket else ASSET_FLOWS)
    if settings.single_worker:
        slots = tuple((flow.name, flow.concurrency) for flow in flows)
        return [ProcessSpec("all flows", slots, settings.scrape_log_max_concurrency_per_loop)]
    processes = {flow.name: _scaled(flow.workers, settings) for flow in flows}
    if settings.worker_processes is not None and settings.worker_processes < sum(processes.values()):
        return _packed(flows, processes, settings.worker_processes)
    return [
        ProcessSpec(flow.name, ((flow.name, flow.concurrency),), flow.concurrency)
        for flow in flows
        for _ in range(processes[flow.name])
    ]


def plan_assets(registry: Registry, settings: Settings, cores: int) -> list[ProcessSpec]:
    """The processes of the asset pool, each with all asset flows: a few per core, up to the setting's ceiling.

    Raises:
        ConfigError: there is no bucket.
    """
    if settings.store.aws_bucket is None:
        raise ConfigError("settings are wrong:\n  AWS_BUCKET: name the bucket that media is copied to")
    workers = settings.workers
    count = min(workers.asset_processes, cores * workers.asset_processes_per_core)
    slots = tuple((flow.name, workers.asset_slots) for flow in registry.values() if flow.name in ASSET_FLOWS)
    return [ProcessSpec(ASSET_POOL, slots, workers.asset_slots)] * count


def plan_listeners(settings: WorkerSettings) -> list[ProcessSpec]:
    """One spec per process that reads queues of the broker; a single one for all of them where flows are packed too.

    Raises:
        ConfigError: WORKER_LISTENERS names a queue that nothing reads, or not yet.
    """
    chosen = _chosen_listeners(settings.worker_listeners)
    processes = {listener.queue: _scaled(listener.workers, settings) for listener in chosen}
    if chosen and (settings.single_worker or settings.worker_processes is not None):
        packed = tuple(one.taking(one.prefetch * processes[one.queue]) for one in chosen)
        return [ProcessSpec("all listeners", listeners=packed)]
    return [
        ProcessSpec(f"listener {listener.queue}", listeners=(listener,))
        for listener in chosen
        for _ in range(processes[listener.queue])
    ]


def _scaled(processes: int, settings: WorkerSettings) -> int:
    return max(1, math.floor(processes * settings.worker_scale + 0.5))


def _packed(flows: list[Flow], processes: dict[str, int], count: int) -> list[ProcessSpec]:
    """The same slots per flow in fewer processes, dealt out like cards so that every process gets its share."""
    shares: list[dict[str, int]] = [{} for _ in range(count)]
    dealt = 0
    for flow in flows:
        for _ in range(processes[flow.name] * flow.concurrency):
            share = shares[dealt % count]
            share[flow.name] = share.get(flow.name, 0) + 1
            dealt += 1
    return [
        ProcessSpec(f"packed {number} of {count}", tuple(share.items()), sum(share.values()))
        for number, share in enumerate(shares, 1)
    ]


def _chosen(registry: Registry, names: tuple[str, ...], without: frozenset[str]) -> list[Flow]:
    for name in names:
        if name not in registry:
            raise ConfigError(
                f"settings are wrong:\n  WORKER_FLOWS: there is no flow {name!r}; see docs/flows.md for the names"
            )
        if registry[name].target is None:
            raise ConfigError(f"settings are wrong:\n  WORKER_FLOWS: {name} is not built yet")
        if name in without:
            raise ConfigError(f"settings are wrong:\n  AWS_BUCKET: {name} needs a bucket to copy to")
    wanted = names or [name for name in registry if name not in without]
    return [registry[name] for name in wanted if registry[name].target is not None]


def _chosen_listeners(names: tuple[str, ...]) -> list[AmqpListener]:
    if names == ("none",):
        return []
    for name in names:
        if name not in BY_QUEUE:
            raise ConfigError(
                f"settings are wrong:\n  WORKER_LISTENERS: there is no listener {name!r}; "
                f"it is none, or some of {', '.join(BY_QUEUE)}"
            )
        if BY_QUEUE[name].handler is None:
            raise ConfigError(f"settings are wrong:\n  WORKER_LISTENERS: {name} is not built yet")
    wanted = [BY_QUEUE[name] for name in names] or LISTENERS
    return [listener for listener in wanted if listener.handler is not None]
