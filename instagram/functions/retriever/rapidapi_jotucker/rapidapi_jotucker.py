"""Instagram Scraper by JoTucker: profiles and posts of the mobile API, lists of people and comments of the web site.

Budget: 5 calls a second.
"""

from __future__ import annotations

from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.interface import RapidApiProvider, given
from instagram.functions.retriever.rapidapi_jotucker.rapidapi_jotucker_parser import PARSERS
from utils.rate_limit import By, Limit

PAGE = 50
"""Largest page of the list calls."""


class RapidApiJoTucker(RapidApiProvider):
    """Covers all accounts. The cursor parameter is ``max_id`` on posts and ``next_cursor`` elsewhere."""

    source = "rapidapi-jotucker"
    base_url = "https://instagram-scraper2.p.rapidapi.com"
    limits = (Limit(5, 1, By.SOURCE),)
    parsers = PARSERS

    async def fetch_profile_by_id(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_by_id", asked, "/user_info_by_id", given(user_id=asked.profile_id))

    async def fetch_profile_by_handle(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_by_handle", asked, "/user_info_by_id", given(user_name=asked.handle))

    async def fetch_profile_posts_by_id(self, asked: Asked) -> Payload:
        params = given(user_id=asked.profile_id, batch_size=PAGE, max_id=asked.cursor)
        return await self.get("fetch_profile_posts_by_id", asked, "/medias_v2", params)

    async def fetch_post_by_shortcode(self, asked: Asked) -> Payload:
        return await self.get("fetch_post_by_shortcode", asked, "/media_info_v2", given(short_code=asked.shortcode))

    async def fetch_story_posts_by_profile_id(self, asked: Asked) -> Payload:
        params = given(user_id=asked.profile_id)
        return await self.get("fetch_story_posts_by_profile_id", asked, "/stories", params)

    async def fetch_hashtag_posts(self, asked: Asked) -> Payload:
        return await self.get("fetch_hashtag_posts", asked, "/hash_tag_medias_v2", _of_hashtag(asked))

    async def fetch_hashtag_top_posts(self, asked: Asked) -> Payload:
        """The same call: it gives ranked posts."""
        return await self.get("fetch_hashtag_top_posts", asked, "/hash_tag_medias_v2", _of_hashtag(asked))

    async def fetch_followers(self, asked: Asked) -> Payload:
        return await self.get("fetch_followers", asked, "/followers", _of_account(asked))

    async def fetch_following(self, asked: Asked) -> Payload:
        return await self.get("fetch_following", asked, "/following", _of_account(asked))

    async def fetch_post_likes(self, asked: Asked) -> Payload:
        return await self.get("fetch_post_likes", asked, "/media_likers", _of_post(asked))

    async def fetch_post_comments(self, asked: Asked) -> Payload:
        return await self.get("fetch_post_comments", asked, "/media_comments", _of_post(asked))

    async def fetch_post_comment_replies(self, asked: Asked) -> Payload:
        """A page of the post's comments: replies stand under the comment that they belong to."""
        return await self.get("fetch_post_comment_replies", asked, "/media_comments", _of_post(asked))


def _of_hashtag(asked: Asked) -> dict[str, str | int]:
    return given(hash_tag=asked.hashtag, batch_size=PAGE, next_cursor=asked.cursor)


def _of_account(asked: Asked) -> dict[str, str | int]:
    return given(user_id=asked.profile_id, batch_size=PAGE, next_cursor=asked.cursor)


def _of_post(asked: Asked) -> dict[str, str | int]:
    return given(short_code=asked.shortcode, batch_size=PAGE, next_cursor=asked.cursor)
