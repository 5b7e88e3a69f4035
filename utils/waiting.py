"""Waiting for one of several things."""

from __future__ import annotations

import asyncio


async def wait_any(*events: asyncio.Event, timeout_s: float) -> None:
    """Return as soon as one of the events is set, or after ``timeout_s``."""
    if any(event.is_set() for event in events):
        await asyncio.sleep(0)
        return
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
