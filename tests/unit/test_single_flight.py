"""Callers who want the same thing share one run."""

from __future__ import annotations

import asyncio

import pytest

from core.api.single_flight import SingleFlight


async def test_equal_wishes_at_the_same_time_are_one_run() -> None:
    flights: SingleFlight[int] = SingleFlight()
    gate, runs = asyncio.Event(), 0

    async def work() -> int:
        nonlocal runs
        runs += 1
        await gate.wait()
        return runs

    callers = [asyncio.create_task(flights.run("a", work)) for _ in range(5)]
    other = asyncio.create_task(flights.run("b", work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*callers) == [2] * 5
    assert await other == 2


async def test_a_later_wish_is_a_new_run() -> None:
    flights: SingleFlight[int] = SingleFlight()
    runs = 0

    async def work() -> int:
        nonlocal runs
        runs += 1
        return runs

    assert [await flights.run("a", work), await flights.run("a", work)] == [1, 2]


async def test_every_caller_gets_the_error_and_the_next_run_starts_afresh() -> None:
    flights: SingleFlight[int] = SingleFlight()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError("no")

    results = await asyncio.gather(flights.run("a", fail), flights.run("a", fail), return_exceptions=True)
    assert [str(result) for result in results] == ["no", "no"]
    with pytest.raises(ValueError, match="no"):
        await flights.run("a", fail)


async def test_a_caller_who_goes_away_does_not_stop_the_others() -> None:
    flights: SingleFlight[str] = SingleFlight()
    gate = asyncio.Event()

    async def work() -> str:
        await gate.wait()
        return "done"

    first = asyncio.create_task(flights.run("a", work))
    second = asyncio.create_task(flights.run("a", work))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert await second == "done"


async def test_closing_cancels_what_is_in_flight() -> None:
    flights: SingleFlight[None] = SingleFlight()
    caller = asyncio.create_task(flights.run("a", asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await flights.aclose()
    with pytest.raises(asyncio.CancelledError):
        await caller
