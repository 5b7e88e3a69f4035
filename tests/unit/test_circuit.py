"""A source's circuit, on a clock that the test turns."""

from __future__ import annotations

import pytest

from core.crawler.circuit import Circuit, CircuitOpen, CircuitRule


class Clock:
    """Monotonic seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(circuit: Circuit, times: int = 1) -> None:
    for _ in range(times):
        with circuit.enter() as turn:
            turn.failed()


def refused_for(circuit: Circuit) -> float:
    with pytest.raises(CircuitOpen) as refusal:
        circuit.enter()
    return refusal.value.retry_after_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit(CircuitRule(), clock=clock)


def test_it_opens_at_the_fifth_failure_in_a_row_for_30_seconds(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 4)
    assert not circuit.is_open
    fail(circuit)
    assert refused_for(circuit) == 30
    clock.now += 12
    assert refused_for(circuit) == 18


def test_any_answer_in_between_starts_the_count_again(circuit: Circuit) -> None:
    fail(circuit, 4)
    with circuit.enter() as turn:
        turn.answered()
    fail(circuit, 4)
    assert not circuit.is_open


def test_a_half_open_circuit_lets_one_trial_pass_at_a_time(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 5)
    clock.now += 30
    with circuit.enter():
        assert refused_for(circuit) > 0
    with circuit.enter():
        pass


def test_a_trial_that_is_answered_closes_it_and_forgets_the_pauses(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 5)
    clock.now += 30
    fail(circuit)
    clock.now += 60
    with circuit.enter() as turn:
        turn.answered()
    assert not circuit.is_open
    fail(circuit, 5)
    assert refused_for(circuit) == 30


def test_failed_trials_double_the_pause_up_to_five_minutes(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 5)
    pauses = []
    for _ in range(6):
        pauses.append(refused_for(circuit))
        clock.now += pauses[-1]
        fail(circuit)
    assert pauses == [30, 60, 120, 240, 300, 300]


def test_a_trial_that_was_cancelled_counts_as_nothing(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 5)
    clock.now += 30
    with pytest.raises(KeyboardInterrupt), circuit.enter():
        raise KeyboardInterrupt
    with circuit.enter() as turn:
        turn.answered()
    assert not circuit.is_open


def test_failures_of_calls_that_began_before_it_opened_do_not_lengthen_the_pause(
    circuit: Circuit, clock: Clock
) -> None:
    late = [circuit.enter() for _ in range(3)]
    fail(circuit, 5)
    clock.now += 10
    for turn in late:
        turn.failed()
    assert refused_for(circuit) == 20
