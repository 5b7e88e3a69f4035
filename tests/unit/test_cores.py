"""Cores of a container are those of its quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from utils.cores import usable_cores

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("100000 100000", 1), ("50000 100000", 1), ("max 100000", ALL), ("garbage", ALL), ("900000000 100000", ALL)],
)
def test_the_quota_bounds_the_cores(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores(tmp_path / "cpu.max") == cores


def test_without_a_quota_all_cores_count(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "none") == ALL
