"""What is held back, how long, and what sets it free."""

from __future__ import annotations

from datetime import UTC, datetime

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


def test_a_confirm_forgets_the_failures() -> None:
    clock = Clock()
    holds = Holds(clock)
    for _ in range(4):
        holds.add(row().key, "refused")
        clock.now += 20
    holds.clear(row())
    holds.add(row().key, "refused")
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
