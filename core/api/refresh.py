"""Refreshes a stored profile inside a request: limits, one shared run of the flow, what its failure means."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from loguru import logger

from core.api.deps import Resources
from core.api.envelope import LIMITED, ApiError
from core.api.profile_view import ProfileRoute, StoredProfile
from core.crawler.errors import (
    ChainFailed,
    CredentialBusy,
    CredentialInvalid,
    Malformed,
    NoSourceAvailable,
    NotCovered,
    NotFound,
    Private,
    ProviderError,
    SourceBusy,
    Unsupported,
)
from core.flows.scraper import built_flow, read_params, resolve
from core.runtime import FlowContext
from utils.rate_limit import By, Level, Limit, LimitExceeded
from utils.times import utc_now

STALE_AFTER = timedelta(days=1)
RUN_LIMIT_S = 50.0
"""Callers give up after 60 s."""

LIMITED_MESSAGE = "Concurrency Limit Exceeded"
DAY, MINUTE, ITEM = Limit(20_000, 86_400, By.SOURCE), Limit(60, 60, By.SOURCE), Limit(1, 1, By.SOURCE)


@dataclass(frozen=True, slots=True)
class Refresh:
    """A wish to refresh one handle (lower case) through one flow; equal wishes share a run."""

    route: ProfileRoute
    handle: str
    full: bool

    @property
    def flow(self) -> str:
        """The flow to run."""
        return self.route.full_flow if self.full else self.route.basic_flow

    def limits(self) -> list[Level]:
        """All must be open, or none is used up: the day, the minute, the handle.

        Refreshes without posts have counters of their own, so that they cannot use up those of full ones.
        """
        name = self.route.limits if self.full else f"{self.route.limits}_basic"
        levels = {"daily": DAY, "per_minute": MINUTE, f"per_handle_{self.handle}": ITEM}
        return [Level(f"{name}_{key}", limit) for key, limit in levels.items()]


def is_stale(stored: StoredProfile | None) -> bool:
    """Whether a stored profile must be asked for again."""
    return stored is None or stored.updated_at is None or utc_now() - stored.updated_at > STALE_AFTER


async def refresh(resources: Resources, wish: Refresh) -> None:
    """Run the flow now; callers with the same wish share one run and use up the limits once.

    Raises:
        ApiError: code 2, a limit is reached; 404 there is no such profile; 403 it is private; 501 not built yet.
        Upstream: the data sources failed.
    """
    await resources.flights.run(wish, lambda: _run(resources, wish))


class Upstream(ApiError):
    """The data sources failed: a stored profile may be served in its place."""


async def _run(resources: Resources, wish: Refresh) -> None:
    try:
        await resources.limiter.acquire(wish.limits(), max_wait_s=0)
    except LimitExceeded as error:
        raise ApiError(LIMITED, LIMITED_MESSAGE) from error
    flow = built_flow(resources.registry, wish.flow)
    params = read_params(flow, {"handle": wish.handle})
    context = FlowContext(resources.runtime, task_id=None, started_at=utc_now())
    with logger.contextualize(flow=flow.name):
        try:
            async with asyncio.timeout(RUN_LIMIT_S):
                await resolve(flow.target or "")(params, context)
        except ProviderError as error:
            raise meaning(error, wish.handle) from error
        except TimeoutError as error:
            raise Upstream(503, f"The data sources took longer than {RUN_LIMIT_S:g} s") from error


def meaning(error: ProviderError, handle: str) -> ApiError:
    """What a caller is told when a refresh fails.

    Not found only when nobody failed: a source that does not cover the account and one that is down prove nothing.
    """
    kinds = [type(outcome.error) for outcome in error.outcomes] if isinstance(error, ChainFailed) else [type(error)]
    if all(issubclass(kind, NotFound | NotCovered | Unsupported) for kind in kinds):
        return ApiError(404, f"Profile not found - {handle}")
    if isinstance(error, Private):
        return Upstream(403, f"Profile is private - {handle}")
    if isinstance(error, NoSourceAvailable):
        return Upstream(503, error.message)
    if error.code == 429 and any(issubclass(kind, CredentialBusy | SourceBusy) for kind in kinds):
        return Upstream(LIMITED, LIMITED_MESSAGE)
    if error.code == 429:
        return Upstream(503, f"The data sources are busy: {error.message}")
    broken = any(issubclass(kind, Malformed | CredentialInvalid) for kind in kinds)
    return Upstream(502 if broken else 503, f"The data sources failed: {_failure(error).message}")


def _failure(error: ProviderError) -> ProviderError:
    """What went wrong, rather than that another source found nothing."""
    failures = (o.error for o in error.outcomes if not isinstance(o.error, NotFound | NotCovered | Unsupported))
    return next(failures, error)
