"""How the pipeline's bench tells what worker processes spend their time on."""

from __future__ import annotations

import asyncio
import time

import pytest

from scripts.bench import shares
from utils.request import HttpClient


def test_a_stage_within_a_stage_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100, 10))
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    monkeypatch.setattr(shares, "_spent", {})
    with shares._Within("SQL"), shares._Within("events"):
        pass
    assert shares._spent == {"SQL": 20, "events": 10}


async def test_a_coroutine_is_charged_for_its_steps_and_not_for_its_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "_spent", {})

    async def busy(seconds: float) -> int:
        for _ in range(2):
            ends = time.thread_time() + seconds / 2
            while time.thread_time() < ends:
                pass
            await asyncio.sleep(0)
        return 7

    assert await asyncio.gather(*(shares._stepwise(stage, busy)(0.02) for stage in ("HTTP", "SQL"))) == [7, 7]
    assert shares._spent["HTTP"] == pytest.approx(0.02, abs=0.015)
    assert shares._spent["SQL"] == pytest.approx(0.02, abs=0.015)


async def test_an_error_reaches_the_coroutine_that_is_counted() -> None:
    async def patient() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "cancelled"
        return ""

    task = asyncio.ensure_future(shares._stepwise("HTTP", patient)())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cancelled"


def test_production_code_is_left_alone_unless_a_run_is_metered() -> None:
    assert not hasattr(HttpClient.request, "__wrapped__")
