"""Batches that clock themselves."""

from __future__ import annotations

import asyncio

import pytest

from utils.batches import Batches


class Double:
    """Doubles numbers, each call as long as the test holds it; 13 is refused with all others, -1 alone."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.held = asyncio.Event()

    async def __call__(self, numbers: list[int]) -> list[int]:
        self.calls.append(numbers)
        await self.held.wait()
        if 13 in numbers:
            raise ConnectionError("everybody's")
        if -1 in numbers:
            raise ValueError("only that of -1")
        return [2 * number for number in numbers]


async def test_what_comes_during_a_call_goes_with_the_next_one_in_order() -> None:
    double = Double()
    batches: Batches[int, int] = Batches(double, most=3)
    first = batches.add(1)
    await asyncio.sleep(0)
    later = [batches.add(number) for number in (2, 3, 4, 5)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert double.calls == [[1]], "one call at a time"
    double.held.set()
    assert await asyncio.gather(first, *later) == [2, 4, 6, 8, 10]
    assert double.calls == [[1], [2, 3, 4], [5]]


async def test_the_fault_of_one_is_not_that_of_all() -> None:
    double = Double()
    double.held.set()
    batches: Batches[int, int] = Batches(double)
    results = await asyncio.gather(*map(batches.add, (1, -1, 3)), return_exceptions=True)
    assert [results[0], results[2]] == [2, 6]
    assert isinstance(results[1], ValueError)


async def test_an_error_that_is_everybodys_is_told_to_all_and_not_tried_again() -> None:
    double = Double()
    double.held.set()
    batches: Batches[int, int] = Batches(double, shared=(ConnectionError,))
    results = await asyncio.gather(*map(batches.add, (1, 13, 3)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 3
    assert double.calls == [[1, 13, 3]]


async def test_who_is_cancelled_before_a_call_fails_keeps_its_error_from_nobody() -> None:
    double = Double()
    batches: Batches[int, int] = Batches(double, shared=(ConnectionError,))
    first = batches.add(13)
    second, third = batches.add(1), batches.add(2)
    await asyncio.sleep(0)
    second.cancel()
    double.held.set()
    async with asyncio.timeout(30):
        results = await asyncio.gather(first, third, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionError] * 2
        assert await batches.add(4) == 8


async def test_who_is_cancelled_withdraws_what_was_not_sent_and_nothing_else() -> None:
    double = Double()
    batches: Batches[int, int] = Batches(double)
    sent = batches.add(1)
    await asyncio.sleep(0)
    withdrawn, kept = batches.add(2), batches.add(3)
    sent.cancel()
    withdrawn.cancel()
    double.held.set()
    assert await kept == 6
    assert double.calls == [[1], [3]]
    with pytest.raises(asyncio.CancelledError):
        await sent


async def test_calls_kept_apart_wait_their_time_unless_a_whole_batch_waits() -> None:
    double = Double()
    double.held.set()
    batches: Batches[int, int] = Batches(double, most=3, apart_s=3600.0)
    assert await batches.add(1) == 2  # at once, when there was no call before
    early = [batches.add(number) for number in (2, 3)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert double.calls == [[1]]
    early.append(batches.add(4))
    assert await asyncio.gather(*early) == [4, 6, 8]
    assert double.calls == [[1], [2, 3, 4]]
    late = batches.add(5)
    for _ in range(10):
        await asyncio.sleep(0)
    assert double.calls == [[1], [2, 3, 4]], "a whole batch is no leave for the next one"
    for number in (6, 7):
        batches.add(number)
    assert await late == 10


async def test_a_whole_batch_that_came_during_a_call_follows_it_at_once() -> None:
    double = Double()
    batches: Batches[int, int] = Batches(double, most=3, apart_s=3600.0)
    first = batches.add(1)
    await asyncio.sleep(0)
    later = [batches.add(number) for number in (2, 3, 4)]
    double.held.set()
    assert await asyncio.gather(first, *later) == [2, 4, 6, 8]


async def test_calls_kept_apart_come_when_their_time_has_come() -> None:
    double = Double()
    double.held.set()
    batches: Batches[int, int] = Batches(double, apart_s=0.05)
    assert await batches.add(1) == 2
    async with asyncio.timeout(30):
        assert await batches.add(2) == 4


async def test_when_all_are_withdrawn_there_is_no_call() -> None:
    double = Double()
    double.held.set()
    batches: Batches[int, int] = Batches(double)
    batches.add(1).cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert double.calls == []
    assert await batches.add(2) == 4
