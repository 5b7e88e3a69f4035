"""Paced calls: one for all that ask meanwhile, and always one after the last who asked."""

from __future__ import annotations

import asyncio

from utils.paced import Paced


async def test_calls_are_few_and_the_last_comes_after_the_last_who_asked() -> None:
    loop, times = asyncio.get_running_loop(), list[float]()
    paced = Paced(lambda: times.append(loop.time()), every_s=0.05)
    asked = started = loop.time()
    for _ in range(30):
        await asyncio.sleep(0.005)
        asked = loop.time()
        paced.ask()
    await asyncio.sleep(0.2)
    assert 1 < len(times) <= 1 + (asked - started) / 0.05 + 1
    assert times[-1] >= asked


async def test_who_asks_during_the_call_is_served_by_another() -> None:
    calls = []

    def action() -> None:
        calls.append(1)
        if len(calls) == 1:
            paced.ask()

    paced = Paced(action, every_s=0.01)
    paced.ask()
    await asyncio.sleep(0.1)
    assert len(calls) == 2


async def test_nothing_is_called_unasked_and_a_delay_gathers() -> None:
    calls = []
    paced = Paced(lambda: calls.append(1), every_s=0.0, delay_s=0.02)
    await asyncio.sleep(0.03)
    assert not calls
    paced.ask()
    paced.ask()
    assert not calls
    await asyncio.sleep(0.1)
    assert calls == [1]


async def test_the_delay_is_waited_for_from_the_first_call_on() -> None:
    calls = []
    paced = Paced(lambda: calls.append(1), every_s=0.0, delay_s=3600.0)
    paced.ask()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not calls
