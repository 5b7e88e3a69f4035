"""Instagram Graph API: business and creator accounts, through the account that a user token belongs to.

Budget: 200 calls an hour and user token. Any professional account can be discovered by its handle; lists and numbers of
other kinds are only given about the token's own.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from core.crawler.errors import NotCovered, NotFound, ProviderError, Unsupported
from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.graphapi.graphapi_base import DEFAULT_VERSION, checked_cursor
from instagram.functions.retriever.graphapi.graphapi_edges import MEDIA_FIELDS, PAGE, GraphEdges
from instagram.functions.retriever.graphapi.graphapi_insights import GraphInsights
from instagram.functions.retriever.graphapi.graphapi_parser import PARSERS
from instagram.functions.retriever.judge import graph_code

__all__ = ["DEFAULT_VERSION", "GraphApi"]

USER_FIELDS = "id,ig_id,name,website,followers_count,follows_count,profile_picture_url,username,biography,media_count"
_HANDLE = re.compile(r"[A-Za-z0-9._]{1,64}")
_DISCOVERY = ("fetch_profile_by_handle", "fetch_profile_posts_by_handle")


class GraphApi(GraphEdges, GraphInsights):
    """Personal, private and age-gated accounts are not visible here: that is NotCovered, never not found."""

    parsers = PARSERS

    @staticmethod
    def at_version(version: str) -> type[GraphApi]:
        """This source with calls of another API version."""
        return GraphApi if version == DEFAULT_VERSION else _at_version(version)

    async def fetch_profile_by_handle(self, asked: Asked) -> Payload:
        """The profile with its newest media."""
        return await self._discover("fetch_profile_by_handle", asked, f"media{{{MEDIA_FIELDS}}}")

    async def fetch_profile_by_id(self, asked: Asked) -> Payload:
        """The token's own profile."""
        return await self.node("fetch_profile_by_id", asked, self.own_account(asked), fields=USER_FIELDS)

    async def fetch_profile_posts_by_handle(self, asked: Asked) -> Payload:
        """A page of media. The cursor belongs inside the media edge: as a parameter of its own it has no effect."""
        cursor = checked_cursor(asked)
        after = f".after({cursor})" if cursor else ""
        media = f"media{after}.limit({PAGE}){{{MEDIA_FIELDS}}}"
        return await self._discover("fetch_profile_posts_by_handle", asked, media)

    async def _discover(self, function: str, asked: Asked, media: str) -> Payload:
        if asked.handle is None or not _HANDLE.fullmatch(asked.handle):
            raise NotCovered("this is no Instagram handle")
        fields = f"business_discovery.username({asked.handle}){{{USER_FIELDS},{media}}}"
        return await self.node(function, asked, self.key("user_id"), fields=fields)

    @classmethod
    def judge_call(cls, function: str, failure: ProviderError, data: Any) -> ProviderError:
        """Discovery cannot tell "unknown" from "not visible": whatever it does not find, others may. Code 100 says so
        there, and "no such metric" elsewhere.
        """
        if function not in _DISCOVERY:
            return failure
        unseen = isinstance(failure, NotFound) or (isinstance(failure, Unsupported) and graph_code(data) == 100)
        return NotCovered(failure.message) if unseen else failure


@lru_cache(maxsize=8)
def _at_version(version: str) -> type[GraphApi]:
    return type(GraphApi.__name__, (GraphApi,), {"version": version, "__module__": __name__})
