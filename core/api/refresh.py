"""Refreshes what is stored inside a request, through the flow that tasks run too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from loguru import logger

from core.api.deps import Resources
from core.api.profile_view import ProfileRoute, StoredProfile
from core.api.upstream import Budget, ask, meaning
from core.flows.scraper import built_flow, read_params, resolve
from core.runtime import FlowContext
from utils.times import utc_now

STALE_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Refresh:
    """A wish to run a flow for one thing, which ``params`` name; equal wishes share a run.

    ``missing`` is said when there is no such thing.
    """

    flow: str
    params: tuple[tuple[str, str], ...]
    budget: Budget
    missing: str


def of_handle(route: ProfileRoute, handle: str, *, full: bool) -> Refresh:
    """A profile by its handle (lower case).

    Refreshes without posts have counters of their own, so that they cannot use up those of full ones.
    """
    name = route.limits if full else f"{route.limits}_basic"
    flow = route.full_flow if full else route.basic_flow
    budget = Budget(name, f"{name}_per_handle_{handle}")
    return Refresh(flow, (("handle", handle),), budget, f"Profile not found - {handle}")


def of_id(route: ProfileRoute, profile_id: str) -> Refresh:
    """A profile by its id, with its posts."""
    budget = Budget(f"{route.limits}_by_id", f"{route.limits}_per_id_{profile_id}")
    return Refresh(route.id_flow, ((route.id_param, profile_id),), budget, f"profile not found for id - {profile_id}")


def is_stale(stored: StoredProfile | None, after: timedelta = STALE_AFTER) -> bool:
    """Whether a stored profile must be asked for again."""
    return stored is None or stored.updated_at is None or utc_now() - stored.updated_at > after


async def refresh(resources: Resources, wish: Refresh) -> None:
    """Run the flow now; callers with the same wish share one run and use up the limits once.

    Raises:
        ApiError: code 2, a limit is reached; 404 there is no such thing; 403 it is private; 501 not built yet.
        Upstream: the data sources failed.
    """
    flow = built_flow(resources.registry, wish.flow)
    params = read_params(flow, dict(wish.params))

    async def run(context: FlowContext) -> None:
        with logger.contextualize(flow=flow.name):
            await resolve(flow.target or "")(params, context)

    private = f"Profile is private - {wish.params[0][1]}"
    await ask(resources, wish, wish.budget, run, lambda error: meaning(error, wish.missing, private))
