"""Builds a process's runtime: the one place where core meets the credential store."""

from __future__ import annotations

from config import Settings
from core.amqp.traces import TraceLog
from core.runtime import Runtime
from credentials.manager import CredentialManager
from credentials.vault import Vault
from utils.db import open_database
from utils.rate_limit import RateLimiter, redis_client
from utils.request import HttpClient, HttpOptions, Timeouts


def http_options(settings: Settings, traces: TraceLog | None = None) -> HttpOptions:
    """The options of the outbound client as the settings say; ``traces`` hears of each exchange."""
    providers = settings.providers
    return HttpOptions(
        timeouts=Timeouts(
            connect=providers.http_connect_timeout_s,
            read=providers.http_read_timeout_s,
            total=providers.http_total_timeout_s,
        ),
        max_body_bytes=providers.http_max_body_mb * 2**20,
        sandbox_url=providers.provider_sandbox_url,
        on_exchange=traces,
    )


def build_runtime(
    settings: Settings, *, pool_size: int = 2, limit_prefix: str = "beat_", wait_s: float | None = None
) -> Runtime:
    """Clients of one process; call it inside the running loop, after any fork. No connection is opened yet.

    ``wait_s`` is the longest wait of a single statement for a connection.
    """
    database = open_database(
        settings.database.pooled_url, pool_size=pool_size, echo=settings.database.debug_sql, wait_s=wait_s
    )
    providers = settings.providers
    traces = TraceLog(database, providers.trace_share) if providers.trace_share else None
    vault = Vault.from_ring(settings.secrets.beat_keys.get_secret_value())
    return Runtime(
        settings=settings,
        database=database,
        http=HttpClient(http_options(settings, traces)),
        limiter=RateLimiter(
            redis_client(providers.redis_url.get_secret_value()),
            prefix=limit_prefix,
            factor=providers.limit_factor,
            expected_processes=providers.expected_processes,
        ),
        credentials=CredentialManager(database.sessions, vault),
        traces=traces,
    )
