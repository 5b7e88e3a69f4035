"""Tests that share a run take turns: side by side, or alone."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.stack import ROOT
from tests.support.turns import Turns, in_order, share_of

HOLD = """
import sys
from contextlib import closing
from pathlib import Path
from tests.support.turns import Turns
with Turns(Path(sys.argv[1])).turn(alone=True):
    print("mine", flush=True)
    sys.stdin.read()
"""


class Runner:
    """Stands for a process: takes one turn and keeps it until it is told to leave."""

    def __init__(self, directory: Path, *, alone: bool = False) -> None:
        self._leave = Event()
        self._entered = Event()
        self._thread = Thread(target=self._run, args=(directory, alone), daemon=True)
        self._thread.start()

    def _run(self, directory: Path, alone: bool) -> None:
        with closing(Turns(directory)) as turns, turns.turn(alone=alone):
            self._entered.set()
            self._leave.wait(60)

    def enters(self, within_s: float = 60.0) -> bool:
        """Whether it gets its turn in that time."""
        return self._entered.wait(within_s)

    def leave(self) -> None:
        """End its turn."""
        self._leave.set()
        self._thread.join(60)


def test_ordinary_tests_run_side_by_side(tmp_path: Path) -> None:
    one, two = Runner(tmp_path), Runner(tmp_path)
    assert one.enters()
    assert two.enters()
    one.leave()
    two.leave()


def test_one_that_is_alone_waits_for_the_others_and_newcomers_wait_for_it(tmp_path: Path) -> None:
    early = Runner(tmp_path)
    assert early.enters()
    alone = Runner(tmp_path, alone=True)
    assert not alone.enters(0.3)
    late = Runner(tmp_path)
    assert not late.enters(0.3), "a newcomer went past the one that waits"
    early.leave()
    assert alone.enters()
    assert not late.enters(0.3)
    alone.leave()
    assert late.enters()
    late.leave()


def test_a_process_that_dies_has_had_its_turn(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        waiting = Runner(tmp_path)
        assert not waiting.enters(0.3)
        other.kill()
        assert waiting.enters()
        waiting.leave()


def test_long_tests_come_first_and_those_that_run_alone_last() -> None:
    items = [
        item("chaos/test_b.py"),
        item("contract/test_c.py"),
        item("chaos/test_a.py", alone=True),
        item("unit/test_d.py"),
        item("integration/test_e.py"),
    ]
    names = [one.path.name for one in in_order(items)]
    assert names == ["test_b.py", "test_e.py", "test_c.py", "test_d.py", "test_a.py"]


def test_a_file_is_given_out_as_a_whole_and_so_are_all_storms() -> None:
    ids = ["unit/test_a.py::test_b", "unit/test_a.py::C::test_d[x::y]", "chaos/test_a.py::test_b", "chaos/test_e.py::f"]
    assert [share_of(f"tests/{one}") for one in ids] == ["tests/unit/test_a.py"] * 2 + ["tests/chaos"] * 2


def item(path: str, *, alone: bool = False) -> pytest.Item:
    marks = {"alone"} if alone else set()
    fake = SimpleNamespace(path=Path(path), get_closest_marker=lambda name: name in marks or None)
    return cast(pytest.Item, fake)
