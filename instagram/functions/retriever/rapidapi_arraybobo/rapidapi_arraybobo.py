"""Instagram Scraper 2022 by arraybobo: profiles and reels as the mobile API gives them, posts as the web site does.

Budget: 100 calls in 30 s. The trailing slash is part of every path.
"""

from __future__ import annotations

from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.interface import RapidApiProvider, given
from instagram.functions.retriever.rapidapi_arraybobo.rapidapi_arraybobo_parser import PARSERS
from utils.rate_limit import By, Limit


class RapidApiArraybobo(RapidApiProvider):
    """Covers all accounts; not found comes with status 200."""

    source = "rapidapi-arraybobo"
    base_url = "https://instagram-scraper-2022.p.rapidapi.com"
    limits = (Limit(100, 30, By.SOURCE),)
    parsers = PARSERS

    async def fetch_profile_by_id(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_by_id", asked, "/ig/info/", given(id_user=asked.profile_id))

    async def fetch_profile_by_handle(self, asked: Asked) -> Payload:
        return await self.get("fetch_profile_by_handle", asked, "/ig/info_username/", given(user=asked.handle))

    async def fetch_profile_posts_by_id(self, asked: Asked) -> Payload:
        params = given(id_user=asked.profile_id, end_cursor=asked.cursor)
        return await self.get("fetch_profile_posts_by_id", asked, "/ig/posts/", params)

    async def fetch_profile_posts_by_handle(self, asked: Asked) -> Payload:
        params = given(user=asked.handle, end_cursor=asked.cursor)
        return await self.get("fetch_profile_posts_by_handle", asked, "/ig/posts_username/", params)

    async def fetch_reels_posts(self, asked: Asked) -> Payload:
        params = given(id_user=asked.profile_id, max_id=asked.cursor)
        return await self.get("fetch_reels_posts", asked, "/ig/reels_posts/", params)

    async def fetch_post_by_shortcode(self, asked: Asked) -> Payload:
        return await self.get("fetch_post_by_shortcode", asked, "/ig/post_info/", given(shortcode=asked.shortcode))

    async def fetch_tagged_posts(self, asked: Asked) -> Payload:
        params = given(id_user=asked.profile_id, end_cursor=asked.cursor)
        return await self.get("fetch_tagged_posts", asked, "/ig/tagged/", params)

    async def fetch_story_posts_by_profile_id(self, asked: Asked) -> Payload:
        params = given(id_user=asked.profile_id)
        return await self.get("fetch_story_posts_by_profile_id", asked, "/ig/stories/", params)

    async def fetch_profile_highlights(self, asked: Asked) -> Payload:
        """Which highlights there are."""
        params = given(id_user=asked.profile_id)
        return await self.get("fetch_profile_highlights", asked, "/ig/highlights_tray/", params)

    async def fetch_highlight_posts(self, asked: Asked) -> Payload:
        """The stories of one highlight."""
        params = given(id_highlight=asked.highlight_id)
        return await self.get("fetch_highlight_posts", asked, "/ig/highlights/", params)

    async def fetch_hashtag_posts(self, asked: Asked) -> Payload:
        return await self.get("fetch_hashtag_posts", asked, "/ig/hashtag/", _of_hashtag(asked))

    async def fetch_followers(self, asked: Asked) -> Payload:
        params = given(id_user=asked.profile_id, next_max_id=asked.cursor)
        return await self.get("fetch_followers", asked, "/ig/followers/", params)

    async def fetch_following(self, asked: Asked) -> Payload:
        params = given(id_user=asked.profile_id, next_max_id=asked.cursor)
        return await self.get("fetch_following", asked, "/ig/following/", params)

    async def fetch_similar_profiles(self, asked: Asked) -> Payload:
        """Accounts that the platform suggests beside this one; there are no pages."""
        return await self.get("fetch_similar_profiles", asked, "/ig/similar_accounts/", given(id_user=asked.profile_id))

    async def fetch_post_likes(self, asked: Asked) -> Payload:
        params = given(shortcode=asked.shortcode, end_cursor=asked.cursor)
        return await self.get("fetch_post_likes", asked, "/ig/likes/", params)

    async def fetch_post_comments(self, asked: Asked) -> Payload:
        params = given(shortcode=asked.shortcode, end_cursor=asked.cursor)
        return await self.get("fetch_post_comments", asked, "/ig/comments/", params)


def _of_hashtag(asked: Asked) -> dict[str, str | int]:
    """The cursor goes back with the page number and the media ids that came beside it."""
    beside = (asked.beside or {}) if asked.cursor is not None else {}
    ids = beside.get("next_media_ids")
    return given(
        hashtag=asked.hashtag,
        next_max_id=asked.cursor,
        next_page=beside.get("next_page"),
        next_media_ids=None if ids is None else f"[{','.join(ids)}]",
    )
