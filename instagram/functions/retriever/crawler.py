"""Which sources give what, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from core.crawler.crawler import SourceTable
from core.crawler.provider import Provider
from instagram.functions.retriever.graphapi.graphapi import DEFAULT_VERSION, GraphApi
from instagram.functions.retriever.rapidapi_arraybobo.rapidapi_arraybobo import RapidApiArraybobo
from instagram.functions.retriever.rapidapi_jotucker.rapidapi_jotucker import RapidApiJoTucker

GRAPH, ARRAYBOBO, JOTUCKER = GraphApi.source, RapidApiArraybobo.source, RapidApiJoTucker.source

CHAINS: Mapping[str, tuple[str, ...]] = {
    "fetch_profile_by_id": (JOTUCKER, ARRAYBOBO),
    "fetch_profile_by_handle": (GRAPH, ARRAYBOBO, JOTUCKER),
    "fetch_profile_posts_by_id": (JOTUCKER, ARRAYBOBO),
    "fetch_profile_posts_by_handle": (GRAPH, ARRAYBOBO),
    "fetch_reels_posts": (ARRAYBOBO,),
    "fetch_post_by_shortcode": (ARRAYBOBO, JOTUCKER),
}


@lru_cache(maxsize=8)
def instagram_sources(graph_version: str = DEFAULT_VERSION) -> SourceTable:
    """The table with the Graph API at a version."""
    kinds: tuple[type[Provider], ...] = (GraphApi.at_version(graph_version), RapidApiArraybobo, RapidApiJoTucker)
    return SourceTable("instagram", {kind.source: kind for kind in kinds}, CHAINS)


INSTAGRAM = instagram_sources()
