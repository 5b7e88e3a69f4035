"""Work in the background, one run at a time."""

from __future__ import annotations

import asyncio

import pytest

from utils.one_at_a_time import OneAtATime


class Work:
    """Runs that end when they may; how many there were, and how many at once."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.runs = self.ended = self.under_way = self.most = 0

    async def __call__(self) -> None:
        self.runs += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.may_end.wait()
            self.ended += 1
        finally:
            self.under_way -= 1


async def test_none_is_begun_while_one_is_under_way_and_the_next_one_afterwards() -> None:
    work = Work()
    runs = OneAtATime(work)
    assert [runs.begin(), runs.begin()] == [True, False]
    await asyncio.sleep(0)
    assert not runs.begin()
    work.may_end.set()
    while not work.ended:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert runs.begin()
    await runs.finish(within_s=60.0)
    assert (work.runs, work.ended, work.most) == (3, 3, 1)


async def test_the_end_waits_for_the_run_under_way_and_makes_a_last_one() -> None:
    work = Work()
    runs = OneAtATime(work)
    runs.begin()
    end = asyncio.create_task(runs.finish(within_s=60.0))
    for _ in range(5):
        await asyncio.sleep(0)
    assert (work.runs, end.done()) == (1, False)
    work.may_end.set()
    await end
    assert (work.runs, work.ended, work.most) == (2, 2, 1)


async def test_the_end_makes_a_run_where_there_was_none() -> None:
    work = Work()
    work.may_end.set()
    await OneAtATime(work).finish(within_s=60.0)
    assert work.ended == 1


@pytest.mark.parametrize("is_begun", [True, False])
async def test_the_end_waits_no_longer_than_it_was_told(is_begun: bool) -> None:
    """What runs then is given up."""
    work = Work()
    runs = OneAtATime(work)
    if is_begun:
        runs.begin()
    with pytest.raises(TimeoutError):
        await runs.finish(within_s=0.01)
    assert (work.runs, work.ended, work.under_way) == (1, 0, 0)
