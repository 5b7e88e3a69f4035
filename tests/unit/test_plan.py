"""Which processes a pool runs."""

from __future__ import annotations

import inspect
from collections import Counter

import pytest

import main
from config import ConfigError, Settings, StoreSettings, WorkerSettings
from core.amqp.listeners import LISTENERS
from core.amqp.models import AmqpListener
from core.enums import Platform
from core.flows.registry import ASSET_FLOWS, ASSET_POOL, FLOWS, Flow, Registry, build_registry
from core.models.params import NoParams
from core.queue.plan import ProcessSpec, plan, plan_assets, plan_listeners

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
    assert spec.stored_slots() == {"one": 5, "two": 15, "*": 8}


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


def listening(**settings: object) -> dict[str, tuple[int, int]]:
    """Queue -> the processes that read it, and messages that they take at once in all."""
    specs = plan_listeners(WorkerSettings.model_validate(settings))
    assert not [spec for spec in specs if spec.flows]
    queues = Counter(one.queue for spec in specs for one in spec.listeners)
    taken = Counter[str]()
    for spec in specs:
        taken.update({one.queue: one.prefetch for one in spec.listeners})
    return {queue: (queues[queue], taken[queue]) for queue in queues}


def test_five_listeners_of_five_processes_keep_their_names_and_prefetch() -> None:
    assert {one.queue: (one.exchange, one.routing_key, one.workers, one.prefetch) for one in LISTENERS} == {
        "credentials_validate_q": ("beat.dx", "credentials_validate", 5, 10),
        "identity_token_q": ("identity.dx", "new_access_token_rk", 5, 10),
        "keyword_collection_q": ("beat.dx", "keyword_collection_rk", 5, 1),
        "sentiment_analysis_q": ("beat.dx", "post_activity_log_bulk", 5, 1),
        "sentiment_collection_report_in_q": ("beat.dx", "sentiment_collection_report_in_rk", 5, 1),
    }


@pytest.mark.parametrize("listener", [one for one in LISTENERS if one.handler], ids=lambda one: one.queue)
def test_a_built_listener_has_a_handler_and_a_model_of_its_messages(listener: AmqpListener) -> None:
    handler, model = listener.load()
    assert inspect.iscoroutinefunction(handler)
    assert model.model_fields


def test_a_queue_without_a_handler_is_read_by_no_process() -> None:
    assert listening() == {one.queue: (5, 5 * one.prefetch) for one in LISTENERS if one.handler}


def test_listeners_are_narrowed_and_scaled() -> None:
    assert listening(worker_listeners="identity_token_q", worker_scale=0.2) == {"identity_token_q": (1, 10)}
    assert listening(worker_listeners="none") == {}


@pytest.mark.parametrize("settings", [{"worker_processes": 4}, {"single_worker": True}])
def test_where_flows_are_packed_one_process_takes_the_messages_of_all_queues(settings: dict[str, object]) -> None:
    assert len(plan_listeners(WorkerSettings.model_validate(settings))) == 1
    assert {queue: taken for queue, (_, taken) in listening(**settings).items()} == {
        queue: taken for queue, (_, taken) in listening().items()
    }


@pytest.mark.parametrize("name", ["nobodys_q", "keyword_collection_q"])
def test_a_queue_that_cannot_be_read_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"WORKER_LISTENERS.*{name}"):
        listening(worker_listeners=f"identity_token_q,{name}")


@pytest.mark.parametrize(("variables", "has_one"), [({}, False), ({"AWS_BUCKET": "pictures"}, True)])
def test_the_workers_copy_media_where_there_is_a_bucket(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variables: dict[str, str], *, has_one: bool
) -> None:
    def told(_registry: object, _workers: object, *, bucket: bool) -> None:
        raise ConfigError(f"a bucket: {bucket}")

    monkeypatch.delenv("AWS_BUCKET", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(main, "plan", told)
    assert main.main() == 2
    assert capsys.readouterr().err == f"a bucket: {has_one}\n"
