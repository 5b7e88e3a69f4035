"""Which processes a pool runs: the registry's counts, narrowed and scaled by the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from config import ConfigError, WorkerSettings
from core.flows.registry import ASSET_FLOWS, Flow, Registry

RELAY = "event relay"


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


def plan(registry: Registry, settings: WorkerSettings) -> list[ProcessSpec]:
    """One spec per process to run. Flows that are not built start none.

    Raises:
        ConfigError: WORKER_FLOWS names an unknown flow, or one that is not built.
    """
    flows = _chosen(registry, settings.worker_flows)
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


def _chosen(registry: Registry, names: tuple[str, ...]) -> list[Flow]:
    for name in names:
        if name not in registry:
            raise ConfigError(
                f"settings are wrong:\n  WORKER_FLOWS: there is no flow {name!r}; see docs/flows.md for the names"
            )
        if registry[name].target is None:
            raise ConfigError(f"settings are wrong:\n  WORKER_FLOWS: {name} is not built yet")
    wanted = names or [name for name in registry if name not in ASSET_FLOWS]
    return [registry[name] for name in wanted if registry[name].target is not None]
