"""Work in the background that nobody waits for, one run at a time, until the process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class OneAtATime:
    """Runs ``work``, which must not raise."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._run: asyncio.Task[None] | None = None

    def begin(self) -> bool:
        """Begin a run in the background; False when one is still under way."""
        if self._run is not None and not self._run.done():
            return False
        self._run = asyncio.create_task(self._work())
        return True

    async def finish(self, *, within_s: float) -> None:
        """Wait for the run under way, and make a last one.

        Raises:
            TimeoutError: that takes longer.
        """
        async with asyncio.timeout(within_s):
            if self._run is not None:
                await self._run
            await self._work()
