"""Resources of one process, made once after its event loop runs, and what a flow gets to work with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from config import Settings
from core.crawler.crawler import Crawler, SourceTable
from core.crawler.provider import CredentialSource
from utils.db import Database
from utils.rate_limit import RateLimiter
from utils.request import HttpClient


@dataclass(slots=True)
class Runtime:
    """Clients that live as long as the process: one HTTP client, one limiter, one lazy database pool."""

    settings: Settings
    database: Database
    http: HttpClient
    limiter: RateLimiter
    credentials: CredentialSource
    _crawlers: dict[str, Crawler] = field(default_factory=dict)

    def crawler(self, table: SourceTable) -> Crawler:
        """The crawler over a platform's sources; its circuits live as long as the process."""
        crawler = self._crawlers.get(table.name)
        if crawler is None:
            wait_s = self.settings.providers.rate_wait_s
            crawler = Crawler(table, self.credentials, self.http, self.limiter, max_wait_s=wait_s)
            self._crawlers[table.name] = crawler
        return crawler

    async def aclose(self) -> None:
        """Close every client."""
        await self.http.aclose()
        await self.limiter.aclose()
        await self.database.dispose()


@dataclass(frozen=True, slots=True)
class FlowContext:
    """What a flow is run with. ``task_id`` is None when a route runs the flow without a task."""

    runtime: Runtime
    task_id: int | None
    started_at: datetime
    attempt: int = 1
