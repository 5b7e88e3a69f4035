"""Connections kept open per upstream host: bounded in use, bounded idle, never handed out dead."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property

from utils.wire import Wire


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to connect, and for which upstream host: behind a sandbox all hosts share one address, not one pool."""

    scheme: str
    host: str
    port: int
    upstream: str


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """Bounds of a pool: connections in use per upstream host, idle ones in all, and how long those are kept."""

    connections: int
    max_idle: int
    idle_ttl_s: float
    ca_file: str | None


@dataclass(slots=True)
class _Slot:
    free: asyncio.Semaphore
    users: int = 0
    idle: deque[Wire] = field(default_factory=deque)


class Pool:
    """All connections of one client; belongs to the event loop it is used in."""

    def __init__(self, options: PoolOptions) -> None:
        self._options = options
        self._slots: dict[Origin, _Slot] = {}
        self._open: set[Wire] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """One context for all connections: making one costs 20 ms."""
        return ssl.create_default_context(cafile=self._options.ca_file)

    @asynccontextmanager
    async def turn(self, origin: Origin) -> AsyncIterator[None]:
        """One of the origin's places; waits while all are taken."""
        slot = self._slots.get(origin)
        if slot is None:
            slot = self._slots[origin] = _Slot(asyncio.Semaphore(self._options.connections))
        slot.users += 1
        try:
            async with slot.free:
                yield
        finally:
            slot.users -= 1
            self._forget_if_unused(origin)

    def take(self, origin: Origin) -> Wire | None:
        """The idle connection used last, if one is alive and young."""
        slot = self._slots.get(origin)  # gone, if the pool was closed while the caller waited for its turn
        oldest = time.monotonic() - self._options.idle_ttl_s
        while slot is not None and slot.idle:
            wire = slot.idle.pop()
            if wire.idle_since >= oldest and wire.fit():
                return wire
            self.drop(wire)
        return None

    async def connect(self, origin: Origin) -> Wire:
        """A new connection.

        Raises:
            OSError: refused, unreachable, unresolved, or TLS that cannot be trusted.
        """
        loop = asyncio.get_running_loop()
        if origin.scheme == "https":
            _, wire = await loop.create_connection(
                Wire, origin.host, origin.port, ssl=self._tls, server_hostname=origin.host
            )
        else:
            _, wire = await loop.create_connection(Wire, origin.host, origin.port)
        if self._closed:
            wire.abort()
            raise ConnectionAbortedError("the client was closed")
        wire.host, wire.port = origin.host, str(origin.port)
        self._open.add(wire)
        return wire

    def give(self, origin: Origin, wire: Wire) -> None:
        """Keep for the next request; the client's oldest idle connection makes room."""
        if not wire.fit():
            self.drop(wire)
            return
        wire.idle_since = time.monotonic()
        self._slots[origin].idle.append(wire)
        if sum(len(slot.idle) for slot in self._slots.values()) > self._options.max_idle:
            self._drop_oldest()
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self._options.idle_ttl_s, self._sweep)

    def drop(self, wire: Wire) -> None:
        """Close one connection."""
        wire.abort()
        self._open.discard(wire)

    async def aclose(self) -> None:
        """Close everything, also what is in use, and wait until the descriptors are gone."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        wires = list(self._open)
        for wire in wires:
            self.drop(wire)
        self._slots.clear()
        for wire in wires:
            await wire.closed.wait()

    def _drop_oldest(self) -> None:
        waiting = [(slot.idle[0].idle_since, origin) for origin, slot in self._slots.items() if slot.idle]
        oldest = min(waiting, key=lambda pair: pair[0])[1]
        self.drop(self._slots[oldest].idle.popleft())
        self._forget_if_unused(oldest)

    def _sweep(self) -> None:
        """Close what has been idle too long, so that a host never asked again holds no descriptor."""
        oldest = time.monotonic() - self._options.idle_ttl_s
        self._sweeper = None
        for origin, slot in list(self._slots.items()):
            while slot.idle and slot.idle[0].idle_since <= oldest:
                self.drop(slot.idle.popleft())
            self._forget_if_unused(origin)
        if any(slot.idle for slot in self._slots.values()):
            self._sweeper = asyncio.get_running_loop().call_later(self._options.idle_ttl_s, self._sweep)

    def _forget_if_unused(self, origin: Origin) -> None:
        slot = self._slots.get(origin)
        if slot is not None and not slot.users and not slot.idle:
            del self._slots[origin]
