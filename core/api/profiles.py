"""Profiles on demand."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query
from loguru import logger
from pydantic import AfterValidator, BeforeValidator

from core.api.deps import Resources, ResourcesDep
from core.api.envelope import ApiError, done, envelopes
from core.api.json_body import JsonRoute
from core.api.key_ring import WRITE
from core.api.keys import NEEDS_READ, Reader
from core.api.profile_view import (
    PROFILE_ROUTES,
    InstagramProfile,
    NamedProfile,
    NamedProfileAnswer,
    ProfileAnswer,
    ProfileReader,
    ProfileRoute,
    StoredProfile,
)
from core.api.refresh import STALE_AFTER, Refresh, is_stale, of_handle, of_id, refresh
from core.api.upstream import Upstream
from core.enums import Platform
from core.flows.scraper import resolve
from utils.db import Database
from utils.handles import bare_handle
from utils.json_safe import storable

router = APIRouter(tags=["profiles"], route_class=JsonRoute, dependencies=[NEEDS_READ])

NOT_BUILT = frozenset({Platform.YOUTUBE})
LONGEST_HANDLE = 255
BY_ID_STALE_AFTER = timedelta(days=7)
"""Callers of the route by profile id are content with a week."""


def clean_handle(handle: str) -> str:
    """A handle as it is stored.

    Raises:
        ValueError: there is none, or it is longer than any.
    """
    cleaned = storable(bare_handle(handle).lower())
    if not cleaned:
        raise ValueError("must not be empty")
    if len(cleaned) > LONGEST_HANDLE:  # some letters are two in lower case
        raise ValueError(f"must have at most {LONGEST_HANDLE} characters")
    return str(cleaned)


def clean_id(given: str) -> str:
    """An id as it is stored.

    Raises:
        ValueError: there is none.
    """
    cleaned = storable(given.strip())
    if not cleaned:
        raise ValueError("must not be empty")
    return str(cleaned)


def _blank_is_false(value: object) -> object:
    return value or False


Handle = Annotated[
    str,
    Path(
        max_length=LONGEST_HANDLE,
        description="The profile's handle, in any case, with or without @",
        examples=["natgeo"],
    ),
    AfterValidator(clean_handle),
]
ProfileId = Annotated[
    str,
    Path(max_length=64, description="The platform's id of the profile", examples=["787132"]),
    AfterValidator(clean_id),
]
PlatformWord = Annotated[str, Path(description="Platform, in any case", examples=["instagram"])]
Flag = Annotated[bool, BeforeValidator(_blank_is_false)]
FullRefresh = Annotated[
    Flag, Query(description="Also refresh posts, and answer recent_posts and post_metrics", examples=[True])
]
ForceRefresh = Annotated[
    Flag, Query(description="Refresh even if the stored profile is younger than a day", examples=[True])
]


@router.get(
    "/profiles/{platform}/byhandle/{handle}",
    response_model_exclude_unset=True,
    responses=envelopes(400, 404, 422, 429, 501, 502, 503),
)
@router.get(
    "/social-profile-service/{platform}/byhandle/{handle}", response_model_exclude_unset=True, include_in_schema=False
)
async def profile_by_handle(
    resources: ResourcesDep,
    caller: Reader,
    platform: PlatformWord,
    handle: Handle,
    full_refresh: FullRefresh = False,
    force_refresh: ForceRefresh = False,
) -> ProfileAnswer:
    """One profile by handle, refreshed first when what is stored is older than a day.

    When the data sources fail and a profile is stored, that one is answered with `"stale": true` beside `status`.
    """
    if full_refresh or force_refresh:
        caller.demand(WRITE)
    route = _route_of(platform)
    reader = _reader_of(route)
    wanted = Wanted(of_handle(route, handle, full=full_refresh), lambda database: reader.find(database, handle))
    profile, stale = await _serve(resources, reader, wanted, force=force_refresh, full=full_refresh)
    return _marked(ProfileAnswer(status=done("Profile Retrieved"), profile=profile), stale=stale)


@router.get(
    "/profiles/{platform}/byid/{profile_id}",
    response_model_exclude_unset=True,
    responses=envelopes(400, 404, 422, 429, 501, 502, 503),
)
async def profile_by_id(resources: ResourcesDep, platform: PlatformWord, profile_id: ProfileId) -> ProfileAnswer:
    """One profile by its id, refreshed first, with its posts, when what is stored is older than a day.

    When the data sources fail and a profile is stored, that one is answered with `"stale": true` beside `status`.
    """
    route = _route_of(platform)
    reader = _reader_of(route)
    profile, stale = await _serve(resources, reader, _by_id(route, reader, profile_id))
    return _marked(ProfileAnswer(status=done("Profile Retrieved"), profile=profile), stale=stale)


@router.get(
    "/profiles/{platform}/byprofileid/{profile_id}",
    response_model_exclude_unset=True,
    responses=envelopes(400, 404, 422, 429, 502, 503),
)
async def profile_by_profile_id(
    resources: ResourcesDep, platform: PlatformWord, profile_id: ProfileId
) -> NamedProfileAnswer:
    """As by id, for Instagram only; what is stored is refreshed after a week, and answered one level deeper."""
    if platform.upper() != Platform.INSTAGRAM:
        raise ApiError(400, f"Platform not supported - {platform[:100]}")
    route = PROFILE_ROUTES[Platform.INSTAGRAM]
    reader = _reader_of(route)
    wanted = _by_id(route, reader, profile_id, BY_ID_STALE_AFTER)
    profile, stale = await _serve(resources, reader, wanted)
    named = NamedProfile(platform=profile.platform, handle=profile.handle, profile=profile)
    return _marked(NamedProfileAnswer(status=done("Profile Retrieved"), profile=named), stale=stale)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A profile that a caller wants: how it is refreshed, how it is found, and when what is found is too old."""

    refresh: Refresh
    find: Callable[[Database], Awaitable[StoredProfile | None]]
    stale_after: timedelta = STALE_AFTER


