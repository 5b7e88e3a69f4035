"""The FastAPI application, from settings and the two things that core cannot make by itself."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from config import Settings
from core.api import bulk, errors, health, metrics, ops, owners, posts, profiles, tasks, tokens
from core.api.boundary import Boundary
from core.api.deps import Resources, TokenStore
from core.api.key_ring import KeyRing
from core.flows.registry import build_registry
from core.runtime import Runtime
from utils.rate_limit import RateLimiter, redis_client

DESCRIPTION = """
Fresh data about creators: profiles on demand, and a queue of scrape tasks.

Every JSON answer holds `status`: `type` is SUCCESS or ERROR, `message` says what happened, and an error has a `code`.
Handled errors answer HTTP 200 unless the server runs in strict mode; refused input answers 422 in both.
Times are UTC, ISO 8601, without an offset. `X-Request-Id` comes back on every answer and stands in the log.
"""
LIMIT_PREFIX = "beat_server_"
"""Counts what callers make Beat fetch, apart from the budgets of sources; no demo factor widens it."""

TAGS = [
    {"name": "profiles", "description": "Profiles, refreshed when what is stored is older than a day."},
    {"name": "posts", "description": "Posts, asked for when wanted, and the stored recent ones."},
    {"name": "tasks", "description": "The queue: the same rows that SQL producers write."},
    {"name": "tokens", "description": "Credentials for data sources."},
    {"name": "health", "description": "For load balancers and monitors."},
    {"name": "operations", "description": "The page for operators, and what its buttons do."},
]


def create_app(
    settings: Settings,
    *,
    build_runtime: Callable[[Settings], Runtime],
    token_store: Callable[[Runtime], TokenStore],
    schema_version: int | None = None,
) -> FastAPI:
    """The application; its clients are made when it starts and closed when it stops.

    ``schema_version`` is the least that /readyz expects of the database; None accepts any.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        runtime = build_runtime(_never_waiting(settings))
        redis = redis_client(settings.providers.redis_url.get_secret_value())
        resources = Resources(
            settings=settings,
            runtime=runtime,
            registry=build_registry(settings.workers.beat_extra_flows),
            redis=redis,
            limiter=RateLimiter(redis, prefix=LIMIT_PREFIX),
            tokens=token_store(runtime),
            keys=KeyRing(runtime.database),
            schema_version=schema_version,
            heartbeat=settings.api.heartbeat,
        )
        app.state.resources = resources
        app.state.metrics = metrics.Exposition()
        try:
            yield
        finally:
            await resources.flights.aclose()
            await resources.limiter.aclose()
            await runtime.aclose()

    app = FastAPI(
        title="Beat",
        version="1",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        strict_content_type=False,
        redirect_slashes=False,  # it would repeat the query, which may hold a token, under any host and without TLS
    )
    for module in (profiles, owners, posts, bulk, tasks, tokens, health, metrics, ops):
        app.include_router(module.router)
    errors.install(app, strict=settings.api.http_status_mode == "strict")
    app.add_middleware(Boundary, larger_bodies={bulk.PATH: bulk.MAX_BULK_BYTES})
    return app


def _never_waiting(settings: Settings) -> Settings:
    """A request does not wait for a rate window of a source: it is answered with code 2."""
    return settings.model_copy(update={"providers": settings.providers.model_copy(update={"rate_wait_s": 0.0})})
