"""Which sources give what, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from core.crawler.crawler import SourceTable
from core.crawler.provider import Provider
from instagram.functions.retriever.graphapi.graphapi import DEFAULT_VERSION, GraphApi
from instagram.functions.retriever.lama.lama import Lama
from instagram.functions.retriever.rapidapi_arraybobo.rapidapi_arraybobo import RapidApiArraybobo
from instagram.functions.retriever.rapidapi_bestsolutions.rapidapi_bestsolutions import RapidApiBestSolutions
from instagram.functions.retriever.rapidapi_igapi.rapidapi_igapi import RapidApiIgApi
from instagram.functions.retriever.rapidapi_jotucker.rapidapi_jotucker import RapidApiJoTucker
from instagram.functions.retriever.rapidapi_neotank.rapidapi_neotank import RapidApiNeoTank
from instagram.functions.retriever.rocketapi.rocketapi import RocketApi

GRAPH, LAMA, ROCKETAPI = GraphApi.source, Lama.source, RocketApi.source
ARRAYBOBO, JOTUCKER, NEOTANK = RapidApiArraybobo.source, RapidApiJoTucker.source, RapidApiNeoTank.source
BESTSOLUTIONS, IGAPI = RapidApiBestSolutions.source, RapidApiIgApi.source

CHAINS: Mapping[str, tuple[str, ...]] = {
    "fetch_profile_by_id": (JOTUCKER, ARRAYBOBO, IGAPI, LAMA, BESTSOLUTIONS, ROCKETAPI),
    "fetch_profile_by_handle": (GRAPH, ARRAYBOBO, JOTUCKER, LAMA, BESTSOLUTIONS, NEOTANK, IGAPI, ROCKETAPI),
    "fetch_profile_posts_by_id": (JOTUCKER, LAMA, ARRAYBOBO, BESTSOLUTIONS, ROCKETAPI, IGAPI, NEOTANK),
    "fetch_profile_posts_by_handle": (GRAPH, ARRAYBOBO, IGAPI, NEOTANK, ROCKETAPI),
    "fetch_reels_posts": (ARRAYBOBO, ROCKETAPI, LAMA, IGAPI),
    "fetch_post_by_shortcode": (ARRAYBOBO, JOTUCKER, ROCKETAPI, LAMA, IGAPI, NEOTANK, BESTSOLUTIONS),
    "fetch_tagged_posts": (ARRAYBOBO, ROCKETAPI, LAMA, IGAPI),
    "fetch_hashtag_posts": (JOTUCKER, LAMA, ARRAYBOBO, ROCKETAPI, GRAPH, IGAPI, BESTSOLUTIONS),
    "fetch_hashtag_top_posts": (GRAPH, LAMA, ROCKETAPI, JOTUCKER),
    "fetch_story_posts_by_profile_id": (ARRAYBOBO, ROCKETAPI, LAMA, IGAPI, BESTSOLUTIONS, JOTUCKER),
    "fetch_profile_highlights": (ARRAYBOBO,),
    "fetch_highlight_posts": (ARRAYBOBO,),
    "fetch_followers": (JOTUCKER, ROCKETAPI, LAMA, ARRAYBOBO, IGAPI, BESTSOLUTIONS),
    "fetch_following": (JOTUCKER, LAMA, ROCKETAPI, ARRAYBOBO, IGAPI, BESTSOLUTIONS),
    "fetch_post_likes": (JOTUCKER, ROCKETAPI, LAMA, ARRAYBOBO, IGAPI),
    "fetch_post_comments": (JOTUCKER, ROCKETAPI, LAMA, ARRAYBOBO, IGAPI, BESTSOLUTIONS),
    "fetch_post_comment_replies": (JOTUCKER,),
    "fetch_similar_profiles": (ARRAYBOBO,),
    "fetch_stories_posts": (GRAPH,),
    "fetch_post_insights": (GRAPH,),
    "fetch_story_insights": (GRAPH,),
    "fetch_profile_insights": (GRAPH,),
    "fetch_audience_insights": (GRAPH,),
    "fetch_follower_audience_insights": (GRAPH,),
}
"""Calls of the Graph API that see only the token's own account stand in no chain of calls that see all accounts: they
are made by name.
"""

WEIGHTS: Mapping[str, Mapping[str, float]] = {"fetch_followers": {JOTUCKER: 0.3, ROCKETAPI: 0.7}}
"""Whom to ask first, by chance."""


@lru_cache(maxsize=8)
def instagram_sources(graph_version: str = DEFAULT_VERSION) -> SourceTable:
    """The table with the Graph API at a version."""
    kinds: tuple[type[Provider], ...] = (
        GraphApi.at_version(graph_version),
        Lama,
        RapidApiArraybobo,
        RapidApiJoTucker,
        RapidApiNeoTank,
        RapidApiBestSolutions,
        RapidApiIgApi,
        RocketApi,
    )
    return SourceTable("instagram", {kind.source: kind for kind in kinds}, CHAINS, WEIGHTS)


INSTAGRAM = instagram_sources()
