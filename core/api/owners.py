"""Numbers of connected accounts, asked for with the account's own token, which comes with the request."""

from typing import Annotated

from fastapi import APIRouter, Depends

from core.api.access import Access, AccessBody, given_access
from core.api.deps import Resources, ResourcesDep
from core.api.envelope import ApiError, done, envelopes
from core.api.json_body import JsonRoute
from core.api.keys import NEEDS_WRITE
from core.api.owner_view import OWNERS, OwnAudience, OwnAudienceAnswer, OwnerReader, OwnProfile, OwnProfileAnswer
from core.api.profiles import Handle, PlatformWord
from core.api.upstream import Budget, ask, kinds_of, meaning
from core.crawler.errors import (
    ChainFailed,
    CredentialInvalid,
    InsufficientData,
    NotCovered,
    NotFound,
    ProviderError,
    Unsupported,
)
from core.enums import Platform
from core.flows.scraper import resolve
from core.runtime import FlowContext

router = APIRouter(tags=["profiles"], route_class=JsonRoute, dependencies=[NEEDS_WRITE])

INSIGHTS = "/profiles/{platform}/byhandle/{handle}/insights"
AUDIENCE = "/profiles/{platform}/byhandle/{handle}/audienceinsights"
ERRORS = envelopes(400, 401, 404, 422, 429, 500, 502, 503)

AccessDep = Annotated[Access, Depends(given_access)]


@router.get(INSIGHTS, responses=ERRORS)
async def insights(
    resources: ResourcesDep, platform: PlatformWord, handle: Handle, access: AccessDep
) -> OwnProfileAnswer:
    """A connected Instagram account and averages over its posts, asked for now; what comes is stored.

    The token is kept when none that works is stored, or when it is another one and proves to be the account's.
    """
    return await _insights(resources, platform, handle, access)


@router.post(INSIGHTS, responses=ERRORS)
async def insights_by_body(
    resources: ResourcesDep, platform: PlatformWord, handle: Handle, body: AccessBody
) -> OwnProfileAnswer:
    """As GET, with the token in the body."""
    return await _insights(resources, platform, handle, body.access())


@router.get(AUDIENCE, responses=ERRORS)
async def audience(
    resources: ResourcesDep, platform: PlatformWord, handle: Handle, access: AccessDep
) -> OwnAudienceAnswer:
    """Who follows a connected Instagram account, asked for now. The account must be stored; nothing else is."""
    return await _audience(resources, platform, handle, access)


@router.post(AUDIENCE, responses=ERRORS)
async def audience_by_body(
    resources: ResourcesDep, platform: PlatformWord, handle: Handle, body: AccessBody
) -> OwnAudienceAnswer:
    """As GET, with the token in the body."""
    return await _audience(resources, platform, handle, body.access())


async def _insights(resources: Resources, platform: str, handle: str, access: Access) -> OwnProfileAnswer:
    reader = _reader_of(platform)

    async def work(ctx: FlowContext) -> OwnProfile:
        await reader.adopt(ctx, handle, access.token, access.user_id)
        return await reader.profile(ctx, handle)

    def explain(error: ProviderError) -> ApiError:
        return _refused(error) or meaning(error, f"Profile not found - {handle}", f"Profile is private - {handle}")

    key, budget = ("insights", handle, access), _budget("insights", handle)
    profile = await ask(resources, key, budget, work, explain)
    return OwnProfileAnswer(status=done("Profile Retrieved"), profile=profile)


async def _audience(resources: Resources, platform: str, handle: str, access: Access) -> OwnAudienceAnswer:
    reader = _reader_of(platform)

    async def work(ctx: FlowContext) -> OwnAudience:
        await reader.adopt(ctx, handle, access.token, access.user_id)
        return await reader.audience(ctx, handle)

    def explain(error: ProviderError) -> ApiError:
        final = NotFound | NotCovered | Unsupported | InsufficientData
        if all(issubclass(kind, final) for kind in kinds_of(error)):
            return ApiError(404, f"Error: {error.message}")
        return _refused(error) or meaning(error, f"Error: {error.message}", f"Profile is private - {handle}")

    key, budget = ("audienceinsights", handle, access), _budget("audience", handle)
    profile = await ask(resources, key, budget, work, explain)
    return OwnAudienceAnswer(status=done("Profile Retrieved"), profile=profile)


def _reader_of(platform: str) -> OwnerReader:
    if platform.upper() != Platform.INSTAGRAM:
        raise ApiError(400, f"Platform not supported - {platform[:100]}")
    reader: OwnerReader = resolve(OWNERS)  # type: ignore[assignment]
    return reader


def _budget(kind: str, handle: str) -> Budget:
    name = f"refresh_profile_insta_{kind}"
    return Budget(name, f"{name}_per_handle_{handle}")


def _refused(error: ProviderError) -> ApiError | None:
    """What a refused token means to who sent it; None when it was something else."""
    errors = [outcome.error for outcome in error.outcomes] if isinstance(error, ChainFailed) else [error]
    refused = [one for one in errors if isinstance(one, CredentialInvalid)]
    return said_of(refused[0]) if refused else None


def said_of(error: CredentialInvalid) -> ApiError:
    """The words for a token that cannot be used."""
    return ApiError(500, "Data access expired") if error.data_access_expired else ApiError(190, "Token is invalid")
