"""The command line that all peers share."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import uvloop

PAUSE_S = (0.03, 0.06)
"""Between two jobs into an idle queue."""


class Peer(Protocol):
    """A queue as the bench uses it."""

    async def prepare(self) -> None:
        """Make its tables."""

    async def fill(self, count: int) -> None:
        """Queue that many jobs, as many at a time as it can."""

    async def work(self) -> None:
        """Be a worker process until SIGTERM, from ``wait_for_the_start`` on."""

    async def ping(self, once: Callable[[Callable[[int], Awaitable[object]]], Awaitable[None]]) -> None:
        """Hand ``once`` a coroutine function that queues one job of a number."""


def main(peer: Peer) -> None:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["prepare"]:
            uvloop.run(peer.prepare())
        case ["fill", count]:
            uvloop.run(peer.fill(int(count)))
        case ["work"]:
            uvloop.run(peer.work())
        case ["ping", count, first]:
            uvloop.run(_ping(peer, int(count), int(first)))
        case _:
            sys.exit("usage: prepare | fill N | work | ping N FIRST")


def wait_for_the_start() -> None:
    """Say that all is loaded and connected, and wait for the others."""
    print("ready", flush=True)
    sys.stdin.readline()


async def _ping(peer: Peer, count: int, first: int) -> None:
    """Prints the clock after each confirmed commit, in nanoseconds, as a JSON list."""
    committed: list[int] = []

    async def once(queue: Callable[[int], Awaitable[object]]) -> None:
        for number in range(first, first + count):
            await queue(number)
            committed.append(time.time_ns())
            await asyncio.sleep(random.uniform(*PAUSE_S))

    await peer.ping(once)
    print(json.dumps(committed))
