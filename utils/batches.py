"""Self-clocking batches: while one call is in flight, what comes in waits, and the next call takes it all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batches(Generic[T, R]):
    """Calls ``run`` with up to ``most`` items at a time, one call after the other. For one event loop.

    ``run`` gives one result per item, in order. Alone an item is sent at once; under load calls grow with what waits.
    ``apart_s`` keeps the starts of two calls so far apart, unless a whole batch waits: for callers that can spare the
    time, and whose calls cost more than what is in them. When a call fails its items are sent again one by one, so that
    the fault of one is not that of all; errors of the ``shared`` kinds are everybody's and are not tried again.
    """

    def __init__(
        self,
        run: Callable[[list[T]], Awaitable[Sequence[R]]],
        *,
        most: int = 200,
        apart_s: float = 0.0,
        shared: tuple[type[Exception], ...] = (),
    ) -> None:
        self._run = run
        self._most = most
        self._apart_s = apart_s
        self._not_before = 0.0
        self._due = asyncio.Event()
        self._shared = shared
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, item: T) -> asyncio.Future[R]:
        """The result of one item, once its batch is through.

        Whoever is cancelled while waiting withdraws an item that was not sent yet; one that was sent takes effect.
        """
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if len(self._waiting) >= self._most:
            self._due.set()
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return result

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._until_due()
                batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                batch = [(item, result) for item, result in batch if not result.done()]
                if batch:
                    await self._send(batch)
        finally:
            self._task = None

    async def _until_due(self) -> None:
        if not self._apart_s:
            return
        loop = asyncio.get_running_loop()
        left_s = self._not_before - loop.time()
        if left_s > 0 and len(self._waiting) < self._most:
            self._due.clear()
            timer = loop.call_later(left_s, self._due.set)
            try:
                await self._due.wait()
            finally:
                timer.cancel()
        self._not_before = loop.time() + self._apart_s

    async def _send(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._run([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            if len(batch) > 1 and not isinstance(error, self._shared):
                for one in batch:
                    await self._send([one])
                return
            for _, result in batch:
                if not result.done():
                    result.set_exception(error)
            return
        for (_, result), answer in zip(batch, answers, strict=True):
            if not result.done():
                result.set_result(answer)
