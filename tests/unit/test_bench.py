"""The arithmetic of the benches: medians, ratios, targets, quantiles, and what /proc says."""

from __future__ import annotations

import argparse
import ast
import json
import multiprocessing
import os
import re
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import asyncpg
import pytest

from core.amqp.listeners import LISTENERS
from core.flows.registry import FLOWS as REGISTERED
from core.queue import statements
from scripts.bench import __main__ as bench
from scripts.bench import comparison, core_step, flows_all, permits, place, proc
from scripts.bench.__main__ import BENCHES, DRAIN_NUMBERS, PARTS, chosen
from scripts.bench.peers import contest, stamps
from scripts.bench.place import BenchError, Place, stack_environment, with_path
from scripts.bench.pool import _event
from scripts.bench.rows import Metric, Row, Target, as_text, quantile, row_of, shares, write_json
from scripts.bench.suites import api, drain, limiter, size

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


def test_permits_stand_beside_the_better_use_of_the_library() -> None:
    def took(way: str, callers: int, seconds: float) -> permits.Taken:
        return permits.Taken(way, callers, 100, seconds, seconds / 2, 0.01, 0.001, 0.002)

    seconds = {permits.FLOOR: 1.0, permits.SCRIPT: 2.0, permits.LIBRARY: 20.0, permits.SHARED: 10.0}
    ways = (*limiter.WAYS, *seconds)
    run = {(way, n): took(way, n, seconds.get(way, 4.0)) for n in permits.CONCURRENCIES for way in ways}
    rows = {row.metric: row for row in limiter.rows_of([run])}
    assert rows["permits, 4 levels, 50 at once"].ratio == 0.25
    script = rows["the script of 4 levels alone, 1 at once, times the library's four limiters"]
    assert (script.value, script.limit, script.ratio, script.met) == (50.0, 10.0, 5.0, True)
    cost = rows["client CPU per permit, 4 levels, 1 at once, times the library's four limiters"]
    assert (cost.value, cost.limit) == (20_000, 50_000)


def test_a_route_has_its_rate_and_its_cost_a_unit() -> None:
    route = api.ROUTES[-1]
    rows = api.rows_of(route, [api.Run(50.0, 1000.0, [0.002])], [api.Run(100.0, 5000.0, [0.001])])
    figures = {row.metric.partition(": ")[2]: (row.value, row.ratio) for row in rows}
    assert figures["rows per server CPU second"] == (1000, 0.2)
    assert figures["server CPU per row"] == (1000, 5)
    assert figures["time of a request, one caller, p99"] == (2, 2)


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
    every = chosen("queue", None)
    assert set(BENCHES["queue"]) - set(PARTS) < set(every)
    assert set(PARTS["rescue"]) < set(every)
    assert chosen("queue", "idle,rescue") == ("idle", *PARTS["rescue"])
    assert chosen("queue", "zombies") == ("zombies",)
    assert chosen("peers", None) == ("peers",)
    with pytest.raises(BenchError, match="bench queue has no suite speed; it has drain"):
        chosen("queue", "idle,speed")


@pytest.mark.parametrize("name", sorted({part for suites in BENCHES for part in chosen(suites, None)}))
def test_every_suite_is_a_module(name: str) -> None:
    tree = ast.parse((place.ROOT / f"scripts/bench/suites/{name}.py").read_text())
    (suite,) = (n for n in tree.body if isinstance(n, ast.AsyncFunctionDef) and n.name == "suite")
    assert "quick" in [argument.arg for argument in suite.args.kwonlyargs]


def test_every_numbered_target_is_a_row_of_the_queue_bench() -> None:
    numbers = set(DRAIN_NUMBERS.values())
    for name in chosen("queue", None):
        tree = ast.parse((place.ROOT / f"scripts/bench/suites/{name}.py").read_text())
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        numbers |= {found[0] for text in texts if (found := re.match(r"T\d+(?= )", text))}
    assert numbers == {f"T{number}" for number in range(1, 22)}
    assert {drain.CORE.label, drain.ONE.label} < set(DRAIN_NUMBERS)


async def test_the_size_of_the_core_is_that_of_its_files() -> None:
    nowhere = Place("", "", {}, cast(asyncpg.Connection, None))
    lines, longest = await size.suite(nowhere, quick=True)
    counts = [len((place.ROOT / "core/queue" / name).read_text().splitlines()) for name in size.CORE]
    assert (lines.value, longest.value) == (sum(counts), max(counts))


def test_a_suite_that_fails_is_named_and_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def measure(name: str, _options: argparse.Namespace) -> list[Row]:
        if name == "bad":
            raise BenchError("no luck")
        return [row_of(Metric(name, "m", "1"), [1.0])]

    monkeypatch.setattr(bench, "measure", measure)
    kept: list[list[str]] = []
    whole = bench.measure_all(
        ("a", "bad", "b"), argparse.Namespace(), lambda rows: kept.append([row.suite for row in rows])
    )
    assert not whole
    assert kept == [["a"], ["a"], ["a", "b"]]
    assert "bad: no luck" in capsys.readouterr().err


