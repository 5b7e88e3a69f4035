"""Instagram API, cheap and best performance: the mobile API without its envelopes. Budget: 2 calls a second."""

from __future__ import annotations

from core.crawler.errors import Unsupported
from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.interface import RapidApiProvider, given
from instagram.functions.retriever.rapidapi_bestsolutions.rapidapi_bestsolutions_parser import PARSERS
from instagram.functions.retriever.shortcode import media_pk
from utils.rate_limit import By, Limit


class RapidApiBestSolutions(RapidApiProvider):
    """Covers all accounts; an unknown one is a body without ``pk``. The hashtag call has no path but the root."""

    source = "rapidapi-bestsolutions"
    base_url = "https://instagram-api-cheap-best-performance.p.rapidapi.com"
    limits = (Limit(2, 1, By.SOURCE),)
    parsers = PARSERS

    async def fetch_profile_by_id(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_by_id", asked, "/profile", given(user_id=asked.profile_id))

    async def fetch_profile_by_handle(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_by_handle", asked, "/profile", given(username=asked.handle))

    async def fetch_profile_posts_by_id(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_posts_by_id", asked, "/feed", _of_account(asked))

    async def fetch_post_by_shortcode(self, asked: Asked) -> Payload:
        return await self.get("fetch_post_by_shortcode", asked, "/post", given(shortcode=asked.shortcode))

    async def fetch_story_posts_by_profile_id(self, asked: Asked) -> Payload:
        return await self.get("fetch_story_posts_by_profile_id", asked, "/stories", given(user_id=asked.profile_id))

    async def fetch_hashtag_posts(self, asked: Asked) -> Payload:
        return await self.get("fetch_hashtag_posts", asked, "/", given(hashtag=asked.hashtag, next_max_id=asked.cursor))

    async def fetch_followers(self, asked: Asked) -> Payload:
        return await self.get("fetch_followers", asked, "/followers", _of_account(asked))

    async def fetch_following(self, asked: Asked) -> Payload:
        return await self.get("fetch_following", asked, "/following", _of_account(asked))

    async def fetch_post_comments(self, asked: Asked) -> Payload:
        pk = media_pk(asked.shortcode or "")
        if pk is None:
            raise Unsupported("comments are asked for by the number of the post, and this shortcode has none")
        return await self.get("fetch_post_comments", asked, "/comments", given(id=pk, next_min_id=asked.cursor))


def _of_account(asked: Asked) -> dict[str, str | int]:
    return given(user_id=asked.profile_id, next_max_id=asked.cursor)
