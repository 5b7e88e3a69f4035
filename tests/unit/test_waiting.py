"""Waiting for one of several things, or for a time."""

from __future__ import annotations

import asyncio

import pytest

from utils.waiting import wait_any


async def is_forgotten(*events: asyncio.Event) -> bool:
    """Whether nobody waits for them any more, once those who were told so have had their turn."""
    await asyncio.sleep(0)
    return not any(event._waiters for event in events)


async def test_one_that_is_set_already_ends_it_and_others_get_their_turn() -> None:
    turns: list[int] = []
    event = asyncio.Event()
    event.set()
    asyncio.get_running_loop().call_soon(turns.append, 1)
    await wait_any(asyncio.Event(), event, timeout_s=3600.0)
    assert turns == [1], "a loop around it lets the rest of the process live"


@pytest.mark.parametrize("place", [0, 1])
async def test_the_first_that_is_set_ends_it(place: int) -> None:
    events = [asyncio.Event(), asyncio.Event()]
    asyncio.get_running_loop().call_later(0.01, events[place].set)
    await wait_any(*events, timeout_s=3600.0)
    assert [event.is_set() for event in events] == [place == 0, place == 1]
    assert await is_forgotten(*events)


async def test_the_time_ends_it() -> None:
    event = asyncio.Event()
    await wait_any(event, timeout_s=0.01)
    assert await is_forgotten(event)


async def test_who_is_cancelled_leaves_nothing_behind() -> None:
    event = asyncio.Event()
    waits = asyncio.create_task(wait_any(event, timeout_s=3600.0))
    while await is_forgotten(event):
        pass
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
    assert await is_forgotten(event)
