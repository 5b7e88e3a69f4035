"""Instagram Data: web profiles and posts, mobile reels and single posts, people in collectors. No budget is known."""

from __future__ import annotations

from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.interface import RapidApiProvider, given
from instagram.functions.retriever.rapidapi_igapi.rapidapi_igapi_parser import PARSERS

PAGE = 50
"""Largest page of posts."""
REELS_PAGE = 150
"""Largest page of reels."""


class RapidApiIgApi(RapidApiProvider):
    """Covers public accounts; failures come with status 200, and every cursor goes out as ``end_cursor``."""

    source = "rapidapi-igapi"
    base_url = "https://instagram-data1.p.rapidapi.com"
    parsers = PARSERS

    async def fetch_profile_by_handle(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_by_handle", asked, "/user/info", given(username=asked.handle))

    async def fetch_profile_by_id(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_by_id", asked, "/user/info/id", given(user_id=asked.profile_id))

    async def fetch_profile_posts_by_handle(self, asked: Asked) -> Payload:
        params = given(username=asked.handle, limit=PAGE, end_cursor=asked.cursor)
        return await self.get("fetch_profile_posts_by_handle", asked, "/user/feed", params)

    async def fetch_profile_posts_by_id(self, asked: Asked) -> Payload:
        params = given(user_id=asked.profile_id, limit=PAGE, end_cursor=asked.cursor)
        return await self.get("fetch_profile_posts_by_id", asked, "/user/feed", params)

    async def fetch_reels_posts(self, asked: Asked) -> Payload:
        return await self.get("fetch_reels_posts", asked, "/user/reels", {**_of_account(asked), "limit": REELS_PAGE})

    async def fetch_tagged_posts(self, asked: Asked) -> Payload:
        return await self.get("fetch_tagged_posts", asked, "/user/tagged/feed", _of_account(asked))

    async def fetch_story_posts_by_profile_id(self, asked: Asked) -> Payload:
        params = given(user_id=asked.profile_id)
        return await self.get("fetch_story_posts_by_profile_id", asked, "/user/stories", params)

    async def fetch_post_by_shortcode(self, asked: Asked) -> Payload:
        return await self.get("fetch_post_by_shortcode", asked, "/post/info", given(post=asked.shortcode))

    async def fetch_hashtag_posts(self, asked: Asked) -> Payload:
        params = given(hashtag=asked.hashtag, end_cursor=asked.cursor)
        return await self.get("fetch_hashtag_posts", asked, "/hashtag/feed", params)

    async def fetch_followers(self, asked: Asked) -> Payload:
        return await self.get("fetch_followers", asked, "/followers", _of_account(asked))

    async def fetch_following(self, asked: Asked) -> Payload:
        return await self.get("fetch_following", asked, "/followings", _of_account(asked))

    async def fetch_post_likes(self, asked: Asked) -> Payload:
        return await self.get("fetch_post_likes", asked, "/likers", _of_post(asked))

    async def fetch_post_comments(self, asked: Asked) -> Payload:
        return await self.get("fetch_post_comments", asked, "/comments", _of_post(asked))


def _of_account(asked: Asked) -> dict[str, str | int]:
    """By id when it is known: handles change owners."""
    if asked.profile_id is not None:
        return given(user_id=asked.profile_id, end_cursor=asked.cursor)
    return given(username=asked.handle, end_cursor=asked.cursor)


def _of_post(asked: Asked) -> dict[str, str | int]:
    return given(post=asked.shortcode, end_cursor=asked.cursor)