def _route_of(platform: str) -> ProfileRoute:
    """What serves a platform.

    Raises:
        ApiError: 501 not built yet, 400 no such platform or it has no profiles.
    """
    word = platform.upper()
    if word in NOT_BUILT:
        raise ApiError(501, f"Profiles of {word} are not built yet")
    route = PROFILE_ROUTES.get(Platform(word)) if word in Platform.__members__ else None
    if route is None:
        raise ApiError(400, f"Platform not supported - {platform[:100]}")
    return route


def _reader_of(route: ProfileRoute) -> ProfileReader:
    reader: ProfileReader = resolve(route.reader)  # type: ignore[assignment]
    return reader


def _by_id(route: ProfileRoute, reader: ProfileReader, profile_id: str, stale_after: timedelta = STALE_AFTER) -> Wanted:
    return Wanted(of_id(route, profile_id), lambda database: reader.find_id(database, profile_id), stale_after)


async def _serve(
    resources: Resources, reader: ProfileReader, wanted: Wanted, *, force: bool = False, full: bool = False
) -> tuple[InstagramProfile, bool]:
    """The profile, and whether it is older than it should be because the data sources failed."""
    database = resources.runtime.database
    stored = await wanted.find(database)
    if stored is not None and not force and not is_stale(stored, wanted.stale_after):
        return await reader.show(database, stored.profile_id, full=full), False
    stale = False
    try:
        await refresh(resources, wanted.refresh)
    except Upstream as error:
        if stored is None:
            raise
        logger.bind(asked=dict(wanted.refresh.params), code=error.code).warning("profile_served_stale")
        stale = True
    found = await wanted.find(database)
    if found is None:
        raise ApiError(404, wanted.refresh.missing)
    return await reader.show(database, found.profile_id, full=full), stale


AnswerT = TypeVar("AnswerT", ProfileAnswer, NamedProfileAnswer)


def _marked(answer: AnswerT, *, stale: bool) -> AnswerT:
    return answer.model_copy(update={"stale": True}) if stale else answer
