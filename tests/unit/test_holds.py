"""What is held back, how long, and what sets it free."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.amqp.backoff import pause_s
from core.amqp.holds import KEYS_PER_ROUTE, Holds
from core.amqp.outbox import Row


class Clock:
    """Time that passes when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def row(entity: str = "a", route: str = "posts", exchange: str = "beat.dx") -> Row:
    return Row(1, exchange, route, entity, "{}", None, datetime.now(UTC))


def test_a_held_key_waits_and_its_neighbours_do_not() -> None:
    holds = Holds(Clock())
    holds.add(row("a").key, "refused")
    assert holds.covers(row("a"))
    assert not holds.covers(row("b"))
    assert not holds.covers(row("a", route="profiles"))


def test_a_held_route_and_a_held_exchange_cover_all_their_keys() -> None:
    holds = Holds(Clock())
    holds.add(("beat.dx", "posts"), "unroutable")
    holds.add(("coffee.dx",), "missing")
    assert holds.covers(row("a"))
    assert not holds.covers(row("a", route="profiles"))
    assert holds.covers(row(exchange="coffee.dx", route="any"))


def test_each_failure_waits_twice_as_long_up_to_ten_seconds() -> None:
    clock, waits = Clock(), []
    holds = Holds(clock)
    for _ in range(8):
        holds.add(row().key, "refused")
        wait = holds.next_s()
        assert wait is not None
        waits.append(wait)
        clock.now += wait
        assert not holds.covers(row())
    for wait, expected in zip(waits, [0.5, 1, 2, 4, 8, 10, 10, 10], strict=True):
        assert expected <= wait <= expected * 1.2


def test_a_second_failure_in_flight_counts_once() -> None:
    holds = Holds(Clock())
    holds.add(row().key, "refused")
    first = holds.next_s()
    holds.add(row().key, "refused")
    assert holds.next_s() == first


def test_a_pause_has_a_longest_however_long_an_outage_lasts() -> None:
    assert 10 <= pause_s(100_000) <= 12


def test_what_has_waited_is_tried_again_and_the_next_turn_is_that_of_the_nearest() -> None:
    clock = Clock()
    holds = Holds(clock)
    for _ in range(3):
        holds.add(row("a").key, "refused")
        clock.now += 5
    assert (holds.now(), holds.next_s()) == ([], None)
    holds.add(row("a").key, "refused")
    holds.add(row("b").key, "refused")
    assert holds.now() == [row("a").key, row("b").key]
    near = holds.next_s()
    assert near is not None
    assert near <= 0.6
    clock.now += near
    assert holds.now() == [row("a").key]
    far = holds.next_s()
    assert far is not None
    assert far >= 4 - near


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_confirm_forgets_the_failures_of_key_route_and_exchange(length: int) -> None:
    clock = Clock()
    holds = Holds(clock)
    for _ in range(4):
        holds.add(row().key[:length], "refused")
        clock.now += 20
    holds.clear(row())
    holds.add(row().key[:length], "refused")
    wait = holds.next_s()
    assert wait is not None
    assert wait <= 0.6


def test_a_route_with_too_many_held_keys_is_held_as_a_whole() -> None:
    holds = Holds(Clock())
    for number in range(KEYS_PER_ROUTE + 1):
        holds.add(row(str(number)).key, "refused")
    assert holds.covers(row("another"))
    assert len(holds.now()) == KEYS_PER_ROUTE + 1


def test_keys_that_were_confirmed_do_not_count_as_held_ones() -> None:
    holds = Holds(Clock())
    for number in range(KEYS_PER_ROUTE):
        holds.add(row(str(number)).key, "refused")
        holds.clear(row(str(number)))
    holds.add(row("a").key, "refused")
    assert not holds.covers(row("b"))


def test_a_key_that_fails_again_counts_once() -> None:
    clock = Clock()
    holds = Holds(clock)
    for _ in range(KEYS_PER_ROUTE + 1):
        holds.add(row("a").key, "refused")
        clock.now += 20
    holds.add(row("b").key, "refused")
    assert not holds.covers(row("c"))


def test_a_route_that_is_free_again_is_no_key_less() -> None:
    holds = Holds(Clock())
    holds.add(row().key[:2], "unroutable")
    holds.clear(row())
    for number in range(KEYS_PER_ROUTE + 1):
        holds.add(row(str(number)).key, "refused")
    assert holds.covers(row("another"))


def test_what_is_held_is_told_once_per_route_in_ten_seconds(logged: list[dict[str, Any]]) -> None:
    clock = Clock()
    holds = Holds(clock)
    for number in range(3):
        holds.add(row(str(number)).key, "refused")
    holds.add(row(route="profiles").key, "refused")
    assert [line["routing_key"] for line in logged] == ["posts", "profiles"]
    clock.now += 10
    holds.add(("beat.dx",), "missing")
    holds.add(row("3").key, "refused")
    assert [line["routing_key"] for line in logged[2:]] == ["*", "posts"]
