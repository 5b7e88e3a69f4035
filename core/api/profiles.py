"""Profiles on demand."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from loguru import logger
from pydantic import AfterValidator, BeforeValidator

from core.api.deps import Resources, ResourcesDep
from core.api.envelope import ApiError, done, envelopes
from core.api.json_body import JsonRoute
from core.api.profile_view import PROFILE_ROUTES, InstagramProfile, ProfileAnswer, ProfileReader, ProfileRoute
from core.api.refresh import Refresh, Upstream, is_stale, refresh
from core.enums import Platform
from core.flows.scraper import resolve
from utils.json_safe import storable

router = APIRouter(tags=["profiles"], route_class=JsonRoute)

NOT_BUILT = frozenset({Platform.YOUTUBE})


def _clean_handle(handle: str) -> str:
    cleaned = storable(handle.strip().removeprefix("@").lower())
    if not cleaned:
        raise ValueError("must not be empty")
    return str(cleaned)


def _blank_is_false(value: object) -> object:
    return value or False


Handle = Annotated[
    str,
    Path(max_length=255, description="The profile's handle, in any case, with or without @", examples=["natgeo"]),
    AfterValidator(_clean_handle),
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
    platform: PlatformWord,
    handle: Handle,
    full_refresh: FullRefresh = False,
    force_refresh: ForceRefresh = False,
) -> ProfileAnswer:
    """One profile by handle, refreshed first when what is stored is older than a day.

    When the data sources fail and a profile is stored, that one is answered with `"stale": true` beside `status`.
    """
    route = _route_of(platform)
    return await _serve(resources, Refresh(route, handle, full_refresh), force=force_refresh)


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


async def _serve(resources: Resources, wish: Refresh, *, force: bool) -> ProfileAnswer:
    reader: ProfileReader = resolve(wish.route.reader)  # type: ignore[assignment]
    async with resources.begin() as session:
        stored = await reader.find(session, wish.handle)
    stale = False
    if force or is_stale(stored):
        try:
            await refresh(resources, wish)
        except Upstream as error:
            if stored is None:
                raise
            logger.bind(handle=wish.handle, code=error.code).warning("profile_served_stale")
            stale = True
    profile = await _show(resources, reader, wish)
    answer = ProfileAnswer(status=done("Profile Retrieved"), profile=profile)
    return answer.model_copy(update={"stale": True}) if stale else answer


async def _show(resources: Resources, reader: ProfileReader, wish: Refresh) -> InstagramProfile:
    async with resources.begin() as session:
        stored = await reader.find(session, wish.handle)
        if stored is None:
            raise ApiError(404, f"Profile not found - {wish.handle}")
        return await reader.show(session, stored.profile_id, full=wish.full)
