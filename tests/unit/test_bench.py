"""The arithmetic of the benches: medians, ratios, targets, quantiles, and what /proc says."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from core.amqp.listeners import LISTENERS
from core.flows.registry import FLOWS as REGISTERED
from core.queue import statements
from scripts.bench import flows_all, place, proc
from scripts.bench.__main__ import BENCHES, chosen
from scripts.bench.place import BenchError, stack_environment, with_path
from scripts.bench.rows import Metric, Row, Target, as_text, quantile, row_of, write_json

RATE = Metric("drain", "core", "jobs/s", Target(">=", 0.85))


def test_a_row_holds_medians_and_the_median_of_the_runs_own_ratios() -> None:
    row = row_of(RATE, [90.0, 100.0, 10.0], [100.0, 200.0, 10.0])
    assert row == Row("drain", "core", 90.0, "jobs/s", 100.0, 0.9, "ratio >= 0.85", True)


def test_one_slow_run_does_not_move_a_row() -> None:
    steady = row_of(RATE, [90.0, 90.0, 90.0], [100.0, 100.0, 100.0])
    assert row_of(RATE, [90.0, 1.0, 90.0], [100.0, 100.0, 100.0]) == steady


def test_a_row_without_a_limit_has_no_ratio_and_a_ratio_target_is_left_open() -> None:
    row = row_of(RATE, [5.0])
    assert (row.value, row.limit, row.ratio, row.met) == (5.0, None, None, None)


@pytest.mark.parametrize("limits", [[], [1.0], [1.0, 2.0, 3.0]])
def test_every_run_needs_its_own_limit(limits: list[float]) -> None:
    with pytest.raises(ValueError, match="core: 2 values"):
        row_of(RATE, [1.0, 2.0], limits)


def test_no_runs_are_no_row() -> None:
    with pytest.raises(ValueError, match="0 values"):
        row_of(RATE, [])


@pytest.mark.parametrize(
    ("target", "value", "ratio", "met"),
    [
        (Target(">=", 0.85), 1.0, 0.85, True),
        (Target(">=", 0.85), 99.0, 0.84, False),
        (Target("<=", 1.15), 99.0, 1.15, True),
        (Target("<=", 1.15), 0.0, 1.16, False),
        (Target("<=", 150, of="value"), 150.0, 9.0, True),
        (Target("<=", 150, of="value"), 151.0, 0.1, False),
        (Target("<=", 150, of="value"), 78.0, None, True),
    ],
)
def test_a_target_judges_the_figure_it_names(target: Target, value: float, ratio: float | None, met: bool) -> None:
    assert target.met(value, ratio) is met


def test_a_limit_of_nothing_gives_no_ratio() -> None:
    assert row_of(RATE, [5.0], [0.0]).ratio is None


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_a_quantile_is_the_value_that_so_many_do_not_exceed(share: float, wanted: int) -> None:
    assert quantile([float(number) for number in range(100, 0, -1)], share) == wanted


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], -0.1), ([1.0], 1.1)])
def test_a_quantile_of_nothing_or_beyond_all_is_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile(values, share)


@pytest.mark.parametrize(
    ("number", "text"), [(None, ""), (0.01123, "0.0112"), (4.2, "4.2"), (999.4, "999"), (23461.7, "23,462")]
)
def test_figures_are_shown_with_the_digits_that_mean_something(number: float | None, text: str) -> None:
    assert as_text(number) == text


def test_rows_are_written_as_a_list_of_flat_objects(tmp_path: Path) -> None:
    write_json([row_of(RATE, [90.0], [100.0])], tmp_path / "rows.json")
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row == {
        "suite": "drain",
        "metric": "core",
        "value": 90.0,
        "unit": "jobs/s",
        "limit": 100.0,
        "ratio": 0.9,
        "target": "ratio >= 0.85",
        "met": True,
    }


def test_a_fast_stack_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = tmp_path / "stack"
    stack.write_text("#!/bin/sh\necho PG_URL=postgresql://x\necho STACK_FAST=1\n")
    stack.chmod(0o755)
    monkeypatch.setattr(place, "STACK", stack)
    with pytest.raises(BenchError, match="fast"):
        stack_environment()


def test_a_stack_that_is_down_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = tmp_path / "stack"
    stack.write_text("#!/bin/sh\necho it is down >&2\nexit 3\n")
    stack.chmod(0o755)
    monkeypatch.setattr(place, "STACK", stack)
    with pytest.raises(BenchError, match=r"scripts/stack up\nit is down"):
        stack_environment()


def test_a_url_keeps_its_server_when_the_database_changes() -> None:
    assert with_path("postgresql://beat@127.0.0.1:5432/beat", "other") == "postgresql://beat@127.0.0.1:5432/other"


def test_suites_are_chosen_by_name_and_an_unknown_one_is_named() -> None:
    assert chosen("queue", None) == BENCHES["queue"]
    assert chosen("queue", "idle") == ("idle",)
    with pytest.raises(BenchError, match="bench queue has no suite speed; it has drain"):
        chosen("queue", "idle,speed")


def test_the_full_pool_has_a_process_for_each_of_the_table_and_the_listeners() -> None:
    built = [flow for flow in REGISTERED if flow.target]
    read = [listener for listener in LISTENERS if listener.handler]
    assert read
    listening = sum(listener.workers for listener in read)
    assert sum(flow.workers for flow in (*built, *flows_all.FLOWS)) + listening == 136 + 25


def test_the_core_alone_is_the_workers_statement_without_its_events() -> None:
    step = statements.STEP
    code = "from scripts.bench import flows_core; from core.queue import statements; print(statements.STEP)"
    done = subprocess.run([sys.executable, "-c", code], cwd=place.ROOT, capture_output=True, text=True, check=True)
    core = done.stdout
    assert "event_outbox" in step
    assert "event_outbox" not in core
    assert set(core.replace(",", "").split()) < set(step.replace(",", "").split())


def _sleep(end: Connection) -> None:
    end.send(os.getpid())
    end.recv()


def test_processes_are_found_below_their_parent_with_their_memory_and_time() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_sleep, args=(theirs,))
    process.start()
    try:
        pid = ours.recv()
        assert pid in proc.descendants(os.getpid())
        assert 1 < proc.pss_mb(pid) < 1000
        assert proc.cpu_s([pid]) > 0
        assert proc.threads(pid) == 1
        assert any(what.startswith("socket:") for what in proc.open_files(pid).values())
    finally:
        ours.send(None)
        process.join()
    assert proc.pss_mb(pid) == 0
    assert proc.cpu_s([pid]) == 0
