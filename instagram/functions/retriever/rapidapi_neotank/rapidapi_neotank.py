"""Instagram by NeoTank: profiles and posts as the web site gives them. No budget is known."""

from __future__ import annotations

from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.interface import RapidApiProvider, given
from instagram.functions.retriever.rapidapi_neotank.rapidapi_neotank_parser import PARSERS

PAGE = 40
"""Posts asked for at once."""


class RapidApiNeoTank(RapidApiProvider):
    """Covers all accounts. Posts by handle are the newest twelve without reels, and all there is."""

    source = "rapidapi-neotank"
    base_url = "https://instagram130.p.rapidapi.com"
    parsers = PARSERS

    async def fetch_profile_by_handle(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_by_handle", asked, "/account-info", given(username=asked.handle))

    async def fetch_profile_posts_by_handle(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_posts_by_handle", asked, "/account-feed", given(username=asked.handle))

    async def fetch_profile_posts_by_id(self, asked: Asked) -> Payload:
        params = given(userid=asked.profile_id, first=PAGE, after=asked.cursor)
        return await self.get("fetch_profile_posts_by_id", asked, "/account-medias", params)

    async def fetch_post_by_shortcode(self, asked: Asked) -> Payload:
        return await self.get("fetch_post_by_shortcode", asked, "/media-info", given(code=asked.shortcode))
