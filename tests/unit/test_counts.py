"""What a process counts: when it is told of it, what it hands on, and that nothing is lost or doubled on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

import pytest

from core.metrics import DURATION, TASKS, Counts, Sample, columns, messages


def summed(samples: Iterable[Sample]) -> dict[tuple[str, ...], float]:
    """By name and labels, as the database adds them up."""
    names, labels, values = columns(samples)
    return {(name, *json.loads(of)): value for name, of, value in zip(names, labels, values, strict=True)}


def test_a_duration_belongs_to_the_first_bucket_that_is_not_below_it() -> None:
    counts = Counts()
    counts.observe(DURATION, [0.05, 0.0501, 600, 600.1, -7], "f", "done")
    found = summed(counts.take())
    name, last = "beat_task_duration_seconds_bucket", len(DURATION.buckets)
    assert found.pop(("beat_task_duration_seconds_sum", "f", "done")) == pytest.approx(0.05 + 0.0501 + 600 + 600.1)
    assert found == {
        (name, "f", "done", str(bucket)): hits for bucket, hits in ((0, 2), (1, 1), (last - 1, 1), (last, 1))
    }


def test_the_first_count_after_each_taking_is_told_and_no_other() -> None:
    told: list[str] = []
    counts = Counts()
    counts.watch(lambda: told.append("a count"))
    for number in (1, 2):
        counts.add(TASKS, "f", "complete", by=2)
        counts.add(TASKS, "f", "failed")
        counts.observe(DURATION, [1], "f", "done")
        assert len(told) == 2 * number - 1
        assert summed(counts.take())["beat_tasks_total", "f", "complete"] == 2
        counts.observe(DURATION, [1], "f", "done")
        counts.add(TASKS, "f", "complete")
        assert len(told) == 2 * number
        assert summed(counts.take())["beat_tasks_total", "f", "complete"] == 1
    assert counts.take() == []


@pytest.mark.parametrize("error", [ConnectionError, asyncio.CancelledError])
def test_what_could_not_be_handed_on_is_put_back_to_what_came_meanwhile(error: type[BaseException]) -> None:
    told: list[str] = []
    counts = Counts()
    counts.add(TASKS, "f", "complete")
    counts.observe(DURATION, [0.2, 70], "f", "done")
    counts.watch(lambda: told.append("a count"))

    def hand_on() -> None:
        with counts.taken():
            raise error

    with pytest.raises(error):
        hand_on()
    assert told == ["a count"], "somebody has to come for them again"
    counts.add(TASKS, "f", "complete", by=4)
    counts.observe(DURATION, [70], "f", "done")
    found = summed(counts.take())
    assert found["beat_tasks_total", "f", "complete"] == 5
    assert found["beat_task_duration_seconds_bucket", "f", "done", "8"] == 2
    assert found["beat_task_duration_seconds_sum", "f", "done"] == pytest.approx(140.2)


@pytest.mark.parametrize("longest", [90, 91, 92, 93, 150, 400, 10_000])
def test_messages_are_no_longer_than_they_may_be_and_say_everything_once(longest: int) -> None:
    counts, others = Counts(), Counts()
    for number in range(20):
        counts.add(TASKS, f"a flow {number}", "complete", by=number + 1)
    samples = counts.take()
    parts = list(messages(samples, longest))
    assert max(map(len, parts)) <= longest
    assert not any(character.isspace() for part in parts for character in part)
    for part in parts:
        others.add_taken(part)
        others.add_taken(part)
    assert summed(others.take()) == {key: 2 * value for key, value in summed(samples).items()}
