"""Asking data sources inside a request: limits, one shared run, a time limit, what a failure means to the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from core.api.deps import Resources
from core.api.envelope import LIMITED, ApiError
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
from core.runtime import FlowContext
from utils.rate_limit import By, Level, Limit, LimitExceeded
from utils.times import utc_now

RUN_LIMIT_S = 50.0
"""Callers give up after 60 s."""

LIMITED_MESSAGE = "Concurrency Limit Exceeded"
DAY, MINUTE, ITEM = Limit(20_000, 86_400, By.SOURCE), Limit(60, 60, By.SOURCE), Limit(1, 1, By.SOURCE)

T = TypeVar("T")
Explain = Callable[[ProviderError], ApiError]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a kind of request may cost: ``shared`` counts a day and a minute of all, ``item`` a second of one."""

    shared: str
    item: str

    def levels(self) -> list[Level]:
        """All must be open, or none is used up."""
        return [
            Level(f"{self.shared}_daily", DAY),
            Level(f"{self.shared}_per_minute", MINUTE),
            Level(self.item, ITEM),
        ]


class Upstream(ApiError):
    """The data sources failed: what is stored may be served in place of what they would have said."""


async def ask(
    resources: Resources,
    key: Hashable,
    budget: Budget,
    work: Callable[[FlowContext], Awaitable[T]],
    explain: Explain,
) -> T:
    """Do the work now; callers with an equal key share one run and use up the limits once.

    Raises:
        ApiError: code 2, a limit is reached; else what ``explain`` makes of the failure.
        Upstream: it took too long.
    """

    async def run() -> T:
        try:
            await resources.limiter.acquire(budget.levels(), max_wait_s=0)
        except LimitExceeded as error:
            raise ApiError(LIMITED, LIMITED_MESSAGE) from error
        try:
            async with asyncio.timeout(RUN_LIMIT_S) as clock:
                return await work(FlowContext(resources.runtime, task_id=None, started_at=utc_now()))
        except ProviderError as error:
            raise explain(error) from error
        except TimeoutError as error:
            if not clock.expired():  # a connection's, such as the database's
                raise
            raise Upstream(503, f"The data sources took longer than {RUN_LIMIT_S:g} s") from error

    found: T = await resources.flights.run(key, run)
    return found


def kinds_of(error: ProviderError) -> list[type[ProviderError]]:
    """What the sources asked ended with."""
    return [type(outcome.error) for outcome in error.outcomes] if isinstance(error, ChainFailed) else [type(error)]


def meaning(error: ProviderError, missing: str, private: str) -> ApiError:
    """What a caller is told when the sources fail; ``missing`` and ``private`` are said when they know better.

    Not found only when nobody failed: a source that does not cover the account and one that is down prove nothing.
    """
    kinds = kinds_of(error)
    if all(issubclass(kind, NotFound | NotCovered | Unsupported) for kind in kinds):
        return ApiError(404, missing)
    if isinstance(error, Private):
        return Upstream(403, private)
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
