"""Which processes a pool runs: the registry's counts, narrowed and scaled by the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from config import ConfigError, Settings, WorkerSettings
from core.flows.registry import ASSET_FLOWS, Flow, Registry

RELAY = "event relay"
ASSET_POOL = "asset pool"
"""Name of the asset pool's processes, in ``beat_worker`` too: while one of them is alive it owns the asset flows."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process: the slots of each flow it serves, and the slots it has in all. Picklable."""

    name: str
    slots: tuple[tuple[str, int], ...]
    total_slots: int

    @property
    def flows(self) -> tuple[str, ...]:
        """The names of the flows it serves."""
        return tuple(flow for flow, _ in self.slots)


def plan(registry: Registry, settings: WorkerSettings, *, bucket: bool = True) -> list[ProcessSpec]:
    """One spec per process to run. Flows that are not built start none, nor do asset flows without a bucket.

    Raises:
        ConfigError: WORKER_FLOWS names an unknown flow, or one that is not built or lacks its bucket.
    """
    flows = _chosen(registry, settings.worker_flows, frozenset() if bucket else ASSET_FLOWS)
    if settings.single_worker:
        slots = tuple((flow.name, flow.concurrency) for flow in flows)
        return [ProcessSpec("all flows", slots, settings.scrape_log_max_concurrency_per_loop)]
    processes = {flow.name: max(1, math.floor(flow.workers * settings.worker_scale + 0.5)) for flow in flows}
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
