"""What the outcomes of several sources mean together."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from core.crawler.errors import (
    ChainFailed,
    Next,
    NoSourceAvailable,
    NotCovered,
    NotFound,
    NotFoundHere,
    Outcome,
    ProviderError,
    Unsupported,
)

AGREEMENT = 2
"""So many sources that infer 'not found' make it so."""


def settled(outcomes: Sequence[Outcome]) -> ProviderError | None:
    """The answer, when the latest outcome makes further sources pointless; it carries all outcomes."""
    latest = outcomes[-1].error
    if latest.next is Next.FINAL:
        return _with(copy.copy(latest), outcomes)
    if isinstance(latest, NotFoundHere) and sum(isinstance(o.error, NotFoundHere) for o in outcomes) >= AGREEMENT:
        return _not_found(outcomes)
    return None


def concluded(function: str, outcomes: Sequence[Outcome]) -> ProviderError:
    """The error of a chain that was walked to its end without data.

    One 'not found' is enough when every other source asked cannot see such things at all.
    """
    if not outcomes:
        return NoSourceAvailable()
    capable = [o for o in outcomes if not isinstance(o.error, (NotCovered, Unsupported))]
    if capable and all(isinstance(o.error, NotFound) for o in capable):
        return _not_found(outcomes)
    return ChainFailed(function, tuple(outcomes))


def of_credentials(errors: Sequence[ProviderError]) -> ProviderError:
    """How a source ended whose credentials failed one after the other: with the soonest to open again, if any does."""
    waiting = [error for error in errors if error.retry_after_s is not None]
    return min(waiting, key=lambda error: error.retry_after_s or 0.0) if waiting else errors[-1]


def _not_found(outcomes: Sequence[Outcome]) -> ProviderError:
    last = next(o.error for o in reversed(outcomes) if isinstance(o.error, NotFoundHere))
    return _with(NotFound(last.message, status=last.code), outcomes)


def _with(error: ProviderError, outcomes: Sequence[Outcome]) -> ProviderError:
    error.outcomes = tuple(outcomes)
    return error
