"""Resources of one process, made once after its event loop runs, and what a flow gets to work with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from config import Settings
from core.amqp.traces import TraceLog
from core.bucket import store_access
from core.crawler.call import PayloadSink
from core.crawler.crawler import Crawler, SourceTable
from core.crawler.errors import ProviderError
from core.crawler.provider import CredentialSource, Payload, Provider
from core.crawler.raw import RawPayloads
from core.drift.watch import DriftWatch
from utils.db import Database
from utils.object_store import ObjectStore
from utils.rate_limit import RateLimiter
from utils.request import HttpClient

if TYPE_CHECKING:
    from core.assets.uploader import Uploader

KEEP_S = 5.0
"""Longest that a task waits for the object store."""


def object_store(settings: Settings) -> ObjectStore | None:
    """The bucket of the settings, not yet connected; None when they name none."""
    access = store_access(settings)
    return None if access is None else ObjectStore(access, timeout_s=KEEP_S)


@dataclass(slots=True)
class Runtime:
    """Clients that live as long as the process: one HTTP client, one limiter, one lazy database pool."""

    settings: Settings
    database: Database
    http: HttpClient
    limiter: RateLimiter
    credentials: CredentialSource
    traces: TraceLog | None = None
    _crawlers: dict[str, Crawler] = field(default_factory=dict)
    _kept: RawPayloads | None = None
    _uploader: Uploader | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _watch: DriftWatch | None = None

    def crawler(self, table: SourceTable) -> Crawler:
        """The crawler over a platform's sources; its circuits live as long as the process."""
        crawler = self._crawlers.get(table.name)
        if crawler is None:
            wait_s = self.settings.providers.rate_wait_s
            crawler = Crawler(table, self.credentials, self.http, self.limiter, max_wait_s=wait_s)
            crawler.on_payload = self._sink()
            self._crawlers[table.name] = crawler
        return crawler

    async def uploader(self) -> Uploader:
        """What copies media, made at the first use.

        Raises:
            ConfigError: no bucket is set.
        """
        from core.assets.uploader import open_uploader  # noqa: PLC0415 - it uses the queue, which uses this module

        if self._uploader is None:
            async with self._opening:
                if self._uploader is None:
                    self._uploader = await open_uploader(self.settings)
        return self._uploader

    async def settle(self) -> None:
        """Write down what was noticed of requests and answers so far, for a process that is about to end."""
        if self._watch is not None:
            await self._watch.settle()
        if self.traces is not None:
            await self.traces.settle()

    def _sink(self) -> PayloadSink:
        """Who is shown each answer: the watch over their shapes, and where they are kept."""
        watch = self._watch = self._watch or DriftWatch(self.database, self.settings.providers.drift_sample)
        kept = self._payloads()
        if kept is None:
            return watch

        async def both(payload: Payload, provider: Provider, error: ProviderError | None) -> None:
            await watch(payload, provider, error)
            await kept(payload, provider, error)

        return both

    def _payloads(self) -> RawPayloads | None:
        """Where answers are kept; None without a bucket."""
        store = None if self._kept else object_store(self.settings)
        if store is not None:
            self._kept = RawPayloads(store, self.database, self.settings.store.raw_shares)
        return self._kept

    async def aclose(self) -> None:
        """Close every client."""
        await self.settle()
        if self._uploader is not None:
            await self._uploader.aclose()
        if self._kept is not None:
            await self._kept.aclose()
        await self.http.aclose()
        if self.traces is not None:
            await self.traces.aclose()
        await self.limiter.aclose()
        await self.database.dispose()


@dataclass(slots=True)
class FlowContext:
    """What a flow is run with, and leaves as it is: not frozen, because making a frozen one costs thrice as much.

    ``task_id`` is None when a route runs the flow without a task.
    """

    runtime: Runtime
    task_id: int | None
    started_at: datetime
    attempt: int = 1
