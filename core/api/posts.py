"""Posts on demand, and the stored recent ones of a profile."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query
from loguru import logger
from pydantic import AfterValidator

from core.api.deps import Resources, ResourcesDep
from core.api.envelope import LIMITED, ApiError, done, envelopes
from core.api.errors import refuse
from core.api.json_body import JsonRoute
from core.api.keys import NEEDS_READ
from core.api.post_view import (
    POSTS,
    PostAnswer,
    PostReader,
    RecentPosts,
    RecentPostsAnswer,
    ShownPost,
    WantedPosts,
)
from core.api.profiles import Flag, PlatformWord, ProfileId, clean_handle, clean_id
from core.api.upstream import LIMITED_MESSAGE, Budget, ask, kinds_of
from core.crawler.errors import CredentialBusy, ProviderError, SourceBusy
from core.enums import Platform, PostType
from core.flows.scraper import resolve
from core.runtime import FlowContext
from utils.json_safe import storable

router = APIRouter(tags=["posts"], route_class=JsonRoute, dependencies=[NEEDS_READ])


def _clean_types(given: list[str]) -> list[str]:
    words = [word.strip().lower() for text in given for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in frozenset(PostType)]
    if unknown:
        raise ValueError(f"must be some of {', '.join(PostType)}")
    return list(dict.fromkeys(words))


Shortcode = Annotated[
    str, Path(max_length=255, description="Its name in URLs; of a story its number"), AfterValidator(clean_id)
]
PostTypeWord = Annotated[
    str, Path(max_length=32, pattern="^[A-Za-z_]+$", description="image, carousel, reels or story", examples=["reels"])
]
PostTypes = Annotated[
    list[str],
    AfterValidator(_clean_types),
    Query(description="Only these kinds, repeated or separated by commas; all but stories when left out"),
]
OwnerHandle = Annotated[
    str, AfterValidator(clean_handle), Query(max_length=255, description="The account that the post belongs to")
]
OwnerId = Annotated[
    str, AfterValidator(storable), Query(max_length=64, description="The platform's id of the post's owner")
]
Fallback = Annotated[Flag, Query(description="Ask a source of all posts when the owner's token does not give it")]
Refreshed = Callable[[FlowContext], Awaitable[str | None]]


@router.get(
    "/posts/{platform}/byshortcode/{shortcode}",
    response_model_exclude_unset=True,
    responses=envelopes(400, 401, 404, 422, 429, 500, 502, 503),
)
async def post_by_shortcode(
    resources: ResourcesDep,
    platform: PlatformWord,
    shortcode: Shortcode,
    handle: OwnerHandle,
    third_party_fallback: Fallback = False,
) -> PostAnswer:
    """One post with the numbers that its owner gets, asked for now with the owner's token."""
    reader = _reader_of(platform)

    async def refreshed(ctx: FlowContext) -> str | None:
        try:
            await reader.own(ctx, shortcode, handle)
        except ProviderError as error:
            if not third_party_fallback:
                raise
            logger.bind(shortcode=shortcode, reason=error.word).info("post_asked_elsewhere")
            return await reader.elsewhere(ctx, shortcode, handle)
        return "GRAPHAPI"

    def explain(error: ProviderError) -> ApiError:
        return _own_limit(error) or ApiError(error.code, error.message)

    key = ("post", shortcode, handle, third_party_fallback)
    post = await _refresh(resources, reader, key, refreshed, explain)
    return PostAnswer(status=done("Post Retrieved"), post=_found(post, f"Post not found - {shortcode}"))


@router.get(
    "/posts/{platform}/{post_type}/{shortcode}",
    response_model_exclude_unset=True,
    responses=envelopes(400, 404, 422, 429, 503),
)
async def post_by_type(
    resources: ResourcesDep,
    platform: PlatformWord,
    post_type: PostTypeWord,
    shortcode: Shortcode,
    profile_id: OwnerId,
) -> PostAnswer:
    """One post or story, asked for now from sources that see what anybody may see."""
    reader, kind = _reader_of(platform), post_type.lower()
    if kind == PostType.STORY and not profile_id.strip():
        raise refuse("query", "profile_id", message="must not be empty")
    name = "Story" if kind == PostType.STORY else kind

    async def refreshed(ctx: FlowContext) -> str | None:
        return await reader.public(ctx, shortcode, kind, profile_id)

    def explain(error: ProviderError) -> ApiError:
        return _own_limit(error) or ApiError(404, f"{name} not found - {error.message}")

    post = await _refresh(resources, reader, (kind, shortcode, profile_id), refreshed, explain)
    message = "Stories Retrieved" if kind == PostType.STORY else f"{kind} Retrieved"
    return PostAnswer(status=done(message), post=_found(post, f"{kind} not found for shortcode - {shortcode}"))


@router.get("/recent/posts/{platform}/byprofileid/{profile_id}", responses=envelopes(400, 422, 500))
async def recent_posts(
    resources: ResourcesDep,
    platform: PlatformWord,
    profile_id: ProfileId,
    post_types: PostTypes = [],  # noqa: B006
) -> RecentPostsAnswer:
    """The 12 newest stored posts of a profile; nobody is asked."""
    reader = _reader_of(platform)
    wanted = WantedPosts(profile_id, tuple(post_types), resources.settings.api.asset_cdn_host)
    posts = await reader.recent(resources.runtime.database, wanted)
    if posts is None:
        raise ApiError(500, f"Failed to fetch Instagram account for handle - {profile_id}")
    if not posts:
        raise ApiError(500, f"Failed to fetch recent posts for profile_id - {profile_id}")
    data = RecentPosts(platform=Platform.INSTAGRAM.lower(), profile_id=profile_id, recent_posts=posts)
    return RecentPostsAnswer(status=done("Recent Posts Retrieved"), data=data)


async def _refresh(
    resources: Resources,
    reader: PostReader,
    key: tuple[object, ...],
    refreshed: Refreshed,
    explain: Callable[[ProviderError], ApiError],
) -> ShownPost | None:
    """Ask now, and what is stored then."""
    shortcode = str(key[1])
    budget = Budget("refresh_post_insta", f"refresh_post_insta_per_shortcode_{shortcode}")
    provider = await ask(resources, key, budget, refreshed, explain)
    async with resources.begin() as session:
        post = await reader.show(session, shortcode)
    return post.model_copy(update={"data_provider": provider}) if post and provider else post


def _found(post: ShownPost | None, missing: str) -> ShownPost:
    if post is None:
        raise ApiError(404, missing)
    return post


def _own_limit(error: ProviderError) -> ApiError | None:
    if error.code == 429 and any(issubclass(kind, CredentialBusy | SourceBusy) for kind in kinds_of(error)):
        return ApiError(LIMITED, LIMITED_MESSAGE)
    return None


def _reader_of(platform: str) -> PostReader:
    if platform.upper() != Platform.INSTAGRAM:
        raise ApiError(400, f"Platform not supported - {platform[:100]}")
    reader: PostReader = resolve(POSTS)  # type: ignore[assignment]
    return reader
