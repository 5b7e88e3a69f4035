"""Instagram Graph API: business and creator accounts, through the account that a user token belongs to.

Budget: 200 calls an hour and user token. Errors come with any status, so their code decides.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, ClassVar

from core.crawler.errors import NotCovered, ProviderError, Unsupported
from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.graphapi.graphapi_parser import PARSERS
from instagram.functions.retriever.interface import InstagramProvider
from instagram.functions.retriever.judge import graph_code
from utils.rate_limit import By, Limit

DEFAULT_VERSION = "v15.0"
PAGE = 50
USER_FIELDS = (
    "id,ig_id,name,website,followers_count,follows_count,profile_picture_url,username,biography,media_count"
)
MEDIA_FIELDS = (
    "id,username,caption,comments_count,like_count,media_type,media_product_type,media_url,permalink,thumbnail_url,"
    "timestamp"
)
_HANDLE = re.compile(r"[A-Za-z0-9._]{1,64}")
_CURSOR = re.compile(r"[\w=+/.:-]{1,2000}", re.ASCII)
_DISCOVERY = ("fetch_profile_by_handle", "fetch_profile_posts_by_handle")


class GraphApi(InstagramProvider):
    """Personal, private and age-gated accounts are not visible here: that is NotCovered, never not found."""

    source = "graphapi"
    base_url = "https://graph.facebook.com"
    version: ClassVar[str] = DEFAULT_VERSION
    limits = (Limit(200, 3600, By.CREDENTIAL),)
    parsers = PARSERS

    @staticmethod
    def at_version(version: str) -> type[GraphApi]:
        """This source with calls of another API version."""
        return GraphApi if version == DEFAULT_VERSION else _at_version(version)

    def headers(self) -> dict[str, str]:
        """None: the token travels in the query."""
        return {}

    async def fetch_profile_by_handle(self, asked: Asked) -> Payload:
        """The profile with its newest media."""
        return await self._discover("fetch_profile_by_handle", asked, f"media{{{MEDIA_FIELDS}}}")

    async def fetch_profile_posts_by_handle(self, asked: Asked) -> Payload:
        """A page of media. The cursor belongs inside the media edge: as a parameter of its own it has no effect."""
        if asked.cursor is not None and not _CURSOR.fullmatch(asked.cursor):
            raise Unsupported("the cursor is not one of this source")
        after = f".after({asked.cursor})" if asked.cursor else ""
        media = f"media{after}.limit({PAGE}){{{MEDIA_FIELDS}}}"
        return await self._discover("fetch_profile_posts_by_handle", asked, media)

    async def _discover(self, function: str, asked: Asked, media: str) -> Payload:
        if asked.handle is None or not _HANDLE.fullmatch(asked.handle):
            raise NotCovered("this is no Instagram handle")
        params = {
            "fields": f"business_discovery.username({asked.handle}){{{USER_FIELDS},{media}}}",
            "access_token": self.key("token"),
        }
        return await self.get(function, asked, f"/{self.version}/{self.key('user_id')}", params)

    @classmethod
    def judge_call(cls, function: str, failure: ProviderError, data: Any) -> ProviderError:
        """Code 100 says "unknown or not visible" in discovery, and "no such metric" elsewhere."""
        if function in _DISCOVERY and isinstance(failure, Unsupported) and graph_code(data) == 100:
            return NotCovered(failure.message)
        return failure


@lru_cache(maxsize=8)
def _at_version(version: str) -> type[GraphApi]:
    return type(GraphApi.__name__, (GraphApi,), {"version": version, "__module__": __name__})
