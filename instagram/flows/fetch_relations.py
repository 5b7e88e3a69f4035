"""What the tasks about relations of profiles mean: who follows whom, and who is like whom."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from core.crawler.provider import Asked, Function, Payload
from core.enums import RelationshipType
from core.models.logs import RelationshipLog
from core.models.params import CursorParams, ProfileIdParams
from core.runtime import FlowContext
from instagram.functions.retriever.crawler import CHAINS
from instagram.models.functions import FETCH_FOLLOWERS, FETCH_FOLLOWING, FETCH_SIMILAR_PROFILES
from instagram.models.pages import PeoplePage, Person
from instagram.tasks.page_walk import Listing, PageRule, Walk, pauses_of
from instagram.tasks.relations_ingestion import followers_of, related_to
from instagram.tasks.relations_processing import upsert_relations
from instagram.tasks.retrieval import crawler_of

FOLLOWERS = PageRule(items=2000, pause_s=5, failures=5, failure_pause_s=10)
FOLLOWING = PageRule(items=200, pause_s=10, failures=1, failure_pause_s=30)
SIMILAR = PageRule(items=200)

Relate = Callable[[list[Person], Payload], list[RelationshipLog]]


async def fetch_profile_followers(params: ProfileIdParams, ctx: FlowContext) -> dict[str, Any]:
    """Who follows a profile, about 2,000 at most.

    Raises:
        ProviderError: no source gave them, or none was left to go on with.
    """
    profile_id = params.profile_id
    walk = Walk(_listing(FETCH_FOLLOWERS), FOLLOWERS)
    return await _store(ctx, walk, Asked(profile_id=profile_id), lambda *found: followers_of(profile_id, *found))


async def fetch_profile_following(params: CursorParams, ctx: FlowContext) -> dict[str, Any]:
    """Whom a profile follows, about 200 at most; ``cursor`` is one of the source that is asked first.

    Raises:
        ProviderError: no source gave them, or none was left to go on with.
    """
    profile_id = params.profile_id
    first = CHAINS[FETCH_FOLLOWING.name][0] if params.cursor else None
    walk = Walk(_listing(FETCH_FOLLOWING), FOLLOWING, source=first)
    asked = Asked(profile_id=profile_id, cursor=params.cursor or None)
    return await _store(ctx, walk, asked, lambda *found: related_to(profile_id, *found, kind=RelationshipType.FOLLOWS))


async def fetch_similar_profiles(params: ProfileIdParams, ctx: FlowContext) -> dict[str, Any]:
    """Profiles that the platform suggests beside one.

    Raises:
        ProviderError: no source gave them.
    """
    profile_id = params.profile_id
    walk = Walk(_listing(FETCH_SIMILAR_PROFILES), SIMILAR)
    asked = Asked(profile_id=profile_id)
    return await _store(ctx, walk, asked, lambda *found: related_to(profile_id, *found, kind=RelationshipType.SIMILAR))


def _listing(function: Function[PeoplePage]) -> Listing[PeoplePage, Person]:
    return Listing(function, attrgetter("people"), attrgetter("profile_id"))


async def _store(ctx: FlowContext, walk: Walk[PeoplePage, Person], asked: Asked, relate: Relate) -> dict[str, Any]:
    """Every page as it comes; what was stored stays when a later page fails."""
    async for read in walk.read(crawler_of(ctx), asked, pauses_of(ctx)):
        async with ctx.runtime.database.sessions() as session:
            await upsert_relations(session, relate(read.fresh, read.fetched.payload))
    return {"profile_id": asked.profile_id, "relations": walk.count, **walk.as_result()}
