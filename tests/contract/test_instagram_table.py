"""The table of sources: who can do what, and who is asked first."""

from __future__ import annotations

import pytest

from instagram.functions.retriever.crawler import CHAINS, INSTAGRAM, instagram_sources
from instagram.parse_form import FUNCTIONS
from utils.rate_limit import By, Limit

GRAPH, LAMA, ROCKETAPI = "graphapi", "lama", "rocketapi"
ARRAYBOBO, JOTUCKER, NEOTANK = "rapidapi-arraybobo", "rapidapi-jotucker", "rapidapi-neotank"
BESTSOLUTIONS, IGAPI = "rapidapi-bestsolutions", "rapidapi-igapi"

FIRST = {
    "fetch_profile_by_id": (JOTUCKER, ARRAYBOBO),
    "fetch_profile_by_handle": (GRAPH, ARRAYBOBO, JOTUCKER, LAMA, BESTSOLUTIONS, NEOTANK, IGAPI),
    "fetch_profile_posts_by_id": (JOTUCKER, LAMA, ARRAYBOBO, BESTSOLUTIONS, ROCKETAPI, IGAPI, NEOTANK),
    "fetch_profile_posts_by_handle": (GRAPH, ARRAYBOBO, IGAPI, NEOTANK, ROCKETAPI),
    "fetch_reels_posts": (ARRAYBOBO, ROCKETAPI, LAMA, IGAPI),
    "fetch_post_by_shortcode": (ARRAYBOBO, JOTUCKER, ROCKETAPI, LAMA, IGAPI, NEOTANK),
    "fetch_tagged_posts": (ARRAYBOBO, ROCKETAPI, LAMA),
    "fetch_followers": (JOTUCKER, ROCKETAPI, LAMA, ARRAYBOBO, IGAPI, BESTSOLUTIONS),
    "fetch_following": (JOTUCKER, LAMA, ROCKETAPI, ARRAYBOBO, IGAPI),
    "fetch_hashtag_posts": (JOTUCKER, LAMA, ARRAYBOBO, ROCKETAPI, GRAPH),
    "fetch_hashtag_top_posts": (GRAPH, LAMA, ROCKETAPI),
    "fetch_post_comments": (JOTUCKER, ROCKETAPI, LAMA, ARRAYBOBO),
    "fetch_post_likes": (JOTUCKER, ROCKETAPI, LAMA, ARRAYBOBO),
    "fetch_story_posts_by_profile_id": (ARRAYBOBO, ROCKETAPI, LAMA),
}
"""Who must be asked, in this order; sources that can do it too come behind them."""
OWN = {
    (GRAPH, "fetch_profile_by_id"),
    (GRAPH, "fetch_profile_posts_by_id"),
    (GRAPH, "fetch_tagged_posts"),
    (GRAPH, "fetch_post_comments"),
    (GRAPH, "fetch_post_comment_replies"),
}
"""Calls that see the credential's own account only, and so are no answer to a question about somebody else."""
BY_NAME = {*OWN, (GRAPH, "fetch_post_comment_replies")}
"""Who may be left out of a chain, to be asked by name."""


@pytest.mark.parametrize("function", FIRST)
def test_the_sources_of_record_are_asked_first_and_in_order(function: str) -> None:
    assert CHAINS[function][: len(FIRST[function])] == FIRST[function]


def test_followers_are_asked_of_two_sources_by_chance() -> None:
    assert INSTAGRAM.weights == {"fetch_followers": {JOTUCKER: 0.3, ROCKETAPI: 0.7}}


def test_every_source_that_can_do_something_for_any_account_is_in_its_chain() -> None:
    offered = {(source, name) for source, provider in INSTAGRAM.providers.items() for name in provider.parsers}
    chained = {(source, name) for name, chain in CHAINS.items() for source in chain}
    assert offered - chained <= BY_NAME
    assert not chained & OWN


def test_each_source_has_a_method_and_a_parser_of_the_same_names() -> None:
    for provider in INSTAGRAM.providers.values():
        methods = {name for name in dir(provider) if name.startswith("fetch_")}
        assert methods == set(provider.parsers), provider.source


def test_all_eight_sources_are_there_and_nothing_is_asked_that_has_no_name() -> None:
    assert set(INSTAGRAM.providers) == {
        GRAPH, LAMA, ARRAYBOBO, JOTUCKER, NEOTANK, BESTSOLUTIONS, IGAPI, ROCKETAPI,
    }  # fmt: skip
    assert set(CHAINS) == set(FUNCTIONS)


def test_each_source_keeps_to_its_budget() -> None:
    budgets = {source: provider.limits for source, provider in INSTAGRAM.providers.items() if provider.limits}
    assert budgets == {
        GRAPH: (Limit(200, 3600, By.CREDENTIAL),),
        ARRAYBOBO: (Limit(100, 30, By.SOURCE),),
        JOTUCKER: (Limit(5, 1, By.SOURCE),),
        BESTSOLUTIONS: (Limit(2, 1, By.SOURCE),),
        ROCKETAPI: (Limit(100, 30, By.SOURCE),),
    }


def test_another_graph_version_changes_the_graph_source_only() -> None:
    later = instagram_sources("v18.0")
    assert later.chains == INSTAGRAM.chains
    changed = {name for name, kind in later.providers.items() if kind is not INSTAGRAM.providers[name]}
    assert changed == {GRAPH}
