"""Which processes a pool runs."""

from __future__ import annotations

from collections import Counter

import pytest

from config import ConfigError, Settings, StoreSettings, WorkerSettings
from core.enums import Platform
from core.flows.registry import ASSET_FLOWS, FLOWS, Flow, Registry, build_registry
from core.models.params import NoParams
from core.queue.plan import ASSET_POOL, ProcessSpec, plan, plan_assets

REGISTRY: Registry = {
    "one": Flow("one", Platform.INSTAGRAM, NoParams, 10, 5, "m:f"),
    "two": Flow("two", Platform.INSTAGRAM, NoParams, 1, 15, "m:f"),
    "unbuilt": Flow("unbuilt", Platform.INSTAGRAM, NoParams, 4, 5),
}


def counts(**settings: object) -> Counter[str]:
    return Counter(spec.name for spec in plan(REGISTRY, WorkerSettings.model_validate(settings)))


def test_a_pool_runs_the_registrys_counts_and_nothing_that_is_not_built() -> None:
    assert counts() == {"one": 10, "two": 1}


@pytest.mark.parametrize(("scale", "ones"), [(0.1, 1), (0.25, 3), (0.01, 1), (2, 20)])
def test_scaling_keeps_at_least_one_process_per_flow(scale: float, ones: int) -> None:
    assert counts(worker_scale=scale) == {"one": ones, "two": max(1, round(scale))}


def test_worker_flows_narrows_the_pool() -> None:
    assert counts(worker_flows="two") == {"two": 1}


@pytest.mark.parametrize("name", ["three", "unbuilt"])
def test_a_flow_that_cannot_run_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"WORKER_FLOWS.*{name}"):
        counts(worker_flows=f"one,{name}")


def test_a_single_worker_serves_every_flow_with_its_own_slots_and_a_total() -> None:
    (spec,) = plan(REGISTRY, WorkerSettings(single_worker=True, scrape_log_max_concurrency_per_loop=8))
    assert (dict(spec.slots), spec.total_slots) == ({"one": 5, "two": 15}, 8)


def test_the_registrys_pool_holds_the_asset_flows_when_there_is_a_bucket_to_copy_to() -> None:
    built = {flow.name for flow in FLOWS if flow.target}
    names = Counter(spec.name for spec in plan(build_registry(), WorkerSettings()))
    assert set(names) == built
    assert (names["asset_upload_flow"], names["asset_upload_flow_stories"]) == (15, 3)
    without = plan(build_registry(), WorkerSettings(), bucket=False)
    assert {spec.name for spec in without} == built - ASSET_FLOWS


def test_asking_for_an_asset_flow_without_a_bucket_names_the_setting() -> None:
    with pytest.raises(ConfigError, match="AWS_BUCKET: asset_upload_flow needs a bucket"):
        plan(build_registry(), WorkerSettings.model_validate({"worker_flows": "asset_upload_flow"}), bucket=False)


def assets(cores: int, **settings: int) -> list[ProcessSpec]:
    store, workers = StoreSettings(aws_bucket="b"), WorkerSettings.model_validate(settings)
    return plan_assets(build_registry(), Settings(store=store, workers=workers), cores)


@pytest.mark.parametrize(
    ("cores", "settings", "count"),
    [(1, {}, 2), (2, {}, 4), (64, {}, 50), (8, {"asset_processes": 3}, 3), (2, {"asset_processes_per_core": 40}, 50)],
)
def test_the_asset_pool_has_two_processes_a_core_up_to_its_ceiling(
    cores: int, settings: dict[str, int], count: int
) -> None:
    specs = assets(cores, **settings)
    assert len(specs) == count
    assert {spec.name for spec in specs} == {ASSET_POOL}


def test_a_process_of_the_asset_pool_has_a_hundred_slots_for_all_asset_flows_together() -> None:
    spec = assets(1)[0]
    assert (dict(spec.slots), spec.total_slots) == (dict.fromkeys(ASSET_FLOWS, 100), 100)
    assert assets(1, asset_slots=7)[0].total_slots == 7


def test_an_asset_pool_without_a_bucket_is_refused() -> None:
    with pytest.raises(ConfigError, match="AWS_BUCKET"):
        plan_assets(build_registry(), Settings(store=StoreSettings(aws_bucket=None)), 2)


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_packing_keeps_every_slot_of_every_flow(count: int) -> None:
    specs = plan(REGISTRY, WorkerSettings(worker_processes=count))
    slots: Counter[str] = Counter()
    for spec in specs:
        slots.update(dict(spec.slots))
        assert spec.total_slots == sum(dict(spec.slots).values())
    assert slots == {"one": 50, "two": 15}
    assert len(specs) == count
    assert max(spec.total_slots for spec in specs) - min(spec.total_slots for spec in specs) <= 1


def test_packing_into_more_processes_than_there_are_changes_nothing() -> None:
    assert plan(REGISTRY, WorkerSettings(worker_processes=50)) == plan(REGISTRY, WorkerSettings())
