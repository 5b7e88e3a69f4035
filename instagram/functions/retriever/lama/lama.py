"""Lamadava, later HikerAPI: Instagram's mobile API behind REST, in a flat dialect of its own. Lists are JSON arrays.

No budget of its own. 400 and 404 both mean not found, 403 a private account; ``exc_type`` names what went wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.crawler.errors import (
    NotFound,
    NotFoundHere,
    Private,
    ProviderError,
    RateLimited,
    Unavailable,
    Unsupported,
)
from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.interface import InstagramProvider, given
from instagram.functions.retriever.judge import STATUS_ERRORS, judge, make
from instagram.functions.retriever.lama.lama_parser import PARSERS
from instagram.functions.retriever.shortcode import media_pk

_BY_EXCEPTION: tuple[tuple[type[ProviderError], tuple[str, ...]], ...] = (
    (Private, ("Private",)),
    (NotFound, ("NotFound", "MediaUnavailable", "InvalidMediaId")),
    (RateLimited, ("PleaseWait", "RateLimit", "TooManyRequests")),
    (Unavailable, ("Challenge", "LoginRequired", "FeedbackRequired")),
)
"""Parts of exception names, for the many answers whose ``detail`` is empty."""
_STATUS_ERRORS: Mapping[int, type[ProviderError]] = {**STATUS_ERRORS, 400: NotFoundHere, 403: Private}
_DECIDED = (402, 422, 429)
_VAGUE = (NotFoundHere, Unavailable, Unsupported)
_REFUSED = (401, 403)
"""The key or the account, unless Instagram refused lama itself."""


class Lama(InstagramProvider):
    """Covers all accounts. Counts that Instagram did not give are 0 here."""

    source = "lama"
    base_url = "https://api.lamadava.com"
    status_errors = _STATUS_ERRORS
    parsers = PARSERS

    def headers(self) -> Mapping[str, str]:
        return {"x-access-key": self.key("x-access-key"), "accept": "application/json"}

    @classmethod
    def judge(cls, status: int, headers: Mapping[str, str], data: Any) -> ProviderError | None:
        """By words and status; where both say little, by the name of the exception."""
        failure = super().judge(status, headers, data)
        if not isinstance(data, dict) or status in _DECIDED:
            return failure
        vague = failure is None or type(failure) in _VAGUE or (status in _REFUSED and _is_silent(status, data))
        return (_by_exception(data, status) if vague else None) or failure

    async def fetch_profile_by_id(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_by_id", asked, "/v1/user/by/id", given(id=asked.profile_id))

    async def fetch_profile_by_handle(self, asked: Asked) -> Payload:
        params = given(username=asked.handle)
        return await self.get("fetch_profile_by_handle", asked, "/v1/user/by/username", params)

    async def fetch_profile_posts_by_id(self, asked: Asked) -> Payload:
        params = given(user_id=asked.profile_id, end_cursor=asked.cursor)
        return await self.get("fetch_profile_posts_by_id", asked, "/v1/user/medias/chunk", params)

    async def fetch_reels_posts(self, asked: Asked) -> Payload:
        params = given(user_id=asked.profile_id, end_cursor=asked.cursor)
        return await self.get("fetch_reels_posts", asked, "/v1/user/clips/chunk", params)

    async def fetch_post_by_shortcode(self, asked: Asked) -> Payload:
        return await self.get("fetch_post_by_shortcode", asked, "/v1/media/by/code", given(code=asked.shortcode))

    async def fetch_tagged_posts(self, asked: Asked) -> Payload:
        return await self.get("fetch_tagged_posts", asked, "/v1/user/tag/medias", given(user_id=asked.profile_id))

    async def fetch_hashtag_posts(self, asked: Asked) -> Payload:
        params = given(name=asked.hashtag, max_id=asked.cursor)
        return await self.get("fetch_hashtag_posts", asked, "/v1/hashtag/medias/recent/chunk", params)

    async def fetch_hashtag_top_posts(self, asked: Asked) -> Payload:
        params = given(name=asked.hashtag, max_id=asked.cursor)
        return await self.get("fetch_hashtag_top_posts", asked, "/v1/hashtag/medias/top/chunk", params)

    async def fetch_story_posts_by_profile_id(self, asked: Asked) -> Payload:
        params = given(user_id=asked.profile_id)
        return await self.get("fetch_story_posts_by_profile_id", asked, "/v1/user/stories", params)

    async def fetch_followers(self, asked: Asked) -> Payload:
        params = given(user_id=asked.profile_id, max_id=asked.cursor)
        return await self.get("fetch_followers", asked, "/v1/user/followers/chunk", params)

    async def fetch_following(self, asked: Asked) -> Payload:
        params = given(user_id=asked.profile_id, max_id=asked.cursor)
        return await self.get("fetch_following", asked, "/v1/user/following/chunk", params)

    async def fetch_post_likes(self, asked: Asked) -> Payload:
        return await self.get("fetch_post_likes", asked, "/v1/media/likers", {"id": _media_id(asked)})

    async def fetch_post_comments(self, asked: Asked) -> Payload:
        """A page of comments; ``beside`` says which of the two cursors of the page before was given."""
        name = (asked.beside or {}).get("cursor_name", "min_id")
        params = {"id": _media_id(asked), **given(**{"max_id" if name == "max_id" else "min_id": asked.cursor})}
        return await self.get("fetch_post_comments", asked, "/v1/media/comments/chunk", params)


def _is_silent(status: int, data: Any) -> bool:
    """Whether the words of an answer say nothing, so that only its status speaks."""
    return type(judge(status, data, {})) is Unsupported


def _by_exception(data: dict[str, Any], status: int) -> ProviderError | None:
    name, detail = data.get("exc_type"), data.get("detail")
    if not isinstance(name, str):
        return None
    for kind, parts in _BY_EXCEPTION:
        if any(part in name for part in parts):
            return make(kind, detail if detail and isinstance(detail, str) else name, status)
    return None


def _media_id(asked: Asked) -> str:
    """The number of the post: calls about comments and likes take nothing else."""
    number = media_pk(asked.shortcode) if asked.shortcode else asked.post_id
    if number is None:
        raise Unsupported("lama knows a post's comments and likes by its number only")
    return number