def test_shares_are_the_quantiles_of_each_run() -> None:
    assert shares([[1.0, 2.0, 3.0], [9.0]], 0.5) == [2.0, 9.0]


@pytest.mark.parametrize(
    ("line", "event"),
    [('{"event": "pool is ready", "x": 1}', "pool is ready"), ("[1]", "[1]"), ("Traceback", "Traceback")],
)
def test_a_log_line_is_counted_by_what_it_says(line: str, event: str) -> None:
    assert _event(line) == event


def test_the_beginnings_of_jobs_are_kept_whatever_thread_they_are_in(tmp_path: Path) -> None:
    mine = stamps.Stamps(tmp_path / "1")
    stamps.Stamps(tmp_path / "2")

    def run(first: int) -> None:
        for job in range(first, first + 500):
            mine.mark(job)

    threads = [threading.Thread(target=run, args=(first,)) for first in range(0, 2000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stamps.count(tmp_path) == 2000
    (entries,) = stamps.read(tmp_path)
    assert {job for job, _ in entries} == set(range(2000))
    assert all(at > 0 for _, at in entries)


def test_a_peers_rate_is_that_of_the_time_in_which_all_its_processes_work() -> None:
    second = 10**9
    early = [(n, n * second) for n in range(10)]
    late = [(n, (n + 4) * second) for n in range(6)]
    assert contest.rate([early, late]) == pytest.approx((5 + 5) / 5)
    with pytest.raises(BenchError, match="worked together"):
        contest.rate([early, [(11, 8 * second)]])


def test_the_peers_are_pinned_to_what_their_requirements_ask_for() -> None:
    asked = contest.REQUIREMENTS.with_suffix(".in").read_text()
    locked = contest.REQUIREMENTS.read_text()
    pins = re.findall(r"^([\w-]+)(?:\[[\w,]+\])?==(\S+)", asked, re.MULTILINE)
    assert {peer.package for peer in contest.PEERS} <= {name for name, _ in pins}
    assert [pin for pin in pins if f"{pin[0]}=={pin[1]} \\\n    --hash=" not in locked] == []


def test_the_comparison_has_a_line_a_system_with_its_drain_and_pickups() -> None:
    def row(metric: str, value: float, limit: float | None = None) -> Row:
        return row_of(Metric("peers", metric, "x"), [value], None if limit is None else [limit])

    rows = [row("drain, Beat, queue core alone", 5000, 10_000), row("drain, other 1.0", 1000, 10_000)]
    rows += [row("pick-up p50, Beat", 1.5), row("pick-up p99, Beat", 2), row("pick-up p50, other 1.0", 3)]
    lines = comparison.table(rows, [("cores", "2")]).splitlines()
    assert lines[2:5] == [
        "| limit: raw asyncpg, no semantics | 10,000 | 1 | | |",
        "| Beat, queue core alone | 5,000 | 0.5 | 1.5 | 2 |",
        "| other 1.0 | 1,000 | 0.1 | 3 |  |",
    ]
    assert lines[-1].endswith("cores: 2.")


def test_the_page_of_the_comparison_can_take_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / comparison.PAGE
    page.parent.mkdir()
    page.write_text((place.ROOT / comparison.PAGE).read_text())
    monkeypatch.setattr(comparison, "ROOT", tmp_path)
    comparison.write_table([row_of(Metric("peers", "drain, Beat, all", "x"), [5.0], [10.0])], [("cores", "2")])
    assert "| Beat, all | 5 | 0.5 |" in page.read_text()


def test_the_full_pool_has_a_process_for_each_of_the_table_and_the_listeners() -> None:
    built = [flow for flow in REGISTERED if flow.target]
    read = [listener for listener in LISTENERS if listener.handler]
    assert read
    listening = sum(listener.workers for listener in read)
    assert sum(flow.workers for flow in (*built, *flows_all.FLOWS)) + listening == 136 + 25


def test_the_core_alone_is_the_workers_step_without_its_events() -> None:
    step = statements.STEP
    core = core_step.without_events(step)
    assert "event_outbox" in step
    assert "event_outbox" not in core
    whole = re.sub(r"returning t\.[^)]*", "returning t.*", core)
    assert core.count("returning t.") == whole.count("returning t.*") == 3
    assert set(whole.replace(",", "").split()) < set(step.replace(",", "").split())


def test_a_step_that_is_written_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="core_step"):
        core_step.without_events(statements.STEP.replace("said as", "told as"))


def test_workers_of_the_core_alone_call_the_step_without_events() -> None:
    code = "from scripts.bench import flows_core; from core.queue import queue; print(queue.STEP)"
    done = subprocess.run([sys.executable, "-c", code], cwd=place.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"select * from {core_step.NAME}($1, ")


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
        assert proc.fine_cpu_s(pid) == pytest.approx(proc.cpu_s([pid]), abs=0.05)
        assert proc.threads(pid) == 1
        assert any(what.startswith("socket:") for what in proc.open_files(pid).values())
    finally:
        ours.send(None)
        process.join()
    assert proc.pss_mb(pid) == 0
    assert proc.cpu_s([pid]) == 0
    assert proc.fine_cpu_s(pid) == 0
