"""Clients that are closed again, and a count of what they leave open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from utils.request import HttpClient, HttpOptions


@asynccontextmanager
async def client(**options: object) -> AsyncIterator[HttpClient]:
    made = HttpClient(HttpOptions(**options))  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.aclose()


def open_files() -> int:
    """Descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def turns() -> None:
    """Let the loop see what has arrived, however late it is: ten rounds, and not just a while."""
    for _ in range(10):
        await asyncio.sleep(0.005)


async def settled() -> int:
    """Open descriptors once closing connections are gone."""
    count = open_files()
    for _ in range(20):
        await asyncio.sleep(0.01)
        if (now := open_files()) == count:
            break
        count = now
    return count
