"""Leases of capped flows: fair shares, and no number that could let two processes use one slot."""

from __future__ import annotations

import pytest

from core.queue.slots import Cap, Lease, SlotLeases


@pytest.mark.parametrize(
    ("slots", "shares"), [(7, [3, 2, 2]), (3, [1, 1, 1]), (2, [1, 1, 0]), (0, [0, 0, 0]), (-1, [0, 0, 0])]
)
def test_a_cap_is_divided_with_the_remainder_to_the_lowest_ids(slots: int, shares: list[int]) -> None:
    cap = Cap(slots, ((4, None), (7, 1), (9, 5)))
    assert [cap.share(worker) for worker in (4, 7, 9)] == shares
    assert cap.share(5) == 0


def test_workers_that_leave_a_flow_to_others_have_no_share_and_give_back_what_they_hold() -> None:
    cap = Cap(7, ((4, 3), (7, None), (9, 1)), frozenset({4, 9}))
    assert [cap.share(worker) for worker in (4, 7, 9)] == [0, 7, 0]
    seen = SlotLeases()
    seen.see({"f": cap})
    assert (seen.must_give_back(4), seen.allowed(4, ("f",))) == (True, {"f": 0})
    assert seen.missing([4, 7, 9]) == [Lease(7, "f", 7)]


def leases(slots: int, *held: tuple[int, int | None]) -> SlotLeases:
    seen = SlotLeases()
    seen.see({"f": Cap(slots, held)})
    return seen


def test_a_worker_may_use_what_it_holds_and_never_more_than_its_share() -> None:
    seen = leases(4, (1, 4), (2, None))
    assert seen.allowed(1, ("f", "other")) == {"f": 2}
    assert seen.allowed(2, ("f",)) == {"f": 0}
    assert seen.missing([1, 2]) == [Lease(2, "f", 2)]
    assert (seen.must_give_back(1), seen.must_give_back(2)) == (True, False)
    seen.granted([Lease(2, "f", 1)])
    assert seen.allowed(2, ("f",)) == {"f": 1}


def test_slots_go_back_only_when_the_worker_confirms_what_it_was_told_last() -> None:
    seen = leases(4, (1, 4), (2, None))
    seen.told(1, {"f": 2}, heard=True)
    assert seen.given_back() == []
    seen.confirm(1, "f", 2)
    assert seen.given_back() == [Lease(1, "f", 2)]
    assert seen.given_back() == []


def test_a_confirmation_that_was_overtaken_by_a_larger_share_is_ignored() -> None:
    seen = leases(4, (1, 4), (2, None))
    seen.told(1, {"f": 2}, heard=True)
    seen.confirm(1, "f", 2)
    seen.told(1, {"f": 4}, heard=True)
    assert seen.given_back() == []


def test_a_worker_that_may_not_have_heard_may_still_use_the_larger_share() -> None:
    seen = leases(4, (1, 4), (2, None))
    seen.told(1, {"f": 4}, heard=True)
    seen.told(1, {"f": 2}, heard=False)
    seen.confirm(1, "f", 2)
    assert seen.given_back() == []
