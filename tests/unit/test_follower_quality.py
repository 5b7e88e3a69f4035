"""Which numbers of followers are believed, and who decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instagram.tasks.quality import Opinion, agree, is_jump, judge

COUNTS = st.integers(0, 2 * 10**9)


def a(followers: int) -> Opinion:
    return Opinion("a", followers)


def b(followers: int) -> Opinion:
    return Opinion("b", followers)


def c(followers: int) -> Opinion:
    return Opinion("c", followers)


@pytest.mark.parametrize(
    ("old", "new", "jumps"),
    [
        (1000, 100, True),
        (1000, 101, False),
        (999, 0, False),
        (999, 99, False),
        (1000, 0, True),
        (100, 1999, False),
        (100, 2000, True),
        (49, 999, False),
        (0, 999, False),
        (0, 1000, True),
        (None, 2 * 10**9, False),
        (1000, 1000, False),
        (50_000, 1_000_000, True),
        (50_000, 999_999, False),
    ],
)
def test_a_jump_is_a_fall_by_90_percent_or_a_rise_to_20_times_of_at_least_1000(
    old: int | None, new: int, jumps: bool
) -> None:
    assert is_jump(old, new) is jumps


@pytest.mark.parametrize(("one", "other", "same"), [(100, 95, True), (95, 100, True), (100, 94, False), (0, 0, True)])
def test_two_sources_agree_within_5_percent(one: int, other: int, same: bool) -> None:
    assert agree(a(one), b(other)) is same


def test_a_source_does_not_confirm_itself() -> None:
    assert not agree(a(100), a(100))
    assert judge(1000, a(50_000), [a(50_000)], [a(50_000)]).believed is None


def test_what_does_not_jump_is_believed_and_closes_earlier_doubts() -> None:
    verdict = judge(1000, a(1100), [], [b(50_000)])
    assert (verdict.believed, verdict.doubted, verdict.resolution) == (a(1100), (), "superseded: a says 1100")


def test_a_second_source_accepts_a_jump() -> None:
    verdict = judge(1000, a(50_000), [b(51_000)], [])
    assert (verdict.believed, verdict.doubted) == (a(50_000), (a(50_000),))
    assert verdict.resolution == "accepted: b says 51000"


def test_a_second_source_that_sees_no_jump_is_believed() -> None:
    verdict = judge(1000, a(50_000), [b(1010)], [])
    assert (verdict.believed, verdict.doubted, verdict.resolution) == (b(1010), (a(50_000),), "rejected: b says 1010")


def test_sources_that_jump_to_different_numbers_leave_it_open_until_two_agree() -> None:
    assert judge(1000, a(50_000), [b(90_000)], []).resolution is None
    assert judge(1000, a(50_000), [b(90_000)], []).doubted == (a(50_000), b(90_000))
    assert judge(1000, a(50_000), [b(90_000), c(89_000)], []).believed == b(90_000)


def test_a_doubt_of_an_earlier_refresh_counts_when_another_source_said_it() -> None:
    assert judge(1000, b(50_000), [], [a(50_500)]).believed == b(50_000)
    assert judge(1000, a(50_000), [], [a(50_500)]).believed is None


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_nothing_that_jumps_is_believed_unless_two_sources_say_it(old: int, one: int, two: int, before: int) -> None:
    opinions = [a(one), b(two), c(before)]
    believed = judge(old, opinions[0], opinions[1:2], opinions[2:]).believed
    if believed is not None and is_jump(old, believed.followers):
        assert any(agree(believed, other) for other in opinions)
