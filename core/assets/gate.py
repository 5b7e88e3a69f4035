"""Holds tasks while the object store is away, so that nothing is downloaded in vain and no backlog churns the queue."""

from __future__ import annotations

import asyncio
import random

from loguru import logger

from core.client.errors import StoreUnavailable

FIRST_S, LONGEST_S = 0.5, 15.0
PATIENCE_S = 60.0
"""How long a task waits in its slot before it goes back to the queue."""

TRIAL_S = 10.0
"""How long one task may try alone: its download may be slow, which says nothing of the store."""

LOOK_S = 0.2


class StoreGate:
    """Shut by an upload that the store did not take; then one task at a time tries, and the first success opens it.

    Of one process. ``patience_s`` bounds the wait of a task.
    """

    def __init__(self, *, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._error: StoreUnavailable | None = None
        self._pause_s = FIRST_S
        self._next_try = 0.0
        self._trial_ends = 0.0

    async def passage(self) -> bool:
        """Wait until the store may be used; True when this task is the one that tries it, and must say ``tried``.

        Raises:
            StoreUnavailable: it did not come back in time.
        """
        if self._error is None:
            return False
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._patience_s
        while (error := self._error) is not None:
            now = loop.time()
            if now >= give_up_at:
                raise StoreUnavailable(error.code, error.message)
            if now >= max(self._next_try, self._trial_ends):
                self._trial_ends = now + TRIAL_S
                return True
            await asyncio.sleep(LOOK_S * random.uniform(0.5, 1.0))
        return False

    def tried(self) -> None:
        """The task that tried the store has ended, whatever came of it."""
        self._trial_ends = 0.0

    def shut(self, error: StoreUnavailable) -> None:
        """The store did not take an upload. Uploads that were under way when it went count as one failure."""
        now = asyncio.get_running_loop().time()
        if self._error is None:
            logger.bind(code=error.code, reason=error.message).warning("object store is away: uploads wait")
        elif now < self._next_try:
            return
        self._error = error
        self._next_try = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, LONGEST_S)

    def open(self) -> None:
        """The store took an upload."""
        if self._error is not None:
            logger.info("object store is back")
            self._error, self._pause_s = None, FIRST_S
