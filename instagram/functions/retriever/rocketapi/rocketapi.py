"""RocketAPI for Instagram: Instagram's own answers in an envelope, for POSTed JSON. Budget: 100 calls in 30 s.

The envelope comes with status 200 and holds a status and a body of its own: those are what is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.crawler.errors import ProviderError, Unsupported
from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.interface import InstagramProvider, given
from instagram.functions.retriever.rocketapi.envelope import judge_envelope
from instagram.functions.retriever.rocketapi.rocketapi_parser import PARSERS
from instagram.functions.retriever.shortcode import media_pk
from utils.rate_limit import By, Limit

POSTS, FOLLOWERS, FOLLOWING, TAGGED = 12, 50, 200, 50
"""Largest page of each list call."""


class RocketApi(InstagramProvider):
    """Covers all accounts. Ids in requests are numbers."""

    source = "rocketapi"
    base_url = "https://v1.rocketapi.io"
    limits = (Limit(100, 30, By.SOURCE),)
    parsers = PARSERS

    def headers(self) -> Mapping[str, str]:
        value = self.key("authorization")
        return {"Authorization": value if " " in value else f"Token {value}"}

    @classmethod
    def judge(cls, status: int, headers: Mapping[str, str], data: Any) -> ProviderError | None:  # noqa: ARG003 - the envelope says it all
        return judge_envelope(status, data)

    async def fetch_profile_by_id(self, asked: Asked) -> Payload:
        return await self._call("fetch_profile_by_id", asked, "user/get_info_by_id", {"id": _profile(asked)})

    async def fetch_profile_by_handle(self, asked: Asked) -> Payload:
        return await self._call("fetch_profile_by_handle", asked, "user/get_info", given(username=asked.handle))

    async def fetch_profile_posts_by_id(self, asked: Asked) -> Payload:
        return await self._list("fetch_profile_posts_by_id", asked, "user/get_media", POSTS)

    async def fetch_profile_posts_by_handle(self, asked: Asked) -> Payload:
        body = given(username=asked.handle, count=POSTS, max_id=asked.cursor)
        return await self._call("fetch_profile_posts_by_handle", asked, "user/get_media_by_username", body)

    async def fetch_reels_posts(self, asked: Asked) -> Payload:
        return await self._list("fetch_reels_posts", asked, "user/get_clips", POSTS)

    async def fetch_post_by_shortcode(self, asked: Asked) -> Payload:
        body = given(shortcode=asked.shortcode)
        return await self._call("fetch_post_by_shortcode", asked, "media/get_info_by_shortcode", body)

    async def fetch_tagged_posts(self, asked: Asked) -> Payload:
        return await self._list("fetch_tagged_posts", asked, "user/get_tags", TAGGED)

    async def fetch_hashtag_posts(self, asked: Asked) -> Payload:
        return await self._hashtag("fetch_hashtag_posts", asked, "recent")

    async def fetch_hashtag_top_posts(self, asked: Asked) -> Payload:
        return await self._hashtag("fetch_hashtag_top_posts", asked, "top")

    async def fetch_story_posts_by_profile_id(self, asked: Asked) -> Payload:
        body = {"ids": [_profile(asked)]}
        return await self._call("fetch_story_posts_by_profile_id", asked, "user/get_stories", body)

    async def fetch_followers(self, asked: Asked) -> Payload:
        return await self._list("fetch_followers", asked, "user/get_followers", FOLLOWERS)

    async def fetch_following(self, asked: Asked) -> Payload:
        return await self._list("fetch_following", asked, "user/get_following", FOLLOWING)

    async def fetch_post_likes(self, asked: Asked) -> Payload:
        """Up to 1000 likers; there are no pages."""
        if asked.shortcode is None:
            return await self._call("fetch_post_likes", asked, "media/get_likes_by_id", {"id": _media(asked)})
        return await self._call("fetch_post_likes", asked, "media/get_likes", {"shortcode": asked.shortcode})

    async def fetch_post_comments(self, asked: Asked) -> Payload:
        body = {"id": _media(asked), "can_support_threading": True, **given(min_id=asked.cursor)}
        return await self._call("fetch_post_comments", asked, "media/get_comments", body)

    async def _list(self, function: str, asked: Asked, path: str, count: int) -> Payload:
        body = {"id": _profile(asked), "count": count, **given(max_id=asked.cursor)}
        return await self._call(function, asked, path, body)

    async def _hashtag(self, function: str, asked: Asked, tab: str) -> Payload:
        """The next page needs its number, which the page before gave beside the cursor."""
        page = (asked.beside or {}).get("next_page")
        body = given(name=asked.hashtag, tab=tab, page=page if asked.cursor else None, max_id=asked.cursor)
        return await self._call(function, asked, "hashtag/get_media", body)

    async def _call(self, function: str, asked: Asked, path: str, body: Mapping[str, Any]) -> Payload:
        return await self.post(function, asked, f"/instagram/{path}", body)


def _profile(asked: Asked) -> int:
    return _number(asked.profile_id, "profile")


def _media(asked: Asked) -> int:
    return _number(media_pk(asked.shortcode) if asked.shortcode else asked.post_id, "post")


def _number(text: str | None, what: str) -> int:
    """An id as the number that requests carry.

    Raises:
        Unsupported: it is none, and this source takes nothing else.
    """
    if text is None or not (text.isascii() and text.isdigit()):
        raise Unsupported(f"rocketapi knows a {what} by its number only")
    return int(text)
