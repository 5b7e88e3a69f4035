"""A process's own share of limits, in memory, on a clock that the test turns."""

from __future__ import annotations

from utils import local_limit
from utils.local_limit import LocalLimits, Window

NARROW, WIDE = Window("narrow", 1, 10.0), Window("wide", 3, 60.0)


def test_the_level_that_opens_last_refuses_and_no_level_counts() -> None:
    limits = LocalLimits(1)
    for now in (0.0, 10.0, 20.0):
        assert limits.admit([NARROW, WIDE], now) is None
        assert limits.admit([WIDE, NARROW], now + 1) is not None
    assert limits.admit([NARROW, WIDE], 25.0) == (1, 35.0)
    assert limits.admit([NARROW, WIDE], 60.0) is None


def test_a_closed_level_stays_closed() -> None:
    limits = LocalLimits(1)
    assert [limits.admit([Window("closed", 0, 10.0)], now) for now in (0.0, 100.0)] == [(0, 10.0)] * 2


def test_a_place_that_was_taken_for_later_counts_from_then() -> None:
    limits = LocalLimits(1)
    limits.note([NARROW], 8.0)
    assert limits.admit([NARROW], 12.0) == (0, 6.0)


def test_levels_are_forgotten_when_they_matter_no_more_and_not_before() -> None:
    limits = LocalLimits(1)
    full, begun = Window("full", 1, 1000.0), Window("begun", 2, 50.0)
    limits.note([full, begun], 0.0)
    limits.note([begun], 99.0)
    for number in range(3 * local_limit._TIDY_EVERY):
        limits.note([Window(f"handle:{number}", 1, 0.001)], 100.0 + number / 1000)
    assert len(limits._logs) <= local_limit._TIDY_EVERY + 1
    assert limits.admit([full], 999.0) == (0, 1.0)
    limits.note([begun], 104.0)
    assert limits.admit([begun], 105.0) == (0, 44.0)
